"""A device's own copy on disk: one SQLite file for each server and user, owned by one process at a time.

It decides nothing: each write is one statement, and all writes of one call are one transaction, on disk when the call
returns (WAL, `synchronous=FULL`). So whenever the program stops, what is loaded is a state that was.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, assert_never
from uuid import uuid4

import msgspec

from protocol import (
    Cursor,
    DeviceId,
    DropAside,
    DropEntry,
    DropRecord,
    Entry,
    Epoch,
    ItemId,
    Mid,
    PutAside,
    PutConn,
    PutDevice,
    PutEntry,
    PutMid,
    PutPlace,
    PutRecord,
    Record,
    Replica,
    Rev,
    Write,
)

from .local_state import (
    DropMark,
    DropRejection,
    LocalState,
    LocalWrite,
    Mark,
    PutMark,
    PutMuted,
    PutRejection,
    PutSkew,
    PutUser,
    Rejection,
    RingKey,
)
from .schema import MIGRATIONS, migrate


_encode = msgspec.json.Encoder().encode
_RECORD: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_ENTRY = msgspec.json.Decoder(Entry)
_REJECTION = msgspec.json.Decoder(Rejection)
_KEY = msgspec.json.Decoder(RingKey)

# Primary result codes, https://sqlite.org/rescode.html
_BUSY = 5
_DAMAGE = {
    1: "no such table or column, where its version says that there is one",
    11: "corrupt",
    26: "not a database",
}


class DatabaseError(Exception):
    """The database cannot be used. `code` for programs, the message for people.

    Codes: `in_use` (another process has it), `newer` (a later version of the program wrote it), `unusable` (the disk or
    the folder says no), `damaged` (found while it was open; the next start moves it aside).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _DamagedError(DatabaseError):
    """What is in the file cannot be read back."""

    def __init__(self, path: Path) -> None:
        super().__init__("damaged", f"{path} is damaged; on the next start it is moved aside and begun anew.")


def database_file(folder: Path, url: str | None, user: str) -> Path:
    """Where the copy of this server's user lives. The name says whose it is, and a digest keeps two apart."""
    server = (url or "this computer").rstrip("/")
    words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{server.rpartition('//')[2]} {user}").strip("-")[:60]
    digest = blake2b(f"{server}\n{user}".encode(), digest_size=4).hexdigest()
    return folder / f"{words}-{digest}.db"


