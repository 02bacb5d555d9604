"""What a client's database does to hold a replica: the closed union `Write`.

A database has four tables (records by id, records aside by id, entries by mid, one row of the rest) and decides
nothing: each write is one statement.
"""

from msgspec import Struct

from ._facts import Entry
from ._records import Record
from ._types import Cursor, DeviceId, Epoch, ItemId, Mid


class _Write(Struct, frozen=True, repr_omit_defaults=True, tag_field="write", tag=True):
    pass


class PutRecord(_Write, frozen=True):
    """Insert or replace a record of the server's, by its `id`."""

    record: Record


class DropRecord(_Write, frozen=True):
    """Delete a record of the server's."""

    id: ItemId


class PutAside(_Write, frozen=True):
    """Insert or replace a record kept aside, by its `id`."""

    record: Record


class DropAside(_Write, frozen=True):
    """Delete a record kept aside."""

    id: ItemId


class PutEntry(_Write, frozen=True):
    """Insert or replace a waiting mutation, by its `mid`."""

    entry: Entry


class DropEntry(_Write, frozen=True):
    """Delete a waiting mutation."""

    mid: Mid


class PutPlace(_Write, frozen=True):
    """Which history the records come from, and how far it was read; the cursor alone may be None."""

    epoch: Epoch | None
    cursor: Cursor | None


class PutDevice(_Write, frozen=True):
    """The name to send under."""

    device: DeviceId


class PutMid(_Write, frozen=True):
    """The greatest number used so far."""

    last_mid: Mid


class PutConn(_Write, frozen=True):
    """The last connection attempt's counter."""

    conn: int


Write = (
    PutRecord | DropRecord | PutAside | DropAside | PutEntry | DropEntry | PutPlace | PutDevice | PutMid | PutConn
)  # fmt: skip
