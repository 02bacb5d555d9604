"""Every world in which something was once found, made small, is played again: nothing may be found in it any more."""

from pathlib import Path

from .plan import load
from .player import play
from .worlds import FOUND


def test_what_was_found_once_is_gone() -> None:
    assert [said for path in sorted(FOUND.glob("*.jsonl")) for said in _still_there(path)] == []


def _still_there(path: Path) -> list[str]:
    plan, why = load(path)
    violation = play(plan).violation
    if violation is None:
        return []
    return [
        f"{violation}; it was kept because of {why}; read it: ./dev sim --plan {path.relative_to(FOUND.parents[2])}"
    ]
