"""Everything a server's connection asks of its driver: the closed union `ServerOutput`."""

from .._log import Submission
from .._messages import App, Device
from .._types import Cursor, DeviceId, Epoch, Handle, Rev, SessionId, UserId, Value
from ._inputs import Profile


class Accept(Value, frozen=True):
    """Open the socket, agreeing to `subprotocol` (None: to none)."""

    subprotocol: str | None


class Refuse(Value, frozen=True):
    """Answer the HTTP request instead, with this status and an `{"error": {code, message}}` body."""

    status: int
    code: str
    message: str


class VerifyToken(Value, frozen=True):
    """Is the token behind `handle` good? Answer `TokenAccepted` or `TokenRejected`."""

    handle: Handle


class Join(Value, frozen=True):
    """Register with the hub, tell the store what this device has; answer `Joined`, `Evicted` or `StoreFailed`.

    Attributes:
        device: None for classic. conn: its attempt counter; the higher one wins.
        cursor: what it has stored; becomes its `acked`.
    """

    profile: Profile
    user: UserId
    session: SessionId
    device: Device | None = None
    app: App = App()
    conn: int = 0
    cursor: Cursor | None = None
    presence: bool = False


class Leave(Value, frozen=True):
    """This connection is no longer among the user's."""


class Apply(Value, frozen=True):
    """Commit this; answer `Answered` when it is durable, or `StoreFailed`."""

    user: UserId
    device: DeviceId
    submission: Submission


class StoreAck(Value, frozen=True):
    """The device has stored everything up to here."""

    user: UserId
    device: DeviceId
    epoch: Epoch
    rev: Rev


class ReadPage(Value, frozen=True):
    """Read the log; answer `PageRead`."""

    user: UserId
    after: Rev
    limit: int


class ReadState(Value, frozen=True):
    """Read everything at one rev; answer `StateRead`."""

    user: UserId
    device: DeviceId
    with_deleted: bool


class ReadHead(Value, frozen=True):
    """Read the head of the log (many of these are answered by one query); answer `HeadRead`."""

    user: UserId


class RenewEpoch(Value, frozen=True):
    """A device has seen more than we have: take a new epoch unless that happened since `seen`; then answer `Joined`."""

    user: UserId
    seen: Epoch


class Transmit(Value, frozen=True):
    """Send this text."""

    data: str


class TransmitBinary(Value, frozen=True):
    """Send these bytes."""

    data: bytes


class CloseTransport(Value, frozen=True):
    """Send a close frame after all that was sent before."""

    code: int
    reason: str


class AbortTransport(Value, frozen=True):
    """End it now; what waits is lost."""


class Ignored(Value, frozen=True):
    """An input had no effect, and why: nothing is dropped silently."""

    reason: str


ServerOutput = (
    Accept | Refuse | VerifyToken | Join | Leave | Apply | StoreAck | ReadPage | ReadState | ReadHead | RenewEpoch
    | Transmit | TransmitBinary | CloseTransport | AbortTransport | Ignored
)  # fmt: skip
