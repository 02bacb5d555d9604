"""From what a user asks to the edit that asks it of every device: filled in and checked here as the server will do it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, assert_never
from uuid import uuid4

from msgspec.structs import replace

from protocol import (
    Add,
    Alarm,
    Create,
    Delete,
    DeviceId,
    Edit,
    Entry,
    ItemId,
    Limits,
    Mid,
    Mutation,
    Patch,
    Pause,
    Record,
    Replica,
    Reset,
    Resume,
    RunId,
    Start,
    Timer,
    Wall,
    Zones,
    apply,
    complete,
    differing,
    next_at,
    next_due,
    next_mid,
    next_ring,
    once_date,
    restore_aside,
    validate,
)

from .commands import (
    AddTime,
    CommandError,
    CreateItem,
    DeleteItem,
    EditItem,
    ItemCommand,
    PauseTimer,
    ResetTimer,
    RestoreAside,
    ResumeTimer,
    SkipNext,
    StartTimer,
)


_NOBODY = DeviceId("")


def random_id() -> str:
    """A name that nothing else has: of an item, or of a timer's run."""
    return str(uuid4())


class Desk(NamedTuple):
    """What an edit is made upon.

    Attributes:
        records: as shown. now: the estimate of the server's clock. new_id: where names of items and runs come from.
    """

    replica: Replica
    records: Mapping[ItemId, Record]
    now: Wall
    zones: Zones
    limits: Limits
    new_id: Callable[[], str] = random_id

    def at(self, item: ItemId) -> int:
        """The `at` of the next edit of an item."""
        return next_at(self.replica, item, self.now)

    def record(self, item: ItemId) -> Record:
        """A record as shown.

        Raises:
            CommandError: `unknown_id`.
        """
        record = self.records.get(item)
        if record is None:
            raise CommandError("unknown_id", f"There is no alarm or timer {item}.", "id")
        return record


def creation(desk: Desk, command: CreateItem, item: ItemId | None = None) -> Create:
    """A new record; a once alarm without a day gets the next one on which its time comes."""
    item = item or ItemId(desk.new_id())
    return Create(kind=command.kind, id=item, at=desk.at(item), fields=dict(command.fields))


def edit_of(desk: Desk, command: ItemCommand) -> Edit | None:
    """The edit that a command means; None where everything already is as it asks.

    Raises:
        CommandError: it cannot be done to this record.
    """
    record, at = desk.record(command.item), desk.at(command.item)
    match command:
        case EditItem(fields=fields):
            wanted = differing(record, _with_date(desk, record, fields))
            return Patch(kind=record.kind, id=record.id, at=at, fields=wanted) if wanted else None
        case DeleteItem():
            return Delete(kind=record.kind, id=record.id, at=at)
        case SkipNext(undo=undo):
            wanted = differing(record, {"skip": None if undo else _next_occurrence(desk, record)})
            return Patch(kind="alarm", id=record.id, at=at, fields=wanted) if wanted else None
        case RestoreAside(item=item):
            if item not in desk.replica.aside:
                raise CommandError("no_effect", f"The server has {name_of(record)}; there is nothing to restore.")
            return restore_aside(desk.replica, item, at)
        case _:
            return _timer_edit(desk, _timer(record), at, command)


TimerCommand = StartTimer | PauseTimer | ResumeTimer | AddTime | ResetTimer


def _timer_edit(desk: Desk, timer: Timer, at: int, command: TimerCommand) -> Edit:
    common: dict[str, Any] = {"kind": "timer", "id": timer.id, "at": at, "moment": desk.now}
    if isinstance(command, StartTimer):
        return Start(**common, run=RunId(desk.new_id()))
    common["run"] = timer.run or RunId("none")
    match command:
        case PauseTimer():
            return Pause(**common)
        case ResumeTimer():
            return Resume(**common)
        case AddTime(ms=ms):
            return Add(**common, ms=ms)
        case ResetTimer():
            return Reset(**common)
        case _:
            assert_never(command)


def entry_for(desk: Desk, edit: Edit) -> Entry | None:
    """The outbox entry of an edit, filled in and checked; None where it would change nothing.

    Raises:
        CommandError: the server would refuse it, for this reason.
    """
    record = desk.records.get(edit.id)
    mid = next_mid(desk.replica)
    mutation = complete(record, Mutation(edit, desk.replica.device, mid), desk.now, edit.at, desk.zones)
    fault = validate(record, mutation, desk.now, desk.zones, desk.limits, len(desk.records))
    if fault is not None:
        raise CommandError(fault.code, fault.message, fault.field)
    # A create of what is shown gives a record aside back: it changes nothing here, and everything there.
    if record is not None and not isinstance(edit, Create) and apply(record, mutation) == record:
        return None
    return Entry(mid, mutation.edit)


def name_of(record: Record) -> str:
    """What to call a record in a sentence."""
    return f'{record.kind} "{record.label}"' if record.label else f"{record.kind} {record.id[:8]}"


# --- details ----------------------------------------------------------------------------------------------------------


def _with_date(desk: Desk, record: Record, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A once alarm that is changed after its day has passed is meant for the next one."""
    wanted = dict(fields)
    if not isinstance(record, Alarm) or "date" in wanted or not wanted.keys() & {"time", "tz", "enabled", "days"}:
        return wanted
    probe = _probe(record, wanted)
    if probe is None or probe.days or next_due(probe, desk.now, desk.zones) is not None:
        return wanted
    date = once_date(probe.time, probe.tz, desk.now, desk.zones)
    return wanted if date is None else wanted | {"date": date}


def _probe(alarm: Alarm, wanted: Mapping[str, Any]) -> Alarm | None:
    """The alarm as it would be, where the fields fit."""
    after = apply(alarm, Mutation(Patch(kind="alarm", id=alarm.id, at=1 << 52, fields=dict(wanted)), _NOBODY, Mid(0)))
    return after if isinstance(after, Alarm) else None


def _next_occurrence(desk: Desk, record: Record) -> int:
    if not isinstance(record, Alarm):
        raise CommandError("invalid", "Only an alarm can skip.", "id")
    ring = next_ring(replace(record, snooze=None, skip=None), desk.now, desk.zones)
    if ring is None:
        raise CommandError("no_effect", f"{name_of(record)} has no next occurrence to skip.")
    return ring.due


def _timer(record: Record) -> Timer:
    if not isinstance(record, Timer):
        raise CommandError("invalid", f"{name_of(record)} is not a timer.", "id")
    return record
