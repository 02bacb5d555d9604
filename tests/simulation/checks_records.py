"""What holds for the records of a user on the server: the greatest stamp wins, and a late stop spares a longer run."""

from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins

from protocol import Change, Create, DeviceId, Dismiss, Edit, ItemId, Mid, Patch, Record, Stamp, Timer
from protocol.testing import MemoryStore

from .run import Violation
from .world import World


LATE_MS = 5_000
"""A ring this much older than the end of the run still means that run (docs/protocol.md#ring-timer-due)."""


class Decided:
    """One answer of the server that is new: whose, to which edit, and the row it made, if any."""

    __slots__ = ("device", "edit", "mid", "row")

    def __init__(self, device: DeviceId, mid: Mid, edit: Edit, row: Change | None) -> None:
        self.device = device
        self.mid = mid
        self.edit = edit
        self.row = row


class RecordsCheck:
    """Compares each record with what it was before the newest answers."""

    def __init__(self, world: World, user: str) -> None:
        self._world = world
        self._user = user
        self._records: dict[ItemId, Record] = {}

    def restored(self, store: MemoryStore) -> None:
        """Another log took the place of the one before."""
        self._records = dict(store.records)

    def _broken(self, rule: str, expected: str, happened: str) -> Violation:
        return Violation(rule, self._user, self._world.now, expected, happened)

    def after(self, store: MemoryStore, rows: Sequence[Change], decided: Sequence[Decided]) -> None:
        """Look at the records of new rows and answers."""
        touched = [row.id for row in rows] + [one.edit.id for one in decided if one.row is None]
        for one in decided:
            before, now = self._records.get(one.edit.id), store.records.get(one.edit.id)
            # Where several answers are new, nobody can tell which left the record like this.
            if before is None or now is None or touched.count(one.edit.id) > 1:
                continue
            if isinstance(one.edit, Create | Patch):
                self._greatest_wins(one, before, now, one.edit.fields)
            elif isinstance(one.edit, Dismiss) and isinstance(before, Timer) and one.row is not None:
                self._spares_longer(one.edit, before)
        for row in rows:
            self._stamps_grow(row.id, self._records.get(row.id), store.records.get(row.id))
        for item in touched:
            if item in store.records:
                self._records[item] = store.records[item]
            else:
                self._records.pop(item, None)

    def _stamps_grow(self, item: ItemId, before: Record | None, now: Record | None) -> None:
        if before is None or now is None:
            return
        for name, old in before.stamps.items():
            if name == "phase" and now.stamps.get("run") != before.stamps.get("run"):
                continue  # a new run begins with the stamp of its start, whatever happened to the old one
            new = now.stamps.get(name)
            if new is None or _rank(new) < _rank(old):
                raise self._broken("stamp-field-wins", f"no stamp of {item} below {old} for {name}", f"it is {new}")

    def _greatest_wins(self, one: Decided, before: Record, now: Record, fields: dict[str, Any]) -> None:
        at = one.edit.at if one.row is None else one.row.at
        if one.edit.kind != before.kind or at > self._world.wall:
            return
        stamp = Stamp(at, one.device, one.mid)
        for name, value in fields.items():
            old = before.stamps.get(name)
            if old is None or _plain(getattr(before, name)) == _plain(value):
                continue
            carries = now.stamps.get(name) == stamp
            if carries != (_rank(stamp) > _rank(old)):
                raise self._broken(
                    "stamp-field-wins", f"that of {old} and {stamp} the greater one wins {name} of {before.id}",
                    f"it has {now.stamps.get(name)}",
                )  # fmt: skip

    def _spares_longer(self, edit: Dismiss, before: Timer) -> None:
        runs = before.phase == "running" and before.run == edit.run and before.ends_at is not None
        if not runs or edit.due is None or (before.ends_at or 0) > edit.due + LATE_MS:
            raise self._broken(
                "ring-timer-due", f"that a stop of what was due at {edit.due} spares {before.id}, which ends at {before.ends_at}",
                "it was stopped",
            )  # fmt: skip


def _rank(stamp: Stamp) -> tuple[int, bytes, int]:
    return stamp.at, stamp.device.encode(), stamp.mid


def _plain(value: Any) -> Any:
    """Days are a set; all else is compared as it is."""
    plain = to_builtins(value)
    return sorted(plain) if isinstance(plain, list | tuple) else plain
