"""What a client learned or did, in the words its replica and its database absorb: the closed union `Fact`.

The connection decides that something is true and says `Store(seq, fact)`; `_replica.absorb` turns the fact into a new
replica and database writes; the driver commits those and answers `Stored(seq)`.
"""

from msgspec import UNSET, Struct, UnsetType

from ._edits import Edit
from ._messages import ItemEvent, Result
from ._records import Record
from ._types import Cursor, DeviceId, Epoch, ItemId, Mid, Rev


class Entry(Struct, frozen=True, repr_omit_defaults=True):
    """One waiting mutation.

    Attributes:
        answered: place in the log of its `applied` or `merged` answer, None while unanswered.
        contained: the server state here is of a time at which this number was used up: shown no more, but its answer is
            still waited for, because a copy of this store may have used the number for something else.
    """

    mid: Mid
    edit: Edit
    answered: Cursor | None = None
    contained: bool = False


class _Fact(Struct, frozen=True, tag_field="fact", tag=True):
    pass


class EventsHeard(_Fact, frozen=True):
    """Events in order, without a gap after the replica's cursor; `cursor` is the last one's place."""

    events: tuple[ItemEvent, ...]
    cursor: Cursor


class SnapshotHeard(_Fact, frozen=True):
    """The whole server state at one rev; `deleted` is sent where the replica's cursor was of another epoch."""

    epoch: Epoch
    rev: Rev
    last_mid: Mid
    items: tuple[Record, ...]
    deleted: tuple[ItemId, ...] | UnsetType = UNSET


class ResultHeard(_Fact, frozen=True):
    """The answer to one mutation of this device.

    Attributes:
        epoch: the history its `rev` belongs to: that of the connection's last `welcome`, `sync_required` or `snapshot`,
            or of the HTTP answer. It may come before the first snapshot of that history.
    """

    result: Result
    epoch: Epoch


class Edited(_Fact, frozen=True):
    """The user did something; it waits in the outbox from now on."""

    entry: Entry


class Renamed(_Fact, frozen=True):
    """This store turned out to be a copy: a new device identifier; entries without an answer count from 1 again."""

    device: DeviceId


class Dialled(_Fact, frozen=True):
    """A connection attempt used the counter `conn`; stored before it is sent."""

    conn: int


class CursorDropped(_Fact, frozen=True):
    """The next session asks for a snapshot."""


Fact = EventsHeard | SnapshotHeard | ResultHeard | Edited | Renamed | Dialled | CursorDropped
