"""Every setting of the server: its name, and what it may be."""

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from protocol import Limits, Timing

from .auth import SHORTEST_SECRET


Read = Callable[[object], Any]
"""Turns a value from a file (typed) or from the environment (a string) into a setting's own.

Raises `ValueError` with what is allowed, as the end of the sentence "… must be".
"""


class Setting(NamedTuple):
    """One setting. Its name is the key in a file; `TOCSIN_` and the name in capitals is the environment variable."""

    name: str
    read: Read
    secret: bool = False


class Database(NamedTuple):
    """Where data is kept: one SQLite file.

    Attributes:
        path: of the file.
    """

    path: Path

    @property
    def shown(self) -> str:
        """Its address, fit for a log."""
        return f"sqlite:///{self.path}"


def whole(low: int, high: int = 2**53) -> Read:
    """A whole number in a range."""
    allowed = f"a whole number, {low} or more" if high == 2**53 else f"a whole number from {low} to {high}"

    def read(value: object) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError(allowed) from None
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise ValueError(allowed)
        return number

    return read


def seconds(value: object) -> float:
    """A length of time."""
    allowed = "a number of seconds, 0 or more"
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(allowed)
    return number


def switch(value: object) -> bool:
    """On or off."""
    words = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
    found = value if isinstance(value, bool) else words.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("on or off")
    return found


def text(value: object) -> str:
    """Any string but an empty one."""
    if not isinstance(value, str) or not value:
        raise ValueError("a string that is not empty")
    return value


def level(value: object) -> str:
    """How much is logged."""
    levels = ("debug", "info", "warning", "error")
    if not isinstance(value, str) or value.lower() not in levels:
        raise ValueError(f"one of {', '.join(levels)}")
    return value.lower()


def origins(value: object) -> frozenset[str] | None:
    """Origins as browsers send them (RFC 6454 section 7): scheme and host, no path. `*` is None: all of them."""
    if value == "*":
        return None
    items = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("* or a list of origins, in an environment variable with commas between")
    found = frozenset(item for item in items if item)
    if any(item != "null" and not _is_origin(item) for item in found):
        raise ValueError("origins such as https://alarms.example, without a path")
    return found


def _is_origin(item: str) -> bool:
    scheme, separator, host = item.partition("://")
    return bool(scheme and separator and host) and not set(host) & set("/ ?#")


def token_secret(value: object) -> str:
    """Key material for tokens."""
    if not isinstance(value, str) or len(value.encode()) < SHORTEST_SECRET:
        raise ValueError(f"a string of at least {SHORTEST_SECRET} bytes, better random than remembered")
    return value


def existing_file(value: object) -> Path:
    """A file that is there."""
    path = Path(text(value)).expanduser()
    if not path.is_file():
        raise ValueError("the path of a file that is there")
    return path


def database(value: object) -> Database:
    """An address of a database. Three slashes: a relative path; four: an absolute one."""
    scheme, separator, path = value.partition(":///") if isinstance(value, str) else ("", "", "")
    if scheme != "sqlite" or not separator or not path:
        raise ValueError("sqlite:///tocsin.db (a relative path) or sqlite:////srv/tocsin.db (an absolute one)")
    return Database(Path(path).expanduser())


def data_folder(environ: Mapping[str, str]) -> Path:
    """Where data is kept when nobody says where.

    The folder a service manager gives (`STATE_DIRECTORY`, systemd.exec(5)), else the one of the user: XDG Base
    Directory on Linux, and what is usual on macOS and Windows.
    """
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":", maxsplit=1)[0])
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "Tocsin" / "server"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Tocsin" / "server"
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tocsin" / "server"


def default_database(environ: Mapping[str, str]) -> Database:
    """The SQLite file in the data folder."""
    return Database(data_folder(environ) / "tocsin.db")


OWN = (
    Setting("host", text),
    Setting("port", whole(0, 65_535)),
    Setting("database", database),
    Setting("jwt_secret", token_secret, secret=True),
    Setting("jwt_old_secret", token_secret, secret=True),
    Setting("token_s", whole(1)),
    Setting("refresh_s", whole(1)),
    Setting("allowed_origins", origins),
    Setting("query_tokens", switch),
    Setting("tls_certificate", existing_file),
    Setting("tls_key", existing_file),
    Setting("log_level", level),
    Setting("max_body", whole(1_024)),
    Setting("max_sockets", whole(1)),
    Setting("max_sockets_per_address", whole(1)),
    Setting("backlog", whole(1)),
    Setting("opening_timeout", seconds),
    Setting("answer_timeout", seconds),
    Setting("keep_alive", seconds),
    Setting("progress_timeout", seconds),
    Setting("closing_timeout", seconds),
    Setting("grace", seconds),
)
"""Settings that are not of the protocol; `Config` says what each one means."""

LIMIT_NAMES = {
    "frame": "max_frame",
    "opening_frame": "max_opening_frame",
    "record": "max_record",
    "label": "max_label",
    "extra": "max_extra",
    "items": "max_items",
    "devices": "max_devices",
    "sockets": "max_sockets_per_user",
    "batch": "max_batch",
    "inflate": "max_inflate",
    "results": "kept_results",
}
"""Limits whose bare name would say too little beside the settings above; the others keep theirs."""


def limit_name(field: str) -> str:
    """The setting of a field of `Limits`."""
    return LIMIT_NAMES.get(field, field)


_MAY_BE_ZERO = {"leeway_ms", "renew_ms", "settle_ms", "backoff_floor_ms", "drain_per_socket_ms", "drain_min_ms"}

TIMINGS = tuple(Setting(name, whole(0 if name in _MAY_BE_ZERO else 1)) for name in Timing.__struct_fields__)
LIMITS = tuple(Setting(limit_name(name), whole(1)) for name in Limits.__struct_fields__)

SETTINGS: dict[str, Setting] = {setting.name: setting for setting in (*OWN, *TIMINGS, *LIMITS)}

ORDERED = (
    ("heartbeat_ms", "silence_ms"),
    ("ping_ms", "liveness_ms"),
    ("backoff_floor_ms", "backoff_base_ms"),
    ("backoff_base_ms", "backoff_cap_ms"),
    ("drain_min_ms", "drain_max_ms"),
    ("max_opening_frame", "max_frame"),
    ("max_record", "max_frame"),
    ("max_extra", "max_record"),
    ("snapshot_part", "max_inflate"),
)
"""Pairs of which the first may not be above the second."""
