"""A client as one immutable value, and what it remembers between connections."""

from msgspec import Struct

from .._chance import Chance
from .._clock import ClockEstimate
from .._facts import Entry
from .._messages import App
from .._reconnect import History
from .._settings import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from .._timers import ClientTimer, Timers
from .._types import Cursor, DeviceId, Generation, Handle, Mid, Monotonic, UserId, Value
from ._states import Idle, Link, Polled, PollOff, Pushed, PushOff


class Storing(Struct, frozen=True):
    """A `Store` that is not on disk yet: the cursor and the greatest mid that it will have put there."""

    seq: int
    cursor: Cursor | None = None
    mid: Mid = Mid(0)


class Counts(Struct, frozen=True):
    """What happened so far, for the statistics."""

    attempts: int = 0
    sessions: int = 0
    received: int = 0
    events: int = 0
    dropped: int = 0
    unknown: int = 0
    faults: int = 0
    polls: int = 0
    poll_failures: int = 0


class ClientMachine(Value, frozen=True, kw_only=True):
    """The whole of one client.

    Attributes:
        device, name, app, caps: who it says it is. user: whose store this is, None until a welcome says.
        timing, limits: defaults until a welcome announces others.
        state, polled, pushed: where it stands. timers: what is due when.
        gen: the last generation given out. conn: the last attempt's counter.
        token: the one in hand. refused: it must not be used again. sign_in: the user has been asked to sign in.
        cursor: how far the log was read. stored: how far of that is on disk.
        seq: of the last `Store`. storing: those not on disk yet.
        outbox: entries in the order of their mids, as the replica holds them. newest: the greatest mid so far.
        kept: entries up to here are on disk. paused: nothing of the outbox is sent before.
        displaced: numbers that the server knows for something else; their entries wait for another name, until every
            other entry up to `settled_by` has its answer.
        cuts: long polls in a row that something between here and the server has cut.
    """

    device: DeviceId
    name: str = ""
    app: App = App()
    caps: tuple[str, ...] = ()
    user: UserId | None = None
    timing: Timing = DEFAULT_TIMING
    limits: Limits = DEFAULT_LIMITS
    state: Link = Idle()
    polled: Polled = PollOff()
    pushed: Pushed = PushOff()
    timers: Timers[ClientTimer] = Timers[ClientTimer]()
    chance: Chance = Chance()
    clock: ClockEstimate = ClockEstimate()
    gen: Generation = Generation(0)
    conn: int = 0
    token: Handle | None = None
    refused: bool = False
    sign_in: bool = False
    history: History = History()
    cursor: Cursor | None = None
    stored: Cursor | None = None
    seq: int = 0
    storing: tuple[Storing, ...] = ()
    outbox: tuple[Entry, ...] = ()
    newest: Mid = Mid(0)
    kept: Mid = Mid(0)
    displaced: tuple[Mid, ...] = ()
    settled_by: Mid = Mid(0)
    paused: Monotonic = Monotonic(float("-inf"))
    cuts: int = 0
    counts: Counts = Counts()
