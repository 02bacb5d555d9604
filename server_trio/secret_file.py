"""The token secret that a server makes for itself and keeps beside its database."""

import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path

from .auth import SHORTEST_SECRET


class SecretUnusable(Exception):
    """The file is there, and must not be used as it is."""


def secret_path(database: Path) -> Path:
    """Where the secret of a database stands."""
    return database.with_name(database.name + ".secret")


def read_or_make_secret(path: Path) -> str:
    """The secret in a file, made where there is none.

    Raises:
        SecretUnusable: others may read it, it is too short, or it cannot be read or made.
    """
    try:
        if not path.exists():
            _make(path)
        _refuse_loose(path)
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnusable(f"{path} cannot be used as the token secret: {error}.") from error
    if len(secret) < SHORTEST_SECRET:
        raise SecretUnusable(f"{path} is shorter than {SHORTEST_SECRET} characters; delete it to get a new secret.")
    return secret


def _make(path: Path) -> None:
    """Make it whole or not at all: written under another name, then given its own unless somebody was faster."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _refuse_loose(path: Path) -> None:
    if sys.platform == "win32":
        return  # its permissions are not in the mode
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SecretUnusable(
            f"{path} may be read by others (mode {mode:03o}), so anyone could make tokens; run: chmod 600 {path}"
        )
