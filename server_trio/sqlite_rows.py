"""Rows of the database as values, for the writer and for readers alike."""

import sqlite3
from typing import Any

import msgspec

from protocol import Account, Change, Cursor, DeviceId, Epoch, Mid, Record, Result, Rev, UserId, Wall

from .store import DeviceRow


decode_record = msgspec.json.Decoder(Record).decode
decode_change = msgspec.json.Decoder(Change).decode
decode_result = msgspec.json.Decoder(Result).decode


def account_of(connection: sqlite3.Connection, user: UserId) -> tuple[Account, int]:
    """A user's head, and how many records live."""
    row = connection.execute(
        "SELECT epoch, rev, floor, newest_at, items FROM account WHERE user = ?", (user,)
    ).fetchone()
    if row is None:
        return Account(first_epoch(connection)), 0
    return Account(*row[:4]), row[4]


def first_epoch(connection: sqlite3.Connection) -> Epoch:
    """The epoch of every user who has no row yet: random by database, so that reading never has to write."""
    value: str = connection.execute("SELECT value FROM fact WHERE name = 'epoch'").fetchone()[0]
    return Epoch(value)


def devices_of(connection: sqlite3.Connection, user: UserId) -> tuple[DeviceRow, ...]:
    """All devices of a user, in order of their identifiers."""
    rows = connection.execute(
        "SELECT id, name, conn, last_mid, acked_epoch, acked_rev, seen_ms FROM device WHERE user = ? ORDER BY id",
        (user,),
    )
    return tuple(map(_device_of, rows))


def _device_of(row: tuple[Any, ...]) -> DeviceRow:
    ident, name, conn, last_mid, epoch, rev, seen = row
    acked = None if epoch is None else Cursor(Epoch(epoch), Rev(rev))
    return DeviceRow(DeviceId(ident), name, conn, Mid(last_mid), acked, Wall(seen))


def device_values(user: UserId, row: DeviceRow) -> tuple[object, ...]:
    """The row to write for a device."""
    epoch, rev = (row.acked.epoch, row.acked.rev) if row.acked else (None, 0)
    return (user, row.id, row.name, row.conn, row.last_mid, epoch, rev, row.seen)
