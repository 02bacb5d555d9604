"""How sessions end: one rule for each cause, one goodbye for all (docs/protocol.md#close-goodbye)."""

from .._timers import Timers
from .._types import Monotonic, Value
from ._inputs import Closed, Drain, Evicted, Malformed, Overlong, StoreFailed
from ._machine import JOINED, ServerMachine, Step, close, go, ignore, speaks_v1
from ._outputs import AbortTransport, Leave, ServerOutput
from ._states import Draining, Gone


def drain(m: ServerMachine, i: Drain, now: Monotonic) -> Step:
    """Going down: clients come back spread over a window (docs/protocol.md#life-drain)."""
    timing = m.terms.timing
    widest = min(max(timing.drain_per_socket_ms * i.sockets, timing.drain_min_ms), timing.drain_max_ms)
    if speaks_v1(m.state):
        return close(m, now, 4200, "the server restarts", window=(0, widest))
    return close(m, now, 1012, "the server restarts")


def evicted(m: ServerMachine, i: Evicted, now: Monotonic) -> Step:
    """Another connection takes the place, or there is none for this one."""
    window = (60_000, 120_000) if i.code == 4104 else (0, 0)
    return close(m, now, i.code, i.reason, window=window, conn=i.conn)


def store_busy(m: ServerMachine, i: StoreFailed, now: Monotonic) -> Step:
    """Without the store no session begins or goes on (docs/protocol.md#life-store-busy)."""
    return close(m, now, 1013, "the store is busy", window=(i.retry_after_ms, 10 * i.retry_after_ms))


def overlong(m: ServerMachine, _: Overlong, now: Monotonic) -> Step:
    """More than a frame may hold; none of it was kept."""
    return close(m, now, 1009, f"a message may have {m.terms.limits.frame} bytes")


def malformed(m: ServerMachine, i: Malformed, now: Monotonic) -> Step:
    """RFC 6455, section 7.1.7: fail the connection."""
    return close(m, now, i.code, i.why)


def no_token(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """The peer has not said in time who it is (docs/protocol.md#life-await-auth)."""
    return close(m, now, 4300, "no hello in time")


def verdict_late(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """Nobody has said in time whether the token holds: our fault (docs/protocol.md#auth-verify-late)."""
    return close(m, now, 4103, "the token could not be checked in time")


def join_late(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """The store has said nothing for so long that the client is about to give up (docs/protocol.md#life-store-busy)."""
    return close(m, now, 1013, "the store is busy")


def no_hello(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """A token, but no hello in time."""
    return close(m, now, 4300, "no hello in time")


def closed(m: ServerMachine, i: Closed, _: Monotonic) -> Step:
    """The transport is over, whoever ended it."""
    outputs: list[ServerOutput] = [Leave()] if isinstance(m.state, JOINED) else []
    return go(m, Gone(i.code), Timers()), outputs


def give_up(m: ServerMachine, _: object, __: Monotonic) -> Step:
    """The peer did not answer the close frame in time."""
    assert isinstance(m.state, Draining)
    return go(m, Gone(m.state.code), Timers()), [AbortTransport()]


def over(m: ServerMachine, i: Value, _: Monotonic) -> Step:
    """Whatever still arrives for a session that is ending has no effect; a mutation is not applied."""
    return ignore(m, f"{type(i).__name__} after the end")
