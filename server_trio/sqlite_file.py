"""The database file: opening it safely, its numbered migrations, and the lock that keeps a second server out."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from secrets import token_hex
from typing import IO, NamedTuple

from .store import StoreUnavailable, StoreUnusable


APPLICATION_ID = 0x746F6373
"""Spells `tocs`; tells our files from anybody else's (SQLite file format, offset 68)."""

OLDEST_SQLITE = (3, 37)
"""The first with STRICT tables."""

BUSY_SECONDS = 5.0
"""How long a statement waits for another process (a backup, `user add`) before it gives up."""

_SETTINGS = (
    ("journal_mode", "WAL"),
    # FULL syncs the log at every commit: an answer that says "applied" survives a power cut.
    ("synchronous", "FULL"),
    # In pages. Four times the default: under load most pages are written again before it is reached.
    ("wal_autocheckpoint", "4000"),
)

_LASTING = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


class Migration(NamedTuple):
    """One numbered step of the schema."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """All steps, in order, numbered from 1."""
    folder = files("server_trio") / "schema" / "sqlite"
    found = [
        Migration(int(entry.name.partition("_")[0]), entry.name, entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with our settings; transactions are begun and ended by hand.

    Raises:
        StoreUnusable: there is no such folder, or the file is not a database.
    """
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        for name, value in _SETTINGS:
            connection.execute(f"PRAGMA {name} = {value}")
        connection.execute(f"PRAGMA query_only = {int(read_only)}")
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    return connection


def migrate(path: Path) -> list[str]:
    """Bring a file to the newest schema, making it where there is none; returns the names of the steps taken.

    Raises:
        StoreUnusable: it is not ours, is newer than this program, or is damaged.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreUnusable(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or newer is needed.")
    _make_private(path)
    connection = connect(path)
    try:
        with transaction(connection):
            return _migrate(connection, path)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    finally:
        connection.close()


def _make_private(path: Path) -> None:
    """Make the file for its owner alone: it holds password hashes. SQLite gives its side files the same mode."""
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise StoreUnusable(
            f"{path} cannot be written ({error.strerror}); does its folder exist, and may this user write there?"
        ) from error


def _migrate(connection: sqlite3.Connection, path: Path) -> list[str]:
    version = pending_from(connection, path)
    steps = [step for step in migrations() if step.number > version]
    for step in steps:
        for statement in _statements(step.sql):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {step.number}")
    if version == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("INSERT INTO fact VALUES ('epoch', ?)", (token_hex(8),))
    return [step.name for step in steps]


def pending_from(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's number in this file, 0 for an empty one.

    Raises:
        StoreUnusable: it is not ours, or newer than this program.
    """
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or tables):
        raise StoreUnusable(f"{path} belongs to another program; name another file with --database.")
    newest = migrations()[-1].number
    if version > newest:
        raise StoreUnusable(
            f"{path} has schema {version}, but this program knows only up to {newest}; run the newer version again."
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """Split a script: `executescript` would end the transaction that makes a migration all or nothing."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A writing transaction: takes the file's write lock at once, so that it cannot fail to get it halfway."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: sqlite3.Connection) -> None:
    """End a failed transaction, which SQLite may have done already."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """What a running server tells about a failed statement."""
    # The extended code keeps the primary one in its low byte.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return StoreUnavailable(f"The database cannot do this now: {error}.", retryable=code not in _LASTING)


def unusable(path: Path, error: sqlite3.Error) -> StoreUnusable:
    """What is told when a file cannot even be opened."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return StoreUnusable(f"{path} is not an SQLite database; name another file with --database.")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreUnusable(
            f"{path} is damaged ({error}); restore a backup, then run `python -m server_trio restored`."
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreUnusable(f"{path} cannot be opened; does its folder exist, and may this user write there?")
    return StoreUnusable(f"{path} cannot be used: {error}.")


class FileLock:
    """Held by the one server of a file, and released by the operating system however that server ends.

    It stands beside the database: a lock on the file itself would meet SQLite's own.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take it.

        Raises:
            StoreUnusable: another server has it, or the folder cannot be written.
        """
        try:
            file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise StoreUnusable(f"{self._path} cannot be opened: {error.strerror}.") from error
        try:
            _lock(file)
        except OSError:
            file.close()
            raise StoreUnusable(
                f"Another server has {self._path.with_suffix('').name} open; stop it, or name another file with --database."
            ) from None
        self._file = file

    def release(self) -> None:
        """Let go. The file stays: removing it could take away the lock of a server that starts just now."""
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
