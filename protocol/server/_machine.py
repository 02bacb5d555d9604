"""A server connection as one immutable value, and the moves that every rule file shares."""

from msgspec import Struct
from msgspec.structs import replace

from .._errors import Fault
from .._framing import encode
from .._messages import Error, Goodbye, Presence
from .._settings import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from .._timers import ServerTimer, Timers
from .._types import Monotonic, Value, Wall
from ._meter import Meter, full
from ._outputs import CloseTransport, Ignored, Leave, ServerOutput, Transmit
from ._states import AwaitAuth, AwaitHello, Behind, ClassicLive, Draining, Joining, Live, ServerState, Verifying


class Terms(Struct, frozen=True, kw_only=True):
    """What holds for every connection of a server.

    Attributes:
        origins: allowed values of the Origin header; None allows any. A request without one is always allowed.
        query_tokens: whether `?token=` is taken.
    """

    timing: Timing = DEFAULT_TIMING
    limits: Limits = DEFAULT_LIMITS
    origins: frozenset[str] | None = None
    query_tokens: bool = True


class ServerMachine(Struct, frozen=True):
    """The whole of one connection.

    Attributes:
        meter: the client's allowance, None before its first message.
        beats: heartbeat rounds so far.
        presence_after: before this moment no presence message is sent; presence: the one held back.
        unknown: messages of unknown types so far.
        burst: bytes of a snapshot on its way, which a slow peer is given time for.
    """

    state: ServerState
    timers: Timers[ServerTimer]
    terms: Terms
    meter: Meter | None = None
    beats: int = 0
    presence_after: Monotonic = Monotonic(float("-inf"))
    presence: Presence | None = None
    unknown: int = 0
    burst: int = 0


Step = tuple[ServerMachine, list[ServerOutput]]

V1 = (AwaitAuth, Verifying, AwaitHello, Behind, Live)
JOINED = (Joining, Behind, Live, ClassicLive)


def go(m: ServerMachine, state: ServerState, timers: Timers[ServerTimer] | None = None) -> ServerMachine:
    """The same connection in another state."""
    return ServerMachine(
        state,
        m.timers if timers is None else timers,
        m.terms,
        m.meter,
        m.beats,
        m.presence_after,
        m.presence,
        m.unknown,
        m.burst,
    )


def at(now: Monotonic, ms: float) -> Monotonic:
    """The moment `ms` milliseconds after `now`."""
    return Monotonic(now + ms / 1000)


def token_due(m: ServerMachine, expires_at: Wall, wall: Wall, now: Monotonic) -> Monotonic:
    """When a token that expires at `expires_at` stops holding, leeway included (docs/protocol.md#auth-expiry)."""
    return at(now, max(0, expires_at - wall + m.terms.timing.leeway_ms))


def metered(m: ServerMachine, now: Monotonic, ref: int | None = None) -> tuple[ServerMachine, Step | None]:
    """Count one message of the client; a step in place of None when it is one too many (docs/protocol.md#limit-rate)."""
    meter, verdict = (m.meter or full(now, m.terms.limits)).spend(now, m.terms.limits)
    m = replace(m, meter=meter)
    if verdict == "fine":
        return m, None
    if verdict == "abuse":
        return m, close(m, now, 4102, "far too many messages")
    wait = meter.wait_ms(m.terms.limits)
    sentence = f"Too many messages; the next is welcome in {wait} ms."
    return m, (m, [error(Fault("rate_limited", sentence, retryable=True, retry_after_ms=wait), ref)])


def ignore(m: ServerMachine, reason: str) -> Step:
    """Nothing happens, and the trace says why."""
    return m, [Ignored(reason)]


def error(fault: Fault, ref: int | None = None) -> Transmit:
    """A fault as an `error` message."""
    facts: dict[str, int | str] = {}
    for name in ("field", "want", "retry_after_ms"):
        if (value := getattr(fault, name)) is not None:
            facts[name] = value
    if ref is not None:
        facts["ref"] = ref
    message = Error(code=fault.code, message=fault.message, retryable=fault.retryable)
    return Transmit(encode(replace(message, **facts) if facts else message))


def close(
    m: ServerMachine,
    now: Monotonic,
    code: int,
    reason: str,
    *,
    window: tuple[int, int] = (0, 0),
    conn: int | None = None,
) -> Step:
    """End the session: goodbye on v1, close frame, off the hub (docs/protocol.md#close-goodbye)."""
    outputs: list[ServerOutput] = []
    if speaks_v1(m.state):
        goodbye = Goodbye(code=code, reason=reason, min_ms=window[0], max_ms=window[1], conn=conn)
        outputs.append(Transmit(encode(goodbye)))
    outputs.append(CloseTransport(code, reason))
    if isinstance(m.state, JOINED):
        outputs.append(Leave())
    timers = Timers[ServerTimer]().set(ServerTimer.CLOSE_DUE, at(now, m.terms.timing.close_ms))
    return go(m, Draining(code), timers), outputs


def speaks_v1(state: Value) -> bool:
    """Whether the peer of an accepted socket understands `goodbye`."""
    return isinstance(state, V1) or (isinstance(state, Joining) and state.hello is not None)
