"""What travels, both ways: one frozen class per message, validated when decoded; the class sent is the class received.

Unknown fields are ignored, unknown types are counted and ignored (docs/protocol.md#msg-unknown). Item events are
encoded in `_events` (once for all receivers) and decoded by the classes here.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from ._records import Record
from ._types import Cursor, DeviceId, Epoch, ItemId, Mid, Origin, Rev, SessionId, UserId, Wall


class Message(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, repr_omit_defaults=True):
    """Base of everything that travels; the tag is the `type` field."""


class Device(Struct, frozen=True):
    """A device as its owner knows it."""

    id: DeviceId
    name: str = ""


class App(Struct, frozen=True):
    """The program that speaks."""

    name: str = ""
    version: str = ""


# --- client to server -------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True, tag="hello", omit_defaults=False):
    """First message. `conn` is the device's stored attempt counter; `cursor` null asks for a snapshot."""

    device: Device
    conn: int
    app: App = App()
    cursor: Cursor | None = None
    caps: tuple[str, ...] = ()
    token: str | UnsetType = UNSET


class Auth(Message, frozen=True, kw_only=True, tag="auth"):
    """A fresh token for a session that is already open."""

    token: str


class Mutate(Message, frozen=True, kw_only=True, tag="mutate"):
    """A numbered mutation, loosely typed: with a readable `mid` it is never a bad message (docs/protocol.md#msg-mutate).

    `_submission.read` turns it into an `Edit` or a rejection.
    """

    mid: Mid
    epoch: Any = UNSET
    op: Any = UNSET
    kind: Any = UNSET
    id: Any = UNSET
    at: Any = UNSET
    fields: Any = UNSET
    occ: Any = UNSET
    run: Any = UNSET
    due: Any = UNSET
    n: Any = UNSET
    length_ms: Any = UNSET
    moment: Any = UNSET
    ms: Any = UNSET


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """Everything up to here is applied *and stored*."""

    epoch: Epoch
    rev: Rev


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    """Asks for a `pong`; `t0` is the sender's own clock, returned untouched."""

    t0: int | float | UnsetType = UNSET


class Bye(Message, frozen=True, kw_only=True, tag="bye", omit_defaults=False):
    """A clean end, said before the close frame, because close codes do not always arrive."""

    reason: str = ""


class Subscribe(Message, frozen=True, kw_only=True, tag="subscribe"):
    """Classic: add topics (`alarms`, `timers`); the first one starts an explicit set."""

    topics: tuple[str, ...]


class Unsubscribe(Message, frozen=True, kw_only=True, tag="unsubscribe"):
    """Classic: remove topics."""

    topics: tuple[str, ...]


ClientMessage = Hello | Auth | Mutate | Ack | Ping | Bye | Subscribe | Unsubscribe


# --- server to client -------------------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, kw_only=True, tag="welcome", omit_defaults=False):
    """The session is open. Announces every timer and limit, so that a test can shrink them."""

    user: UserId
    session_id: SessionId
    epoch: Epoch
    rev: Rev
    resume: Literal["none", "replay", "snapshot"]
    last_mid: Mid
    server_time: Wall
    timers: dict[str, int]
    limits: dict[str, int]
    caps: tuple[str, ...]
    auth_exp: Wall


class _ItemEvent(Message, frozen=True, kw_only=True):
    """Common to item events. `origin` is null for a change that no device made."""

    rev: Rev
    at: int
    origin: Origin | None = None
    timestamp: str = ""


class AlarmCreated(_ItemEvent, frozen=True, kw_only=True, tag="alarm_created"):
    """A new alarm, whole."""

    data: dict[str, Any]


class TimerCreated(_ItemEvent, frozen=True, kw_only=True, tag="timer_created"):
    """A new timer, whole."""

    data: dict[str, Any]


class AlarmUpdated(_ItemEvent, frozen=True, kw_only=True, tag="alarm_updated"):
    """v1 sends `changed` (assigned, never merged), classic the whole record in `data`."""

    id: ItemId | UnsetType = UNSET
    changed: dict[str, Any] | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET


class TimerUpdated(_ItemEvent, frozen=True, kw_only=True, tag="timer_updated"):
    """As `AlarmUpdated`."""

    id: ItemId | UnsetType = UNSET
    changed: dict[str, Any] | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET


