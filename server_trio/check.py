"""Is everything as it should be? Looked at from outside, also while a server runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from .sqlite_file import connect, migrations, pending_from, unusable


_RULES = {
    "has a log with gaps, or rows outside of it": """
        SELECT account.user FROM account LEFT JOIN change ON change.user = account.user GROUP BY account.user
        HAVING count(change.rev) <> account.rev - account.floor
            OR min(change.rev) <> account.floor + 1 OR max(change.rev) <> account.rev""",
    "has a log without a head": """
        SELECT DISTINCT user FROM change WHERE user NOT IN (SELECT user FROM account)""",
    "counts its records wrongly": """
        SELECT account.user FROM account LEFT JOIN item ON item.user = account.user GROUP BY account.user
        HAVING count(item.body) <> account.items""",
    "has a row or a record that is not JSON": """
        SELECT user FROM change WHERE NOT json_valid(body)
        UNION SELECT user FROM item WHERE body IS NOT NULL AND NOT json_valid(body)""",
}
"""What every user's rows must not be found to do, and the query that finds whose do."""


def findings(path: Path) -> list[str]:
    """Everything that is wrong with a database file, a sentence each; nothing is changed.

    Raises:
        StoreUnusable: it cannot be opened, is not ours, or is newer than this program.
    """
    with closing(connect(path, read_only=True)) as connection:
        try:
            return list(_findings(connection, path))
        except sqlite3.DatabaseError as error:
            raise unusable(path, error) from error


def _findings(connection: sqlite3.Connection, path: Path) -> Iterator[str]:
    version, newest = pending_from(connection, path), migrations()[-1].number
    if version < newest:
        yield f"The schema is {version}, the newest is {newest}; run `python -m server_trio migrate`."
        return
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"The file is damaged: {line}; restore a backup, then run `python -m server_trio restored`."
    # All rules are asked about one moment.
    connection.execute("BEGIN")
    for what, query in _RULES.items():
        for (user,) in connection.execute(query):
            yield f"User {user!r} {what}."
