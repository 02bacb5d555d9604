"""Where a server's connection can stand: one frozen class per state, holding only what is true there."""

from .._messages import Hello, SyncReason
from .._types import DeviceId, Epoch, Handle, Rev, SessionId, UserId, Value, Wall
from ._inputs import Profile, Received, Via


class New(Value, frozen=True):
    """Nothing has been asked yet."""


class Handshake(Value, frozen=True):
    """The HTTP request waits for the verdict on its token."""

    profile: Profile
    via: Via
    handle: Handle


class AwaitAuth(Value, frozen=True):
    """The socket is open; hello must bring the token."""


class Verifying(Value, frozen=True):
    """Hello came and its token waits for a verdict."""

    hello: Hello
    handle: Handle


class Login(Value, frozen=True):
    """Who is behind a connection, and until when."""

    user: UserId
    session: SessionId
    expires_at: Wall

    def __repr__(self) -> str:
        return str(self.user)


class AwaitHello(Value, frozen=True):
    """The token holds; hello is due."""

    login: Login


class Joining(Value, frozen=True):
    """The hub and the store are being told; `hello` is None for classic.

    Attributes:
        ahead: the cursor was above our head, so a new epoch was asked for.
        goal: the newest change published meanwhile.
        said: what a classic client has said already; it may speak as soon as its socket is open.
    """

    login: Login
    hello: Hello | None
    ahead: bool = False
    goal: Rev = Rev(0)
    said: tuple[Received, ...] = ()


class Peer(Value, frozen=True):
    """What is known of a v1 client from its hello on.

    Attributes:
        deflate, presence: capabilities agreed.
        unanswered: mutations at the store. expecting: after `out_of_order`, the number waited for.
    """

    login: Login
    device: DeviceId
    epoch: Epoch
    deflate: bool
    presence: bool
    unanswered: int = 0
    expecting: int | None = None

    def __repr__(self) -> str:
        waits = f" {self.unanswered} unanswered" if self.unanswered else ""
        gap = f" expecting {self.expecting}" if self.expecting is not None else ""
        return f"{self.login.user}/{self.device}{waits}{gap}"


class Behind(Value, frozen=True):
    """Catching up: replay after a resume and recovery of a slow reader are this one state.

    Attributes:
        sent: the last rev sent. goal: the head as far as we know.
        reading: what the store was asked for (`page`, `state`), or `nothing` while the peer does not read.
        blocked: the peer is not reading.
        late: a heartbeat has passed since the store was asked.
    """

    peer: Peer
    sent: Rev
    goal: Rev
    reading: str
    blocked: bool = False
    late: bool = False


class Live(Value, frozen=True):
    """Changes go out as they are published.

    Attributes:
        sent: the last rev sent. blocked: the peer is not reading.
        held: events kept meanwhile (text or deflated), in order after `sent`; held_bytes: their size.
    """

    peer: Peer
    sent: Rev
    blocked: bool = False
    held: tuple[str | bytes, ...] = ()
    held_bytes: int = 0


class ClassicLive(Value, frozen=True):
    """A classic client: it may never speak.

    Attributes:
        rev: the last change published to it. topics: None until the first subscribe: everything.
        held: events kept while it does not read. missed: some were dropped, and why; `sync_required` follows.
    """

    login: Login
    epoch: Epoch
    rev: Rev
    topics: frozenset[str] | None = None
    blocked: bool = False
    held: tuple[str, ...] = ()
    held_bytes: int = 0
    missed: SyncReason | None = None


class Draining(Value, frozen=True):
    """Goodbye and close frame are sent; waiting for the transport to end."""

    code: int


class Gone(Value, frozen=True):
    """The transport is over. `code`: as it ended; 0 when the request was refused."""

    code: int


ServerState = (
    New | Handshake | AwaitAuth | Verifying | AwaitHello | Joining | Behind | Live | ClassicLive | Draining | Gone
)
