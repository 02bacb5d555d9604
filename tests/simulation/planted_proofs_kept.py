"""The smallest thing that each planted fault of records, rings and clocks changes; see `planted_proofs`."""

from collections.abc import Mapping
from datetime import date
from itertools import count
from typing import Any, Final

from client_qt import edits as desks
from client_qt import ringing as books
from client_qt.commands import StartTimer
from client_qt.late_news import LateNews
from client_qt.local_state import Mark, RingKey
from client_qt.ringer import Ringer, Surroundings
from client_qt.timekeeping import Clocks, Timekeeper
from protocol import (
    Account,
    Alarm,
    ClockEstimate,
    Cursor,
    DeviceId,
    Entry,
    Epoch,
    ItemId,
    Mid,
    Record,
    Replica,
    Rev,
    Ring,
    Timer,
    Wall,
)
from protocol import _apply as applying
from protocol import _commit as commits
from protocol import _replica as replicas
from protocol import _rings as rings
from protocol import _schedule as schedule
from protocol._edits import Add, Create, Dismiss, Edit, Mutation, Patch
from protocol._facts import EventsHeard, ResultHeard, SnapshotHeard
from protocol._log import Found, Stored, Submission
from protocol._messages import Result, TimerUpdated
from protocol._records import Snoozed
from protocol._settings import DEFAULT_LIMITS
from protocol._types import Origin, RunId, Stamp
from protocol.zones import system_zones

from .planted_proofs import Proof, into


PROOFS: Final[dict[str, Proof]] = {}
proves = into(PROOFS)

SEVEN = Wall(1_767_769_200_000)
"""Wednesday 7 January 2026, 07:00 UTC."""

MINUTE, DAY = 60_000, 86_400_000
E1, E2 = Epoch("e1"), Epoch("e2")
DESK = DeviceId("desk")


# --- the ledger -------------------------------------------------------------------------------------------------------


def alarm(**fields: Any) -> Alarm:
    made: dict[str, Any] = {"id": ItemId("a"), "time": "07:00", "days": ("we", "th"), "ring_s": 600, "snooze_s": 300}
    return Alarm(**(made | fields))


def timer(**fields: Any) -> Timer:
    made: dict[str, Any] = {"id": ItemId("t"), "duration_ms": MINUTE, "phase": "running", "run": RunId("r1")}
    return Timer(**(made | {"ends_at": SEVEN} | fields))


def applied(record: Record, edit: Edit, device: str = "desk") -> Record | None:
    return applying.apply(record, Mutation(edit, DeviceId(device), Mid(2)))


def committed(found: Found, edit: Edit) -> Result | None:
    submission = Submission(E1, Mid(1), edit, "print")
    return commits.commit(found, submission, DESK, SEVEN, system_zones, DEFAULT_LIMITS).result


@proves("repeat-applied-again")
def _() -> object:
    stored = Stored("print", Result(mid=Mid(1), status="applied", rev=Rev(1)))
    edit = Patch(kind="alarm", id=ItemId("a"), at=SEVEN, fields={"label": "again"})
    return committed(Found(Account(E1, Rev(1)), Mid(1), stored, alarm()), edit)


@proves("tombstones-forgotten")
def _() -> object:
    edit = Create(kind="timer", id=ItemId("t"), at=SEVEN, fields={"duration_ms": 1000})
    return committed(Found(Account(E1, Rev(1)), deleted=True), edit)


@proves("later-arrival-wins")
def _() -> object:
    record = alarm(stamps={"label": Stamp(SEVEN, "desk", 1)})
    return applied(record, Patch(kind="alarm", id=ItemId("a"), at=SEVEN - 1, fields={"label": "older"}))


@proves("tie-by-arrival")
def _() -> object:
    record = alarm(stamps={"label": Stamp(SEVEN, "desk", 1)})
    return applied(record, Patch(kind="alarm", id=ItemId("a"), at=SEVEN, fields={"label": "same moment"}), "phone")


@proves("dismissal-goes-back")
def _() -> object:
    return applied(alarm(acked=SEVEN), Dismiss(kind="alarm", id=ItemId("a"), at=SEVEN, occ=SEVEN - DAY))


@proves("late-stop-ends-longer-run")
def _() -> object:
    stop = Dismiss(kind="timer", id=ItemId("t"), at=SEVEN, run=RunId("r1"), due=SEVEN - MINUTE)
    return applied(timer(), stop)


@proves("trimmed-above-head")
def _() -> object:
    return commits.trim(Account(E1, Rev(5)), Rev(5), 0).floor


@proves("epoch-survives-restore")
def _() -> object:
    return commits.new_epoch(Account(E1, Rev(5)), E2).epoch


# --- the replica ------------------------------------------------------------------------------------------------------


def replica(**fields: Any) -> Replica:
    made: dict[str, Any] = {"device": DESK, "epoch": E1, "cursor": Cursor(E1, Rev(5)), "last_mid": Mid(1)}
    return Replica(**(made | fields))


def waiting(answered: Cursor | None = None) -> tuple[Entry, ...]:
    return (Entry(Mid(1), Patch(kind="alarm", id=ItemId("a"), at=SEVEN, fields={"label": "x"}), answered),)


def heard(status: Any) -> ResultHeard:
    return ResultHeard(Result(mid=Mid(1), status=status, rev=Rev(6)), E1)


def snapshot(epoch: Epoch, *items: Record) -> SnapshotHeard:
    return SnapshotHeard(epoch, Rev(7), Mid(0), items)


@proves("used-number-counts-as-answer")
def _() -> object:
    return replicas.absorb(replica(entries=waiting()), SnapshotHeard(E1, Rev(7), Mid(1), ()))[0].entries


