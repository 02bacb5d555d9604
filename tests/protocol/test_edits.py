"""Edits refuse to exist where they mean nothing."""

import msgspec
import pytest

from protocol._edits import Edit


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        ({"op": "pause", "kind": "alarm", "run": "r", "moment": 1}, "kind must be `timer`"),
        ({"op": "dismiss", "kind": "alarm", "run": "r", "due": 1}, "named by `occ` alone"),
        ({"op": "dismiss", "kind": "alarm", "occ": 1, "run": "r"}, "named by `occ` alone"),
        ({"op": "dismiss", "kind": "timer", "occ": 1}, "named by `run` and `due`"),
        (
            {"op": "snooze", "kind": "timer", "run": "r", "n": 1, "length_ms": 1, "moment": 1},
            "named by `run` and `due`",
        ),
        ({"op": "fly", "kind": "timer"}, "Invalid value 'fly'"),
    ],
)
def test_an_edit_that_names_no_ring_or_no_timer_cannot_be_made(edit: dict[str, object], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.convert({"id": "a", "at": 1, **edit}, Edit)
