"""What one commit decides."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol._commit import KEPT_ROWS, commit, commit_plain, new_epoch, trim
from protocol._edits import Create, Delete, Dismiss, Edit, Patch
from protocol._errors import Fault
from protocol._log import Account, Found, Outcome, Submission
from protocol._settings import DEFAULT_LIMITS
from protocol._types import DeviceId, Epoch, ItemId, Kind, Mid, Origin, Rev, Stamp

from .ledger import DESK, EPOCH, Server
from .strategies import DEVICES, ITEM, NOW, alarm, zones


def create(kind: Kind = "alarm", at: int = NOW, ident: ItemId = ITEM, **fields: Any) -> Create:
    required: dict[str, Any] = {"time": "08:01", "days": ["mo"]} if kind == "alarm" else {"duration_ms": 1}
    return Create(kind=kind, id=ident, at=at, fields=required | fields)


def patch(at: int = NOW, **fields: Any) -> Patch:
    return Patch(kind="alarm", id=ITEM, at=at, fields=fields)


def delete() -> Delete:
    return Delete(kind="alarm", id=ITEM, at=NOW)


def status(outcome: Outcome) -> str:
    assert outcome.result is not None
    assert outcome.fault is None
    code = outcome.result.code
    return f"{outcome.result.status} {code}" if isinstance(code, str) else outcome.result.status


def fault(outcome: Outcome) -> Fault:
    assert outcome.result is None
    assert outcome.change is None
    assert outcome.fault is not None
    return outcome.fault


# --- effects ----------------------------------------------------------------------------------------------------------


def test_a_create_makes_row_one_and_the_record_says_when_and_by_whom() -> None:
    server = Server()
    outcome = server.mutate(DESK, 1, create(at=NOW - 5, label="Tea"))
    assert status(outcome) == "applied"
    assert outcome.account == Account(EPOCH, Rev(1), Rev(0), NOW - 5)
    record, change = outcome.record, outcome.change
    assert record is not None
    assert change is not None
    when = "2027-01-15T08:00:00.000Z"
    assert (record.rev, record.created_at, record.updated_at) == (1, when, when)
    assert record.updated_by == change.origin == Origin(DESK, Mid(1))
    assert (change.op, change.changed["label"], change.changed["created_at"]) == ("create", "Tea", when)
    assert (change.at, change.when, change.rev) == (NOW - 5, NOW, 1)


def test_a_later_change_keeps_when_it_was_created() -> None:
    server = Server()
    server.mutate(DESK, 1, create())
    outcome = server.mutate(DESK, 2, create(at=NOW + 7, label="Tea"), NOW + 1_000)
    assert outcome.change is not None
    assert outcome.record is not None
    assert (outcome.change.op, outcome.change.changed) == ("patch", {"label": "Tea"})
    assert outcome.record.created_at == "2027-01-15T08:00:00.000Z"
    assert outcome.record.updated_at == "2027-01-15T08:00:01.000Z"
    assert outcome.result is not None
    assert (outcome.result.rev, outcome.account.rev) == (2, 2)


def test_a_change_of_nothing_is_merged_without_a_row() -> None:
    server = Server()
    server.mutate(DESK, 1, create())
    server.mutate(DeviceId("lap"), 1, patch(NOW, label="new"))
    for mid, edit in enumerate([patch(label="new"), patch(NOW - 9, label="stale"), patch()], 2):
        outcome = server.mutate(DESK, mid, edit)
        assert status(outcome) == "merged"
        assert (outcome.change, outcome.account.rev) == (None, 2)
        assert outcome.result is not None
        assert outcome.result.rev == 2


def test_deleting_what_is_not_there_is_merged() -> None:
    server = Server()
    assert status(server.mutate(DESK, 1, delete())) == "merged"
    server.mutate(DESK, 2, create())
    gone = server.mutate(DESK, 3, delete())
    assert gone.change is not None
    assert (status(gone), gone.record, gone.change.op, gone.change.changed) == ("applied", None, "delete", {})
    assert status(server.mutate(DESK, 4, delete())) == "merged"


@pytest.mark.parametrize("edit", [patch(label="x"), Dismiss(kind="alarm", id=ITEM, at=NOW, occ=NOW)])
def test_an_edit_of_what_is_not_there_is_rejected_as_gone(edit: Edit) -> None:
    server = Server()
    assert status(server.mutate(DESK, 1, edit)) == "rejected gone"
    server.mutate(DESK, 2, create())
    server.mutate(DESK, 3, delete())
    assert status(server.mutate(DESK, 4, edit)) == "rejected gone"


def test_a_deleted_identifier_never_returns() -> None:
    server = Server()
    server.mutate(DESK, 1, create())
    server.mutate(DESK, 2, delete())
    outcome = server.mutate(DESK, 3, create("timer"))
    assert status(outcome) == "rejected gone"
    assert outcome.result is not None
    assert outcome.result.field == "id"


def test_a_rejection_says_why_and_consumes_its_number() -> None:
    server = Server()
    outcome = server.mutate(DESK, 1, create(time="25:00"))
    assert status(outcome) == "rejected invalid"
    assert outcome.result is not None
    assert (outcome.result.field, outcome.result.rev) == ("time", 0)
    assert "HH:MM" in str(outcome.result.message)
    assert status(server.mutate(DESK, 2, create())) == "applied"


def test_a_mutation_that_nobody_understands_consumes_its_number() -> None:
    server = Server()
    odd = Submission(EPOCH, Mid(1), Fault("unknown_op", "What?"), "f")
    outcome = server.submit(DESK, odd)
    assert status(outcome) == "rejected unknown_op"
    assert status(server.submit(DESK, replace(odd, mid=Mid(2), epoch=None))) == "rejected unknown_op"
    assert status(server.mutate(DESK, 3, create())) == "applied"


def test_a_fast_clock_moves_the_newest_time_by_one_and_survives_a_new_epoch() -> None:
    server = Server()
    server.mutate(DESK, 1, create(at=NOW + 10**9))
    assert server.account.newest_at == NOW
    server.mutate(DESK, 2, patch(NOW + 10**9, label="a"))
    assert server.account.newest_at == NOW + 1
    server.mutate(DESK, 3, patch(NOW - 5, sound="stale"))
    assert server.account.newest_at == NOW + 1
    assert new_epoch(server.account, Epoch("p0q4")) == Account(Epoch("p0q4"), Rev(2), Rev(2), NOW + 1)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_a_repeat_gets_its_stored_answer_and_changes_nothing() -> None:
    server = Server()
    first = server.mutate(DESK, 1, create(label="Tea"))
    server.mutate(DESK, 2, delete())
    again = server.mutate(DESK, 1, create(label="Tea"), NOW + 99)
    assert first.result is not None
    assert again.result == replace(first.result, dup=True)
    assert (again.change, again.account) == (None, server.account)


def test_a_rejection_is_repeated_too() -> None:
    server = Server()
    first = server.mutate(DESK, 1, patch(label="x"))
    again = server.mutate(DESK, 1, patch(label="x"))
    assert first.result is not None
    assert again.result == replace(first.result, dup=True)


def test_a_number_used_for_another_mutation_is_told_apart() -> None:
    server = Server()
    server.mutate(DESK, 1, create())
    found = fault(server.mutate(DESK, 1, create(label="other")))
    assert (found.code, found.retryable) == ("mid_reused", False)


def test_a_repeat_older_than_what_is_kept_counts_as_reused() -> None:
    server = Server()
    server.mutate(DESK, 1, create())
    server.stored.clear()
    assert fault(server.mutate(DESK, 1, create())).code == "mid_reused"


def test_a_gap_says_which_number_is_wanted() -> None:
    server = Server()
    server.mutate(DESK, 1, create())
    found = fault(server.mutate(DESK, 3, patch(label="x")))
    assert (found.code, found.want, found.retryable) == ("out_of_order", 2, True)


@pytest.mark.parametrize("mid", [0, -1])
def test_numbers_count_from_one(mid: int) -> None:
    assert fault(Server().mutate(DESK, mid, create())).code == "invalid"


def test_a_mutation_of_another_history_is_not_consumed() -> None:
    server = Server()
    assert fault(server.mutate(DESK, 1, create(), epoch=Epoch("old"))).code == "epoch"
    assert status(server.mutate(DESK, 1, create())) == "applied"


def test_the_same_mutation_sent_again_in_a_new_history_is_a_repeat() -> None:
    """Its answer was lost, then the epoch changed: it must not act twice."""
    server = Server()
    server.mutate(DESK, 1, create())
    server.account = new_epoch(server.account, Epoch("p0q4"))
    again = server.mutate(DESK, 1, create(), epoch=Epoch("p0q4"))
    assert again.result is not None
    assert again.result.dup


def test_numbers_of_two_devices_have_nothing_to_do_with_each_other() -> None:
    server = Server()
    server.mutate(DESK, 1, create())
    assert status(server.mutate(DeviceId("lap"), 1, patch(label="x"))) == "applied"


@given(
    st.lists(st.tuples(st.sampled_from(DEVICES), st.integers(1, 4), st.sampled_from(["mo", "tu", "we"])), max_size=25)
)
def test_each_number_takes_effect_at_most_once_and_in_order(sendings: list[tuple[DeviceId, int, str]]) -> None:
    """Under loss, repetition, reorder and reuse, all of which are a list of sendings."""
    server = Server()
    for device, mid, day in sendings:
        before = server.last.get(device, 0)
        outcome = server.mutate(device, mid, create(days=[day], at=NOW - mid))
        if outcome.result is None:
            assert fault(outcome).code in {"mid_reused", "out_of_order"}
            assert server.last.get(device, 0) == before
        elif outcome.result.dup:
            assert mid <= before
            assert outcome.change is None
        else:
            assert mid == before + 1
    origins = [row.origin for row in server.rows]
    assert len(origins) == len(set(map(str, origins)))
    for device in DEVICES:
        mids = [row.mid for row in server.rows if row.device_id == device]
        assert mids == sorted(mids)
    assert [row.rev for row in server.rows] == list(range(1, len(server.rows) + 1))


# --- no device --------------------------------------------------------------------------------------------------------


def test_a_change_by_no_device_is_newer_than_any_before() -> None:
    server = Server()
    server.mutate(DESK, 1, create())
    server.account = replace(server.account, newest_at=NOW + 50)
    outcome = commit_plain(server.found(ITEM), lambda at: patch(at, label="x"), NOW, zones, DEFAULT_LIMITS)
    assert outcome.change is not None
    assert outcome.record is not None
    assert (outcome.result, outcome.change.origin, outcome.record.updated_by) == (None, None, None)
    assert outcome.record.stamps["label"] == Stamp(NOW + 51, "", 0)
    assert outcome.account.newest_at == NOW + 51


def test_a_refused_change_by_no_device_is_a_fault() -> None:
    server = Server()
    outcome = commit_plain(server.found(ITEM), lambda at: patch(at, label="x"), NOW, zones, DEFAULT_LIMITS)
    assert fault(outcome).code == "gone"
    outcome = commit_plain(server.found(ITEM), lambda at: create(at=at, time="x"), NOW, zones, DEFAULT_LIMITS)
    assert fault(outcome).field == "time"


def test_a_change_of_nothing_by_no_device_makes_no_row() -> None:
    found = Found(Account(EPOCH, Rev(5)), record=alarm(), items=1)
    assert commit_plain(found, patch, NOW, zones, DEFAULT_LIMITS) == Outcome(found.account, record=found.record)


# --- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rev", "floor", "expired", "after"),
    [(20_000, 0, 5_000, 5_000), (20_000, 0, 15_000, 10_000), (9_000, 0, 8_000, 0), (20_000, 6_000, 5_000, 6_000)],
)
def test_the_floor_rises_to_what_expired_but_ten_thousand_rows_stay(
    rev: int, floor: int, expired: int, after: int
) -> None:
    account = Account(EPOCH, Rev(rev), Rev(floor), NOW)
    assert trim(account, Rev(expired)) == replace(account, floor=Rev(after))
    assert KEPT_ROWS == 10_000


def test_a_device_for_which_there_is_no_room_is_refused_and_may_come_again() -> None:
    """docs/protocol.md#limit-devices"""
    crowded = Found(Account(EPOCH), room=False)
    outcome = commit(crowded, Submission(EPOCH, Mid(1), create(), "x"), DESK, NOW, zones, DEFAULT_LIMITS)
    assert outcome.fault is not None
    assert (outcome.fault.code, outcome.fault.retryable, outcome.account) == ("limit", True, crowded.account)