class AlarmDeleted(_ItemEvent, frozen=True, kw_only=True, tag="alarm_deleted"):
    """The alarm is gone for good."""

    id: ItemId


class TimerDeleted(_ItemEvent, frozen=True, kw_only=True, tag="timer_deleted"):
    """The timer is gone for good."""

    id: ItemId


ItemEvent = AlarmCreated | TimerCreated | AlarmUpdated | TimerUpdated | AlarmDeleted | TimerDeleted

SyncReason = Literal["epoch", "trimmed", "ahead", "too_many", "slow", "asked"]


class SyncRequired(Message, frozen=True, kw_only=True, tag="sync_required"):
    """The single "cannot resume" answer; on v1 a `snapshot` follows."""

    reason: SyncReason
    epoch: Epoch
    rev: Rev
    timestamp: str | UnsetType = UNSET


class Snapshot(Message, frozen=True, kw_only=True, tag="snapshot", omit_defaults=False):
    """One part of the whole state, all parts at one rev; applied on `last`.

    `deleted` lists the tombstones, for a cursor of another epoch. Items carry their stamps.
    """

    epoch: Epoch
    rev: Rev
    last_mid: Mid
    part: int
    last: bool
    items: tuple[Record, ...]
    deleted: tuple[ItemId, ...] | UnsetType = UNSET


class Synced(Message, frozen=True, kw_only=True, tag="synced"):
    """Ends every stretch of replay, snapshot or recovery, also an empty one."""

    epoch: Epoch
    rev: Rev


class Result(Message, frozen=True, kw_only=True, tag="result"):
    """The answer to one mutation. A rejected one consumes its `mid` too.

    Attributes:
        rev: of the change made (applied), else the head it was decided at.
        dup: the stored answer of an earlier sending.
        code, message, field: why it was rejected.
    """

    mid: Mid
    status: Literal["applied", "merged", "rejected"]
    rev: Rev
    dup: bool = False
    code: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    field: str | UnsetType = UNSET


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """Still here: round number, server clock, head of the log."""

    n: int
    t: Wall
    rev: Rev


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    """`t1` arrival and `t2` departure on the server's clock, ms."""

    t0: int | float | UnsetType = UNSET
    t1: Wall
    t2: Wall


class AuthOk(Message, frozen=True, kw_only=True, tag="auth_ok"):
    """The renewed token holds until `auth_exp`."""

    auth_exp: Wall


class DevicePresence(Struct, frozen=True):
    """What the server knows of one device of the user.

    Attributes:
        acked_epoch, acked_rev: how far it has stored; null and 0 before its first ack.
        last_seen: ms of the server's clock.
    """

    device_id: DeviceId
    name: str
    online: bool
    acked_epoch: Epoch | None
    acked_rev: Rev
    last_seen: Wall


class Presence(Message, frozen=True, kw_only=True, tag="presence"):
    """All devices of the user; what the armed receipt is made of."""

    devices: tuple[DevicePresence, ...]


class Error(Message, frozen=True, kw_only=True, tag="error", omit_defaults=False):
    """A `Fault` on the wire. `ref` is the `mid` it answers."""

    code: str
    message: str
    retryable: bool = field(default=False)
    field: str | UnsetType = UNSET
    ref: int | UnsetType = UNSET
    want: int | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET


class Goodbye(Message, frozen=True, kw_only=True, tag="goodbye", omit_defaults=False):
    """Said on v1 before every close by the server; wins over the close code.

    Attributes:
        min_ms, max_ms: spread window for the return. conn: for 4005, the winner's counter.
    """

    code: int
    reason: str
    min_ms: int = 0
    max_ms: int = 0
    conn: int | None = None


class Subscribed(Message, frozen=True, kw_only=True, tag="subscribed"):
    """Classic: the topics now in force."""

    topics: tuple[str, ...]


class Unsubscribed(Message, frozen=True, kw_only=True, tag="unsubscribed"):
    """Classic: the topics now in force."""

    topics: tuple[str, ...]


ServerMessage = (
    Welcome
    | AlarmCreated | TimerCreated | AlarmUpdated | TimerUpdated | AlarmDeleted | TimerDeleted
    | SyncRequired | Snapshot | Synced | Result | Heartbeat | Pong | AuthOk | Presence | Error | Goodbye
    | Subscribed | Unsubscribed
)  # fmt: skip
