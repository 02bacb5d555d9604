"""What the server fills in, and what it refuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol._apply import apply
from protocol._edits import Add, Create, Delete, Dismiss, Edit, Mutation, Patch, Pause, Snooze, Start
from protocol._errors import Fault
from protocol._fields import LAST_MS
from protocol._records import Alarm, Record, Snoozed
from protocol._settings import DEFAULT_LIMITS, Limits
from protocol._types import ItemId, Kind, RunId, Wall
from protocol._validate import complete, validate

from .strategies import ITEM, KINDS, NOW, alarm, any_edits, any_records, by, mutations, running, timer, zones


KEY = {"kind": "alarm", "id": ITEM, "at": NOW}


def refused(record: Record | None, edit: Edit, limits: Limits = DEFAULT_LIMITS, items: int = 0) -> Fault | None:
    return validate(record, by(edit), NOW, zones, limits, items)


def create(kind: Kind = "alarm", at: int = NOW, **fields: Any) -> Create:
    required: dict[str, Any] = {"time": "08:01"} if kind == "alarm" else {"duration_ms": 1}
    return Create(kind=kind, id=ITEM, at=at, fields=required | fields)


def patch(kind: Kind = "alarm", at: int = NOW, **fields: Any) -> Patch:
    return Patch(kind=kind, id=ITEM, at=at, fields=fields)


def snooze(occ: int = NOW, n: int = 1, length_ms: int = 540_000, moment: int = NOW) -> Snooze:
    return Snooze(kind="alarm", id=ITEM, at=NOW, occ=occ, n=n, length_ms=length_ms, moment=Wall(moment))


def start(run: str = "r1", at: int = NOW, moment: int = NOW) -> Start:
    return Start(kind="timer", id=ITEM, at=at, run=RunId(run), moment=Wall(moment))


# --- complete ---------------------------------------------------------------------------------------------------------


def completed(record: Record | None, edit: Edit, newest_at: int = 0) -> Edit:
    return complete(record, by(edit), NOW, newest_at, zones).edit


@pytest.mark.parametrize(
    ("at", "newest_at", "kept"),
    [
        (NOW - 5, 0, NOW - 5),
        (NOW + 5, 0, NOW),
        (NOW + 5, NOW + 1, NOW + 2),
        (NOW + 5, NOW + 9, NOW + 5),
        (2**80, 0, NOW),
    ],
)
def test_an_edit_from_the_future_is_set_back_to_now_or_right_after_the_newest_one(
    at: int, newest_at: int, kept: int
) -> None:
    assert completed(alarm(), patch(at=at), newest_at).at == kept


def test_a_press_from_the_future_is_set_back_to_now() -> None:
    ahead = completed(timer(), start(moment=NOW + 9))
    assert isinstance(ahead, Start)
    assert ahead.moment == NOW
    behind = completed(timer(), start(moment=NOW - 9))
    assert isinstance(behind, Start)
    assert behind.moment == NOW - 9


def date_after(record: Record | None, edit: Edit) -> str | None:
    after = apply(record, complete(record, by(edit), NOW, 0, zones))
    assert isinstance(after, Alarm)
    return after.date


# NOW is 08:00 in UTC, 09:00 in Warsaw.
@pytest.mark.parametrize(
    ("record", "edit", "date"),
    [
        (None, create(time="08:01"), "2027-01-15"),
        (None, create(time="08:00"), "2027-01-16"),
        (None, create(time="08:59", tz="Europe/Warsaw"), "2027-01-16"),
        (None, create(date=None), "2027-01-15"),
        (None, create(date="2027-03-01"), "2027-03-01"),
        (None, create(days=["mo"]), None),
        (alarm(), patch(days=[]), "2027-01-15"),
        (alarm(date="2020-01-01"), patch(days=[]), "2027-01-15"),
        (alarm(), patch(days=[], date="2027-03-01"), "2027-03-01"),
        (alarm(days=(), date="2027-03-01"), patch(label="x"), "2027-03-01"),
        (alarm(days=(), date="2027-03-01"), patch(date=None), "2027-01-15"),
        (alarm(days=()), patch(label="x"), "2027-01-15"),
        (alarm(days=(), date="2020-01-01"), patch(time="07:00"), "2020-01-01"),
        (alarm(), patch(label="x"), None),
    ],
)
def test_a_once_alarm_without_a_day_gets_the_first_one_after_the_edit(
    record: Record | None, edit: Edit, date: str | None
) -> None:
    assert date_after(record, edit) == date


@pytest.mark.parametrize("date", ["2027-02-30", "soon", 7, []])
def test_a_day_that_is_none_is_refused_and_not_replaced_by_another(date: object) -> None:
    completed = complete(None, by(create(date=date)), NOW, 0, zones)
    fault = validate(None, completed, NOW, zones, Limits())
    assert fault is not None
    assert (fault.code, fault.field) == ("invalid", "date")


def test_the_day_counts_from_when_it_was_edited_not_from_when_it_arrived() -> None:
    assert date_after(None, create(time="07:30", at=NOW - 3_600_000)) == "2027-01-15"


def test_timers_have_no_day() -> None:
    edit = create("timer")
    assert completed(None, edit) == edit


@given(st.none() | any_records, mutations(any_edits), st.integers(0, NOW + 9))
def test_completing_never_fails_and_moves_no_clock_forward(
    record: Record | None, mutation: Mutation, newest_at: int
) -> None:
    done = complete(record, mutation, NOW, newest_at, zones)
    assert done.edit.at <= min(mutation.edit.at, max(NOW, newest_at + 1))
    assert getattr(done.edit, "moment", NOW) <= NOW
    assert complete(record, done, NOW, newest_at, zones) == done


# --- validate ---------------------------------------------------------------------------------------------------------


@given(st.none() | any_records, mutations(any_edits))
def test_validation_never_fails_and_names_the_field(record: Record | None, mutation: Mutation) -> None:
    fault = validate(record, mutation, NOW, zones, DEFAULT_LIMITS)
    if fault is not None and fault.field is not None:
        assert fault.message.startswith(f"`{fault.field}`")
        assert fault.message.endswith(".")


@given(st.sampled_from(KINDS), st.none() | any_records, mutations(any_edits))
def test_apply_takes_every_field_that_validation_lets_through(
    kind: Kind, record: Record | None, mutation: Mutation
) -> None:
    edit = mutation.edit
    if isinstance(edit, Create) and validate(None, mutation, NOW, zones, DEFAULT_LIMITS) is None:
        made = apply(None, mutation)
        assert made is not None
        for name in made.stamps.keys() & edit.fields.keys():
            sent = edit.fields[name]
            assert getattr(made, name) == (
                tuple(d for d in ("mo tu we th fr sa su").split() if d in sent) if name == "days" else sent
            )


@pytest.mark.parametrize(
    ("record", "edit", "code", "field"),
    [
        (alarm(), patch("timer"), "invalid", "kind"),
        (alarm(), Delete(kind="timer", id=ITEM, at=NOW), "invalid", "kind"),
        (None, replace(create(), id=ItemId("a b")), "invalid", "id"),
        (alarm(), patch(at=-1), "invalid", "at"),
        (alarm(), patch(at=LAST_MS + 1), "invalid", "at"),
        (alarm(), patch(time="25:00"), "invalid", "time"),
        (alarm(), patch(days="mo"), "invalid", "days"),
        (alarm(), patch(date="2027-02-29"), "invalid", "date"),
        (alarm(), patch(tz="Mars/Olympus"), "bad_zone", "tz"),
        (alarm(), patch(tz="../x"), "invalid", "tz"),
        (alarm(), patch(label="x" * 201), "invalid", "label"),
        (alarm(), patch(sound="x" * 201), "invalid", "sound"),
        (alarm(), patch(extra={"a": "x" * 2_041}), "invalid", "extra"),
        (alarm(), patch(ring_s=0), "invalid", "ring_s"),
        (None, Create(kind="alarm", id=ITEM, at=NOW), "invalid", "time"),
        (None, Create(kind="timer", id=ITEM, at=NOW, fields={"time": "08:00"}), "invalid", "duration_ms"),
        (alarm(), Dismiss(kind="alarm", id=ITEM, at=NOW, occ=NOW + 300_001), "early", "occ"),
        (alarm(), Dismiss(kind="alarm", id=ITEM, at=NOW, occ=-1), "invalid", "occ"),
        (running(), Dismiss(kind="timer", id=ITEM, at=NOW, run=RunId("a b"), due=NOW), "invalid", "run"),
        (running(), Dismiss(kind="timer", id=ITEM, at=NOW, run=RunId("r1"), due=-1), "invalid", "due"),
        (alarm(), snooze(NOW + 300_001), "early", "occ"),
        (alarm(), snooze(n=0), "invalid", "n"),
        (alarm(), snooze(n=17), "invalid", "n"),
        (alarm(snooze=Snoozed(NOW - 1, 4, NOW)), snooze(n=17), "invalid", "n"),
        (alarm(), snooze(length_ms=0), "invalid", "length_ms"),
        (alarm(), snooze(length_ms=86_400_001), "invalid", "length_ms"),
        (alarm(), snooze(moment=-1), "invalid", "moment"),
        (timer(), start(run=""), "invalid", "run"),
        (timer(), start(moment=-1), "invalid", "moment"),
        (running(), Add(kind="timer", id=ITEM, at=NOW, run=RunId("r1"), moment=NOW, ms=0), "invalid", "ms"),
        (running(), Add(kind="timer", id=ITEM, at=NOW, run=RunId(""), moment=NOW, ms=1), "invalid", "run"),
    ],
)
def test_what_is_impossible_is_refused_with_its_field(record: Record | None, edit: Edit, code: str, field: str) -> None:
    fault = refused(record, edit)
    assert fault is not None
    assert (fault.code, fault.field) == (code, field)
    assert not fault.retryable


@pytest.mark.parametrize(
    ("record", "edit"),
    [
        (None, create()),
        (None, create("timer")),
        (alarm(), patch()),
        (alarm(), patch(label="x" * 200, sound="x" * 200, tz="Europe/Warsaw", unknown=1)),
        (alarm(), patch(extra={"a": "x" * 2_040})),
        (alarm(), Delete(kind="alarm", id=ITEM, at=NOW)),
        (alarm(), Dismiss(kind="alarm", id=ITEM, at=NOW, occ=NOW + 300_000)),
        (running(), Dismiss(kind="timer", id=ITEM, at=NOW, run=RunId("r9"), due=NOW + 900_000)),
        (alarm(), snooze(n=16, length_ms=86_400_000)),
        (alarm(snooze=Snoozed(NOW, 4, NOW)), snooze(n=20)),
        (running(), Pause(kind="timer", id=ITEM, at=0, run=RunId("r9"), moment=Wall(0))),
        (running(), Add(kind="timer", id=ITEM, at=NOW, run=RunId("r1"), moment=NOW, ms=8_640_000_000)),
    ],
)
def test_what_is_possible_passes_even_where_it_will_change_nothing(record: Record | None, edit: Edit) -> None:
    assert refused(record, edit) is None


def test_a_record_too_big_is_refused_and_a_smaller_limit_shows() -> None:
    fault = refused(alarm(), patch(extra={"a": "x" * 900}), replace(DEFAULT_LIMITS, record=900))
    assert fault is not None
    assert fault.code == "too_big"
    assert "at most 900" in fault.message


def test_there_is_room_for_so_many_records() -> None:
    fault = refused(None, create(), items=2_000)
    assert fault is not None
    assert fault.code == "limit"
    assert refused(None, create(), items=1_999) is None
    assert refused(alarm(), create(), items=2_000) is None


def test_faults_are_looked_for_in_one_order() -> None:
    """So that two servers refuse the same mutation with the same words."""
    wrong = replace(create("timer", at=-1, label=5, ring_s=0), id=ItemId(""))
    without_id = replace(wrong, id=ITEM)
    without_at = replace(without_id, at=NOW)
    without_label = replace(without_at, fields=without_at.fields | {"label": ""})
    found = [
        refused(record, edit)
        for record, edit in [
            (alarm(), wrong),
            (None, wrong),
            (None, without_id),
            (None, without_at),
            (None, without_label),
        ]
    ]
    assert [fault and fault.field for fault in found] == ["kind", "id", "at", "label", "ring_s"]
