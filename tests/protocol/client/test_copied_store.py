"""Two copies of one store number their edits alike; only the answer tells whose a number is (docs/protocol.md#outbox-doubt)."""

from typing import Any

import pytest

from protocol._edits import Create, Delete, Dismiss, Edit, Patch, Start
from protocol._facts import Entry, EventsHeard, Renamed
from protocol._types import ItemId, Mid, RunId, Wall

from .answers import result
from .desk import SERVER_TIME, Desk, facts, live


AT = SERVER_TIME + 500
A = ItemId("a")


def patch(**fields: Any) -> Patch:
    return Patch(kind="alarm", id=A, at=AT, fields=fields)


EDITS: list[Edit] = [
    patch(time="08:00"),
    Dismiss(kind="alarm", id=A, at=AT, occ=SERVER_TIME),
    Create(kind="alarm", id=A, at=AT, fields={"time": "08:00"}),
    Delete(kind="alarm", id=A, at=AT),
    Start(kind="timer", id=A, at=AT, run=RunId("r1"), moment=Wall(AT)),
]


def hears(edit: Edit) -> Desk:
    """A device whose edit 1 has been sent, and which hears of a change under that number: perhaps its own."""
    desk: Desk = live(outbox=(Entry(Mid(1), edit),))
    outputs = desk.says(
        "alarm_updated", rev=42, at=AT, origin={"device_id": "desk", "mid": 1}, id=A, changed={"time": "08:00"}
    )
    assert [type(fact) for fact in facts(outputs)] == [EventsHeard]
    return desk


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_whose_number_the_log_has_waits_for_its_answer_all_the_same(edit: Edit) -> None:
    desk = hears(edit)
    assert [entry.edit for entry in desk.c.machine.outbox] == [edit]
    result(desk, 1, rev=42)
    assert desk.c.machine.outbox == ()


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_whose_number_another_copy_used_is_kept_under_a_new_name(edit: Edit) -> None:
    """Taken for contained it would be lost, though nobody else made it."""
    desk = hears(edit)
    outputs = desk.says("error", code="mid_reused", message="", ref=1)
    assert Renamed in [type(fact) for fact in facts(outputs)]
    assert [entry.edit for entry in desk.c.machine.outbox] == [edit]
    assert desk.c.machine.device != "desk"


def test_what_was_answered_under_the_old_name_is_not_sent_again_under_the_new_one() -> None:
    """An answer that was lost on a standing link is asked for first; under another name the edit would count twice."""
    desk: Desk = live(outbox=(Entry(Mid(5), patch(time="08:00")), Entry(Mid(6), patch(label="Up"))))
    assert not facts(desk.says("error", code="mid_reused", message="", ref=6))
    assert Renamed in [type(fact) for fact in facts(result(desk, 5, rev=41))]
    assert [(entry.mid, entry.edit) for entry in desk.c.machine.outbox] == [(1, patch(label="Up"))]
