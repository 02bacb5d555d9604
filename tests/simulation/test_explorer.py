"""The explorer closes, finds nothing in the code as it is, and finds what is broken on purpose."""

from .explorer import CONFIGS, explore


def test_a_small_world_holds_in_every_interleaving() -> None:
    explored = explore(CONFIGS["small"])

    assert explored.violation is None
    assert explored.closed
