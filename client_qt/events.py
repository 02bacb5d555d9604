"""What the engine tells, in the order it happens: the closed union `Event`; and `Snapshot`, how all of it stands."""

from collections.abc import Mapping

from msgspec import Struct

from protocol import DeviceId, DevicePresence, Epoch, ItemId, Record, Result, Wall

from .local_state import Rejection
from .ringing import Sounding, Why
from .sync_manager import Status


class _Event(Struct, frozen=True, repr_omit_defaults=True):
    pass


class Snapshot(Struct, frozen=True):
    """Everything there is to show.

    Attributes:
        epoch: the history of the server that this copy follows; None before the first sync.
        records: as the user should see them, waiting changes included. waiting: those with such changes.
        aside: records that the server's new history lacks. muted: items that stay silent on this device.
        sounding: what rings here. devices: what the server last told of the user's devices.
    """

    device: DeviceId
    epoch: Epoch | None
    status: Status
    records: Mapping[ItemId, Record]
    waiting: frozenset[ItemId]
    aside: frozenset[ItemId]
    muted: frozenset[ItemId]
    sounding: tuple[Sounding, ...]
    rejections: tuple[Rejection, ...]
    devices: tuple[DevicePresence, ...]


class StatusChanged(_Event, frozen=True):
    """The link or the data axis moved."""

    status: Status


class Changed(_Event, frozen=True):
    """A record is new or different, as shown."""

    record: Record


class Deleted(_Event, frozen=True):
    """A record is shown no more."""

    item: ItemId


class RingBegan(_Event, frozen=True):
    """A ring is to be heard.

    Attributes:
        at: the estimate of the server's clock. local_ns: the system's clock.
    """

    sounding: Sounding
    at: Wall
    local_ns: int


class RingEnded(_Event, frozen=True):
    """A ring is to be heard no more.

    Attributes:
        by: the device behind it, None where it was time alone. here: whether that is this device.
    """

    sounding: Sounding
    why: Why
    by: DeviceId | None
    here: bool
    local_ns: int


class Answered(_Event, frozen=True):
    """The server decided a change of this device."""

    result: Result


class Rejected(_Event, frozen=True):
    """It refused one."""

    rejection: Rejection


class InStep(_Event, frozen=True):
    """Up to date at this moment."""


class PresenceSeen(_Event, frozen=True):
    """The user's devices, newly told."""

    devices: tuple[DevicePresence, ...]


class Problem(_Event, frozen=True):
    """Something that the user should know; the engine goes on."""

    code: str
    message: str


class Done(_Event, frozen=True):
    """A command was done and what it changed is on disk. `items`: those it concerned."""

    ref: int
    items: tuple[ItemId, ...] = ()


class Failed(_Event, frozen=True):
    """A command could not be done."""

    ref: int
    code: str
    message: str
    field: str | None = None


Event = (
    StatusChanged | Changed | Deleted | RingBegan | RingEnded | Answered | Rejected | InStep | PresenceSeen | Problem
    | Done | Failed
)  # fmt: skip
