"""How changes reach a v1 client: Behind reads the log, Live passes on what is published (docs/protocol.md#life-behind).

`sent` is the one truth about what the peer was given. A gap in what is published, a lost nudge seen at a heartbeat and a
reader that is too slow all end in the same place: Behind, reading on from `sent`.
"""

from typing import TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from .._deflate import pack
from .._events import event_text
from .._framing import encode
from .._log import State
from .._messages import Heartbeat, Snapshot, SyncReason, SyncRequired
from .._messages import Synced as SyncedMessage
from .._records import Record
from .._resume import gap
from .._timers import ServerTimer as T
from .._types import Epoch, ItemId, Monotonic, Rev, Wall
from ._inputs import Blocked, Drained, HeadRead, PageRead, Publish, Resync, StateRead
from ._machine import ServerMachine, Step, at, close, go, ignore
from ._outputs import ReadHead, ReadPage, ReadState, ServerOutput, Transmit, TransmitBinary
from ._states import Behind, ClassicLive, Live, Peer, ServerState


ENVELOPE = 512
"""Bytes kept free in each part of a snapshot for what is around its items."""

_ENCODE = msgspec.json.Encoder().encode

P = TypeVar("P", bound="Record | ItemId")

SLOWEST = 64
"""Bytes per millisecond below which a reader of a long snapshot is given up: 64 KB/s."""


# --- Live -------------------------------------------------------------------------------------------------------------


def publish(m: ServerMachine, i: Publish, _: Monotonic) -> Step:
    """The hot path: the next change, to a peer that reads."""
    assert isinstance(m.state, Live)
    s = m.state
    expected = s.sent + len(s.held) + 1
    if i.rev < expected:
        return ignore(m, f"rev {i.rev} was sent")
    if i.rev > expected:
        return fall_behind(m, s, i.rev)
    frame = i.packed if i.packed is not None and s.peer.deflate else i.v1
    if not s.blocked:
        return go(m, Live(s.peer, i.rev)), [_frame(frame)]
    return _hold(m, s, frame, i.rev)


def _frame(frame: str | bytes) -> ServerOutput:
    return Transmit(frame) if isinstance(frame, str) else TransmitBinary(frame)


def frame_bytes(frame: str | bytes) -> int:
    """How many bytes a frame is on the wire."""
    return len(frame.encode()) if isinstance(frame, str) else len(frame)


def _hold(m: ServerMachine, s: Live, frame: str | bytes, rev: Rev) -> Step:
    limits = m.terms.limits
    size = s.held_bytes + frame_bytes(frame)
    if len(s.held) >= limits.held_events or size > limits.held_bytes:
        return go(m, Behind(s.peer, s.sent, rev, "nothing", blocked=True)), []
    return go(m, Live(s.peer, s.sent, True, (*s.held, frame), size)), []


def fall_behind(m: ServerMachine, s: Live, goal: Rev) -> Step:
    """Something is missing: read it from the log."""
    if s.blocked:
        return go(m, Behind(s.peer, s.sent, goal, "nothing", blocked=True)), []
    return go(m, Behind(s.peer, s.sent, goal, "page")), [_read(m, s.peer, s.sent)]


def live_drained(m: ServerMachine, _: Drained, __: Monotonic) -> Step:
    """The peer reads again: what was held goes out in one write."""
    assert isinstance(m.state, Live)
    s = m.state
    m = relieved(m, Live(s.peer, Rev(s.sent + len(s.held))))
    return m, [_frame(frame) for frame in s.held]


# --- Behind -----------------------------------------------------------------------------------------------------------


def publish_behind(m: ServerMachine, i: Publish, _: Monotonic) -> Step:
    """Remembered by its rev; the log has it."""
    assert isinstance(m.state, Behind)
    return go(m, replace(m.state, goal=Rev(max(m.state.goal, i.rev)))), []


