"""One transaction in the making: loads what decisions need, notes what they decided, and writes it all at the end.

A commit whose user is in memory costs no read. What is in memory is right because one writer makes every change: a
failed transaction drops it, and so does a change by another process, which the file's version betrays.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from protocol import (
    Account,
    Change,
    Cursor,
    DeviceId,
    Epoch,
    Found,
    ItemId,
    Mid,
    Outcome,
    Record,
    Result,
    Rev,
    Stored,
    UserId,
    Wall,
    has_room,
)

from .sqlite_notes import Notes
from .sqlite_rows import account_of, decode_record, decode_result, devices_of
from .store import DeviceRow, Outcomes, Work


CACHED_USERS = 2_048
CACHED_RECORDS = 16
"""For each user; with records of about a kilobyte all of it stays below some 50 MB."""

CACHED_HEADS = 65_536

PRUNE_EVERY = 64
"""Kept answers that have fallen out of the window go in batches."""


class CachedUser:
    """What the writer knows of a user.

    Attributes:
        devices: all of them, None until one was asked for.
        records: some of them; None stands for a deleted one.
    """

    __slots__ = ("account", "devices", "items", "records")

    def __init__(self, account: Account, items: int) -> None:
        self.account = account
        self.items = items
        self.devices: dict[DeviceId, DeviceRow] | None = None
        self.records: dict[ItemId, Record | None] = {}


class DecisionFailed(Exception):
    """A `decide` raised. Nothing of its work was noted, so the rest of the group goes on."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Ledger:
    """The writer's side of the database.

    Attributes:
        connection: the one writing connection.
        heads: committed heads, read by other threads; published after the commit, never before.
    """

    def __init__(self, connection: sqlite3.Connection, *, kept_answers: int, devices: int) -> None:
        self.connection = connection
        self.heads: dict[UserId, Account] = {}
        self._kept_answers = kept_answers
        self._most_devices = devices
        self._users: dict[UserId, CachedUser] = {}
        self._moved: dict[UserId, Account] = {}
        self._notes = Notes()
        self._version: object = None

    # ------------------------------------------------------------------------------------------- the transaction

    def begin(self) -> None:
        """Open the transaction; what is in memory is dropped when somebody else has written since."""
        self.connection.execute("BEGIN IMMEDIATE")
        version = self.connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self.drop()
            self._version = version

    def commit(self) -> None:
        """Write everything noted, make it durable, then publish the heads."""
        self._flush()
        self.connection.execute("COMMIT")
        self.heads |= self._moved
        self._moved = {}
        _shrink(self.heads, CACHED_HEADS)
        _shrink(self._users, CACHED_USERS)

    def drop(self) -> None:
        """Forget everything in memory: it may not be what the file says."""
        self._users.clear()
        self.heads.clear()
        self._moved = {}
        self._notes = Notes()

    def _flush(self) -> None:
        self._notes.write(self.connection)
        self._notes = Notes()

    # ------------------------------------------------------------------------------------------------- decisions

    def decide(self, user: UserId, works: Iterable[Work]) -> Outcomes:
        """Take works in order, up to the first fault."""
        outcomes = list[Outcome]()
        for work in works:
            outcomes.append(outcome := self._decide(user, work))
            if outcome.fault is not None:
                break
        return tuple(outcomes)

    def _decide(self, user: UserId, work: Work) -> Outcome:
        cached = self._user(user)
        device = self._device(user, work.device, work.now) if work.device else None
        record, deleted = self._record(user, cached, work.id) if work.id is not None else (None, False)
        found = Found(
            account=cached.account,
            last_mid=device.last_mid if device else Mid(0),
            stored=self._stored(user, device, work.mid) if device else None,
            record=record,
            deleted=deleted,
            items=cached.items,
            room=not work.device or self.has_room(user, work.device),
        )
        try:
            outcome = work.decide(found)
        except Exception as error:
            raise DecisionFailed(error) from error
        if outcome.change is not None:
            self._note_change(user, cached, found, outcome, outcome.change)
        if device is not None and outcome.result is not None and not outcome.result.dup:
            self._note_answer(user, device, work, outcome.result)
        return outcome

    def _note_change(self, user: UserId, cached: CachedUser, found: Found, outcome: Outcome, change: Change) -> None:
        cached.items += (outcome.record is not None) - (found.record is not None)
        self._note_account(user, cached, outcome.account)
        self._notes.change(user, change)
        self._notes.item(user, change.id, outcome.record)
        _remember(cached.records, change.id, outcome.record)

    def _note_answer(self, user: UserId, device: DeviceRow, work: Work, result: Result) -> None:
        self._note_device(user, replace(device, last_mid=result.mid, seen=max(device.seen, work.now)))
        self._notes.answer(user, device.id, work.fingerprint, result)
        if result.mid % PRUNE_EVERY == 0:
            self._notes.prune(user, device.id, result.mid - self._kept_answers)

    def _note_account(self, user: UserId, cached: CachedUser, account: Account) -> None:
        cached.account = self._moved[user] = account
        self._notes.account(user, account, cached.items)

    # --------------------------------------------------------------------------------------------------- loading

    def account(self, user: UserId) -> Account:
        """The head; a user never heard of has one as well."""
        return self._user(user).account

    def devices(self, user: UserId) -> dict[DeviceId, DeviceRow]:
        """The user's devices."""
        cached = self._user(user)
        if cached.devices is None:
            cached.devices = {row.id: row for row in devices_of(self.connection, user)}
        return cached.devices

    def _user(self, user: UserId) -> CachedUser:
        cached = self._users.get(user)
        if cached is None:
            cached = self._users[user] = CachedUser(*account_of(self.connection, user))
        return cached

    def _device(self, user: UserId, device: DeviceId, now: Wall) -> DeviceRow:
        return self.devices(user).get(device) or DeviceRow(device, seen=now)

    def _record(self, user: UserId, cached: CachedUser, item: ItemId) -> tuple[Record | None, bool]:
        """The record if it lives, and whether its identifier was used up."""
        if item in cached.records:
            record = cached.records[item]
            return record, record is None
        row: tuple[str | None] | None = self._notes.body(user, item)
        if row is None:
            row = self.connection.execute("SELECT body FROM item WHERE user = ? AND id = ?", (user, item)).fetchone()
        if row is None:
            return None, False
        record = None if row[0] is None else decode_record(row[0])
        _remember(cached.records, item, record)
        return record, record is None

    def _stored(self, user: UserId, device: DeviceRow, mid: Mid) -> Stored | None:
        """The answer kept for a number, as long as it is among the newest."""
        if not device.last_mid - self._kept_answers < mid <= device.last_mid:
            return None
        if (noted := self._notes.answered(user, device.id, mid)) is not None:
            return noted
        row = self.connection.execute(
            "SELECT fingerprint, body FROM answer WHERE user = ? AND device = ? AND mid = ?", (user, device.id, mid)
        ).fetchone()
        return None if row is None else Stored(row[0], decode_result(row[1]))

    # --------------------------------------------------------------------------------------- devices and epochs

    def has_room(self, user: UserId, device: DeviceId) -> bool:
        """Whether the device is known, or may become so."""
        return has_room(device, self.devices(user), self._most_devices)

    def join(
        self, user: UserId, device: DeviceId, name: str, conn: int, cursor: Cursor | None, now: Wall
    ) -> DeviceRow | None:
        """Note a device that is here; None where there is no room for it."""
        if not self.has_room(user, device):
            return None
        known = self._device(user, device, now)
        row = DeviceRow(device, name, max(conn, known.conn), known.last_mid, cursor, max(now, known.seen))
        self._note_device(user, row)
        return row

    def acked(self, user: UserId, device: DeviceId, epoch: Epoch, rev: Rev, now: Wall) -> None:
        """Note what a device has stored; it only grows here, since late polls may arrive out of order."""
        if not self.has_room(user, device):
            return
        known = self._device(user, device, now)
        acked = known.acked
        if epoch == self.account(user).epoch and (acked is None or acked.epoch != epoch or acked.rev < rev):
            acked = Cursor(epoch, rev)
        self._note_device(user, replace(known, acked=acked, seen=max(now, known.seen)))

    def _note_device(self, user: UserId, row: DeviceRow) -> None:
        self.devices(user)[row.id] = row
        self._notes.device(user, row)

    def forget_device(self, user: UserId, device: DeviceId) -> None:
        """Drop a device and its answers: if it comes back, its numbers start at 1."""
        self.devices(user).pop(device, None)
        self._notes.forget(user, device)

    def move_floor(self, user: UserId, account: Account) -> int:
        """Set a head whose floor rose, and drop the rows below; returns how many went."""
        self._flush()
        self._note_account(user, self._user(user), account)
        return self.connection.execute("DELETE FROM change WHERE user = ? AND rev <= ?", (user, account.floor)).rowcount

    def renew_all(self, epoch: Epoch) -> None:
        """Give every log the same new name, those of users without a row included, and empty it."""
        self._flush()
        self.connection.execute("UPDATE fact SET value = ? WHERE name = 'epoch'", (epoch,))
        self.connection.execute("UPDATE account SET epoch = ?, floor = rev", (epoch,))
        self.connection.execute("DELETE FROM change")
        self.drop()


def _remember(records: dict[ItemId, Record | None], item: ItemId, record: Record | None) -> None:
    records.pop(item, None)  # so that it becomes the newest
    records[item] = record
    _shrink(records, CACHED_RECORDS)


def _shrink(mapping: dict[Any, Any], most: int) -> None:
    """Drop the oldest entries: a dict keeps the order in which keys came."""
    while len(mapping) > most:
        del mapping[next(iter(mapping))]