@proves("epoch-kept-with-new-rev")
def _() -> object:
    return replicas.absorb(replica(), snapshot(E2))[0].cursor


@proves("mid-reused-after-reject")
def _() -> object:
    return replicas.next_mid(replicas.absorb(replica(entries=waiting()), heard("rejected"))[0])


@proves("mid-reused-after-restart")
def _() -> object:
    return replicas.difference(replica(last_mid=Mid(0)), replica())


@proves("retired-on-result")
def _() -> object:
    return replicas.absorb(replica(entries=waiting()), heard("applied"))[0].entries


@proves("answer-of-old-epoch-counts")
def _() -> object:
    return replicas.absorb(replica(entries=waiting(Cursor(E1, Rev(9)))), snapshot(E2))[0].entries


@proves("snapshot-merged")
def _() -> object:
    return replicas.absorb(replica(server={ItemId("a"): alarm()}), snapshot(E1))[0].server


@proves("aside-dropped")
def _() -> object:
    return replicas.absorb(replica(server={ItemId("a"): alarm()}), snapshot(E2))[0].aside


@proves("add-twice-on-rebase")
def _() -> object:
    plus = Entry(Mid(1), Add(kind="timer", id=ItemId("t"), at=SEVEN, run=RunId("r1"), moment=SEVEN, ms=MINUTE))
    before = replica(server={ItemId("t"): timer()}, entries=(plus,))
    longer = {"ends_at": SEVEN + MINUTE}
    event = TimerUpdated(rev=Rev(6), at=SEVEN, id=ItemId("t"), changed=longer, origin=Origin(DESK, Mid(1)))
    after = replicas.absorb(before, EventsHeard((event,), Cursor(E1, Rev(6))))[0]
    return getattr(replicas.view(after)[ItemId("t")], "ends_at", None)


# --- rings ------------------------------------------------------------------------------------------------------------


def ringing(record: Record, now: int) -> list[int]:
    return [ring.since for ring in rings.ringing(record, Wall(now), system_zones)]


@proves("snooze-beats-dismissal")
def _() -> object:
    return ringing(alarm(acked=SEVEN, snooze=Snoozed(SEVEN, 1, Wall(SEVEN + MINUTE))), SEVEN + MINUTE)


@proves("skip-takes-earlier-too")
def _() -> object:
    return ringing(alarm(skip=SEVEN + DAY), SEVEN)


@proves("repeats-once-too-often")
def _() -> object:
    return ringing(alarm(), SEVEN + 15 * MINUTE)


@proves("gap-alarm-dropped")
def _() -> object:
    zone = system_zones("Europe/Berlin")
    assert zone is not None
    return schedule.due_at(date(2026, 3, 29), "02:30", zone)


@proves("fold-rings-twice")
def _() -> object:
    night = alarm(time="02:30", tz="Europe/Berlin", days=(), date="2026-10-25")
    return schedule.dues(night, 1_792_800_000_000, 1_792_950_000_000, system_zones)


@proves("runs-counted")
def _() -> object:
    idle = timer(phase="idle", ends_at=None, run=None)
    desk = desks.Desk(replica(), {idle.id: idle}, SEVEN, system_zones, DEFAULT_LIMITS, new_id=lambda: "a-name")
    return desks.edit_of(desk, StartTimer(idle.id))


KEY = RingKey(ItemId("a"), SEVEN, 0, SEVEN)
RING = Ring(SEVEN, SEVEN, 0, SEVEN, Wall(SEVEN + 10 * MINUTE))
LATER = Wall(SEVEN + 2 * MINUTE)


def looked(book: books.Book, record: Alarm, windows: books.Open | None = None) -> tuple[int, int]:
    """How many rings begin and end two minutes into a window."""
    found = books.Agenda(system_zones).look({record.id: record}, lambda _: LATER, ())[0] if windows is None else windows
    step = books.turn(book, found, {record.id: record}, lambda _: LATER, ())
    return len(step.begun), len(step.ended)


@proves("deaf-to-remote-dismissal")
def _() -> object:
    marks = {KEY: Mark(KEY, RING.until)}
    return looked(books.Book(marks, {KEY: books.Sounding(KEY, alarm(), RING)}), alarm(acked=SEVEN))


@proves("early-dismissal-missed")
def _() -> object:
    return looked(books.Book(), alarm(acked=SEVEN))


@proves("slept-through-the-start")
def _() -> object:
    return looked(books.Book(), alarm())


def ringer(marks: Mapping[RingKey, Mark]) -> Ringer:
    steps = count()
    time = Timekeeper(Clocks(lambda: LATER * 1_000_000, lambda: next(steps) * 1e-6))
    records = {ItemId("a"): alarm()}
    around = Surroundings(lambda: records, frozenset, lambda _: None, lambda _: None, lambda: None)
    return Ringer(time, system_zones, marks, around)


@proves("marks-not-loaded")
def _() -> object:
    return ringer({KEY: Mark(KEY, RING.until, over=True)}).book.marks


@proves("rings-row-by-row")
def _() -> object:
    one = ringer({})
    one.hold(3.0)
    one.look()
    late = LateNews(system_zones, lambda: 0.0)
    late.settle({})
    windows = {KEY: (alarm(), RING)}
    return len(one.book.sounding), len(late.held(windows, {ItemId("a"): alarm()}, (), lambda _: LATER))


# --- clocks -----------------------------------------------------------------------------------------------------------


@proves("worst-sample-believed")
def _() -> object:
    return ClockEstimate().add(0, 50, 50, 100).add(1000, 1400, 1400, 2000).best


@proves("journey-ignored")
def _() -> object:
    return ClockEstimate().add(0, 50, 50, 100).server_time(0.1)
