"""The glossary: every scalar that has a meaning has a name here.

Three clocks that must never meet in one expression have three types: `Monotonic` (heartbeat, backoff),
`Wall` (when it rings) and `Rev` (order of changes). A fourth, the device's own operating-system clock, never
enters the core except as a sample against `Wall` (see `_clock`).
"""

from collections.abc import Callable
from datetime import tzinfo
from typing import Literal, NewType

from msgspec import Struct


Monotonic = NewType("Monotonic", float)
"""Seconds of a clock that never steps; only differences mean anything."""

Wall = NewType("Wall", int)
"""Milliseconds since the Unix epoch, on the *server's* clock."""

Rev = NewType("Rev", int)
"""Place of a change in its user's log: 1, 2, 3 … without gaps; 0 before the first."""

Epoch = NewType("Epoch", str)
"""Name of one unbroken history of a user's log; a restore takes a new one."""

UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)
DeviceId = NewType("DeviceId", str)
ItemId = NewType("ItemId", str)
RunId = NewType("RunId", str)
"""One run of a timer, named by the device that started it."""

Mid = NewType("Mid", int)
"""Number of a mutation on its device: 1, 2, 3 …"""

Handle = NewType("Handle", str)
"""Stands for a token inside the core, which never sees the token itself."""

Generation = NewType("Generation", int)
"""Number of a connection attempt; a result of another generation is a no-op."""

Kind = Literal["alarm", "timer"]
Day = Literal["mo", "tu", "we", "th", "fr", "sa", "su"]
DAYS: tuple[Day, ...] = ("mo", "tu", "we", "th", "fr", "sa", "su")
Phase = Literal["idle", "running", "paused"]

Zones = Callable[[str], tzinfo | None]
"""Looks up an IANA zone; injected, since zone data lives in files. None: there is no such zone."""


class Value(Struct, frozen=True, repr_omit_defaults=True, tag_field="is", tag=True):
    """Base of inputs, outputs and states: immutable, comparable, printed on one line, traceable as JSON."""


class Cursor(Struct, frozen=True):
    """How far a replica has read.

    Attributes:
        epoch: the history the number belongs to.
        rev: the last change applied; 0 is valid.
    """

    epoch: Epoch
    rev: Rev


class Origin(Struct, frozen=True):
    """Which device made a change, by which of its mutations."""

    device_id: DeviceId
    mid: Mid


class Stamp(Struct, frozen=True, array_like=True, order=True):
    """When, by whom: the greater one wins a field (docs/protocol.md#stamp-order).

    Device identifiers compare by code point, which for UTF-8 is the order of their bytes.
    """

    at: int
    device: str
    mid: int


NEVER = Stamp(-1, "", 0)
"""The stamp of a field that nobody has set."""
