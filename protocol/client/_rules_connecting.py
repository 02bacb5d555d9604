"""From the wish to be connected to hello: tokens, attempts, and what calls for one (docs/protocol.md#life-client)."""

from .._clock import ClockEstimate
from .._close_codes import NO_SUBPROTOCOL, SAME_TOKEN, UNREACHABLE, WOKEN, StopFor, row_for_http
from .._messages import Device, Hello
from .._reconnect import History
from .._timers import ClientTimer as T
from ._attempt import attempt, dial
from ._ending import finish, goodbye_of, hang_up, over, stop
from ._inputs import (
    NetworkChanged,
    Opened,
    Refused,
    Start,
    Stop,
    SyncNow,
    TakeOver,
    TokenFailed,
    TokenReady,
    Unreachable,
    Woke,
)
from ._polling import begin_again
from ._polling import hurry as hurry_poll
from ._states import Backoff, Connecting, Opening, Refreshing, Stopped
from ._turn import LARGEST, Turn, current, due, rule


SUBPROTOCOL = "tocsin.v1"


# --- what the user wants ----------------------------------------------------------------------------------------------


@rule
def start(turn: Turn, _: Start) -> None:
    """A new beginning: what went wrong before is forgotten, and a token is asked for in case another user signed in."""
    turn.set(history=History(), token=None, refused=turn.machine.refused or turn.machine.sign_in)
    attempt(turn)


@rule
def take_over(turn: Turn, _: TakeOver) -> None:
    """The next attempt's counter is above that of the connection that replaced this one (docs/protocol.md#life-take-over)."""
    state = turn.machine.state
    assert isinstance(state, Stopped)
    winner = min(max(state.winner or 0, turn.machine.conn), LARGEST - 1)
    turn.set(history=History(), conn=winner)
    attempt(turn)


@rule
def stop_asked(turn: Turn, input: Stop) -> None:
    """The user's stop is Stopped, whatever comes."""
    if isinstance(turn.machine.state, Stopped):
        turn.ignore("stopped already")
        return
    hang_up(turn, 1000, "user")
    stop(turn, StopFor(input.reason), input.reason)


# --- tokens -----------------------------------------------------------------------------------------------------------


@current
def token_ready(turn: Turn, input: TokenReady) -> None:
    """Use it; but not the very one that was refused just now (docs/protocol.md#close-token-expired-again)."""
    state = turn.machine.state
    assert isinstance(state, Refreshing)
    if state.strict and not is_new(turn, input):
        turn.set(token=input.handle, sign_in=True)
        finish(turn, SAME_TOKEN, "the server refuses this token, and there is no other; sign in again")
        return
    turn.set(token=input.handle, refused=False)
    dial(turn, state.gen, input.handle)
    hurry_poll(turn)


def is_new(turn: Turn, input: TokenReady) -> bool:
    """Whether it is another token than the one in hand."""
    return input.fresh and input.handle != turn.machine.token


@current
def token_failed(turn: Turn, input: TokenFailed) -> None:
    """Without a token there is no attempt; where the sign-in itself is refused, none makes sense before a new one."""
    if input.rejected:
        stop(turn, StopFor("signed out", sign_in=True), input.why)
    else:
        finish(turn, UNREACHABLE, f"no token: {input.why}")


@due(T.REFRESH_DUE)
def refresh_late(turn: Turn) -> None:
    """No token in time counts as a failed attempt."""
    finish(turn, UNREACHABLE, "no token in time")


# --- the transport ----------------------------------------------------------------------------------------------------


@current
def opened(turn: Turn, input: Opened) -> None:
    """Say hello; a server that did not agree to speak our protocol is none of ours (docs/protocol.md#close-other)."""
    m = turn.machine
    assert isinstance(m.state, Connecting)
    if input.subprotocol != SUBPROTOCOL:
        hang_up(turn, 1002, "subprotocol")
        finish(turn, NO_SUBPROTOCOL, "the server does not speak tocsin.v1")
        return
    turn.set(state=Opening(m.state.gen, turn.now, m.stored))
    turn.clear(T.CONNECT_DUE, T.POLL_START_DUE)
    turn.after(T.OPENING_DUE, m.timing.opening_ms)
    # Only what is on disk: the server takes the cursor of hello for acknowledged (docs/protocol.md#presence-acked-hello).
    turn.send(Hello(device=Device(m.device, m.name), conn=m.conn, app=m.app, cursor=m.stored, caps=m.caps))


@current
def refused(turn: Turn, input: Refused) -> None:
    """HTTP said no."""
    row = row_for_http(input.status, input.code)
    why = f"HTTP {input.status}" + (f" {input.code}" if input.code else "")
    finish(turn, row, why, at_least_ms=input.retry_after_ms or 0)


@current
def unreachable(turn: Turn, input: Unreachable) -> None:
    """No transport."""
    finish(turn, UNREACHABLE, input.why)


@due(T.CONNECT_DUE)
def connect_late(turn: Turn) -> None:
    """No transport in time."""
    hang_up(turn, 1000, "no transport in time")
    finish(turn, UNREACHABLE, "no transport in time")


@due(T.OPENING_DUE)
def opening_late(turn: Turn) -> None:
    """No welcome in time; a goodbye may have said why."""
    hang_up(turn, 1000, "no welcome in time")
    over(turn, 1006, "no welcome in time")


# --- hints ------------------------------------------------------------------------------------------------------------


@due(T.RECONNECT_DUE)
def reconnect(turn: Turn) -> None:
    """The delay is over."""
    attempt(turn)


@rule
def hurry(turn: Turn, _: NetworkChanged | SyncNow) -> None:
    """Try now, but not before the server allows (docs/protocol.md#backoff-delay)."""
    state = turn.machine.state
    assert isinstance(state, Backoff)
    turn.set(cuts=0)
    hurry_poll(turn)
    if turn.now >= state.not_before:
        attempt(turn)
    else:
        turn.set(timers=turn.machine.timers.set(T.RECONNECT_DUE, state.not_before))
        turn.show(state.why)


@rule
def no_hurry(turn: Turn, input: NetworkChanged | SyncNow) -> None:
    """An attempt is under way already, or none is wanted."""
    turn.ignore(f"{type(input).__name__} changes nothing here")


@rule
def woke(turn: Turn, _: Woke) -> None:
    """What was open before the sleep is lost, and what was known of the server's clock (docs/protocol.md#life-suspend)."""
    turn.set(clock=ClockEstimate(), cuts=0)
    hang_up(turn, 1000, "suspend")
    if goodbye_of(turn) is None:
        finish(turn, WOKEN, "the device slept")
    else:
        over(turn, 1006, "the device slept")
    begin_again(turn)


@rule
def woke_unconnected(turn: Turn, _: Woke) -> None:
    """Nothing to lose but the clock."""
    turn.set(clock=ClockEstimate())
    turn.ignore("nobody wants to be connected")
