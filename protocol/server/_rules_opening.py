"""From the request for a socket to a session: token, hello, join (docs/protocol.md#life-server)."""

from typing import Literal

from msgspec import UNSET
from msgspec.structs import asdict, astuple, replace

from .._errors import Fault, FaultCode
from .._fields import is_identifier
from .._framing import Unknown, decode_client, encode
from .._log import Account
from .._messages import Bye, Hello, Ping, Pong, Presence, SyncReason, SyncRequired, Welcome
from .._messages import Synced as SyncedMessage
from .._resume import resume
from .._timers import ServerTimer as T
from .._timers import Timers
from .._types import Handle, Monotonic, Rev, Value, Wall
from . import _rules_classic as classic
from ._inputs import (
    Blocked,
    Drained,
    Joined,
    PresenceIs,
    Publish,
    Received,
    ReceivedBinary,
    Requested,
    TokenAccepted,
    TokenRejected,
)
from ._machine import ServerMachine, Step, at, close, error, go, ignore, metered, token_due
from ._outputs import (
    Accept,
    Ignored,
    Join,
    ReadPage,
    ReadState,
    Refuse,
    RenewEpoch,
    ServerOutput,
    Transmit,
    VerifyToken,
)
from ._request import SUBPROTOCOL
from ._rules_ending import over
from ._rules_stream import frame_bytes
from ._states import (
    AwaitAuth,
    AwaitHello,
    Behind,
    ClassicLive,
    Gone,
    Handshake,
    Joining,
    Live,
    Login,
    Peer,
    Verifying,
)


CAPS = ("deflate", "presence")

_INTEGERS = 1 << 53
"""Above what every language can count to (docs/protocol.md#terms-int)."""

REFUSALS: dict[str, tuple[int, FaultCode, str]] = {
    "expired": (401, "token_expired", "The token has expired; bring a fresh one."),
    "invalid": (401, "token_invalid", "The token is not valid here; sign in again."),
    "revoked": (403, "forbidden", "This session was signed out; sign in again."),
    "forbidden": (403, "forbidden", "This user may not connect."),
}
"""What a rejected token means before accept, by its reason."""

CLOSINGS = {
    "expired": (4301, "token expired"),
    "invalid": (4302, "token invalid"),
    "revoked": (4003, "signed out"),
    "forbidden": (4002, "forbidden"),
}
"""The same after accept, where an HTTP status is no longer possible."""


def request(m: ServerMachine, i: Requested, now: Monotonic) -> Step:
    """Origin first, then where the token is."""
    if i.origin is not None and m.terms.origins is not None and i.origin not in m.terms.origins:
        return refuse(m, 403, "origin", "This origin may not connect.")
    if i.via == "query" and not m.terms.query_tokens:
        return refuse(
            m, 401, "token_invalid", "Tokens in the query are switched off here; use the Authorization header."
        )
    if i.handle is not None:
        timers = m.timers.set(T.AUTH_DUE, at(now, m.terms.timing.auth_ms))
        return go(m, Handshake(i.profile, i.via, i.handle), timers), [VerifyToken(i.handle)]
    if i.profile == "classic":
        return refuse(m, 401, "token_invalid", "A token is needed: `Authorization: Bearer` or `?token=`.")
    timers = m.timers.set(T.AUTH_DUE, at(now, m.terms.timing.auth_ms))
    return go(m, AwaitAuth(), timers), [Accept(SUBPROTOCOL)]


def refuse(m: ServerMachine, status: int, code: str, message: str) -> Step:
    """End it before it began."""
    return go(m, Gone(0), Timers()), [Refuse(status, code, message)]


def verification_late(m: ServerMachine, _: object, __: Monotonic) -> Step:
    """Nobody said in time whether the token holds."""
    return refuse(m, 503, "busy", "The token could not be checked in time; try again.")


def handshake_drained(m: ServerMachine, _: object, __: Monotonic) -> Step:
    """The server is going down."""
    return refuse(m, 503, "busy", "The server is restarting; try again.")


