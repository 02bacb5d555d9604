"""What a transaction is going to write, collected table by table."""

import sqlite3
from typing import Any

import msgspec

from protocol import Account, Change, DeviceId, ItemId, Mid, Record, Result, Stored, UserId

from .sqlite_rows import decode_result, device_values
from .store import DeviceRow


_encode = msgspec.json.Encoder().encode

# In the order of writing: what is forgotten goes first, since it may come again in the same transaction.
_STATEMENTS = (
    ("forgotten", "DELETE FROM device WHERE user = ? AND id = ?"),
    ("forgotten", "DELETE FROM answer WHERE user = ? AND device = ?"),
    ("accounts", "REPLACE INTO account VALUES (?, ?, ?, ?, ?, ?)"),
    ("changes", "INSERT INTO change VALUES (?, ?, ?, ?)"),
    ("items", "REPLACE INTO item VALUES (?, ?, ?)"),
    ("devices", "REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
    ("answers", "REPLACE INTO answer VALUES (?, ?, ?, ?, ?)"),
    ("pruned", "DELETE FROM answer WHERE user = ? AND device = ? AND mid <= ?"),
)

Row = tuple[Any, ...]


class Notes:
    """Rows by table and key, so that what is written twice in one transaction costs one row."""

    __slots__ = ("accounts", "answers", "changes", "devices", "forgotten", "items", "pruned")

    def __init__(self) -> None:
        self.forgotten: dict[Row, Row] = {}
        self.accounts: dict[Row, Row] = {}
        self.changes: dict[Row, Row] = {}
        self.items: dict[Row, Row] = {}
        self.devices: dict[Row, Row] = {}
        self.answers: dict[Row, Row] = {}
        self.pruned: dict[Row, Row] = {}

    def account(self, user: UserId, account: Account, items: int) -> None:
        """A head, and how many records live."""
        self.accounts[user,] = (user, account.epoch, account.rev, account.floor, account.newest_at, items)

    def change(self, user: UserId, change: Change) -> None:
        """A row of the log."""
        self.changes[user, change.rev] = (user, change.rev, change.when, _encode(change).decode())

    def item(self, user: UserId, item: ItemId, record: Record | None) -> None:
        """A record, or its tombstone."""
        self.items[user, item] = (user, item, None if record is None else _encode(record).decode())

    def body(self, user: UserId, item: ItemId) -> tuple[str | None] | None:
        """What is noted of a record and not yet written, as the row that it will be read as."""
        row = self.items.get((user, item))
        return None if row is None else (row[2],)

    def device(self, user: UserId, row: DeviceRow) -> None:
        """A device."""
        self.devices[user, row.id] = device_values(user, row)

    def answer(self, user: UserId, device: DeviceId, fingerprint: str, result: Result) -> None:
        """An answer to be given again to a repeat."""
        key = (user, device, result.mid)
        self.answers[key] = (*key, fingerprint, _encode(result).decode())

    def answered(self, user: UserId, device: DeviceId, mid: Mid) -> Stored | None:
        """An answer noted and not yet written."""
        row = self.answers.get((user, device, mid))
        return None if row is None else Stored(row[3], decode_result(row[4]))

    def prune(self, user: UserId, device: DeviceId, upto: int) -> None:
        """Drop answers up to a number."""
        self.pruned[user, device] = (user, device, upto)

    def forget(self, user: UserId, device: DeviceId) -> None:
        """Drop a device, its answers, and what is noted of both."""
        self.devices.pop((user, device), None)
        for key in [key for key in self.answers if key[:2] == (user, device)]:
            del self.answers[key]
        self.forgotten[user, device] = (user, device)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write it all: one `executemany` a table, whatever the number of rows."""
        for table, statement in _STATEMENTS:
            rows: dict[Row, Row] = getattr(self, table)
            if rows:
                connection.executemany(statement, rows.values())
