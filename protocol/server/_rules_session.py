"""What a v1 client may say from welcome on, while Behind or Live (docs/protocol.md#msg-client)."""

from typing import assert_never

from msgspec.structs import replace

from .._deflate import unpack
from .._errors import Fault
from .._framing import Unknown, decode_client, encode
from .._messages import (
    Ack,
    Auth,
    AuthOk,
    Bye,
    ClientMessage,
    Hello,
    Mutate,
    Ping,
    Pong,
    Presence,
    Subscribe,
    Unsubscribe,
)
from .._submission import read as read_submission
from .._timers import ServerTimer as T
from .._types import Handle, Monotonic, Wall
from ._inputs import (
    Answered,
    Declined,
    Heard,
    PresenceIs,
    Received,
    ReceivedBinary,
    StoreFailed,
    TokenAccepted,
    TokenRejected,
)
from ._machine import ServerMachine, Step, at, close, error, go, ignore, metered, speaks_v1, token_due
from ._outputs import Apply, Ignored, StoreAck, Transmit, VerifyToken
from ._rules_ending import store_busy
from ._rules_opening import CLOSINGS, REFUSALS, bad_message
from ._states import Behind, Live, Login, Peer


def with_peer(m: ServerMachine, peer: Peer) -> ServerMachine:
    """The same connection, knowing more of its peer."""
    assert isinstance(m.state, (Behind, Live))
    return go(m, replace(m.state, peer=peer))


