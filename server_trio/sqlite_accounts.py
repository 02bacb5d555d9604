"""Sign-ins in the database: plain functions over a connection, each inside the transaction of its caller."""

import sqlite3

from protocol import SessionId, UserId, Wall

from .store import Login, Reused, Rotated


def add_user(connection: sqlite3.Connection, name: str, password_hash: str, now: Wall) -> bool:
    """See `AccountStore.add_user`."""
    return _one_changed(connection, "INSERT OR IGNORE INTO login VALUES (?, ?, ?)", name, password_hash, now)


def set_password(connection: sqlite3.Connection, name: str, password_hash: str) -> bool:
    """See `AccountStore.set_password`."""
    return _one_changed(connection, "UPDATE login SET password = ? WHERE name = ?", password_hash, name)


def password_of(connection: sqlite3.Connection, name: str) -> str | None:
    """See `AccountStore.password_of`."""
    row = connection.execute("SELECT password FROM login WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def logins(connection: sqlite3.Connection) -> tuple[Login, ...]:
    """See `AccountStore.logins`."""
    rows = connection.execute("SELECT name, made_ms FROM login ORDER BY name")
    return tuple(Login(name, Wall(made)) for name, made in rows)


def open_session(
    connection: sqlite3.Connection, session: SessionId, user: UserId, refresh_hash: str, ends: Wall
) -> None:
    """See `AccountStore.open_session`."""
    connection.execute("INSERT INTO session VALUES (?, ?, ?, NULL)", (session, user, ends))
    connection.execute("INSERT INTO refresh VALUES (?, ?, ?, NULL)", (refresh_hash, session, ends))


def rotate(
    connection: sqlite3.Connection, refresh_hash: str, next_hash: str, ends: Wall, now: Wall
) -> Rotated | Reused | None:
    """See `AccountStore.rotate`. A copy reveals itself by its second use (RFC 9700 section 4.14.2)."""
    row = connection.execute(
        "SELECT session.id, user, refresh.ends_ms, used_ms FROM refresh JOIN session ON session.id = session"
        " WHERE hash = ? AND revoked_ms IS NULL",
        (refresh_hash,),
    ).fetchone()
    if row is None or row[2] <= now:
        return None
    session, user, _, used = row
    if used is not None:
        connection.execute("UPDATE session SET revoked_ms = ? WHERE id = ?", (now, session))
        return Reused(SessionId(session))
    connection.execute("UPDATE refresh SET used_ms = ? WHERE hash = ?", (now, refresh_hash))
    connection.execute("INSERT INTO refresh VALUES (?, ?, ?, NULL)", (next_hash, session, ends))
    connection.execute("UPDATE session SET ends_ms = max(ends_ms, ?) WHERE id = ?", (ends, session))
    return Rotated(UserId(user), SessionId(session))


def revoke_session(connection: sqlite3.Connection, session: SessionId, user: UserId, ends: Wall, now: Wall) -> None:
    """See `AccountStore.revoke_session`."""
    connection.execute(
        "INSERT INTO session VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " revoked_ms = ifnull(revoked_ms, excluded.revoked_ms), ends_ms = max(ends_ms, excluded.ends_ms)",
        (session, user, ends, now),
    )


def revoked_sessions(connection: sqlite3.Connection) -> set[SessionId]:
    """All sessions known to be over."""
    return {SessionId(row[0]) for row in connection.execute("SELECT id FROM session WHERE revoked_ms IS NOT NULL")}


def forget_sessions(connection: sqlite3.Connection, ended_before: Wall, limit: int) -> tuple[int, set[SessionId]]:
    """See `AccountStore.forget_sessions`; also returns which sessions went."""
    gone = connection.execute(
        "DELETE FROM refresh WHERE hash IN (SELECT hash FROM refresh WHERE ends_ms < ? LIMIT ?)", (ended_before, limit)
    )
    sessions = connection.execute(
        "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE ends_ms < ? LIMIT ?) RETURNING id",
        (ended_before, limit),
    )
    ids = {SessionId(row[0]) for row in sessions}
    return gone.rowcount + len(ids), ids


def _one_changed(connection: sqlite3.Connection, statement: str, *values: object) -> bool:
    return connection.execute(statement, values).rowcount == 1
