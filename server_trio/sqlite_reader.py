"""Reading beside the writer: connections of their own, used in worker threads; a read sees one moment of the file."""

import json
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

import trio

from protocol import Account, DeviceId, Epoch, ItemId, Mid, Page, Record, Rev, State, UserId, Wall

from .sqlite_file import connect, roll_back, unavailable
from .sqlite_rows import account_of, decode_change, decode_record, first_epoch
from .store import StoreUnavailable, StoreUnusable


READERS = 4
"""Connections, and so threads, that read at once."""

T = TypeVar("T")


class Readers:
    """A few reading connections, each used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._limiter = trio.CapacityLimiter(READERS)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in a worker thread, in one reading transaction.

        Raises:
            StoreUnavailable: the file cannot be read now.
        """
        return await trio.to_thread.run_sync(self._read, query, limiter=self._limiter)

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._take()
            try:
                connection.execute("BEGIN")
                return query(connection)
            finally:
                roll_back(connection)
                self._idle.put(connection)
        except sqlite3.Error as error:
            raise unavailable(error) from error
        except StoreUnusable as error:
            raise StoreUnavailable(str(error)) from error

    def _take(self) -> sqlite3.Connection:
        try:
            return self._idle.get_nowait()
        except Empty:
            return connect(self._path, read_only=True)

    def close(self) -> None:
        """Close what is idle; call it when nothing reads any more."""
        while not self._idle.empty():
            self._idle.get_nowait().close()


def head(connection: sqlite3.Connection, user: UserId) -> Account:
    """One head."""
    return account_of(connection, user)[0]


def heads(connection: sqlite3.Connection, users: Collection[UserId]) -> dict[UserId, Account]:
    """Many heads by one statement; a user without a row has the first one."""
    first = Account(first_epoch(connection))
    rows = connection.execute(
        "SELECT user, epoch, rev, floor, newest_at FROM account WHERE user IN (SELECT value FROM json_each(?))",
        (json.dumps(list(users)),),
    )
    return dict.fromkeys(users, first) | {UserId(row[0]): Account(*row[1:]) for row in rows}


def page(connection: sqlite3.Connection, user: UserId, after: Rev, limit: int) -> Page:
    """Rows of the log."""
    rows = connection.execute(
        "SELECT body FROM change WHERE user = ? AND rev > ? ORDER BY rev LIMIT ?", (user, after, limit)
    )
    changes = tuple(decode_change(body) for (body,) in rows)
    return Page(after, changes, head(connection, user))


def state(connection: sqlite3.Connection, user: UserId, device: DeviceId | None, *, with_deleted: bool) -> State:
    """Everything a user has."""
    rows = connection.execute("SELECT id, body FROM item WHERE user = ? ORDER BY id", (user,)).fetchall()
    return State(
        account=head(connection, user),
        last_mid=_last_mid(connection, user, device),
        records=tuple(decode_record(body) for _, body in rows if body is not None),
        deleted=tuple(ItemId(item) for item, body in rows if body is None) if with_deleted else (),
    )


def _last_mid(connection: sqlite3.Connection, user: UserId, device: DeviceId | None) -> Mid:
    row = connection.execute("SELECT last_mid FROM device WHERE user = ? AND id = ?", (user, device)).fetchone()
    return Mid(0) if row is None else Mid(row[0])


def record(connection: sqlite3.Connection, user: UserId, item: ItemId) -> Record | None:
    """One record."""
    row = connection.execute("SELECT body FROM item WHERE user = ? AND id = ?", (user, item)).fetchone()
    return None if row is None or row[0] is None else decode_record(row[0])


def unseen(connection: sqlite3.Connection, since: Wall, limit: int) -> list[tuple[UserId, DeviceId]]:
    """Devices not seen since then."""
    return connection.execute("SELECT user, id FROM device WHERE seen_ms < ? LIMIT ?", (since, limit)).fetchall()


def trimmable(
    connection: sqlite3.Connection, older_than: Wall, keep_rows: int, limit: int
) -> list[tuple[UserId, Epoch, Rev]]:
    """Users with rows to trim, their epoch, and the newest row that is old enough; `limit` rows in all."""
    found = list[tuple[UserId, Epoch, Rev]]()
    users = connection.execute(
        "SELECT user, epoch, floor, rev FROM account WHERE rev - floor > ? ORDER BY user", (keep_rows,)
    )
    for user, epoch, floor, rev in users:
        last = min(rev - keep_rows, floor + limit)
        young = connection.execute(
            "SELECT min(rev) FROM change WHERE user = ? AND rev <= ? AND made_ms >= ?", (user, last, older_than)
        ).fetchone()[0]
        expired = last if young is None else young - 1
        if expired > floor:
            found.append((user, epoch, Rev(expired)))
            limit -= expired - floor
        if limit <= 0:
            break
    return found