def received(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """A text message: counted, read, obeyed."""
    return heed(m, decode_client(i.data, m.terms.limits.frame), i.wall, now)


def heed(m: ServerMachine, message: ClientMessage | Unknown | Fault, wall: Wall, now: Monotonic) -> Step:
    """What cannot be read ends the session, whatever the allowance is (docs/protocol.md#mutation-order)."""
    m = alive(m, now)
    if isinstance(message, Fault):
        return bad_message(m, message, now)
    if isinstance(message, Mutate) and not 1 <= message.mid < 1 << 53:
        return bad_message(m, Fault("bad_message", "`mid` counts from 1.", field="mid"), now)
    m, refused = metered(m, now, message.mid if isinstance(message, Mutate) else None)
    return obey(m, message, wall, now) if refused is None else refused


def obey(m: ServerMachine, message: ClientMessage | Unknown, wall: Wall, now: Monotonic) -> Step:
    """One message within the allowance."""
    assert isinstance(m.state, (Behind, Live))
    match message:
        case Ping():
            return m, [Transmit(encode(Pong(t0=message.t0, t1=wall, t2=wall)))]
        case Ack():
            return acked(m, message, m.state)
        case Mutate():
            return mutate(m, message, m.state.peer)
        case Auth():
            return m, [VerifyToken(Handle(message.token))]
        case Bye():
            return close(m, now, 1000, "bye")
        case Subscribe() | Unsubscribe():
            return ignore(m, "topics filter classic sockets only")
        case Unknown():
            return replace(m, unknown=m.unknown + 1), [Ignored(f"unknown type {message.type[:40]!r}")]
        case Hello():
            return bad_message(m, Fault("bad_message", "hello is said once.", field="type"), now)
        case _:
            assert_never(message)


def received_binary(m: ServerMachine, i: ReceivedBinary, now: Monotonic) -> Step:
    """A deflated message, where that was agreed; inflating is bounded before it happens."""
    assert isinstance(m.state, (Behind, Live))
    if not m.state.peer.deflate:
        return bad_message(m, Fault("bad_message", "Binary messages need the capability deflate."), now)
    text = unpack(i.data, m.terms.limits)
    if isinstance(text, Fault):
        return bad_message(m, text, now)
    message = decode_client(text, m.terms.limits.frame)
    if isinstance(message, Auth):
        # The driver cannot put a handle in its place, so it must go no further (docs/protocol.md#frame-deflate-token).
        message = Fault("bad_message", "A message with a token must not be deflated.", field="token")
    return heed(m, message, i.wall, now)


def alive(m: ServerMachine, now: Monotonic) -> ServerMachine:
    """Any byte is a sign of life."""
    return go(m, m.state, m.timers.set(T.LIVENESS_DUE, at(now, m.terms.timing.liveness_ms)))


def heard(m: ServerMachine, _: Heard, now: Monotonic) -> Step:
    """Part of a message, or a control frame."""
    return alive(m, now), []


def silent(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """A v1 peer that says nothing for so long is not there."""
    return close(m, now, 4201, "nothing heard in time")


def acked(m: ServerMachine, ack: Ack, s: Behind | Live) -> Step:
    """Believed only for this epoch and for what was sent."""
    if ack.epoch != s.peer.epoch:
        return ignore(m, "ack of another epoch")
    if not 0 <= ack.rev <= s.sent:
        return ignore(m, "ack of what was not sent")
    return m, [StoreAck(s.peer.login.user, s.peer.device, ack.epoch, ack.rev)]


def mutate(m: ServerMachine, message: Mutate, peer: Peer) -> Step:
    """To the store, unless an earlier one is missing or too many are out (docs/protocol.md#outbox-order)."""
    if peer.expecting is not None and message.mid > peer.expecting:
        return ignore(m, f"mid {message.mid} before {peer.expecting}")
    if peer.unanswered >= m.terms.limits.window:
        fault = Fault(
            "rate_limited", f"At most {m.terms.limits.window} mutations may wait for their answers.",
            retryable=True, retry_after_ms=1_000,
        )  # fmt: skip
        return m, [error(fault, message.mid)]
    expecting = None if message.mid == peer.expecting else peer.expecting
    peer = replace(peer, unanswered=peer.unanswered + 1, expecting=expecting)
    return with_peer(m, peer), [Apply(peer.login.user, peer.device, read_submission(message))]


def answered(m: ServerMachine, i: Answered, _: Monotonic) -> Step:
    """The store decided; `applied` is durable by now."""
    peer = replace(_peer(m), unanswered=max(0, _peer(m).unanswered - 1))
    # What was waited for may have been on its way already when waiting began: to wait on would stop the outbox.
    if peer.expecting is not None and i.result.mid >= peer.expecting:
        peer = replace(peer, expecting=None)
    return with_peer(m, peer), [Transmit(encode(i.result))]


def declined(m: ServerMachine, i: Declined, _: Monotonic) -> Step:
    """Not consumed. After `out_of_order` later numbers are ignored until the one wanted comes."""
    peer = replace(_peer(m), unanswered=max(0, _peer(m).unanswered - 1))
    if i.fault.code == "out_of_order":
        peer = replace(peer, expecting=i.fault.want)
    return with_peer(m, peer), [error(i.fault, i.mid)]


def _peer(m: ServerMachine) -> Peer:
    assert isinstance(m.state, (Behind, Live))
    return m.state.peer


def store_failed(m: ServerMachine, i: StoreFailed, now: Monotonic) -> Step:
    """Writes are answered "busy, retry"; without the log there is no session."""
    assert isinstance(m.state, (Behind, Live))
    if isinstance(m.state, Behind) and i.what == m.state.reading:
        return store_busy(m, i, now)
    if i.what != "apply":
        return ignore(m, f"{i.what} failed; the next one heals it")
    fault = Fault("busy", "The store is busy; send it again.", retryable=True, retry_after_ms=i.retry_after_ms)
    peer = m.state.peer
    waits = [mid for mid in (peer.expecting, i.mid) if mid is not None]
    peer = replace(peer, unanswered=max(0, peer.unanswered - 1), expecting=min(waits, default=None))
    return with_peer(m, peer), [error(fault, i.mid)]


def token_accepted(m: ServerMachine, i: TokenAccepted, now: Monotonic) -> Step:
    """Renewal in place: same user or none (docs/protocol.md#auth-renewal)."""
    assert isinstance(m.state, (Behind, Live))
    peer = m.state.peer
    if i.user != peer.login.user:
        return close(m, now, 4003, "the new token is another user's")
    login = Login(i.user, i.session, i.expires_at)
    m = go(m, m.state, m.timers.set(T.TOKEN_DUE, token_due(m, i.expires_at, i.wall, now)))
    return with_peer(m, replace(peer, login=login)), [Transmit(encode(AuthOk(auth_exp=i.expires_at)))]


def token_rejected(m: ServerMachine, i: TokenRejected, now: Monotonic) -> Step:
    """A rejected renewal leaves the old token in force; a sign-out ends the session."""
    if i.why in ("revoked", "forbidden"):
        return close(m, now, *CLOSINGS[i.why])
    _, code, message = REFUSALS[i.why]
    return m, [error(Fault(code, message, field="token"))]


def token_expired(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """Expiry is never terminal: the client comes back with a fresh token."""
    closed, outputs = close(m, now, *CLOSINGS["expired"])
    if speaks_v1(m.state):
        return closed, outputs
    return closed, [error(Fault("token_expired", "The token has expired; connect with a fresh one.")), *outputs]


def presence_is(m: ServerMachine, i: PresenceIs, now: Monotonic) -> Step:
    """At most one in five seconds; the newest held-back one wins."""
    assert isinstance(m.state, (Behind, Live))
    if not m.state.peer.presence:
        return ignore(m, "capability presence was not agreed")
    message = Presence(devices=i.devices)
    if now < m.presence_after:
        return replace(m, presence=message, timers=m.timers.set(T.PRESENCE_DUE, m.presence_after)), []
    return _show(m, message, now)


def presence_due(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """The held-back one goes out."""
    assert m.presence is not None
    return _show(m, m.presence, now)


def _show(m: ServerMachine, message: Presence, now: Monotonic) -> Step:
    after = at(now, m.terms.timing.presence_ms)
    # A newer one may come when the one held back is due already, but the tick has not been.
    shown = replace(m, presence=None, presence_after=after, timers=m.timers.clear(T.PRESENCE_DUE))
    return shown, [Transmit(encode(message))]