def handshake_accepted(m: ServerMachine, i: TokenAccepted, now: Monotonic) -> Step:
    """A good token before accept."""
    assert isinstance(m.state, Handshake)
    if i.handle != m.state.handle:
        return ignore(m, "verdict on another token")
    login = Login(i.user, i.session, i.expires_at)
    timers = m.timers.clear(T.AUTH_DUE).set(T.TOKEN_DUE, token_due(m, i.expires_at, i.wall, now))
    if m.state.profile == "classic":
        join = Join("classic", login.user, login.session)
        timers = timers.set(T.JOIN_DUE, at(now, m.terms.timing.opening_ms))
        return go(m, Joining(login, None), timers), [Accept(None), join]
    timers = timers.set(T.HELLO_DUE, at(now, m.terms.timing.hello_ms))
    return go(m, AwaitHello(login), timers), [Accept(SUBPROTOCOL)]


def handshake_rejected(m: ServerMachine, i: TokenRejected, now: Monotonic) -> Step:
    """A browser cannot read a 401, so a token in the subprotocol is refused after accept."""
    assert isinstance(m.state, Handshake)
    if i.handle != m.state.handle:
        return ignore(m, "verdict on another token")
    if m.state.via != "subprotocol":
        return refuse(m, *REFUSALS[i.why])
    if m.state.profile == "classic":
        closed, outputs = close(m, now, *CLOSINGS[i.why])
        return closed, [Accept(None), *outputs]
    closed, outputs = close(go(m, AwaitAuth()), now, *CLOSINGS[i.why])
    return closed, [Accept(SUBPROTOCOL), *outputs]


