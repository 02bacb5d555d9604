"""What a v1 client may say from welcome on, while Behind or Live (docs/protocol.md#msg-client)."""

from typing import assert_never

from msgspec.structs import replace

from .. import _submission
from .._deflate import unpack
from .._errors import Fault
from .._framing import Unknown, decode_client, encode
from .._messages import Ack, Auth, AuthOk, Bye, Hello, Mutate, Ping, Pong, Presence, Subscribe, Unsubscribe
from .._timers import ServerTimer as T
from .._types import Handle, Monotonic
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
from ._machine import ServerMachine, Step, at, close, error, go, ignore, token_due
from ._meter import full
from ._outputs import Apply, Ignored, StoreAck, Transmit, VerifyToken
from ._rules_opening import CLOSINGS, REFUSALS, bad_message
from ._states import Behind, ClassicLive, Live, Login, Peer


def with_peer(m: ServerMachine, peer: Peer) -> ServerMachine:
    """The same connection, knowing more of its peer."""
    assert isinstance(m.state, (Behind, Live))
    return go(m, replace(m.state, peer=peer))


def received(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """A text message: counted, read, obeyed."""
    m = alive(m, now)
    meter, verdict = (m.meter or full(now, m.terms.limits)).spend(now, m.terms.limits)
    m = replace(m, meter=meter)
    if verdict == "abuse":
        return close(m, now, 4102, "far too many messages")
    if verdict == "over":
        wait = meter.wait_ms(m.terms.limits)
        sentence = f"Too many messages; the next is welcome in {wait} ms."
        return m, [error(Fault("rate_limited", sentence, retryable=True, retry_after_ms=wait), _mid(i.data, m))]
    return obey(m, i, now)


def _mid(text: str, m: ServerMachine) -> int | None:
    message = decode_client(text, m.terms.limits.frame)
    return message.mid if isinstance(message, Mutate) else None


def obey(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """One message within the allowance."""
    assert isinstance(m.state, (Behind, Live))
    message = decode_client(i.data, m.terms.limits.frame)
    match message:
        case Ping():
            return m, [Transmit(encode(Pong(t0=message.t0, t1=i.wall, t2=i.wall)))]
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
        case Fault():
            return bad_message(m, message, now)
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
    return received(m, Received(text, i.wall), now)


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
    peer = replace(peer, unanswered=peer.unanswered + 1, expecting=None)
    return with_peer(m, peer), [Apply(peer.login.user, peer.device, _submission.read(message))]


def answered(m: ServerMachine, i: Answered, _: Monotonic) -> Step:
    """The store decided; `applied` is durable by now."""
    return with_peer(m, replace(_peer(m), unanswered=max(0, _peer(m).unanswered - 1))), [Transmit(encode(i.result))]


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
    if i.what in ("page", "state"):
        return close(m, now, 1013, "the store is busy")
    if i.what != "apply":
        return ignore(m, f"{i.what} failed; the next one heals it")
    fault = Fault("busy", "The store is busy; send it again.", retryable=True, retry_after_ms=i.retry_after_ms)
    peer = replace(m.state.peer, unanswered=max(0, m.state.peer.unanswered - 1), expecting=i.mid)
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
    if not isinstance(m.state, ClassicLive):
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
    m = replace(m, timers=m.timers.clear(T.PRESENCE_DUE))
    return _show(m, m.presence, now) if m.presence is not None else (m, [])


def _show(m: ServerMachine, message: Presence, now: Monotonic) -> Step:
    after = at(now, m.terms.timing.presence_ms)
    return replace(m, presence=None, presence_after=after), [Transmit(encode(message))]
