"""A server and devices without any connection between them: facts are carried by hand, in any order a test likes."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from protocol._edits import Edit
from protocol._events import event_text
from protocol._facts import Edited, Entry, EventsHeard, Fact, ResultHeard, SnapshotHeard
from protocol._messages import ItemEvent, Result
from protocol._records import Record
from protocol._replica import Replica, absorb, next_mid
from protocol._submission import read, write
from protocol._types import Cursor, DeviceId, Epoch, ItemId, Mid, Rev
from protocol._writes import Write
from protocol.testing import Disk, MemoryStore
from protocol.zones import system_zones

from .calendars import ms


NOON = ms("2026-01-07T12:00")


class Server:
    """The real ledger on a store in memory, with a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.store = MemoryStore(system_zones)
        self.now = NOON

    @property
    def epoch(self) -> Epoch:
        return self.store.account.epoch

    def take(self, device: DeviceId, mid: Mid, edit: Edit) -> Result:
        """Decide a mutation, read from the text that would travel."""
        outcome = self.store.commit(device, read(write(self.epoch, mid, edit)), self.now)
        assert outcome.result is not None, outcome.fault
        return outcome.result

    def events(self, after: int, upto: int | None = None) -> EventsHeard:
        rows = [row for row in self.store.rows if row.rev > after and (upto is None or row.rev <= upto)]
        events = tuple(msgspec.json.decode(event_text(row), type=ItemEvent) for row in rows)
        return EventsHeard(events, Cursor(self.epoch, events[-1].rev if events else Rev(after)))

    def snapshot(self, device: DeviceId, *, with_deleted: bool = False) -> SnapshotHeard:
        state = self.store.state(device, with_deleted=with_deleted)
        items = msgspec.json.decode(msgspec.json.encode(state.records), type=tuple[Record, ...])
        heard = SnapshotHeard(self.epoch, state.account.rev, state.last_mid, items)
        return replace(heard, deleted=state.deleted) if with_deleted else heard

    def restore(self, epoch: str, without: Iterable[str] = (), last_mids: dict[str, int] | None = None) -> None:
        """Take a new history that lost some records and numbers, as after a restore from a backup."""
        self.store.renew(Epoch(epoch))
        for item in without:
            del self.store.records[ItemId(item)]
        for device, mid in (last_mids or {}).items():
            self.store.last_mids[DeviceId(device)] = Mid(mid)


class Device:
    """A replica with its disk; whatever it absorbs, it could be loaded again."""

    def __init__(self, name: str, server: Server, *, synced: bool = True) -> None:
        self.server = server
        self.replica = Replica(DeviceId(name))
        self.disk = Disk(self.replica.device)
        if synced:
            self.absorb(server.snapshot(self.replica.device))

    @property
    def rev(self) -> int:
        return self.replica.cursor.rev if self.replica.cursor else 0

    def absorb(self, fact: Fact) -> tuple[Write, ...]:
        self.replica, writes = absorb(self.replica, fact)
        self.disk.apply(writes)
        assert self.disk.load() == self.replica
        return writes

    def do(self, edit: Edit) -> Entry:
        entry = Entry(next_mid(self.replica), edit)
        self.absorb(Edited(entry))
        return entry

    def send(self, entry: Entry) -> ResultHeard:
        """Let the server decide; its answer is not heard yet."""
        return ResultHeard(self.server.take(self.replica.device, entry.mid, entry.edit), self.server.epoch)

    def hear_events(self, upto: int | None = None) -> None:
        self.absorb(self.server.events(self.rev, upto))

    def sync(self, *edits: Edit) -> None:
        """Edit, send, hear the answers and all events."""
        answers = [self.send(self.do(edit)) for edit in edits]
        for answer in answers:
            self.absorb(answer)
        self.hear_events()


def edit(kind: type[Any], item: str, at: int = NOON, **members: Any) -> Any:
    """An edit of any kind, of an alarm where `item` begins with an a, else of a timer."""
    return kind(kind="alarm" if item.startswith("a") else "timer", id=ItemId(item), at=at, **members)
