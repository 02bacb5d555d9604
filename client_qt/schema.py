"""The local database's form: numbered migrations, forward only. A step once released never changes."""

import sqlite3


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE records (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE aside (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE entries (mid INTEGER PRIMARY KEY, body BLOB NOT NULL)",
        """CREATE TABLE place (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            device TEXT NOT NULL,
            epoch TEXT,
            cursor_epoch TEXT,
            cursor_rev INTEGER,
            last_mid INTEGER NOT NULL DEFAULT 0,
            conn INTEGER NOT NULL DEFAULT 0
        )""",
        # `key` is the JSON of a RingKey: an occurrence is a number for alarms and a word for timers.
        "CREATE TABLE marks (key TEXT PRIMARY KEY, until INTEGER NOT NULL, over INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE muted (id TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE rejections (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    ),
)


def migrate(connection: sqlite3.Connection) -> int:
    """Bring a database to the newest form, each step in its own transaction; returns the form it came from."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(MIGRATIONS[found:], found + 1):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
    return int(found)
