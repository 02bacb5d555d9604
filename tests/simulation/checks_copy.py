"""What holds for the copy of one device, in memory and on disk (invariants 2, 6, and that users stay apart)."""

from typing import Any

from msgspec import UNSET

from protocol import Alarm, Cursor, Delete, Fact, ItemId, Record, Replica, absorb, client
from protocol._facts import EventsHeard, SnapshotHeard
from protocol.testing import Disk, Event

from .device import SimDevice
from .run import Violation


class Owners:
    """Whose each item is, since somebody created it."""

    def __init__(self) -> None:
        self._users: dict[str, str] = {}

    def created(self, item: str, user: str) -> None:
        """A device of this user made it."""
        self._users.setdefault(item, user)

    def stranger(self, items: set[str], user: str) -> str | None:
        """One of them that is not this user's."""
        return next((item for item in sorted(items) if self._users.get(item) != user), None)


class CopyCheck:
    """Watches one device's copy; compares by identity first, since almost every step leaves it alone."""

    def __init__(self, device: SimDevice, owners: Owners) -> None:
        self._device = device
        self._owners = owners
        self._begin()

    def _begin(self) -> None:
        device = self._device
        self._disk: Disk = device.disk
        self._on_disk: Cursor | None = device.disk.cursor
        self._replica: Replica = device.disk.load()
        self._versions: list[Replica] = [self._replica]
        self._records: dict[ItemId, Record] = device.copy.records
        self._gone: set[ItemId] = set()

    def rebooted(self) -> bool:
        """Its program was started again; true where its disk is another one."""
        other = self._device.disk is not self._disk
        self._begin()
        return other

    def _broken(self, rule: str, expected: str, happened: str) -> Violation:
        return Violation(rule, self._device.name, self._device.world.now, expected, happened)

    # --- memory ---

    def after(self, event: Event) -> None:
        """Look at the copy again."""
        replica = self._device.copy.replica
        if replica is not self._replica:
            before, self._replica = self._replica, replica
            self._absorbed(before, replica, event.outputs)

    def _absorbed(self, before: Replica, after: Replica, outputs: tuple[Any, ...]) -> None:
        facts = [output.fact for output in outputs if type(output) is client.Store]
        self._cursor(before.cursor, after.cursor, "copy")
        between = before
        for n, fact in enumerate(facts, 1):
            # Each fact is a transaction of its own, so the disk may hold what memory held between two of them.
            reached = after if n == len(facts) else absorb(between, fact)[0]
            self._versions.append(reached)
            self._heard(between, fact, reached)
            between = reached
        if not facts:
            self._versions.append(after)
        if after.server is not before.server:
            self._no_return(before, after)
        self._acked(before, after, outputs)

    def _heard(self, before: Replica, fact: Fact, after: Replica) -> None:
        """One fact from the server, taken over."""
        if isinstance(fact, EventsHeard):
            self._dense(before, fact)
            own = (event.origin.mid for event in fact.events if event.origin and event.origin.device_id == after.device)
            if before.cursor is not after.cursor:
                self._used_up(after, max(own, default=0))
        elif isinstance(fact, SnapshotHeard):
            self._at_home({record.id for record in fact.items})
            if after.cursor is not None and after.cursor.rev == fact.rev:
                self._used_up(after, fact.last_mid)
                self._kept_aside(before, fact, after)

    def _used_up(self, after: Replica, used: int) -> None:
        """What the server state contains is not shown once more on top of it."""
        twice = [e for e in after.entries if 1 <= e.mid <= used and e.answered is None and not e.contained]
        if twice:
            raise self._broken(
                "outbox-leave", f"that edits up to {used}, which are in the log, show once", f"{twice} show again"
            )

    def _kept_aside(self, before: Replica, fact: SnapshotHeard, after: Replica) -> None:
        """A new history takes nothing from the user without a word."""
        if before.epoch in {None, fact.epoch}:
            return
        named = set() if fact.deleted is UNSET else set(fact.deleted)
        doomed = {entry.edit.id for entry in before.entries if isinstance(entry.edit, Delete)}
        lost = (before.server.keys() | before.aside.keys()) - after.server.keys() - after.aside.keys() - named - doomed
        if lost:
            raise self._broken(
                "resume-kept-aside",
                f"that what the new epoch {fact.epoch} lacks is kept aside",
                f"{sorted(lost)} vanished",
            )

    def _cursor(self, before: Cursor | None, after: Cursor | None, where: str) -> None:
        if before is not None and after is not None and before.epoch == after.epoch and after.rev < before.rev:
            raise self._broken(
                "invariant-2", f"that the {where}'s cursor never goes back inside an epoch", f"{before} became {after}"
            )

    def _dense(self, before: Replica, fact: EventsHeard) -> None:
        cursor, revs = before.cursor, [event.rev for event in fact.events]
        if revs != list(range(revs[0], revs[-1] + 1)):
            raise self._broken("invariant-2", "events without a hole", f"it stores {revs}")
        if cursor is not None and cursor.epoch == fact.cursor.epoch and revs[0] > cursor.rev + 1:
            raise self._broken("invariant-2", f"event {cursor.rev + 1} next", f"it stores {revs}")
        self._at_home(
            {str(getattr(event, "id", None) or getattr(event, "data", {}).get("id")) for event in fact.events}
        )

    def _at_home(self, items: set[str]) -> None:
        item = self._owners.stranger(items, self._device.user)
        if item is not None:
            raise self._broken("isolation", f"only items of {self._device.user}", f"it was sent {item}")

    def _no_return(self, before: Replica, after: Replica) -> None:
        if before.epoch != after.epoch:
            self._gone = set()
            return
        back = self._gone & after.server.keys()
        if back:
            raise self._broken(
                "invariant-6", "that deleted items stay away inside an epoch", f"{sorted(back)} came back"
            )
        self._gone |= before.server.keys() - after.server.keys()

    def _acked(self, before: Replica, after: Replica, outputs: tuple[Any, ...]) -> None:
        old, self._records = self._records, self._device.copy.records
        if before.epoch != after.epoch or any(_refuses(output) for output in outputs):
            return
        # Where two copies of a store use the same numbers, an edit is out of view until its answer says whose it was.
        doubted = {entry.edit.id for entry in after.entries if entry.contained}
        for item, record in self._records.items():
            known = old.get(item)
            if known is record or known is None or not isinstance(record, Alarm) or item in before.aside:
                continue
            if item in doubted:
                continue
            if isinstance(known.acked, int) and (record.acked is None or record.acked < known.acked):
                raise self._broken(
                    "invariant-6", f"that {item} stays dismissed up to {known.acked} where the user sees it",
                    f"it now shows {record.acked}",
                )  # fmt: skip

    # --- disk ---

    def written(self) -> None:
        """A transaction is on disk: what a program would load now is what memory held at one moment, and never older."""
        device = self._device
        disk = device.disk
        if disk is not self._disk:
            return
        self._note_command()
        self._cursor(self._on_disk, disk.cursor, "disk")
        self._on_disk = disk.cursor
        loaded = disk.load()
        for n, version in enumerate(self._versions):
            if version.cursor == loaded.cursor and version == loaded:
                del self._versions[:n]
                return
        raise self._broken("invariant-2", "that the disk holds what memory held", f"a program would load {loaded!r}")

    def _note_command(self) -> None:
        """A record aside can be forgotten without a step of the connection."""
        replica = self._device.copy.replica
        if replica is not self._replica:
            self._replica, self._records = replica, self._device.copy.records
            self._versions.append(replica)


def _refuses(output: Any) -> bool:
    return isinstance(output, client.Answered) and output.result.status == "rejected"
