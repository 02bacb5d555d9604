"""POST and DELETE of the classic profile."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from protocol._classic import commit_delete, commit_post, post_id
from protocol._errors import Fault
from protocol._events import classic_text, event_text
from protocol._log import Account, Found, Outcome
from protocol._records import Alarm, Record, Snoozed, Timer
from protocol._settings import DEFAULT_LIMITS
from protocol._types import Epoch, ItemId, Rev, RunId, Stamp, Wall

from .strategies import ITEM, KINDS, NOW, alarm, any_fields, any_records, json_values, running, timer, zones


ACCOUNT = Account(Epoch("k3v9"), Rev(7), Rev(0), NOW - 1)
FRESH = RunId("fresh")


def post(record: Record | None, body: dict[str, Any], **found: Any) -> Outcome:
    return commit_post(
        Found(ACCOUNT, record=record, items=0 if record is None else 1, **found),
        body,
        ITEM,
        NOW,
        zones,
        DEFAULT_LIMITS,
        FRESH,
    )


def changed(outcome: Outcome) -> dict[str, Any]:
    assert outcome.fault is None
    assert outcome.result is None
    assert outcome.change is not None
    return outcome.change.changed


def refused(outcome: Outcome) -> Fault:
    assert outcome.change is None
    assert outcome.account == ACCOUNT
    assert outcome.fault is not None
    return outcome.fault


# --- create -----------------------------------------------------------------------------------------------------------


def test_a_post_of_an_unknown_identifier_makes_the_record() -> None:
    outcome = post(None, {"kind": "alarm", "time": "07:30", "days": ["tu", "mo"], "label": "Tea"})
    record = outcome.record
    assert isinstance(record, Alarm)
    assert (record.id, record.time, record.days, record.label, record.tz) == (ITEM, "07:30", ("mo", "tu"), "Tea", "UTC")
    assert outcome.change is not None
    assert (outcome.change.op, outcome.change.at, outcome.change.origin) == ("create", NOW, None)
    assert record.stamps["label"] == Stamp(NOW, "", 0)
    assert outcome.account == Account(ACCOUNT.epoch, Rev(8), Rev(0), NOW)


def test_a_new_alarm_without_a_zone_gets_the_servers() -> None:
    found = Found(ACCOUNT)
    body = {"kind": "alarm", "time": "07:30"}
    outcome = commit_post(found, body, ITEM, NOW, zones, DEFAULT_LIMITS, FRESH, "Europe/Warsaw")
    assert isinstance(outcome.record, Alarm)
    assert outcome.record.tz == "Europe/Warsaw"
    made = Found(outcome.account, record=outcome.record, items=1)
    later = commit_post(made, {"label": "x"}, ITEM, NOW, zones, DEFAULT_LIMITS, FRESH, "UTC")
    assert changed(later) == {"label": "x"}


def test_a_new_timer_can_start_at_once() -> None:
    outcome = post(None, {"kind": "timer", "duration_ms": 60_000, "phase": "running"})
    assert isinstance(outcome.record, Timer)
    assert (outcome.record.run, outcome.record.ends_at) == (FRESH, NOW + 60_000)
    assert outcome.change is not None
    assert (outcome.change.op, outcome.change.changed["phase"]) == ("create", "running")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"time": "07:30"}, "invalid", "kind"),
        ({"kind": None, "time": "07:30"}, "invalid", "kind"),
        ({"kind": "egg"}, "unknown_kind", "kind"),
        ({"kind": ["alarm"]}, "unknown_kind", "kind"),
        ({"kind": "alarm"}, "invalid", "time"),
        ({"kind": "timer"}, "invalid", "duration_ms"),
        ({"kind": "alarm", "time": "7"}, "invalid", "time"),
        ({"kind": "timer", "duration_ms": 5, "phase": "paused"}, "invalid", "phase"),
    ],
)
def test_a_record_that_cannot_be_made_is_refused_with_the_field(body: dict[str, Any], code: str, field: str) -> None:
    fault = refused(post(None, body))
    assert (fault.code, fault.field) == (code, field)
    assert f"`{field}`" in fault.message


def test_there_is_room_for_so_many() -> None:
    full = Found(ACCOUNT, items=2_000)
    body = {"kind": "alarm", "time": "07:30"}
    assert refused(commit_post(full, body, ITEM, NOW, zones, DEFAULT_LIMITS, FRESH)).code == "limit"


def test_a_deleted_identifier_is_gone() -> None:
    assert refused(post(None, {"kind": "alarm", "time": "07:30"}, deleted=True)).code == "gone"


# --- patch ------------------------------------------------------------------------------------------------------------


def test_only_fields_that_differ_are_set_and_absent_ones_stay() -> None:
    before = alarm(label="Tea", sound="bell")
    outcome = post(before, {"kind": "alarm", "label": "Train", "time": "08:01", "days": ["fr", "th", "we", "tu", "mo"]})
    assert changed(outcome) == {"label": "Train"}
    assert isinstance(outcome.record, Alarm)
    assert outcome.record.sound == "bell"
    assert outcome.record.stamps["time"] == before.stamps["time"]


def test_a_whole_record_sent_back_changes_only_what_was_edited() -> None:
    before = running(acked=RunId("r1"), snooze=Snoozed("r1", 1, NOW))
    body = to_builtins(before) | {"label": "Tea", "acked": None, "snooze": None, "run": "zzz", "rev": 99, "stamps": {}}
    assert changed(post(before, body)) == {"label": "Tea"}


@given(any_records)
def test_where_nothing_differs_a_row_still_says_so(record: Record) -> None:
    """Its sender waits for the event."""
    record = replace(record, enabled=False, date="2027-01-15") if isinstance(record, Alarm) else record
    outcome = post(record, to_builtins(record))
    assert changed(outcome) == {}
    assert outcome.change is not None
    assert outcome.change.op == "patch"
    assert outcome.record == replace(record, rev=Rev(8), updated_at="2027-01-15T08:00:00.000Z", updated_by=None)
    assert event_text(outcome.change).startswith(f'{{"type":"{record.kind}_updated","rev":8,')
    assert classic_text(outcome.change, outcome.record).startswith(f'{{"type":"{record.kind}_updated","data":{{')


def test_a_body_without_kind_means_the_stored_one() -> None:
    assert changed(post(alarm(), {"label": "x"})) == {"label": "x"}
    assert changed(post(alarm(), {"kind": None, "label": "x"})) == {"label": "x"}
    fault = refused(post(alarm(), {"kind": "timer", "label": "x"}))
    assert (fault.code, fault.field) == ("invalid", "kind")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"time": "7:30"}, "invalid", "time"),
        ({"label": None}, "invalid", "label"),
        ({"label": "x" * 201}, "invalid", "label"),
        ({"tz": "Mars/Olympus"}, "bad_zone", "tz"),
        ({"label": 1, "time": 2}, "invalid", "label"),
    ],
)
def test_a_wrong_field_refuses_the_whole_post(body: dict[str, Any], code: str, field: str) -> None:
    fault = refused(post(alarm(), {"sound": "bell"} | body))
    assert (fault.code, fault.field) == (code, field)


def test_a_record_too_big_is_refused() -> None:
    small = replace(DEFAULT_LIMITS, record=900)
    found = Found(ACCOUNT, record=alarm(), items=1)
    outcome = commit_post(found, {"extra": {"a": "x" * 900}}, ITEM, NOW, zones, small, FRESH)
    assert refused(outcome).code == "too_big"


def test_a_post_beats_every_edit_before_it() -> None:
    """Its time is later than any accepted, since it comes from no device whose clock could be asked."""
    ahead = replace(ACCOUNT, newest_at=NOW + 500)
    before = alarm(stamps={"label": Stamp(NOW + 500, "zzz", 9)})
    found = Found(ahead, record=before, items=1)
    outcome = commit_post(found, {"label": "x"}, ITEM, NOW, zones, DEFAULT_LIMITS, FRESH)
    assert changed(outcome) == {"label": "x"}
    assert outcome.account.newest_at == NOW + 501


# NOW is 08:00 in UTC.
@pytest.mark.parametrize(
    ("record", "body", "date"),
    [
        (None, {"kind": "alarm", "time": "07:30"}, "2027-01-16"),
        (None, {"kind": "alarm", "time": "07:30", "date": "2027-01-15"}, "2027-01-16"),
        (None, {"kind": "alarm", "time": "07:30", "enabled": False}, "2027-01-16"),
        (None, {"kind": "alarm", "time": "07:30", "date": "2027-01-15", "enabled": False}, "2027-01-15"),
        (alarm(days=(), date="2027-01-14", enabled=False), {"enabled": True}, "2027-01-15"),
        (alarm(days=(), date="2027-01-14"), {}, "2027-01-15"),
        (alarm(days=(), date="2027-01-20"), {"time": "07:00"}, "2027-01-20"),
        (alarm(days=(), date="2027-01-15"), {"time": "07:00"}, "2027-01-16"),
        (alarm(date="2027-03-01"), {"days": []}, "2027-01-15"),
        (alarm(), {"date": "2020-01-01"}, "2020-01-01"),
        (alarm(days=(), date="2027-01-15", tz="Mars/Olympus"), {"label": "x"}, None),
    ],
)
def test_an_enabled_once_alarm_never_ends_up_in_the_past(
    record: Record | None, body: dict[str, Any], date: str | None
) -> None:
    outcome = post(record, body)
    assert outcome.fault is None
    assert isinstance(outcome.record, Alarm)
    assert outcome.record.date == date


# --- commands ---------------------------------------------------------------------------------------------------------

PAUSED = timer(phase="paused", run=RunId("r1"), remaining_ms=30_000)


@pytest.mark.parametrize(
    ("record", "phase", "op", "after"),
    [
        (timer(), "running", "start", ("running", FRESH, NOW + 240_000, None)),
        (timer(run=RunId("r1")), "running", "start", ("running", FRESH, NOW + 240_000, None)),
        (running(ends_at=Wall(NOW + 50)), "paused", "pause", ("paused", "r1", None, 50)),
        (PAUSED, "running", "resume", ("running", "r1", NOW + 30_000, None)),
        (PAUSED, "idle", "reset", ("idle", "r1", None, None)),
        (running(), "idle", "reset", ("idle", "r1", None, None)),
    ],
)
def test_a_phase_that_differs_is_the_command_that_leads_there(
    record: Timer, phase: str, op: str, after: tuple[str, str, int | None, int | None]
) -> None:
    outcome = commit_post(
        Found(replace(ACCOUNT, newest_at=NOW + 9), record=record, items=1),
        {"phase": phase},
        ITEM,
        NOW,
        zones,
        DEFAULT_LIMITS,
        FRESH,
    )
    made = outcome.record
    assert isinstance(made, Timer)
    assert (made.phase, made.run, made.ends_at, made.remaining_ms) == after
    assert made.stamps["phase"] == Stamp(NOW + 10, "", 0)
    assert outcome.change is not None
    assert outcome.change.op == op


def test_fields_come_first_then_the_command_in_one_row() -> None:
    outcome = post(timer(), {"duration_ms": 1_000, "phase": "running"})
    assert isinstance(outcome.record, Timer)
    assert outcome.record.ends_at == NOW + 1_000
    assert outcome.change is not None
    assert (outcome.change.op, outcome.account.rev) == ("patch", 8)
    assert outcome.change.changed.keys() == {"duration_ms", "phase", "run", "started_at", "ends_at"}


@pytest.mark.parametrize(
    ("record", "phase"), [(timer(), "paused"), (running(), "ringing"), (timer(), None), (PAUSED, [])]
)
def test_a_phase_that_cannot_be_reached_is_refused_with_everything_else(record: Timer, phase: Any) -> None:
    fault = refused(post(record, {"label": "x", "phase": phase}))
    assert (fault.code, fault.field) == ("invalid", "phase")


def test_an_alarm_has_no_phase() -> None:
    assert changed(post(alarm(), {"phase": "running"})) == {}


# --- delete and identifiers -------------------------------------------------------------------------------------------


def test_a_delete_makes_a_row_and_an_unknown_identifier_makes_none() -> None:
    outcome = commit_delete(Found(ACCOUNT, record=timer(), items=1), NOW)
    assert outcome.change is not None
    assert (outcome.record, outcome.change.op, outcome.change.kind, outcome.change.at) == (None, "delete", "timer", NOW)
    assert outcome.account.rev == 8
    assert commit_delete(Found(ACCOUNT), NOW) == Outcome(ACCOUNT)
    assert commit_delete(Found(ACCOUNT, deleted=True), NOW) == Outcome(ACCOUNT)


def test_a_post_without_identifier_gets_the_fresh_one() -> None:
    fresh = ItemId("fresh")
    assert post_id({}, fresh) == fresh
    assert post_id({"id": None}, fresh) == fresh
    assert post_id({"id": ITEM}, fresh) == ITEM


@pytest.mark.parametrize("ident", [5, "", "a b", ["x"], "x" * 65])
def test_an_identifier_that_is_none_is_refused(ident: Any) -> None:
    fault = post_id({"id": ident}, ItemId("fresh"))
    assert isinstance(fault, Fault)
    assert (fault.code, fault.field) == ("invalid", "id")


@given(
    st.none() | any_records,
    st.sampled_from(KINDS).flatmap(any_fields),
    st.fixed_dictionaries({}, optional={"kind": st.sampled_from(KINDS) | json_values, "phase": json_values}),
)
def test_any_body_is_decided(record: Record | None, fields: dict[str, Any], head: dict[str, Any]) -> None:
    outcome = post(record, fields | head)
    assert (outcome.fault is None) == (outcome.change is not None)
    assert outcome.result is None
