"""The classic profile: a client that may never speak, and is served exactly as it always was (docs/protocol.md#classic)."""

from msgspec.structs import replace

from .._errors import Fault
from .._framing import Unknown, decode_client, encode
from .._messages import Bye, Ping, Pong, Subscribe, Subscribed, SyncReason, SyncRequired, Unsubscribe, Unsubscribed
from .._types import Epoch, Kind, Monotonic, Rev
from ._inputs import Drained, HeadRead, Publish, Received, ReceivedBinary, Resync
from ._machine import ServerMachine, Step, close, error, go, ignore, metered
from ._outputs import Ignored, Transmit
from ._rules_stream import beat, frame_bytes, relieved
from ._states import ClassicLive


TOPICS: dict[str, Kind] = {"alarms": "alarm", "timers": "timer"}
TOPIC_OF: dict[Kind, str] = {kind: topic for topic, kind in TOPICS.items()}


def publish(m: ServerMachine, i: Publish, _: Monotonic) -> Step:
    """The hot path: every event with its whole record, in the order of the log."""
    assert isinstance(m.state, ClassicLive)
    s = m.state
    if i.rev <= s.rev:
        return ignore(m, f"rev {i.rev} was sent")
    if i.rev > s.rev + 1:
        # The log keeps no whole records, so what was not published to it cannot be told any more.
        return _lost(m, s, "slow", s.epoch, i.rev)
    if s.topics is not None and TOPIC_OF[i.kind] not in s.topics:
        return go(m, replace(s, rev=i.rev)), []
    if s.blocked:
        return go(m, _hold(m, s, i)), []
    return replace(m, state=ClassicLive(s.login, s.epoch, i.rev, s.topics)), [Transmit(i.classic)]


def _hold(m: ServerMachine, s: ClassicLive, i: Publish) -> ClassicLive:
    limits = m.terms.limits
    size = s.held_bytes + frame_bytes(i.classic)
    if s.missed is not None or len(s.held) >= limits.held_events or size > limits.held_bytes:
        return replace(s, rev=i.rev, held=(), held_bytes=0, missed=s.missed or "slow")
    return replace(s, rev=i.rev, held=(*s.held, i.classic), held_bytes=size)


def drained(m: ServerMachine, _: Drained, __: Monotonic) -> Step:
    """It reads again: what was held, or the word that something is missing."""
    assert isinstance(m.state, ClassicLive)
    s = m.state
    m = relieved(m, ClassicLive(s.login, s.epoch, s.rev, s.topics))
    if s.missed is not None:
        return m, [_required(s.missed, s.epoch, s.rev)]
    return m, [Transmit(text) for text in s.held]


def _required(reason: SyncReason, epoch: Epoch, rev: Rev) -> Transmit:
    return Transmit(encode(SyncRequired(reason=reason, epoch=epoch, rev=rev)))


def _lost(m: ServerMachine, s: ClassicLive, reason: SyncReason, epoch: Epoch, rev: Rev) -> Step:
    """It must load everything again: it is told so now, or when it reads again."""
    if s.blocked:
        return go(m, replace(s, epoch=epoch, rev=rev, held=(), held_bytes=0, missed=reason)), []
    return go(m, replace(s, epoch=epoch, rev=rev)), [_required(reason, epoch, rev)]


def received(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """A text message, counted as on v1; nothing that it says wrong ends its session."""
    m, refused = metered(m, now)
    return obey(m, i, now) if refused is None else refused


def obey(m: ServerMachine, i: Received, now: Monotonic) -> Step:
    """One message within the allowance."""
    assert isinstance(m.state, ClassicLive)
    message = decode_client(i.data, m.terms.limits.frame)
    match message:
        case Ping():
            return m, [Transmit(encode(Pong(t0=message.t0, t1=i.wall, t2=i.wall)))]
        case Subscribe():
            return _topics(m, message.topics, (m.state.topics or frozenset()) | set(message.topics), added=True)
        case Unsubscribe():
            before = frozenset(TOPICS) if m.state.topics is None else m.state.topics
            return _topics(m, message.topics, before - set(message.topics), added=False)
        case Bye():
            return close(m, now, 1000, "bye")
        case Unknown():
            return replace(m, unknown=m.unknown + 1), [Ignored(f"unknown type {message.type[:40]!r}")]
        case Fault():
            return m, [error(message)]
        case _:
            return m, [error(Fault("bad_message", "This message needs the subprotocol tocsin.v1.", field="type"))]


def _topics(m: ServerMachine, asked: tuple[str, ...], topics: frozenset[str], *, added: bool) -> Step:
    assert isinstance(m.state, ClassicLive)
    if not set(asked) <= set(TOPICS):
        return m, [error(Fault("invalid", "Topics are `alarms` and `timers`.", field="topics"))]
    now_set = tuple(sorted(topics))
    reply = Subscribed(topics=now_set) if added else Unsubscribed(topics=now_set)
    return go(m, replace(m.state, topics=topics)), [Transmit(encode(reply))]


def received_binary(m: ServerMachine, _: ReceivedBinary, __: Monotonic) -> Step:
    """Classic is text."""
    return m, [error(Fault("bad_message", "Only text messages are read here."))]


def head_read(m: ServerMachine, i: HeadRead, _: Monotonic) -> Step:
    """A heartbeat; a classic client is told to fetch anew what it missed."""
    assert isinstance(m.state, ClassicLive)
    m, heartbeat = beat(m, i.account.rev, i.wall)
    m, more = compare(m, i.account.epoch, i.account.rev)
    return m, [heartbeat, *more]


def resync(m: ServerMachine, i: Resync, _: Monotonic) -> Step:
    """The log has a new epoch."""
    if i.reason == "asked":
        assert isinstance(m.state, ClassicLive)
        return _lost(m, m.state, "asked", i.epoch, i.rev)
    return compare(m, i.epoch, i.rev)


def compare(m: ServerMachine, epoch: Epoch, rev: Rev) -> Step:
    """What was published to it against what there is."""
    assert isinstance(m.state, ClassicLive)
    s = m.state
    if epoch != s.epoch:
        return _lost(m, s, "epoch", epoch, rev)
    return _lost(m, s, "slow", epoch, rev) if rev > s.rev else (m, [])
