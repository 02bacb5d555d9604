"""What keeps a session honest: pings and the clock, acks, the token, signs of life (docs/protocol.md#heartbeat-ping)."""

from typing import assert_never

from msgspec import UNSET, UnsetType

from .._messages import Ack, AuthOk, Ping, Pong, Presence
from .._timers import ClientTimer as T
from .._types import Cursor, Monotonic
from ._outputs import ClockSampled, GetToken, PresenceHeard
from ._states import Session
from ._turn import LARGEST, Turn, link_gen


PINGS = 16
"""Pings remembered while their pongs are missing."""

SOONEST_RENEWAL_MS = 100


def stay(turn: Turn) -> None:
    """Any byte is a sign of life; after a goodbye only the close is waited for."""
    session = turn.session
    if session is not None and session.goodbye is None:
        turn.after(T.SILENCE_DUE, turn.machine.timing.silence_ms)


def small_talk(turn: Turn, session: Session, message: Pong | AuthOk | Presence) -> None:
    """Messages that change no record."""
    match message:
        case Pong():
            _pong(turn, session, message)
        case AuthOk():
            _auth_ok(turn, message)
        case Presence():
            turn.do(PresenceHeard(message.devices))
        case _:
            assert_never(message)


# --- the clock --------------------------------------------------------------------------------------------------------


def ping(turn: Turn, session: Session) -> None:
    """Ask for the time."""
    t0 = turn.now * 1000
    turn.in_session(pings=(*session.pings, t0)[-PINGS:])
    turn.send(Ping(t0=t0))


def _pong(turn: Turn, session: Session, pong: Pong) -> None:
    if pong.t0 is UNSET or pong.t0 not in session.pings:
        turn.ignore("a pong without its ping")
        return
    place = session.pings.index(pong.t0)
    turn.in_session(pings=session.pings[:place] + session.pings[place + 1 :])
    sampled(turn, Monotonic(pong.t0 / 1000), pong.t1, pong.t2)


def sampled(turn: Turn, sent_at: Monotonic, t1: int | UnsetType, t2: int | UnsetType) -> None:
    """Take a sample of the server's clock, if it is one."""
    before = turn.machine.clock
    if t1 is UNSET or t2 is UNSET:
        return
    clock = before.add(sent_at * 1000, t1, t2, turn.now * 1000)
    if clock is before:
        turn.ignore("a clock sample that cannot be true")
        return
    turn.set(clock=clock)
    turn.do(ClockSampled(clock, clock.samples[-1].round_trip))


# --- acks -------------------------------------------------------------------------------------------------------------


def acknowledge(turn: Turn) -> None:
    """Say what is on disk, but not too often (docs/protocol.md#msg-ack-rate)."""
    session, stored = turn.session, turn.machine.stored
    if session is None or stored is None or stored.epoch != session.epoch or session.heard is None:
        return
    # Of what came by another transport the server believes nothing here (docs/protocol.md#msg-ack-unsent).
    place = Cursor(stored.epoch, min(stored.rev, session.heard))
    known = session.acked if session.acked is not None and session.acked.epoch == stored.epoch else None
    behind = place.rev - (known.rev if known is not None else -1)
    waits = T.ACK_DUE in turn.machine.timers and behind < turn.machine.timing.ack_events
    if behind <= 0 or waits:
        return
    turn.in_session(acked=place)
    turn.send(Ack(epoch=place.epoch, rev=place.rev))
    turn.after(T.ACK_DUE, turn.machine.timing.ack_ms)


def say_again(turn: Turn, ms: float) -> None:
    """A message without a number was refused: if it was an ack, it is said again."""
    turn.in_session(acked=None)
    turn.after(T.ACK_DUE, ms)


# --- the token --------------------------------------------------------------------------------------------------------


def plan_renewal(turn: Turn, life_ms: int) -> None:
    """Renew at min(60 s, half the life) before the end (docs/protocol.md#auth-renew-when)."""
    life_ms = min(max(life_ms, 0), LARGEST)
    ahead_ms = min(turn.machine.timing.renew_ms, life_ms / 2)
    turn.after(T.RENEW_DUE, max(life_ms - ahead_ms, SOONEST_RENEWAL_MS))


def ask_for_renewal(turn: Turn) -> None:
    """A fresh token, please; asked again until one is in force."""
    gen = link_gen(turn.machine.state)
    assert gen is not None
    turn.after(T.RENEW_DUE, turn.machine.timing.refresh_ms)
    turn.do(GetToken(gen, fresh=True))


def renewal_refused(turn: Turn) -> None:
    """The old token stays in force; another one is asked for (docs/protocol.md#auth-renew-rejected)."""
    turn.after(T.RENEW_DUE, turn.machine.timing.refresh_ms)


def _auth_ok(turn: Turn, message: AuthOk) -> None:
    server_time = turn.machine.clock.server_time(turn.now)
    if server_time is None:
        turn.ignore("the server's clock is not known; the next token is asked for in time")
        return
    plan_renewal(turn, message.auth_exp - server_time)
