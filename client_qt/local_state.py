"""What a device keeps for itself beside its replica: never synced, but as durable (docs/protocol.md#ring-stop-local).

`LocalWrite` is to these what `protocol.Write` is to the replica; both are committed by the same writer, in order.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from protocol import ItemId, UserId, Wall


class RingKey(NamedTuple):
    """Names one ring of one record: a device rings at most once for each."""

    item: ItemId
    occ: int | str
    n: int
    since: Wall


class Mark(Struct, frozen=True):
    """That a ring began here.

    Attributes:
        until: end of its window. over: it ended here, whatever the records say later.
    """

    key: RingKey
    until: Wall
    over: bool = False


class Rejection(Struct, frozen=True, repr_omit_defaults=True):
    """A change that the server refused, with both values, until the user has seen it.

    Attributes:
        number: counts rejections on this device.
        at: when the change was made, ms of the server's clock.
        wanted: fields as the user set them; empty for a command without fields.
        kept: the same fields as the server has them.
    """

    number: int
    item: ItemId
    label: str
    op: str
    at: int
    code: str
    message: str
    field: str | None = None
    wanted: dict[str, object] = msgspec.field(default_factory=dict)
    kept: dict[str, object] = msgspec.field(default_factory=dict)


class _LocalWrite(Struct, frozen=True):
    pass


class PutMark(_LocalWrite, frozen=True):
    """Insert or replace a mark, by its key."""

    mark: Mark


class DropMark(_LocalWrite, frozen=True):
    """Delete a mark."""

    key: RingKey


class PutMuted(_LocalWrite, frozen=True):
    """Whether an item stays silent on this device."""

    item: ItemId
    muted: bool


class PutSkew(_LocalWrite, frozen=True):
    """Server clock minus system clock, ms."""

    skew_ms: int


class PutUser(_LocalWrite, frozen=True):
    """Whose store this is, as the server names the user."""

    user: UserId


class PutRejection(_LocalWrite, frozen=True):
    """Insert a rejection."""

    rejection: Rejection


class DropRejection(_LocalWrite, frozen=True):
    """The user has seen it."""

    number: int


LocalWrite = PutMark | DropMark | PutMuted | PutSkew | PutUser | PutRejection | DropRejection


class LocalState(Struct, frozen=True):
    """All of it, as loaded."""

    marks: Mapping[RingKey, Mark] = msgspec.field(default_factory=dict[RingKey, Mark])
    muted: frozenset[ItemId] = frozenset()
    skew_ms: int = 0
    user: UserId | None = None
    rejections: tuple[Rejection, ...] = ()
