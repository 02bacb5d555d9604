"""How the log comes down: events one by one, or a snapshot; the same for the socket and for polls (docs/protocol.md#resume-gap)."""

from itertools import chain

from msgspec import UNSET, UnsetType

from .._errors import Fault
from .._facts import EventsHeard, SnapshotHeard
from .._messages import AlarmUpdated, Heartbeat, ItemEvent, Snapshot, SyncRequired, TimerUpdated
from .._messages import Synced as SyncedMessage
from .._reconnect import in_step
from .._records import Record
from .._timers import ClientTimer as T
from .._types import Cursor, Epoch, ItemId, Mid, Rev
from ._answers import reopen, retire
from ._ending import GAP, bad, close
from ._outputs import HeartbeatHeard, Synced
from ._polling import end
from ._states import Gathering, Live, Session, Syncing
from ._turn import LARGEST, Turn
from ._upkeep import acknowledge, ping
from ._upload import pump


MOST_PARTS = 1_024
BURST = 5
"""Pings at once after `synced` (docs/protocol.md#heartbeat-ping)."""


# --- events -----------------------------------------------------------------------------------------------------------


def event(turn: Turn, session: Session, message: ItemEvent) -> None:
    """Old ones are dropped, the next one is applied, and after a gap there is one way on: resume."""
    cursor = turn.machine.cursor
    if is_malformed(message):
        bad(turn, Fault("bad_message", "An updated item needs `id` and `changed`.", field="changed"))
        return
    if session.gathering is not None:
        _drop(turn, f"rev {message.rev} before the snapshot is complete")
        return
    if cursor is None or cursor.epoch != session.epoch or message.rev > cursor.rev + 1:
        close(turn, GAP, "gap")
        return
    hear(turn, session, message.rev)
    if message.rev <= cursor.rev:
        _drop(turn, f"rev {message.rev} is here already")
    else:
        apply_events(turn, session.epoch, (message,))


def hear(turn: Turn, session: Session, rev: Rev) -> None:
    """The server has read to us as far as this."""
    if session.heard is None or rev > session.heard:
        turn.in_session(heard=rev)


def _drop(turn: Turn, reason: str) -> None:
    turn.count("dropped")
    turn.ignore(reason)


def is_malformed(message: ItemEvent) -> bool:
    """Whether it lacks what v1 needs; classic events of the same types carry other fields."""
    return isinstance(message, AlarmUpdated | TimerUpdated) and UNSET in (message.id, message.changed)


def apply_events(turn: Turn, epoch: Epoch, events: tuple[ItemEvent, ...]) -> None:
    """Events that continue after the cursor without a gap."""
    cursor = Cursor(epoch, events[-1].rev)
    turn.set(cursor=cursor)
    turn.count("events", len(events))
    turn.store(EventsHeard(events, cursor), cursor=cursor)
    retire(turn)


def heartbeat(turn: Turn, message: Heartbeat) -> None:
    """The server is there, and says how far it has sent: what is missing below that was lost on the way."""
    turn.do(HeartbeatHeard(message.t))
    session, cursor = turn.session, turn.machine.cursor
    assert session is not None
    in_order = cursor is not None and cursor.epoch == session.epoch and session.gathering is None
    if in_order and cursor is not None and message.rev > cursor.rev:
        close(turn, GAP, "gap")


# --- stretches --------------------------------------------------------------------------------------------------------


def stretch(turn: Turn, session: Session, message: SyncRequired | Snapshot | SyncedMessage) -> None:
    """What begins, fills and ends a snapshot or a replay."""
    if isinstance(message, SyncRequired):
        _enter(turn, session, message.epoch)
        turn.in_session(gathering=Gathering())
    elif isinstance(message, Snapshot):
        _part(turn, session, message)
    else:
        _synced(turn, session, message)


def _enter(turn: Turn, session: Session, epoch: Epoch) -> None:
    """Frames belong to this epoch from now on; what was sent under another will not be taken."""
    if epoch != session.epoch:
        turn.in_session(epoch=epoch, heard=None, sent=Mid(0), unanswered=(), doubted=session.unanswered, acked=None)
        # What was held back for the old epoch may go under the new one.
        turn.set(paused=turn.now)


def _part(turn: Turn, session: Session, part: Snapshot) -> None:
    gathering = session.gathering
    if gathering is None:
        bad(turn, Fault("bad_message", "A snapshot needs a `sync_required` before it.", field="type"))
    elif not _fits(session, gathering, part):
        bad(turn, Fault("bad_message", "A snapshot's parts are numbered without holes and of one rev.", field="part"))
    elif len(gathering.items) >= MOST_PARTS:
        bad(turn, Fault("too_big", f"A snapshot has at most {MOST_PARTS} parts."))
    else:
        _enter(turn, session, part.epoch)
        _gather(turn, gathering, part)


def _fits(session: Session, gathering: Gathering, part: Snapshot) -> bool:
    first = part.part == 0 and 0 <= part.rev <= LARGEST
    return part.part == gathering.part + 1 and (first or (part.epoch, part.rev) == (session.epoch, gathering.rev))


def _gather(turn: Turn, gathering: Gathering, part: Snapshot) -> None:
    deleted = gathering.deleted if part.deleted is UNSET else (*gathering.deleted, part.deleted)
    items = (*gathering.items, part.items)
    if not part.last:
        turn.in_session(gathering=Gathering(part.rev, part.part, items, deleted))
        return
    turn.in_session(gathering=None, heard=part.rev)
    named = tuple(chain.from_iterable(deleted)) if deleted else UNSET
    take_snapshot(turn, Cursor(part.epoch, part.rev), part.last_mid, tuple(chain.from_iterable(items)), named)
    pump(turn)


def take_snapshot(
    turn: Turn, cursor: Cursor, last_mid: Mid, items: tuple[Record, ...], deleted: tuple[ItemId, ...] | UnsetType
) -> bool:
    """Server state at one place; says whether it was taken: time does not turn back inside an epoch."""
    before = turn.machine.cursor
    if before is not None and before.epoch == cursor.epoch and cursor.rev < before.rev:
        _drop(turn, f"a snapshot at rev {cursor.rev}, below the cursor")
        return False
    turn.set(cursor=cursor)
    turn.store(SnapshotHeard(cursor.epoch, cursor.rev, last_mid, items, deleted), cursor=cursor)
    reopen(turn, cursor.epoch, renewed=before is not None and before.epoch != cursor.epoch)
    return True


def _synced(turn: Turn, session: Session, message: SyncedMessage) -> None:
    cursor = turn.machine.cursor
    here = cursor is not None and cursor.epoch == message.epoch == session.epoch and cursor.rev >= message.rev
    if session.gathering is not None or not here:
        close(turn, GAP, "gap")
        return
    hear(turn, session, message.rev)
    if isinstance(turn.machine.state, Syncing):
        _go_live(turn, turn.machine.state)
    acknowledge(turn)
    turn.do(Synced())


def _go_live(turn: Turn, state: Syncing) -> None:
    m = turn.machine
    end(turn)
    turn.set(state=Live(state.gen, state.session, turn.now), history=in_step(m.history))
    turn.count("sessions")
    turn.after(T.STABLE_DUE, m.timing.stable_ms)
    turn.after(T.PING_DUE, m.timing.ping_ms)
    for _ in range(BURST):
        session = turn.session
        assert session is not None
        ping(turn, session)
    turn.show()
