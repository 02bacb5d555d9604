"""Everything that can happen to a client: the closed union `ClientInput`.

`gen` is the number of the connection attempt (or of the poll) that the fact belongs to; a fact of another generation
is a no-op that says so.
"""

from .._facts import Entry
from .._machine import Tick
from .._types import Generation, Handle, Value


class Start(Value, frozen=True):
    """The user wants to be connected."""


class Stop(Value, frozen=True):
    """The user does not; only `Start` and `TakeOver` leave the state that follows."""

    reason: str = "asked"


class TokenReady(Value, frozen=True):
    """A token to use from now on, by its handle. `fresh`: it is not the one used before."""

    gen: Generation
    handle: Handle
    fresh: bool = True


class TokenFailed(Value, frozen=True):
    """No token could be had. `rejected`: the sign-in itself is refused; otherwise it may work later."""

    gen: Generation
    rejected: bool
    why: str


class Opened(Value, frozen=True):
    """The transport stands. `subprotocol`: the one the server agreed to, None for none."""

    gen: Generation
    subprotocol: str | None


class Refused(Value, frozen=True):
    """HTTP said no before the socket opened. `code`: the error code in the body when the body is ours."""

    gen: Generation
    status: int
    code: str | None = None
    retry_after_ms: int | None = None


class Unreachable(Value, frozen=True):
    """No transport: name, route, TLS or time."""

    gen: Generation
    why: str


class Received(Value, frozen=True):
    """A whole text message."""

    gen: Generation
    data: str


class ReceivedBinary(Value, frozen=True):
    """A whole binary message (a deflated one, if deflate was agreed)."""

    gen: Generation
    data: bytes


class Heard(Value, frozen=True):
    """Bytes came that make no message yet: a sign of life."""

    gen: Generation


class Lost(Value, frozen=True):
    """The transport is over; 1005 and 1006 where no close frame came."""

    gen: Generation
    code: int
    reason: str = ""


class Submit(Value, frozen=True):
    """The user did something: `entry` was prepared by the replica, numbered by `next_mid`.

    The connection stores it, and sends it in its turn once it is on disk.
    """

    entry: Entry


class Stored(Value, frozen=True):
    """Every `Store` up to `seq` is on disk."""

    seq: int


class Woke(Value, frozen=True):
    """The wall clock jumped against the monotonic one: the device slept, or its clock was set."""


class NetworkChanged(Value, frozen=True):
    """The system says that the network may be back: a hint to try now, never a proof."""


class SyncNow(Value, frozen=True):
    """The user asks to be brought up to date at once."""


class TakeOver(Value, frozen=True):
    """The user wants this connection to win over the newer one that replaced it."""


class PollAnswered(Value, frozen=True):
    """A poll was answered. `body`: the JSON text of a 2xx answer. Server clock samples are inside (`t1`, `t2`)."""

    gen: Generation
    body: str


class PollFailed(Value, frozen=True):
    """A poll failed: HTTP status (0: no answer at all) and our error code, if the body was ours."""

    gen: Generation
    status: int
    code: str | None = None
    retry_after_ms: int | None = None


ClientInput = (
    Start | Stop | Tick | TokenReady | TokenFailed | Opened | Refused | Unreachable | Received | ReceivedBinary | Heard
    | Lost | Submit | Stored | Woke | NetworkChanged | SyncNow | TakeOver | PollAnswered | PollFailed
)  # fmt: skip
