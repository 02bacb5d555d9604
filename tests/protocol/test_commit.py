"""What one commit decides."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, json
from msgspec.structs import replace

from protocol._apply import assign
from protocol._classic import commit_delete, commit_post
from protocol._commit import KEPT_ROWS, commit, commit_plain, new_epoch, trim
from protocol._edits import Create, Delete, Dismiss, Edit, Patch
from protocol._errors import Fault
from protocol._events import event_text
from protocol._framing import decode_server
from protocol._log import Account, Change, Found, Outcome, Stored, Submission
from protocol._messages import ItemEvent
from protocol._records import Record
from protocol._settings import DEFAULT_LIMITS
from protocol._submission import read, write
from protocol._types import DeviceId, Epoch, ItemId, Kind, Mid, Origin, Rev, RunId, Stamp, Wall

from .strategies import DEVICES, ITEM, KINDS, NOW, alarm, any_edits, any_fields, careful_edits, instants, zones


EPOCH = Epoch("k3v9")
DESK = DeviceId("desk")


class Server:
    """A store in memory: does what an outcome says, and decides nothing."""

    def __init__(self) -> None:
        self.account = Account(EPOCH)
        self.records: dict[ItemId, Record] = {}
        self.deleted: set[ItemId] = set()
        self.last: dict[DeviceId, Mid] = {}
        self.stored: dict[tuple[DeviceId, Mid], Stored] = {}
        self.rows: list[Change] = []

    def found(self, ident: ItemId, device: DeviceId = DESK, mid: int = 0) -> Found:
        return Found(
            self.account,
            self.last.get(device, Mid(0)),
            self.stored.get((device, Mid(mid))),
            self.records.get(ident),
            ident in self.deleted,
            len(self.records),
        )

    def mutate(self, device: DeviceId, mid: int, edit: Edit, now: int = NOW, epoch: Epoch | None = EPOCH) -> Outcome:
        return self.submit(device, replace(read(write(EPOCH, Mid(mid), edit)), epoch=epoch), now)

    def submit(self, device: DeviceId, submission: Submission, now: int = NOW) -> Outcome:
        ident = ITEM if isinstance(submission.edit, Fault) else submission.edit.id
        found = self.found(ident, device, submission.mid)
        outcome = commit(found, submission, device, Wall(now), zones, DEFAULT_LIMITS)
        if outcome.result is not None and not outcome.result.dup:
            self.last[device] = submission.mid
            self.stored[device, submission.mid] = Stored(submission.fingerprint, outcome.result)
        return self.keep(outcome)

    def keep(self, outcome: Outcome) -> Outcome:
        self.account = outcome.account
        if outcome.change is not None:
            self.rows.append(outcome.change)
            if outcome.record is None:
                del self.records[outcome.change.id]
                self.deleted.add(outcome.change.id)
            else:
                self.records[outcome.change.id] = outcome.record
        return outcome


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


# --- replicas ---------------------------------------------------------------------------------------------------------


class Step(Struct, frozen=True):
    """One thing that happens on a server."""

    by: str
    edit: Edit
    body: dict[str, Any]
    now: Wall
    phase: str | None = None


_IDS = (ITEM, ItemId("second"), ItemId("third"))


def _steps() -> st.SearchStrategy[list[Step]]:
    edits = st.sampled_from(KINDS).flatmap(careful_edits) | any_edits
    moved = st.builds(lambda edit, ident: replace(edit, id=ident), edits, st.sampled_from(_IDS))
    body = st.sampled_from(KINDS).flatmap(
        lambda kind: st.builds(
            lambda fields, required: {"kind": kind} | required | fields,
            any_fields(kind),
            st.sampled_from([{}, {"time": "07:30", "duration_ms": 5}]),
        )
    )
    who = st.sampled_from([*DEVICES, *DEVICES, "plain", "post", "delete"])
    phase = st.sampled_from([None, "idle", "running", "paused"])
    return st.lists(st.builds(Step, by=who, edit=moved, body=body, now=instants, phase=phase), max_size=25)


def _happen(server: Server, step: Step) -> None:
    ident, now = step.edit.id, step.now
    match step.by:
        case "plain":
            make = lambda at: replace(step.edit, at=at)  # noqa: E731 - a name for what is passed on
            server.keep(commit_plain(server.found(ident), make, now, zones, DEFAULT_LIMITS))
        case "post":
            body = step.body | ({} if step.phase is None else {"phase": step.phase})
            run = RunId(f"c{server.account.rev}")
            server.keep(commit_post(server.found(ident), body, ident, now, zones, DEFAULT_LIMITS, run))
        case "delete":
            server.keep(commit_delete(server.found(ident), now))
        case device:
            server.mutate(DeviceId(device), server.last.get(DeviceId(device), 0) + 1, step.edit, now)


@given(_steps())
def test_a_replica_that_assigns_every_event_equals_the_server_stamps_included(steps: list[Step]) -> None:
    server = Server()
    for step in steps:
        _happen(server, step)
    replica: dict[str, Record] = {}
    for row in server.rows:
        event: Any = decode_server(event_text(row), 65_536)
        assert isinstance(event, ItemEvent)
        after = assign(replica.pop(row.id, None), event)
        if after is not None:
            replica[row.id] = after
    assert replica == server.records
    assert json.encode(replica, order="sorted") == json.encode(server.records, order="sorted")


@given(_steps())
def test_the_same_history_gives_the_same_bytes(steps: list[Step]) -> None:
    texts = []
    for _ in range(2):
        server = Server()
        for step in steps:
            _happen(server, step)
        texts.append([event_text(row) for row in server.rows])
    assert texts[0] == texts[1]


@given(_steps())
def test_rows_are_dense_times_of_a_field_rise_and_deleted_identifiers_stay_away(steps: list[Step]) -> None:
    server = Server()
    for step in steps:
        _happen(server, step)
    assert [row.rev for row in server.rows] == list(range(1, len(server.rows) + 1))
    assert server.account.rev == len(server.rows)
    assert server.account.newest_at == max((row.at for row in server.rows), default=0)
    gone: set[ItemId] = set()
    for row in server.rows:
        assert row.id not in gone
        if row.op == "delete":
            gone.add(row.id)
    assert gone == server.deleted
