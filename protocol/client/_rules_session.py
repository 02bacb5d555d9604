"""What the server says on an open transport: each message to the rule of its theme (docs/protocol.md#msg-welcome)."""

from typing import TypeVar, assert_never

from msgspec.structs import replace

from .._close_codes import StopFor
from .._deflate import unpack
from .._errors import Fault
from .._framing import Unknown, decode_server
from .._messages import (
    AlarmCreated,
    AlarmDeleted,
    AlarmUpdated,
    AuthOk,
    Error,
    Goodbye,
    Heartbeat,
    ItemEvent,
    Pong,
    Presence,
    Result,
    ServerMessage,
    Snapshot,
    Subscribed,
    Synced,
    SyncRequired,
    TimerCreated,
    TimerDeleted,
    TimerUpdated,
    Unsubscribed,
    Welcome,
)
from .._settings import Limits, Timing
from .._timers import ClientTimer as T
from ._answers import complained, errored, is_placed, resulted
from ._download import event, heartbeat, stretch
from ._ending import bad, hang_up, stop
from ._inputs import Received, ReceivedBinary
from ._outputs import Welcomed
from ._pace import Allowance
from ._states import Opening, Session, Syncing
from ._turn import MOST_MS, Turn, current
from ._upkeep import plan_renewal, sampled, small_talk, stay
from ._upload import pump


MOST = 1 << 24
"""No limit is believed to be greater: a deflated message becomes at most so many bytes, whoever announced what."""

ITEM_EVENT = (AlarmCreated, AlarmUpdated, AlarmDeleted, TimerCreated, TimerUpdated, TimerDeleted)
STRETCH = (Welcome, SyncRequired, Snapshot, Synced, *ITEM_EVENT)
"""What a replay or a snapshot is made of."""

S = TypeVar("S", Timing, Limits)


@current
def received(turn: Turn, input: Received) -> None:
    """A text message."""
    turn.count("received")
    _hear(turn, decode_server(input.data, turn.machine.limits.inflate))


@current
def received_binary(turn: Turn, input: ReceivedBinary) -> None:
    """A deflated message, where that was agreed (docs/protocol.md#frame-deflate-cap)."""
    turn.count("received")
    session = turn.session
    if session is None or "deflate" not in session.welcome.caps:
        bad(turn, Fault("bad_message", "A binary message, though deflate was not agreed."))
        return
    text = unpack(input.data, turn.machine.limits)
    _hear(turn, text if isinstance(text, Fault) else decode_server(text, turn.machine.limits.inflate))


def _hear(turn: Turn, message: ServerMessage | Unknown | Fault) -> None:
    state = turn.machine.state
    if isinstance(message, Fault):
        bad(turn, message)
    elif isinstance(message, Unknown):
        turn.count("unknown")
        turn.ignore(f"message of unknown type {message.type[:40]!r}")
    elif isinstance(state, Opening):
        _before_welcome(turn, state, message)
    else:
        _in_session(turn, message)
    stay(turn)
    if isinstance(message, STRETCH):
        _expect_more(turn, message)


# --- welcome ----------------------------------------------------------------------------------------------------------


def _before_welcome(turn: Turn, state: Opening, message: ServerMessage) -> None:
    match message:
        case Welcome():
            _welcome(turn, state, message)
        case Goodbye():
            turn.set(state=replace(state, goodbye=message))
            turn.after(T.OPENING_DUE, turn.machine.timing.close_ms)
        case Error():
            complained(turn, message)
        case _:
            _out_of_place(turn, message)


def _welcome(turn: Turn, state: Opening, welcome: Welcome) -> None:
    m = turn.machine
    if m.user not in (None, welcome.user):
        # Store, outbox and device belong to one user (docs/protocol.md#auth-user-owns-store).
        hang_up(turn, 1000, "another user")
        stop(turn, StopFor("another user", sign_in=True), "the token is another user's")
        return
    limits = announced(m.limits, welcome.limits, MOST)
    timing = announced(m.timing, welcome.timers, MOST_MS)
    turn.set(user=welcome.user, timing=timing, limits=limits, sign_in=False, paused=turn.now)
    # Hello was the first message of the allowance.
    allowance = Allowance(limits.burst - 1, state.sent_at)
    session = Session(
        opened_at=state.sent_at,
        welcome=welcome,
        epoch=welcome.epoch,
        allowance=allowance,
        acked=state.cursor,
    )
    turn.set(state=Syncing(state.gen, session))
    turn.clear(T.OPENING_DUE, T.RESEND_DUE)
    turn.do(Welcomed(welcome.user, welcome.session_id))
    turn.show()
    sampled(turn, state.sent_at, welcome.server_time, welcome.server_time)
    plan_renewal(turn, welcome.auth_exp - welcome.server_time)
    pump(turn)


def announced(known: S, values: dict[str, int], most: int) -> S:
    """The settings with what a welcome announces in their place (docs/protocol.md#msg-welcome-honoured)."""
    names = [name for name in known.__struct_fields__ if name in values]
    return replace(known, **{name: min(max(values[name], 1), most) for name in names})


def _expect_more(turn: Turn, message: Welcome | SyncRequired | Snapshot | Synced | ItemEvent) -> None:
    """What was begun must go on; heartbeats alone do not show that it does (docs/protocol.md#life-stalled)."""
    session = turn.session
    if session is None:
        return
    if session.gathering is None and not isinstance(turn.machine.state, Syncing):
        turn.clear(T.STALLED_DUE)
    elif session.gathering is None or not isinstance(message, ITEM_EVENT):
        turn.after(T.STALLED_DUE, turn.machine.timing.silence_ms)


# --- from welcome on --------------------------------------------------------------------------------------------------


def _in_session(turn: Turn, message: ServerMessage) -> None:
    session = turn.session
    assert session is not None
    match message:
        case AlarmCreated() | TimerCreated() | AlarmUpdated() | TimerUpdated() | AlarmDeleted() | TimerDeleted():
            event(turn, session, message)
        case SyncRequired() | Snapshot() | Synced():
            stretch(turn, session, message)
        case Result():
            _result(turn, session, message)
        case Error():
            errored(turn, message)
            pump(turn)
        case Heartbeat():
            heartbeat(turn, message)
        case Pong() | AuthOk() | Presence():
            small_talk(turn, session, message)
        case Goodbye():
            turn.in_session(goodbye=message)
            turn.after(T.SILENCE_DUE, turn.machine.timing.close_ms)
        case Welcome() | Subscribed() | Unsubscribed():
            _out_of_place(turn, message)
        case _:
            assert_never(message)


def _result(turn: Turn, session: Session, result: Result) -> None:
    if is_placed(result):
        resulted(turn, result, session.epoch)
        pump(turn)
    else:
        bad(turn, Fault("bad_message", "A rev is an integer from 0 below 2^53.", field="rev"))


def _out_of_place(turn: Turn, message: ServerMessage) -> None:
    where = type(turn.machine.state).__name__
    bad(turn, Fault("bad_message", f"`{message.__struct_config__.tag}` has no place in {where}.", field="type"))