class Database:
    """An open database. Its calls block: run them in a worker thread, one at a time.

    Attributes:
        path: the file. set_aside: where a damaged one was moved when this one was made in its place, else None.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, set_aside: Path | None) -> None:
        self.path = path
        self.set_aside = set_aside
        self._connection = connection

    def __repr__(self) -> str:
        return f"<Database {self.path.name}{', rebuilt' if self.set_aside else ''}>"

    @classmethod
    def open(cls, path: Path) -> "Database":
        """Open or make it. A damaged file is moved aside, never deleted, and a new one begun.

        Raises:
            DatabaseError: see there.
        """
        try:
            return cls(path, _open(path), None)
        except _DamagedError:
            moved = _move_aside(path)
            return cls(path, _open(path), moved)

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._connection.close()

    # --- loading ---

    def load(self) -> tuple[Replica, LocalState]:
        """All that was written."""
        return _load_replica(self._connection), _load_local(self._connection)

    # --- writing ---

    def apply(self, writes: Iterable[Write | LocalWrite]) -> None:
        """Commit writes in one transaction; on disk when it returns, and nothing of them when it raises.

        Raises:
            DatabaseError: `unusable` or `damaged`; after the first, the same writes may succeed later.
        """
        with _explained(self.path), _transaction(self._connection):
            for write in writes:
                self._connection.execute(*_statement(write))


# --- opening ----------------------------------------------------------------------------------------------------------


def _open(path: Path) -> sqlite3.Connection:
    with _explained(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Each call runs in whichever worker thread is free; the caller sees to it that there is one at a time.
        connection = sqlite3.connect(path, timeout=0.2, isolation_level=None, check_same_thread=False)
        try:
            path.chmod(0o600)
            _prepare(connection, path)
            # Reading all of it now is what finds damage now, and not at seven in the morning.
            _load_replica(connection), _load_local(connection)
        except (msgspec.MsgspecError, TypeError) as error:
            connection.close()
            raise _DamagedError(path) from error
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # The lock is SQLite's own and is held while the connection lives: a crash leaves no stale lock behind.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise _DamagedError(path)
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    if form > len(MIGRATIONS):
        raise DatabaseError("newer", f"{path} was written by a newer version of this program; install that one.")
    migrate(connection)
    with _transaction(connection):
        connection.execute("INSERT OR IGNORE INTO place (one, device) VALUES (1, ?)", (str(uuid4()),))


def _move_aside(path: Path) -> Path:
    number = 1
    while (target := path.with_suffix(f".damaged-{number}.db")).exists():
        number += 1
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(target.with_name(target.name + suffix))
    return target


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # The primary code is the low byte; Python's own complaints have none.
        match (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF:
            case code if code in _DAMAGE:
                raise _DamagedError(path) from error
            case code if code == _BUSY:
                sentence = f"{path} is in use by another process; close it, or choose another --data folder."
                raise DatabaseError("in_use", sentence) from error
        raise DatabaseError("unusable", f"{path} cannot be used: {error}; see to the disk and its rights.") from error
    except OSError as error:
        raise DatabaseError("unusable", f"{path} cannot be used: {error.strerror}.") from error


# --- rows -------------------------------------------------------------------------------------------------------------


def _load_replica(connection: sqlite3.Connection) -> Replica:
    (row,) = connection.execute("SELECT device, epoch, cursor_epoch, cursor_rev, last_mid, conn FROM place")
    device, epoch, cursor_epoch, cursor_rev, last_mid, conn = row
    return Replica(
        device=DeviceId(device),
        epoch=None if epoch is None else Epoch(epoch),
        cursor=None if cursor_epoch is None else Cursor(Epoch(cursor_epoch), Rev(cursor_rev)),
        server=_load_records(connection, "SELECT body FROM records"),
        aside=_load_records(connection, "SELECT body FROM aside"),
        entries=tuple(_ENTRY.decode(body) for (body,) in connection.execute("SELECT body FROM entries ORDER BY mid")),
        last_mid=Mid(last_mid),
        conn=conn,
    )


def _load_records(connection: sqlite3.Connection, query: str) -> dict[ItemId, Record]:
    records = (_RECORD.decode(body) for (body,) in connection.execute(query))
    return {record.id: record for record in records}


def _load_local(connection: sqlite3.Connection) -> LocalState:
    marks = connection.execute("SELECT key, until, over FROM marks")
    meta: dict[str, Any] = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    return LocalState(
        marks={mark.key: mark for mark in (Mark(_KEY.decode(key), until, bool(over)) for key, until, over in marks)},
        muted=frozenset(item for (item,) in connection.execute("SELECT id FROM muted")),
        skew_ms=meta.get("skew_ms", 0),
        user=meta.get("user"),
        rejections=tuple(
            _REJECTION.decode(body) for (body,) in connection.execute("SELECT body FROM rejections ORDER BY number")
        ),
    )


def _statement(write: Write | LocalWrite) -> tuple[str, tuple[Any, ...]]:  # noqa: C901 - one case for each write
    match write:
        case PutRecord(record=record):
            return "INSERT OR REPLACE INTO records VALUES (?, ?)", (record.id, _encode(record))
        case DropRecord(id=item):
            return "DELETE FROM records WHERE id = ?", (item,)
        case PutAside(record=record):
            return "INSERT OR REPLACE INTO aside VALUES (?, ?)", (record.id, _encode(record))
        case DropAside(id=item):
            return "DELETE FROM aside WHERE id = ?", (item,)
        case PutEntry(entry=entry):
            return "INSERT OR REPLACE INTO entries VALUES (?, ?)", (entry.mid, _encode(entry))
        case DropEntry(mid=mid):
            return "DELETE FROM entries WHERE mid = ?", (mid,)
        case PutPlace(epoch=epoch, cursor=cursor):
            place = (None, None) if cursor is None else (cursor.epoch, cursor.rev)
            return "UPDATE place SET epoch = ?, cursor_epoch = ?, cursor_rev = ?", (epoch, *place)
        case PutDevice(device=device):
            return "UPDATE place SET device = ?", (device,)
        case PutMid(last_mid=last_mid):
            return "UPDATE place SET last_mid = ?", (last_mid,)
        case PutConn(conn=conn):
            return "UPDATE place SET conn = ?", (conn,)
        case _:
            return _local_statement(write)


def _local_statement(write: LocalWrite) -> tuple[str, tuple[Any, ...]]:
    match write:
        case PutMark(mark=mark):
            return "INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (_text(mark.key), mark.until, mark.over)
        case DropMark(key=key):
            return "DELETE FROM marks WHERE key = ?", (_text(key),)
        case PutMuted(item=item, muted=True):
            return "INSERT OR IGNORE INTO muted VALUES (?)", (item,)
        case PutMuted(item=item):
            return "DELETE FROM muted WHERE id = ?", (item,)
        case PutSkew(skew_ms=skew_ms):
            return "INSERT OR REPLACE INTO meta VALUES ('skew_ms', ?)", (skew_ms,)
        case PutUser(user=user):
            return "INSERT OR REPLACE INTO meta VALUES ('user', ?)", (user,)
        case PutRejection(rejection=rejection):
            return "INSERT OR REPLACE INTO rejections VALUES (?, ?)", (rejection.number, _encode(rejection))
        case DropRejection(number=number):
            return "DELETE FROM rejections WHERE number = ?", (number,)
        case _:
            assert_never(write)


def _text(key: RingKey) -> str:
    return _encode(key).decode()
