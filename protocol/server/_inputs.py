"""Everything that can happen to a server's connection: the closed union `ServerInput`.

`wall` is the server's clock when the fact arrived, ms; `now`, which comes beside every input, is monotonic.
"""

from typing import Final, Literal

from .._errors import Fault
from .._log import Account, Page, State
from .._machine import Tick
from .._messages import DevicePresence, Result
from .._types import Epoch, Handle, Kind, Mid, Rev, SessionId, UserId, Value, Wall


Profile = Literal["classic", "v1"]
Via = Literal["nothing", "header", "subprotocol", "query"]


class Requested(Value, frozen=True):
    """A client asks for a socket. Made by `read_request` from the headers.

    Attributes:
        via: where the token came from. handle: stands for it; None exactly when `via` is nothing.
        origin: the Origin header, None where none was sent.
    """

    profile: Profile
    via: Via = "nothing"
    handle: Handle | None = None
    origin: str | None = None


class TokenAccepted(Value, frozen=True):
    """The token behind `handle` holds."""

    handle: Handle
    user: UserId
    session: SessionId
    expires_at: Wall
    wall: Wall


class TokenRejected(Value, frozen=True):
    """It does not, and why."""

    handle: Handle
    why: Literal["expired", "invalid", "revoked", "forbidden"]


class Received(Value, frozen=True):
    """A whole text message."""

    data: str
    wall: Wall


class ReceivedBinary(Value, frozen=True):
    """A whole binary message."""

    data: bytes
    wall: Wall


class Overlong(Value, frozen=True):
    """A message above the frame limit; it was not buffered."""

    size: int


class Malformed(Value, frozen=True):
    """The peer broke RFC 6455; `code` is 1002 or 1007."""

    code: int
    why: str


class Joined(Value, frozen=True):
    """The store and the hub know this connection now; changes are published to it from here on.

    Attributes:
        last_mid: of the device (0 for classic).
    """

    account: Account
    last_mid: Mid
    wall: Wall


class Evicted(Value, frozen=True):
    """The hub ends this connection, or refuses to let it join: a close code, and for 4005 the winner's `conn`."""

    code: int
    reason: str
    conn: int | None = None


SIGNED_OUT: Final = Evicted(4003, "signed out")
"""Its session was signed out (docs/protocol.md#auth-sign-out)."""

CROWDED: Final = Evicted(4104, "too many devices")
"""The user has as many devices as are allowed, and this is another one (docs/protocol.md#limit-devices)."""


class Answered(Value, frozen=True):
    """The store decided a mutation: durable, when it says applied."""

    result: Result


class Declined(Value, frozen=True):
    """The store did not consume the mutation `mid`: wrong epoch or number."""

    mid: Mid
    fault: Fault


class PageRead(Value, frozen=True):
    """Rows of the log after `page.after`."""

    page: Page


class StateRead(Value, frozen=True):
    """The whole state, for a snapshot."""

    state: State


class HeadRead(Value, frozen=True):
    """The head of the user's log, asked for at a heartbeat."""

    account: Account
    wall: Wall


class StoreFailed(Value, frozen=True):
    """The store could not do `what` now. `mid`: of the mutation concerned."""

    what: Literal["join", "apply", "page", "state", "head", "ack"]
    mid: Mid | None = None
    retry_after_ms: int = 1_000


class Publish(Value, frozen=True):
    """A change of this user, encoded once for all its receivers.

    Attributes:
        v1, classic: the event as text. packed: the v1 event deflated, where that pays.
    """

    rev: Rev
    kind: Kind
    v1: str
    classic: str
    packed: bytes | None = None


class Resync(Value, frozen=True):
    """The log has a new epoch, or somebody asks all clients of the user to start afresh (`asked`)."""

    epoch: Epoch
    rev: Rev
    reason: Literal["epoch", "asked"] = "epoch"


class PresenceIs(Value, frozen=True):
    """The devices of this user, newly told."""

    devices: tuple[DevicePresence, ...]


class Heard(Value, frozen=True):
    """Bytes came that make no message yet: a sign of life."""


class Blocked(Value, frozen=True):
    """What was sent last did not leave at once: the peer is not reading."""


class Drained(Value, frozen=True):
    """Everything sent has left."""


class Drain(Value, frozen=True):
    """The server is going down; `sockets` are to be spread over a window."""

    sockets: int


class Closed(Value, frozen=True):
    """The transport is over."""

    code: int
    reason: str = ""


ServerInput = (
    Requested | TokenAccepted | TokenRejected | Received | ReceivedBinary | Overlong | Malformed | Joined | Evicted
    | Answered | Declined | PageRead | StateRead | HeadRead | StoreFailed | Publish | Resync | PresenceIs | Heard | Blocked
    | Drained | Drain | Closed | Tick
)  # fmt: skip
