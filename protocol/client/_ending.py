"""How an attempt or a session ends: one place for all causes (docs/protocol.md#close-decision)."""

from typing import assert_never

from .._close_codes import (
    GHOST,
    AtOnce,
    BackOff,
    CloseRow,
    PollOnly,
    RefreshThenRetry,
    Spread,
    StopFor,
    row_for,
)
from .._errors import Fault
from .._facts import CursorDropped
from .._messages import Bye, Goodbye
from .._reconnect import backoff, believed, settle, window
from .._timers import ClientTimer as T
from .._timers import Timers
from ._attempt import attempt
from ._outputs import CloseTransport, Faulted
from ._polling import begin, end, mind
from ._states import Backoff, Connecting, Live, Opening, Stopped, Syncing
from ._turn import BESIDE, LARGEST, Turn


TOO_BIG = 1009
BAD = 4000
SILENCE = 4201
GAP = 4202
REPLACED = 4005

FAILED_ATTEMPTS = 2
"""After so many in a row polling starts (docs/protocol.md#life-poll-start)."""


def close(turn: Turn, code: int, why: str) -> None:
    """End the session ourselves and decide as for that code; a goodbye already heard wins."""
    hang_up(turn, code, why)
    over(turn, code, why)


def bad(turn: Turn, fault: Fault) -> None:
    """The server sent what cannot be understood, or has no place here (docs/protocol.md#frame-bad-client)."""
    turn.count("faults")
    turn.do(Faulted(fault))
    close(turn, TOO_BIG if fault.code == "too_big" else BAD, fault.code)


def over(turn: Turn, code: int, why: str) -> None:
    """The transport is over with this code (docs/protocol.md#close-order)."""
    goodbye = goodbye_of(turn)
    if goodbye is None:
        finish(turn, row_for(code), why)
    elif _is_ghost(turn, goodbye):
        _overtake(turn, goodbye)
    else:
        finish(turn, row_for(goodbye.code), goodbye.reason[:200] or why, goodbye=goodbye)


def _is_ghost(turn: Turn, goodbye: Goodbye) -> bool:
    """Whether a newcomer is refused for a counter above its own: nobody newer has that, only one who lost count."""
    waits = isinstance(turn.machine.state, Opening)
    return waits and goodbye.code == REPLACED and goodbye.conn is not None and goodbye.conn > turn.machine.conn


def _overtake(turn: Turn, goodbye: Goodbye) -> None:
    """A crash or an older disk has set our counter back behind a connection of ours (docs/protocol.md#life-ghost)."""
    turn.set(conn=min(goodbye.conn or 0, LARGEST - 1))
    finish(turn, GHOST, "refused for an earlier connection of this device", goodbye=goodbye)


def hang_up(turn: Turn, code: int, why: str) -> None:
    """Let go of the transport, with a `bye` where one may be said (docs/protocol.md#msg-bye)."""
    state = turn.machine.state
    if isinstance(state, Syncing | Live):
        turn.send(Bye(reason=why))
    if isinstance(state, Connecting | Opening | Syncing | Live):
        turn.do(CloseTransport(state.gen, code, why))


def goodbye_of(turn: Turn) -> Goodbye | None:
    """The server's own word on why it ends, if it said one."""
    state = turn.machine.state
    if isinstance(state, Opening):
        return state.goodbye
    return state.session.goodbye if isinstance(state, Syncing | Live) else None


def finish(turn: Turn, row: CloseRow, why: str, *, goodbye: Goodbye | None = None, at_least_ms: float = 0) -> None:
    """Decide by the row, its repetitions counted, and go where that leads."""
    m = turn.machine
    lasted_ms, synced = _lasted_ms(turn), isinstance(m.state, Live)
    decision, history = settle(m.history, row, turn.now, lasted_ms=lasted_ms, synced=synced)
    turn.set(history=history, refused=m.refused or row.mends, timers=m.timers.only(*BESIDE))
    match decision:
        case StopFor():
            stop(turn, decision, why, winner=goodbye.conn if goodbye is not None else None)
        case BackOff():
            asked_ms = max(at_least_ms, decision.at_least_ms, goodbye.min_ms if goodbye is not None else 0)
            _back_off(turn, decision, why, asked_ms)
        case Spread():
            low, high = window(decision, goodbye)
            _wait(turn, turn.draw(low, high), why, low)
        case RefreshThenRetry():
            attempt(turn, strict=decision.patient)
        case PollOnly():
            _poll_only(turn, why)
        case AtOnce():
            attempt(turn)
        case _:
            assert_never(decision)


def _lasted_ms(turn: Turn) -> float | None:
    state = turn.machine.state
    if isinstance(state, Opening):
        return (turn.now - state.sent_at) * 1000
    return (turn.now - state.session.opened_at) * 1000 if isinstance(state, Syncing | Live) else None


def stop(turn: Turn, decision: StopFor, why: str, *, winner: int | None = None) -> None:
    """No attempt and no poll without the user (docs/protocol.md#life-stopped)."""
    end(turn)
    if decision.drop_cursor:
        _drop_cursor(turn)
    turn.set(
        state=Stopped(decision.reason, decision.sign_in, winner),
        timers=Timers[T](),
        sign_in=turn.machine.sign_in or decision.sign_in,
    )
    turn.show(why)


def _drop_cursor(turn: Turn) -> None:
    storing = tuple(type(waiting)(waiting.seq, None, waiting.mid) for waiting in turn.machine.storing)
    turn.set(cursor=None, stored=None, storing=storing)
    turn.store(CursorDropped())


def _back_off(turn: Turn, decision: BackOff, why: str, asked_ms: float) -> None:
    m = turn.machine
    delay, chance = backoff(m.chance, m.history.delays - 1, m.timing, asked_ms)
    turn.set(chance=chance)
    if decision.poll or m.history.failed >= FAILED_ATTEMPTS:
        _poll_beside(turn, why)
    _wait(turn, delay, why, believed(asked_ms))


def _wait(turn: Turn, ms: float, why: str, least_ms: float) -> None:
    turn.set(state=Backoff(why, turn.later(least_ms)))
    turn.after(T.RECONNECT_DUE, ms)
    mind(turn)
    turn.show(why)


def _poll_only(turn: Turn, why: str) -> None:
    sentence = "WebSocket frames are damaged on this network; polling until the network or the user says otherwise."
    turn.do(Faulted(Fault("bad_message", sentence)))
    _poll_beside(turn, why)
    turn.show(why)


def _poll_beside(turn: Turn, why: str) -> None:
    turn.set(state=Backoff(why, turn.now))
    begin(turn)
