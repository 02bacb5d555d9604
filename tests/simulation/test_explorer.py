"""The explorer closes, finds nothing in the code as it is, and finds what is broken on purpose."""

import io
from array import array
from contextlib import redirect_stdout
from typing import Any

import pytest
from msgspec.structs import replace

from protocol import Mid
from protocol.client import _upload

from . import explorer_store
from .explorer import CONFIGS, endings, explore, main, replay, tell
from .explorer_graph import in_a_circle
from .explorer_parts import Budget, Config
from .explorer_scripts import patch
from .planted import PLANTED


ONE_EDIT = Config(about="one edit, a cut and a crash", scripts={"A": (patch(label="a"),)}, budget=Budget(1, 1))


# The numbers are the same on every Python, and change only where the protocol behaves otherwise: then the new ones
# belong here. A world that grows by half deserves a second look.
@pytest.mark.parametrize(
    ("name", "states", "transitions", "ends"),
    [
        ("small", 1_581, 3_323, 34),
        ("cold", 3_960, 9_967, 34),
        ("half-open", 5_769, 22_270, 347),
        ("ghosts", 131, 294, 43),
    ],
)
def test_a_small_world_holds_in_every_interleaving(name: str, states: int, transitions: int, ends: int) -> None:
    explored = explore(CONFIGS[name])

    assert explored.violation is None
    assert explored.closed
    assert (explored.states, explored.transitions, explored.terminal) == (states, transitions, ends)


def test_leaving_out_orders_of_independent_moves_leaves_out_no_ending() -> None:
    """The argument for it is in words (`World._independent`); this is its proof by trying on worlds that are small."""
    for config in (CONFIGS["small"], ONE_EDIT, replace(CONFIGS["created"], budget=Budget(crashes=1))):
        assert endings(config) == endings(replace(config, reduced=False))


def test_what_the_store_does_taken_apart_adds_no_ending() -> None:
    config = replace(CONFIGS["small"], apart=frozenset())

    assert endings(config) == endings(replace(config, apart=frozenset({"read", "publish"})))


def test_a_store_that_forgets_the_numbers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `last_mid` a minute that is added again is added twice."""
    find = explorer_store._find

    def forgetful(*asked: Any) -> Any:
        return replace(find(*asked), last_mid=Mid(asked[3] - 1), stored=None)

    monkeypatch.setattr(explorer_store, "_find", forgetful)
    explored = explore(replace(CONFIGS["added"], budget=Budget(cuts=1)))

    assert explored.violation is not None
    assert not explored.closed
    assert "invariant-3" in explored.violation.violation
    assert any("cut off" in move for move in explored.violation.moves), "nothing is sent twice without a cut"


def test_a_mutation_that_leaves_before_it_is_on_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = _upload.waiting

    def hasty(turn: Any, sent: Mid) -> Any:
        turn.set(kept=turn.machine.newest)
        return waiting(turn, sent)

    monkeypatch.setattr(_upload, "waiting", hasty)

    explored = explore(replace(ONE_EDIT, scripts={"A": (patch(label="a"), patch(label="c"))}))

    assert explored.violation is not None
    assert any("crashes" in move for move in explored.violation.moves), "without a crash nobody sees it"


@pytest.mark.parametrize(
    ("fault", "world"),
    [
        ("hello-ahead-of-disk", "half-open"),
        ("retired-on-result", "small"),
        ("synced-after-outbox", "small"),
        ("renamed-at-once", "set-back"),
        ("answer-of-old-epoch-counts", "restored-cold"),
    ],
)
def test_a_planted_fault_is_found(fault: str, world: str) -> None:
    with PLANTED[fault].plant():
        assert explore(CONFIGS[world]).violation is not None


def test_a_violation_is_told_line_by_line_and_can_be_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.simulation.explorer_world.check_quiet", _only_at_rev_one)
    explored = explore(CONFIGS["small"])
    assert explored.violation is not None

    told = list(tell(CONFIGS["small"], explored.violation))

    assert told[0].startswith("at rest")
    assert "A's user acts" in told[1] or "B's user acts" in told[1]
    assert "1 waiting" in told[1]
    assert told[-2] == "AssertionError: moved"
    assert told[-1] == f"replay(CONFIGS[...], {list(explored.violation.moves)!r})"
    with pytest.raises(AssertionError, match="moved"):
        list(replay(CONFIGS["small"], explored.violation.moves))


def _only_at_rev_one(_: object, vault: explorer_store.Vault) -> None:
    if vault.account.rev > 1:
        raise AssertionError("moved")


def test_a_move_that_is_not_possible_is_named_with_those_that_are() -> None:
    with pytest.raises(LookupError, match="move 1 cannot be 'A sings'; possible: A's user acts"):
        list(replay(CONFIGS["small"], ["A sings"]))


def test_a_world_that_is_given_up_is_not_called_closed() -> None:
    explored = explore(CONFIGS["small"], most=100)

    assert not explored.closed
    assert explored.violation is None


def test_progress_is_told_for_each_layer() -> None:
    told: list[tuple[int, int, int]] = []
    explored = explore(CONFIGS["small"], progress=lambda *layer: told.append(layer))

    assert [depth for depth, _, _ in told] == list(range(explored.deepest + 1))
    assert told[-1][1] == explored.states


def test_the_command_prints_the_size_of_a_world() -> None:
    with redirect_stdout(io.StringIO()) as printed:
        assert main(["small"]) == 0

    assert "1,581" in printed.getvalue()


def test_the_command_says_when_a_world_did_not_close() -> None:
    with redirect_stdout(io.StringIO()) as printed:
        assert main(["small", "--most", "10"]) == 1

    assert "NOT CLOSED" in printed.getvalue()


def test_a_circle_is_found_and_a_diamond_is_none() -> None:
    def circle(*edges: tuple[int, int]) -> int | None:
        sources, targets = zip(*edges, strict=True)
        return in_a_circle(5, array("L", sources), array("L", targets))

    assert circle((0, 1), (0, 2), (1, 3), (2, 3)) is None
    assert circle((0, 1), (1, 2), (2, 3), (3, 2)) == 0
    assert circle((1, 2), (3, 3)) == 3
