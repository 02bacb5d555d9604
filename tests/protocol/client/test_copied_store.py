"""Two copies of one store number their edits alike; what the log gives a number to shows it (docs/protocol.md#outbox-new-device)."""

from typing import Any

import pytest

from protocol._edits import Create, Delete, Dismiss, Edit, Patch
from protocol._facts import Entry, EventsHeard, Renamed
from protocol._types import ItemId, Mid

from .desk import SERVER_TIME, Desk, facts, live


AT = SERVER_TIME + 500
A = ItemId("a")


def patch(**fields: Any) -> Patch:
    return Patch(kind="alarm", id=A, at=AT, fields=fields)


def dismissal() -> Dismiss:
    return Dismiss(kind="alarm", id=A, at=AT, occ=SERVER_TIME)


def heard(edit: Edit, kind: str, **event: Any) -> list[type]:
    """What a device whose edit 1 waits keeps of an event with that number: itself, or a new name."""
    desk: Desk = live(outbox=(Entry(Mid(1), edit),))
    origin = {"device_id": "desk", "mid": 1}
    outputs = desk.says(kind, **{"rev": 42, "at": AT - 100, "origin": origin, "id": A, **event})
    return [type(fact) for fact in facts(outputs) if isinstance(fact, EventsHeard | Renamed)]


OTHERS: list[tuple[Edit, str, dict[str, Any]]] = [
    (patch(time="08:00"), "alarm_updated", {"changed": {"label": "Up"}}),
    (patch(time="08:00"), "alarm_updated", {"changed": {"time": "07:00"}}),
    (patch(time="08:00"), "alarm_updated", {"changed": {"acked": 5}}),
    (patch(time="08:00"), "alarm_deleted", {}),
    (patch(time="08:00"), "alarm_created", {"data": {"id": A, "kind": "alarm", "time": "08:00"}}),
    (patch(time="08:00"), "alarm_updated", {"changed": {"time": "08:00"}, "at": AT + 1}),
    (patch(time="08:00"), "alarm_updated", {"changed": {"time": "08:00"}, "id": "b"}),
    (dismissal(), "alarm_updated", {"changed": {"label": "Up"}}),
    (Delete(kind="alarm", id=A, at=AT), "alarm_updated", {"changed": {"label": "Up"}}),
]


@pytest.mark.parametrize(("edit", "kind", "event"), OTHERS)
def test_an_edit_whose_number_the_log_gives_to_another_is_kept_under_a_new_name(
    edit: Edit, kind: str, event: dict[str, Any]
) -> None:
    """Taken for contained it would be lost, though both copies changed the same alarm."""
    assert heard(edit, kind, **event) == [Renamed]


OWN: list[tuple[Edit, str, dict[str, Any]]] = [
    (patch(time="08:00", label="Up"), "alarm_updated", {"changed": {"time": "08:00"}}),
    (patch(days=[]), "alarm_updated", {"changed": {"days": [], "date": "2027-03-01"}}),
    (patch(days=["tu", "mo"]), "alarm_updated", {"changed": {"days": ["mo", "tu"]}}),
    (dismissal(), "alarm_updated", {"changed": {"acked": SERVER_TIME, "snooze": None}}),
    (Create(kind="alarm", id=A, at=AT, fields={"time": "08:00"}), "alarm_updated", {"changed": {"time": "08:00"}}),
    (Delete(kind="alarm", id=A, at=AT), "alarm_deleted", {}),
]


@pytest.mark.parametrize(("edit", "kind", "event"), OWN)
def test_what_may_be_its_own_edit_is_taken_for_it(edit: Edit, kind: str, event: dict[str, Any]) -> None:
    """Sent again under another name, it would be done twice; a clock set back by the server tells nothing."""
    assert heard(edit, kind, **event) == [EventsHeard]
