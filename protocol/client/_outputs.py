"""Everything a client asks of its driver: the closed union `ClientOutput`."""

from typing import Literal

from .._clock import ClockEstimate
from .._errors import Fault
from .._facts import Fact
from .._messages import DevicePresence, Result
from .._types import Generation, Handle, Monotonic, SessionId, UserId, Value, Wall


LinkName = Literal["offline", "connecting", "syncing", "live", "polling", "stopped"]


class GetToken(Value, frozen=True):
    """Bring a token, answer `TokenReady` or `TokenFailed`. `fresh`: the one in hand was refused or is about to expire."""

    gen: Generation
    fresh: bool


class OpenTransport(Value, frozen=True):
    """Open a WebSocket offering subprotocol `tocsin.v1`, the token in the Authorization header."""

    gen: Generation
    handle: Handle


class CloseTransport(Value, frozen=True):
    """Close it; what still comes from it is of an old generation."""

    gen: Generation
    code: int
    reason: str


class Transmit(Value, frozen=True):
    """Send this text. `handle`: a token belongs where the handle's text stands; the driver puts it there."""

    gen: Generation
    data: str
    handle: Handle | None = None


class Store(Value, frozen=True):
    """Absorb into the replica and commit, in the order said; answer `Stored(seq)`."""

    seq: int
    fact: Fact


class Poll(Value, frozen=True):
    """Ask the server over HTTP; answer `PollAnswered` or `PollFailed` with this `gen`. Two may be out at once.

    Attributes:
        method, path: relative to the server's base; `path` includes the query.
        body: JSON text of a POST, None for a GET.
        timeout_ms: give up after this long.
    """

    gen: Generation
    handle: Handle
    method: str
    path: str
    body: str | None
    timeout_ms: int


class LinkChanged(Value, frozen=True):
    """What to show of the link.

    Attributes:
        why: for people: what led here.
        retry_at: monotonic time of the next attempt, None when none is planned.
        sign_in: the user must sign in before it can go on well.
    """

    state: LinkName
    why: str = ""
    retry_at: Monotonic | None = None
    sign_in: bool = False


class Welcomed(Value, frozen=True):
    """A session began, for this user: the one that store, outbox and device belong to from now on."""

    user: UserId
    session: SessionId


class Synced(Value, frozen=True):
    """Up to date now, over the socket or by a poll: rings may start from this state."""


class Answered(Value, frozen=True):
    """The server decided one mutation; a rejection is to be shown with both values."""

    result: Result


class PresenceHeard(Value, frozen=True):
    """Which devices of the user are online and how far each has stored."""

    devices: tuple[DevicePresence, ...]


class ClockSampled(Value, frozen=True):
    """A better estimate of the server's clock."""

    clock: ClockEstimate
    round_trip_ms: float


class HeartbeatHeard(Value, frozen=True):
    """The server is alive, at this moment of its clock."""

    t: Wall


class Faulted(Value, frozen=True):
    """The server said something wrong, or said that we did; for the log and the activity list."""

    fault: Fault


class Ignored(Value, frozen=True):
    """An input had no effect, and why: nothing is dropped silently."""

    reason: str


ClientOutput = (
    GetToken | OpenTransport | CloseTransport | Transmit | Store | Poll | LinkChanged | Welcomed | Synced
    | Answered | PresenceHeard | ClockSampled | HeartbeatHeard | Faulted | Ignored
)  # fmt: skip
