"""Programs of this project as processes of their own, for tests that must not share an interpreter with them."""

import os
import sys
from pathlib import Path

from protocol import SessionId, UserId
from server_trio.auth import Tokens


ROOT = Path(__file__).resolve().parents[1]
SECRET = "a secret of the tests, long enough for HS256"
ITEMS = "/api/alarms-timers"
WS = f"{ITEMS}/ws"


def serve(database: Path) -> list[str]:
    """The command that runs a server on a free port, which its first line names."""
    options = ["--host", "127.0.0.1", "--port", "0", "--json", "--database", f"sqlite:///{database}"]
    return [sys.executable, "-m", "server_trio", "serve", *options]


def environ(**settings: object) -> dict[str, str]:
    """An environment in which only `settings` configure a server."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    clean.pop("STATE_DIRECTORY", None)
    clean |= {"PYTHONPATH": str(ROOT), "TOCSIN_JWT_SECRET": SECRET}
    return clean | {f"TOCSIN_{name.upper()}": str(value) for name, value in settings.items()}


def compiled_in(folder: Path, environ: dict[str, str]) -> dict[str, str]:
    """The same with compiled modules kept in `folder`.

    Whoever starts a program fifty times does not want it compiled fifty times, whatever the tests' own setting is.
    """
    rest = {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return rest | {"PYTHONPYCACHEPREFIX": str(folder)}


def token(user: str, ttl: int = 3_600) -> str:
    """A token that such a server takes."""
    return Tokens(SECRET).issue(UserId(user), SessionId("tests"), ttl)
