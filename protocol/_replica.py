"""A client's copy of the log: what the server is known to hold, what still waits to be sent, and what is shown.

`absorb` takes what the connection learned and says what to write, all in one local transaction; loading what was
written gives an equal replica, whenever the program stops. What is shown is server state with the waiting mutations
applied again on top (docs/protocol.md#outbox-rebase).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, assert_never

from msgspec import UNSET, Struct, field, to_builtins
from msgspec.structs import replace

from ._apply import apply, assign
from ._edits import Create, Mutation
from ._errors import LocalProtocolError
from ._facts import (
    CursorDropped,
    Dialled,
    Edited,
    Entry,
    EventsHeard,
    Fact,
    Renamed,
    ResultHeard,
    SnapshotHeard,
)
from ._fields import READERS, same
from ._messages import AlarmCreated, ItemEvent, TimerCreated
from ._records import DEFINITION, Record
from ._types import Cursor, DeviceId, Epoch, ItemId, Mid, Rev, Wall
from ._writes import (
    DropAside,
    DropEntry,
    DropRecord,
    PutAside,
    PutConn,
    PutDevice,
    PutEntry,
    PutMid,
    PutPlace,
    PutRecord,
    Write,
)


K = TypeVar("K")
V = TypeVar("V")


class Replica(Struct, frozen=True):
    """All that a client keeps between two runs.

    Attributes:
        device: under which name it sends.
        epoch: the history that `server` comes from, None before the first snapshot.
        cursor: how far `server` has read; None asks for a snapshot.
        server: records as the server is known to hold them.
        aside: records that a new history of the server lacks; shown and ringing until restored or discarded.
        entries: waiting mutations by ascending mid. Up to 0: answered under an earlier name, never sent again.
        last_mid: the greatest number used so far.
        conn: the last connection attempt's counter.
    """

    device: DeviceId
    epoch: Epoch | None = None
    cursor: Cursor | None = None
    server: Mapping[ItemId, Record] = field(default_factory=dict[ItemId, Record])
    aside: Mapping[ItemId, Record] = field(default_factory=dict[ItemId, Record])
    entries: tuple[Entry, ...] = ()
    last_mid: Mid = Mid(0)
    conn: int = 0

    def __repr__(self) -> str:
        place = f"at {self.cursor.epoch}:{self.cursor.rev}" if self.cursor else "without cursor"
        counts = f"{len(self.server)} records, {len(self.entries)} waiting, {len(self.aside)} aside"
        return f"<Replica of {self.device} {place}, {counts}, next mid {next_mid(self)}>"


# --- facts ------------------------------------------------------------------------------------------------------------


def absorb(replica: Replica, fact: Fact) -> tuple[Replica, tuple[Write, ...]]:
    """The replica after a fact, and what to write, in one transaction, so that it is found again.

    What the server said twice or too late changes nothing.

    Raises:
        LocalProtocolError: an `Edited` entry is not numbered by `next_mid`.
    """
    after = _absorbed(replica, fact)
    return after, difference(replica, after)


def _absorbed(replica: Replica, fact: Fact) -> Replica:
    match fact:
        case EventsHeard():
            return _hear_events(replica, fact)
        case SnapshotHeard():
            return _hear_snapshot(replica, fact)
        case ResultHeard():
            return _hear_result(replica, fact)
        case Edited(entry=entry):
            return _add_entry(replica, entry)
        case Renamed():
            return _rename(replica, fact)
        case Dialled(conn=conn):
            return replace(replica, conn=conn)
        case CursorDropped():
            return replace(replica, cursor=None)
        case _:
            assert_never(fact)


def _hear_events(replica: Replica, fact: EventsHeard) -> Replica:
    if replica.cursor is None or replica.cursor.epoch != fact.cursor.epoch:
        return replica
    fresh = _following(replica.cursor.rev, fact.events)
    if not fresh:
        return replica
    server = dict(replica.server)
    for event in fresh:
        _assign(server, event)
    cursor = Cursor(replica.cursor.epoch, fresh[-1].rev)
    own = (event.origin.mid for event in fresh if event.origin and event.origin.device_id == replica.device)
    return _settle(_use_up(replace(replica, cursor=cursor, server=server), max(own, default=Mid(0))))


def _use_up(replica: Replica, used: Mid) -> Replica:
    """Numbers up to `used` were used, here or by a copy of this store, and `server` contains what for."""
    last_mid = max(replica.last_mid, used)
    return replace(replica, last_mid=last_mid, entries=_doubt(replica.entries, used))


def _following(rev: Rev, events: Iterable[ItemEvent]) -> list[ItemEvent]:
    """The events that continue after `rev` without a gap; earlier ones were applied before."""
    fresh: list[ItemEvent] = []
    for event in events:
        if event.rev == rev + len(fresh) + 1:
            fresh.append(event)
    return fresh


def _assign(server: dict[ItemId, Record], event: ItemEvent) -> None:
    item = _item(event)
    if item is not None:
        _put(server, item, assign(server.get(item), event))


def _item(event: ItemEvent) -> ItemId | None:
    named: Any = event.data.get("id") if isinstance(event, AlarmCreated | TimerCreated) else event.id
    return ItemId(named) if isinstance(named, str) else None


def _hear_snapshot(replica: Replica, fact: SnapshotHeard) -> Replica:
    late = replica.cursor is not None and replica.cursor.epoch == fact.epoch and fact.rev < replica.cursor.rev
    if late:
        return replica
    taken = replace(
        replica,
        epoch=fact.epoch,
        cursor=Cursor(fact.epoch, fact.rev),
        server={record.id: record for record in fact.items},
        aside=_lacking(replica, fact),
        entries=tuple(_reopen(entry, fact.epoch) for entry in replica.entries),
    )
    return _settle(_use_up(taken, fact.last_mid))


def _lacking(replica: Replica, fact: SnapshotHeard) -> dict[ItemId, Record]:
    """Records to keep aside: a new history may lack what an old one held, and silence would be the wrong answer."""
    renewed = replica.epoch not in {None, fact.epoch}
    kept = {**replica.aside, **replica.server} if renewed else replica.aside
    deleted = () if fact.deleted is UNSET else fact.deleted
    return {item: record for item, record in kept.items() if item not in set(deleted)}


def _reopen(entry: Entry, epoch: Epoch) -> Entry:
    """In another history an answer says nothing, and nothing is contained: the entry waits as on the first day."""
    if entry.answered is not None and entry.answered.epoch == epoch:
        return entry
    return replace(entry, answered=None, contained=False)


def _hear_result(replica: Replica, fact: ResultHeard) -> Replica:
    mid, answered = fact.result.mid, Cursor(fact.epoch, fact.result.rev)
    if fact.result.status == "rejected":
        return _retire(replica, lambda entry: entry.mid == mid)
    entries = (replace(entry, answered=answered) if entry.mid == mid else entry for entry in replica.entries)
    return _settle(replace(replica, entries=tuple(entries)))


def _doubt(entries: Iterable[Entry], used: Mid) -> tuple[Entry, ...]:
    """Unanswered entries whose numbers are used up: `server` shows what they were used for, so they show no more.

    Earlier, and a dismissal would un-do itself and ring again; later, and "+1 min" would show twice. They wait for
    their answers all the same, for a copy of this store may have used the numbers (docs/protocol.md#outbox-doubt).
    """
    return tuple(
        replace(entry, contained=True) if entry.answered is None and entry.mid <= used else entry for entry in entries
    )


def _settle(replica: Replica) -> Replica:
    """Take out what was answered and is contained in server state by now (docs/protocol.md#outbox-leave)."""

    def is_settled(entry: Entry) -> bool:
        # What was decided under an earlier name, in a history that is over, will not be heard of again.
        forgotten = entry.mid < 1 and entry.answered is None
        return forgotten or _is_passed(entry.answered, replica.cursor)

    return _retire(replica, is_settled)


def _is_passed(answered: Cursor | None, cursor: Cursor | None) -> bool:
    if answered is None or cursor is None:
        return False
    return answered.epoch == cursor.epoch and answered.rev <= cursor.rev


def _retire(replica: Replica, leaves: Callable[[Entry], bool]) -> Replica:
    """Take entries out. What they did to a record aside stays done: no server holds it, so none can confirm it."""
    aside = {item: record for item, record in replica.aside.items() if item not in replica.server}
    for entry in replica.entries:
        if leaves(entry) and entry.edit.id in aside:
            _redo(aside, replica, entry)
    return replace(replica, aside=aside, entries=tuple(entry for entry in replica.entries if not leaves(entry)))


def _add_entry(replica: Replica, entry: Entry) -> Replica:
    if entry.mid != next_mid(replica):
        raise LocalProtocolError(f"entry {entry.mid} is out of turn; legal: {next_mid(replica)}, as next_mid() says")
    return replace(replica, entries=(*replica.entries, entry), last_mid=entry.mid)


def _rename(replica: Replica, fact: Renamed) -> Replica:
    decided, waiting = list[Entry](), list[Entry]()
    for entry in replica.entries:
        (decided if entry.answered else waiting).append(entry)
    kept = [replace(entry, mid=Mid(n)) for n, entry in enumerate(decided, 1 - len(decided))]
    renumbered = [replace(entry, mid=Mid(n), answered=None, contained=False) for n, entry in enumerate(waiting, 1)]
    return replace(replica, device=fact.device, entries=(*kept, *renumbered), last_mid=Mid(len(waiting)))


# --- what is shown ----------------------------------------------------------------------------------------------------


def view(replica: Replica) -> dict[ItemId, Record]:
    """Every record as the user should see it: server state, records aside, and waiting mutations on top."""
    records = {**replica.aside, **replica.server}
    for entry in replica.entries:
        if _is_shown(replica, entry):
            _redo(records, replica, entry)
    return records


def shown(replica: Replica, item: ItemId) -> Record | None:
    """One record of `view`, without computing the others."""
    base = replica.server.get(item) or replica.aside.get(item)
    records = {item: base} if base else {}
    for entry in replica.entries:
        if entry.edit.id == item and _is_shown(replica, entry):
            _redo(records, replica, entry)
    return records.get(item)


def _is_shown(replica: Replica, entry: Entry) -> bool:
    """Whether it adds to what is known; no server holds a record aside, so none can contain what was done to it."""
    return not entry.contained or (entry.edit.id in replica.aside and entry.edit.id not in replica.server)


def _redo(records: dict[ItemId, Record], replica: Replica, entry: Entry) -> None:
    item = entry.edit.id
    _put(records, item, apply(records.get(item), Mutation(entry.edit, replica.device, entry.mid)))


def _put(records: dict[ItemId, Record], item: ItemId, record: Record | None) -> None:
    if record is None:
        records.pop(item, None)
    else:
        records[item] = record


# --- the next edit ----------------------------------------------------------------------------------------------------


def next_mid(replica: Replica) -> Mid:
    """The number of the next entry."""
    return Mid(replica.last_mid + 1)


def next_at(replica: Replica, item: ItemId, server_now: Wall) -> int:
    """The `at` of the next edit of a record: later than all that is shown of it, so that it never bounces.

    `server_now` is the best estimate of the server's clock, ms.
    """
    record = shown(replica, item)
    stamps = record.stamps.values() if record else ()
    return max([server_now, *(entry.edit.at + 1 for entry in replica.entries), *(stamp.at + 1 for stamp in stamps)])


def differing(record: Record, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What of `fields` a patch should hold: only what differs, so that it does not overrule a field it did not mean.

    Values and names that no record can hold are left in, for validation to name.
    """
    readers = READERS[record.kind]
    return {
        name: value
        for name, value in fields.items()
        if name not in readers or not same(readers[name](value), getattr(record, name))
    }


# --- records aside ----------------------------------------------------------------------------------------------------


def restore_aside(replica: Replica, item: ItemId, at: int) -> Create:
    """The edit that gives a record aside back to the server, under its own identifier; it waits like any other.

    Raises:
        LocalProtocolError: no such record is aside.
    """
    record = shown(replica, item)
    if item not in replica.aside or record is None:
        raise LocalProtocolError(f"no record {item} is aside; legal: {', '.join(replica.aside) or 'nothing'}")
    fields = {name: to_builtins(getattr(record, name)) for name in DEFINITION[record.kind]}
    return Create(kind=record.kind, id=item, at=at, fields=fields)


def discard_aside(replica: Replica, item: ItemId) -> tuple[Replica, tuple[Write, ...]]:
    """Forget a record aside; nothing happens where there is none."""
    after = replace(replica, aside={other: record for other, record in replica.aside.items() if other != item})
    return after, difference(replica, after)


# --- writes -----------------------------------------------------------------------------------------------------------


def difference(before: Replica, after: Replica) -> tuple[Write, ...]:
    """What turns a stored `before` into a stored `after`."""
    return tuple(_differences(before, after))


def _differences(before: Replica, after: Replica) -> Iterator[Write]:
    yield from (DropRecord(item) for item in _gone(before.server, after.server))
    yield from (PutRecord(record) for record in _new(before.server, after.server))
    yield from (DropAside(item) for item in _gone(before.aside, after.aside))
    yield from (PutAside(record) for record in _new(before.aside, after.aside))
    waited, waiting = ({entry.mid: entry for entry in replica.entries} for replica in (before, after))
    yield from (DropEntry(mid) for mid in _gone(waited, waiting))
    yield from (PutEntry(entry) for entry in _new(waited, waiting))
    if (before.epoch, before.cursor) != (after.epoch, after.cursor):
        yield PutPlace(after.epoch, after.cursor)
    if before.device != after.device:
        yield PutDevice(after.device)
    if before.last_mid != after.last_mid:
        yield PutMid(after.last_mid)
    if before.conn != after.conn:
        yield PutConn(after.conn)


def _gone(before: Mapping[K, V], after: Mapping[K, V]) -> list[K]:
    return [key for key in before if key not in after]


def _new(before: Mapping[K, V], after: Mapping[K, V]) -> list[V]:
    # Most values are the very same object: comparing the rest alone keeps two thousand records cheap.
    return [value for key, value in after.items() if (old := before.get(key)) is not value and old != value]