def page_read(m: ServerMachine, i: PageRead, _: Monotonic) -> Step:
    """One page of the log goes out."""
    assert isinstance(m.state, Behind)
    s, page = m.state, i.page
    if s.reading != "page" or page.after != s.sent:
        return ignore(m, "not the page asked for")
    if page.account.epoch != s.peer.epoch:
        return start_afresh(m, s.peer, "epoch", page.account.epoch, page.account.rev, blocked=s.blocked)
    if (why := gap(s.sent, page.account, m.terms.limits)) is not None:
        return start_afresh(m, s.peer, why, page.account.epoch, page.account.rev, blocked=s.blocked)
    outputs: list[ServerOutput] = [_packed(event_text(row), s.peer, m) for row in page.rows]
    sent = page.rows[-1].rev if page.rows else s.sent
    # A goal that the log does not reach was a published change that never committed here; the log is the truth.
    goal = s.goal if page.rows else page.account.rev
    caught_up = Behind(s.peer, sent, Rev(max(goal, page.account.rev)), "nothing", s.blocked)
    m, more = go_on(go(m, caught_up))
    return m, outputs + more


def state_read(m: ServerMachine, i: StateRead, now: Monotonic) -> Step:
    """The whole state goes out in parts, all at one rev."""
    assert isinstance(m.state, Behind)
    s, account = m.state, i.state.account
    if s.reading != "state":
        return ignore(m, "no snapshot was asked for")
    if account.epoch != s.peer.epoch:
        # Read again: the tombstones may not have been asked for, and for another epoch they must be told.
        return start_afresh(m, s.peer, "epoch", account.epoch, account.rev, blocked=s.blocked)
    if account.rev < s.sent:
        return ignore(m, "a snapshot older than what was sent")
    texts = [encode(part) for part in parts(i.state, m.terms.limits.snapshot_part)]
    outputs: list[ServerOutput] = [_packed(text, s.peer, m) for text in texts]
    m = replace(m, burst=sum(map(len, texts)))
    if s.blocked:
        m = replace(m, timers=m.timers.set(T.UNWRITABLE_DUE, patience(m, now)))
    m, more = go_on(go(m, Behind(s.peer, account.rev, Rev(max(s.goal, account.rev)), "nothing", s.blocked)))
    return m, outputs + more


def go_on(m: ServerMachine) -> Step:
    """After a page or a snapshot: the next page, `synced`, or nothing while the peer does not read."""
    assert isinstance(m.state, Behind)
    s = m.state
    if s.sent < s.goal:
        if s.blocked:
            return m, []
        return go(m, replace(s, reading="page")), [_read(m, s.peer, s.sent)]
    synced = Transmit(encode(SyncedMessage(epoch=s.peer.epoch, rev=s.sent)))
    return go(m, Live(s.peer, s.sent, s.blocked)), [synced]


def start_afresh(m: ServerMachine, peer: Peer, reason: SyncReason, epoch: Epoch, rev: Rev, *, blocked: bool) -> Step:
    """Replay is not possible: the single answer is a snapshot. Its reading waits for nobody, so it can heal anything."""
    elsewhere = epoch != peer.epoch
    required = Transmit(encode(SyncRequired(reason=reason, epoch=epoch, rev=rev)))
    sent = Rev(0) if elsewhere else _sent(m)
    behind = Behind(replace(peer, epoch=epoch), sent, rev, "state", blocked)
    return go(m, behind), [required, ReadState(peer.login.user, peer.device, elsewhere)]


def _sent(m: ServerMachine) -> Rev:
    assert isinstance(m.state, (Behind, Live))
    return m.state.sent


def behind_drained(m: ServerMachine, _: Drained, __: Monotonic) -> Step:
    """The peer reads again: go on where it was."""
    assert isinstance(m.state, Behind)
    s = replace(m.state, blocked=False)
    m = relieved(m, s)
    return go_on(m) if s.reading == "nothing" else (m, [])


def parts(state: State, size: int) -> list[Snapshot]:
    """A snapshot cut so that no part exceeds `size` bytes, unless one item alone does (docs/protocol.md#msg-snapshot-parts).

    Records first, then the tombstones.
    """
    groups = [(group, ()) for group in _cut(state.records, size)] + [((), group) for group in _cut(state.deleted, size)]
    groups = groups or [((), ())]
    return [
        Snapshot(
            epoch=state.account.epoch,
            rev=state.account.rev,
            last_mid=state.last_mid,
            part=number,
            last=number == len(groups) - 1,
            items=items,
            deleted=deleted or UNSET,
        )
        for number, (items, deleted) in enumerate(groups)
    ]