def first_message(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """Without a token in the request, hello must bring it."""
    hello = _read_hello(i.data, m)
    if not isinstance(hello, Hello):
        return _not_hello(m, hello, now)
    if hello.token is UNSET:
        return close(m, now, 4302, "no token: hello must carry one")
    handle = Handle(hello.token)
    return go(m, Verifying(hello, handle)), [VerifyToken(handle)]


def hello_accepted(m: ServerMachine, i: TokenAccepted, now: Monotonic) -> Step:
    """The token in hello is good."""
    assert isinstance(m.state, Verifying)
    if i.handle != m.state.handle:
        return ignore(m, "verdict on another token")
    timers = m.timers.clear(T.AUTH_DUE).set(T.TOKEN_DUE, token_due(m, i.expires_at, i.wall, now))
    return _join(go(m, m.state, timers), Login(i.user, i.session, i.expires_at), m.state.hello, now)


def hello_rejected(m: ServerMachine, i: TokenRejected, now: Monotonic) -> Step:
    """The token in hello is not."""
    assert isinstance(m.state, Verifying)
    if i.handle != m.state.handle:
        return ignore(m, "verdict on another token")
    return close(m, now, *CLOSINGS[i.why])


def greeted(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """Hello, after a token that came with the request."""
    assert isinstance(m.state, AwaitHello)
    hello = _read_hello(i.data, m)
    if not isinstance(hello, Hello):
        return _not_hello(m, hello, now)
    return _join(go(m, m.state, m.timers.clear(T.HELLO_DUE)), m.state.login, hello, now)


def _read_hello(text: str, m: ServerMachine) -> Hello | Bye | Fault:
    message = decode_client(text, m.terms.limits.opening_frame)
    if isinstance(message, (Bye, Fault)):
        return message
    if not isinstance(message, Hello):
        return Fault("bad_message", "The first message must be hello.", field="type")
    device = message.device
    if not is_identifier(device.id) or len(device.name) > m.terms.limits.label:
        return Fault(
            "invalid", "A device has an id of 1 to 64 letters, digits, `-`, `_` and a short name.", field="device"
        )
    if not 1 <= message.conn < _INTEGERS:
        return Fault("invalid", "conn counts from 1.", field="conn")
    cursor = message.cursor
    if cursor is not None and not 0 <= cursor.rev < _INTEGERS:
        return Fault("invalid", "The rev of a cursor counts from 0.", field="cursor")
    if any("\0" in text for text in (device.name, *astuple(message.app), "" if cursor is None else cursor.epoch)):
        return Fault("invalid", "No text of hello may have a NUL: no store can keep it.")
    return message


def _not_hello(m: ServerMachine, message: Bye | Fault, now: Monotonic) -> Step:
    return close(m, now, 1000, "bye") if isinstance(message, Bye) else bad_message(m, message, now)


def bad_message(m: ServerMachine, fault: Fault, now: Monotonic) -> Step:
    """Say what was wrong, then end the session: a peer that cannot be understood cannot be kept in step."""
    closed, outputs = close(m, now, 1009 if fault.code == "too_big" else 4000, fault.code)
    return closed, [error(fault), *outputs]


def binary_too_early(m: ServerMachine, _: ReceivedBinary, now: Monotonic) -> Step:
    """Before hello nothing is agreed, deflate least of all."""
    return bad_message(m, Fault("bad_message", "Binary messages need the capability deflate, agreed in hello."), now)


def impatient(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """Between hello and welcome only ping and bye mean anything (docs/protocol.md#msg-client)."""
    m, refused = metered(m, now)
    if refused is not None:
        return refused
    message = decode_client(i.data, m.terms.limits.opening_frame)
    match message:
        case Unknown():
            return replace(m, unknown=m.unknown + 1), [Ignored(f"unknown type {message.type[:40]!r}")]
        case Bye():
            return close(m, now, 1000, "bye")
        case Ping():
            return m, [Transmit(encode(Pong(t0=message.t0, t1=i.wall, t2=i.wall)))]
        case Fault():
            return bad_message(m, message, now)
        case _:
            return bad_message(m, Fault("bad_message", "Wait for welcome before you send this.", field="type"), now)


def joining_said(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """A classic client may speak as soon as its socket is open; what it says is heard when the session begins."""
    assert isinstance(m.state, Joining)
    s = m.state
    if s.hello is not None:
        return impatient(m, i, now)
    limits, said = m.terms.limits, (*s.said, i)
    # Counted too: an empty message has no bytes, and is kept all the same.
    if len(said) > limits.burst or sum(frame_bytes(one.data) for one in said) > limits.opening_frame:
        sentence = "Wait for the first answer before you say more."
        return m, [error(Fault("rate_limited", sentence, retryable=True, retry_after_ms=1_000))]
    return go(m, Joining(s.login, None, goal=s.goal, said=said)), []


def joining_binary(m: ServerMachine, i: ReceivedBinary, now: Monotonic) -> Step:
    """A bad message, which ends no classic session (docs/protocol.md#classic-bad-message)."""
    assert isinstance(m.state, Joining)
    return classic.received_binary(m, i, now) if m.state.hello is None else binary_too_early(m, i, now)


def _join(m: ServerMachine, login: Login, hello: Hello, now: Monotonic) -> Step:
    join = Join(
        "v1", login.user, login.session, hello.device, hello.app, hello.conn, hello.cursor, "presence" in hello.caps
    )
    return go(m, Joining(login, hello), m.timers.set(T.JOIN_DUE, at(now, m.terms.timing.opening_ms))), [join]


def blocked_early(m: ServerMachine, _: Blocked, now: Monotonic) -> Step:
    """The peer does not even read what a session begins with. The timer is what remembers it."""
    if T.UNWRITABLE_DUE in m.timers:
        return ignore(m, "known to be blocked")
    return go(m, m.state, m.timers.set(T.UNWRITABLE_DUE, at(now, m.terms.timing.unwritable_ms))), []


def drained_early(m: ServerMachine, _: Drained, __: Monotonic) -> Step:
    """It reads."""
    return go(m, m.state, m.timers.clear(T.UNWRITABLE_DUE)), []


def published_early(m: ServerMachine, i: Publish, _: Monotonic) -> Step:
    """A change between registering and `Joined` is remembered by its rev."""
    assert isinstance(m.state, Joining)
    s = m.state
    return go(m, replace(s, goal=Rev(max(s.goal, i.rev)))), []


def presence_early(m: ServerMachine, i: PresenceIs, _: Monotonic) -> Step:
    """That this device is here is told to all, itself included: perhaps before it is let in."""
    assert isinstance(m.state, Joining)
    if m.state.hello is None or "presence" not in m.state.hello.caps:
        return not_asked(m, i, _)
    return replace(m, presence=Presence(devices=i.devices)), []


def joined(m: ServerMachine, i: Joined, now: Monotonic) -> Step:
    """The session begins."""
    assert isinstance(m.state, Joining)
    timing = m.terms.timing
    if m.state.hello is None:
        timers = m.timers.clear(T.JOIN_DUE).set(T.HEARTBEAT_DUE, at(now, timing.heartbeat_ms))
        return _classic_begins(go(m, m.state, timers), m.state, i.account, now)
    decision: Rev | SyncReason = resume(m.state.hello.cursor, i.account, m.terms.limits)
    if decision == "ahead" and not m.state.ahead:
        waiting = Joining(m.state.login, m.state.hello, ahead=True, goal=m.state.goal)
        return go(m, waiting), [RenewEpoch(m.state.login.user, i.account.epoch)]
    timers = m.timers.clear(T.JOIN_DUE).set(T.HEARTBEAT_DUE, at(now, timing.heartbeat_ms))
    timers = timers.set(T.LIVENESS_DUE, at(now, timing.liveness_ms))
    if m.presence is not None:
        timers = timers.set(T.PRESENCE_DUE, now)
    return _v1_begins(go(m, m.state, timers), m.state, m.state.hello, i, decision)


def _classic_begins(m: ServerMachine, s: Joining, account: Account, now: Monotonic) -> Step:
    live = ClassicLive(s.login, account.epoch, account.rev, blocked=T.UNWRITABLE_DUE in m.timers)
    m, outputs = classic.compare(go(m, live), account.epoch, s.goal)
    for said in s.said:
        # Each may be one too many, or `bye`.
        rule = classic.received if isinstance(m.state, ClassicLive) else over
        m, more = rule(m, said, now)
        outputs += more
    return m, outputs


def _v1_begins(m: ServerMachine, s: Joining, hello: Hello, i: Joined, decision: Rev | SyncReason) -> Step:
    account = i.account
    peer = Peer(s.login, hello.device.id, account.epoch, "deflate" in hello.caps, "presence" in hello.caps)
    outputs: list[ServerOutput] = [Transmit(_welcome(m, s.login, hello, i, decision))]
    goal = Rev(max(account.rev, s.goal))
    blocked = T.UNWRITABLE_DUE in m.timers
    if isinstance(decision, str):
        reason: SyncReason = "ahead" if s.ahead else decision
        outputs.append(Transmit(encode(SyncRequired(reason=reason, epoch=account.epoch, rev=account.rev))))
        elsewhere = hello.cursor is not None and hello.cursor.epoch != account.epoch
        outputs.append(ReadState(s.login.user, peer.device, elsewhere))
        return go(m, Behind(peer, Rev(0), goal, "state", blocked)), outputs
    if decision == goal:
        outputs.append(Transmit(encode(SyncedMessage(epoch=account.epoch, rev=goal))))
        return go(m, Live(peer, goal, blocked)), outputs
    outputs.append(ReadPage(s.login.user, decision, m.terms.limits.page_rows))
    return go(m, Behind(peer, decision, goal, "page", blocked)), outputs


def _welcome(m: ServerMachine, login: Login, hello: Hello, i: Joined, decision: Rev | SyncReason) -> str:
    resumed: Literal["none", "replay", "snapshot"]
    resumed = "snapshot" if isinstance(decision, str) else "none" if decision == i.account.rev else "replay"
    welcome = Welcome(
        user=login.user,
        session_id=login.session,
        epoch=i.account.epoch,
        rev=i.account.rev,
        resume=resumed,
        last_mid=i.last_mid,
        server_time=i.wall,
        timers=asdict(m.terms.timing),
        limits=asdict(m.terms.limits),
        caps=tuple(cap for cap in CAPS if cap in hello.caps),
        auth_exp=Wall(login.expires_at),
    )
    return encode(welcome)


def not_yet(m: ServerMachine, i: Value, _: Monotonic) -> Step:
    """The session has not begun; what it begins with will be newer."""
    return ignore(m, f"{type(i).__name__} before the session began")


def not_asked(m: ServerMachine, i: Value, _: Monotonic) -> Step:
    """True, but of no use in this state."""
    return ignore(m, f"{type(i).__name__} means nothing here")