def _cut(pieces: tuple[P, ...], size: int) -> list[tuple[P, ...]]:
    groups: list[list[P]] = []
    room = 0
    for piece in pieces:
        weight = len(_ENCODE(piece)) + 1
        if weight > room:
            groups.append([])
            room = size - ENVELOPE
        groups[-1].append(piece)
        room -= weight
    return [tuple(group) for group in groups]


# --- both -------------------------------------------------------------------------------------------------------------


def blocked(m: ServerMachine, _: Blocked, now: Monotonic) -> Step:
    """What was sent did not leave at once."""
    assert isinstance(m.state, (Behind, Live, ClassicLive))
    if m.state.blocked:
        return ignore(m, "known to be blocked")
    return go(m, replace(m.state, blocked=True), m.timers.set(T.UNWRITABLE_DUE, patience(m, now))), []


def patience(m: ServerMachine, now: Monotonic) -> Monotonic:
    """Until when a peer that does not read is kept."""
    return at(now, m.terms.timing.unwritable_ms + m.burst / SLOWEST)


def relieved(m: ServerMachine, state: ServerState) -> ServerMachine:
    """Everything sent has left."""
    return replace(m, state=state, timers=m.timers.clear(T.UNWRITABLE_DUE), burst=0)


def unwritable(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """The peer has not read for too long."""
    return close(m, now, 4101, "too slow a reader")


def heartbeat_due(m: ServerMachine, _: object, now: Monotonic) -> Step:
    """Before a heartbeat the heads are compared, so that a lost nudge heals (docs/protocol.md#heartbeat-heals)."""
    assert isinstance(m.state, (Behind, Live, ClassicLive))
    s = m.state
    if isinstance(s, Behind) and s.reading != "nothing":
        if s.late:
            return close(m, now, 1013, "the store is busy")
        s = replace(s, late=True)
    user = s.login.user if isinstance(s, ClassicLive) else s.peer.login.user
    m = go(m, s, m.timers.set(T.HEARTBEAT_DUE, at(now, m.terms.timing.heartbeat_ms)))
    # A snapshot that left long ago is no excuse for being slow now.
    return (m if s.blocked else replace(m, burst=0)), [ReadHead(user)]


def beat(m: ServerMachine, rev: Rev, wall: Wall) -> tuple[ServerMachine, Transmit]:
    """One heartbeat; `rev` is how far this peer was sent, so that it notices what was lost on the way."""
    message = Heartbeat(n=m.beats + 1, t=wall, rev=rev)
    return replace(m, beats=m.beats + 1), Transmit(encode(message))


def head_read(m: ServerMachine, i: HeadRead, _: Monotonic) -> Step:
    """The heartbeat, and whatever the comparison shows to be missing."""
    assert isinstance(m.state, (Behind, Live))
    m, heartbeat = beat(m, m.state.sent, i.wall)
    m, more = compare(m, i.account.epoch, i.account.rev)
    return m, [heartbeat, *more]


def resync(m: ServerMachine, i: Resync, _: Monotonic) -> Step:
    """The log has a new epoch."""
    if i.reason == "asked":
        assert isinstance(m.state, (Behind, Live))
        return start_afresh(m, m.state.peer, "asked", i.epoch, i.rev, blocked=m.state.blocked)
    return compare(m, i.epoch, i.rev)


def compare(m: ServerMachine, epoch: Epoch, rev: Rev) -> Step:
    """What was sent against what there is."""
    assert isinstance(m.state, (Behind, Live))
    s = m.state
    if epoch != s.peer.epoch:
        return start_afresh(m, s.peer, "epoch", epoch, rev, blocked=s.blocked)
    if isinstance(s, Behind):
        return go(m, replace(s, goal=Rev(max(s.goal, rev)))), []
    return fall_behind(m, s, rev) if rev > s.sent + len(s.held) else (m, [])


def _read(m: ServerMachine, peer: Peer, after: Rev) -> ReadPage:
    return ReadPage(peer.login.user, after, m.terms.limits.page_rows)


def _packed(text: str, peer: Peer, m: ServerMachine) -> ServerOutput:
    packed = pack(text, m.terms.limits) if peer.deflate else None
    return Transmit(text) if packed is None else TransmitBinary(packed)
