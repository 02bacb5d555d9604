"""Answers to mutations, the same over the socket and over HTTP (docs/protocol.md#mutation-order)."""

from typing import Any, assert_never, cast

from msgspec import UNSET
from msgspec.structs import replace

from .._close_codes import RENAMED
from .._edits import Create, Delete, Edit, Patch
from .._errors import Fault, FaultCode
from .._facts import Entry, Renamed, ResultHeard
from .._fields import READERS, same
from .._messages import (
    AlarmCreated,
    AlarmDeleted,
    AlarmUpdated,
    Error,
    ItemEvent,
    Result,
    TimerCreated,
    TimerDeleted,
    TimerUpdated,
)
from .._reconnect import believed
from .._types import Cursor, DeviceId, Epoch, Mid, Rev
from ._ending import finish, hang_up
from ._outputs import Answered, Faulted
from ._states import Live, Opening, Pushing, Syncing
from ._turn import LARGEST, NO_MID, Turn
from ._upkeep import renewal_refused, say_again
from ._upload import pause, rewind, stop_pushing


UNASKED_PAUSE_MS = 1_000
"""How long to wait where the server does not say."""

_RENEWAL = frozenset({"token_expired", "token_invalid"})


# --- results ----------------------------------------------------------------------------------------------------------


def resulted(turn: Turn, result: Result, epoch: Epoch) -> None:
    """The server decided one mutation; its place in the log belongs to `epoch`."""
    entry = find(turn, result.mid)
    awaited = _answer(turn, result.mid)
    if entry is None or entry.answered is not None:
        # Its event came first and retired it, or this is a second answer to a second sending.
        if awaited and not result.dup:
            turn.do(Answered(result))
        else:
            turn.ignore(f"mid {result.mid} was answered")
        return
    turn.store(ResultHeard(result, epoch))
    turn.do(Answered(result))
    if result.status == "rejected":
        turn.set(outbox=tuple(other for other in turn.machine.outbox if other is not entry))
    else:
        placed = replace(entry, answered=Cursor(epoch, result.rev))
        turn.set(outbox=tuple(placed if other is entry else other for other in turn.machine.outbox))
        retire(turn)


def is_placed(result: Result) -> bool:
    """Whether its place is one that a log can have, and a database can keep."""
    return 0 <= result.rev <= LARGEST


def find(turn: Turn, mid: int) -> Entry | None:
    """The entry of this number, if it waits."""
    return next((entry for entry in turn.machine.outbox if entry.mid == mid), None)


def _answer(turn: Turn, mid: int) -> bool:
    session = turn.session
    if session is None or mid not in session.unanswered:
        return False
    turn.in_session(unanswered=tuple(other for other in session.unanswered if other != mid), asked_at=turn.now)
    return True


# --- retiring ---------------------------------------------------------------------------------------------------------


def retire_by_events(turn: Turn, events: tuple[ItemEvent, ...]) -> None:
    """Entries that the events contain leave, as they leave the replica (docs/protocol.md#outbox-leave)."""
    device = turn.machine.device
    retire(turn, max((e.origin.mid for e in events if e.origin and e.origin.device_id == device), default=NO_MID))


def not_ours(turn: Turn, events: tuple[ItemEvent, ...]) -> Mid | None:
    """The waiting entry whose number the log gives to something else: another copy of this store used it first.

    Without this look the entry would be taken for contained and be lost (docs/protocol.md#outbox-new-device).
    """
    device = turn.machine.device
    for event in events:
        entry = find(turn, event.origin.mid) if event.origin and event.origin.device_id == device else None
        if entry is not None and not _may_come_of(event, entry.edit):
            return entry.mid
    return None


def _may_come_of(event: ItemEvent, edit: Edit) -> bool:
    """False only where that is certain: an edit that was ours would be done twice under the other name."""
    match event:
        case AlarmCreated() | TimerCreated():
            fits = isinstance(edit, Create) and event.data.get("id") == edit.id
        case AlarmDeleted() | TimerDeleted():
            fits = isinstance(edit, Delete) and event.id == edit.id
        case AlarmUpdated() | TimerUpdated():
            fits = event.id == edit.id and event.changed is not UNSET and _may_change(edit, event.changed)
        case _:
            assert_never(event)
    # The server sets clocks back, never ahead.
    return fits and event.at <= edit.at


def _may_change(edit: Edit, changed: dict[str, Any]) -> bool:
    defined = {name: value for name, value in changed.items() if name in READERS[edit.kind]}
    match edit:
        case Create() | Patch():
            return bool(defined) and all(_sets(edit, name, value) for name, value in defined.items())
        case Delete():
            return False
        case _:
            return not defined


def _sets(edit: Create | Patch, name: str, value: Any) -> bool:
    if name == "date":
        return True  # the server fills it in
    read = READERS[edit.kind][name]
    return name in edit.fields and same(read(value), read(edit.fields[name]))


def retire(turn: Turn, contained: Mid = NO_MID) -> None:
    """Entries up to `contained` leave, and those whose answer the cursor has reached."""
    m = turn.machine
    if m.outbox:
        kept = tuple(entry for entry in m.outbox if entry.mid > contained and not _is_passed(entry, m.cursor))
        turn.set(outbox=kept)


def _is_passed(entry: Entry, cursor: Cursor | None) -> bool:
    place = entry.answered
    return place is not None and cursor is not None and place.epoch == cursor.epoch and place.rev <= cursor.rev


def reopen(turn: Turn, epoch: Epoch) -> None:
    """After a snapshot: an answer of another history says nothing about this one, and the others may be reached.

    An entry whose number the snapshot contains stays and is asked about: its answer, or `mid_reused`, tells whether it
    is this one that the number was used for (docs/protocol.md#outbox-leave).
    """
    entries = turn.machine.outbox
    if any(entry.answered is not None and entry.answered.epoch != epoch for entry in entries):
        entries = tuple(
            replace(entry, answered=None) if entry.answered and entry.answered.epoch != epoch else entry
            for entry in entries
        )
        turn.set(outbox=entries)
    retire(turn)


# --- errors -----------------------------------------------------------------------------------------------------------


def complained(turn: Turn, error: Error) -> None:
    """The server says that we did something wrong, or that it cannot do something now."""
    turn.count("faults")
    turn.do(Faulted(_said(error)))


def errored(turn: Turn, error: Error) -> None:
    """An error in a session, or in the answer to a push."""
    complained(turn, error)
    ref = error.ref if error.ref is not UNSET else None
    match error.code:
        case "epoch":
            _disowned(turn, ref)
        case "out_of_order":
            _out_of_order(turn, error)
        case "mid_reused":
            _reused(turn, ref)
        case code if code in _RENEWAL and ref is None:
            renewal_refused(turn)
        case _ if error.retryable or error.code in {"rate_limited", "busy"}:
            _not_now(turn, error, ref)
        case _:
            _refused(turn, error, ref)


def _said(error: Error) -> Fault:
    optional = {
        name: value for name in ("field", "want", "retry_after_ms") if (value := getattr(error, name)) is not UNSET
    }
    # A code of a later version stays as it is: what to do is decided by `retryable` then.
    return Fault(cast("FaultCode", error.code), error.message[:500], retryable=error.retryable, **optional)


def _disowned(turn: Turn, ref: int | None) -> None:
    """The epoch we are in has ended; the snapshot of the next one is on its way (docs/protocol.md#outbox-other-epoch)."""
    session = turn.session
    if session is None:
        return
    if ref in session.doubted:
        turn.in_session(doubted=tuple(mid for mid in session.doubted if mid != ref))
        return
    first = ref if ref is not None else min(session.unanswered, default=session.sent + 1)
    turn.in_session(held=session.epoch, doubted=tuple(mid for mid in session.unanswered if mid > first))
    rewind(turn, first)


def _out_of_order(turn: Turn, error: Error) -> None:
    want = error.want
    oldest = next((entry.mid for entry in turn.machine.outbox if entry.answered is None), None)
    if want is UNSET or oldest is None or want > turn.machine.newest:
        turn.ignore("there is no such mutation to go on from")
    elif want < oldest:
        rename(turn, oldest)
    elif find(turn, want) is None:
        rename(turn, next(entry.mid for entry in turn.machine.outbox if entry.mid > want))
    else:
        rewind(turn, want)


def _reused(turn: Turn, ref: int | None) -> None:
    entry = None if ref is None else find(turn, ref)
    if entry is None or entry.answered is not None:
        turn.ignore("that mutation waits no more")
    else:
        rename(turn, entry.mid)


def _not_now(turn: Turn, error: Error, ref: int | None) -> None:
    asked = error.retry_after_ms
    ms = believed(UNASKED_PAUSE_MS if asked is UNSET else asked)
    pause(turn, max(ms, 1))
    if ref is not None:
        rewind(turn, ref)
    elif turn.session is not None:
        say_again(turn, ms)


def _refused(turn: Turn, error: Error, ref: int | None) -> None:
    """An error of a later version that no repetition mends counts as a rejection, or the outbox would stick."""
    if ref is None:
        return
    cursor = turn.machine.cursor
    place = cursor if cursor is not None else Cursor(Epoch(""), Rev(0))
    resulted(turn, Result(mid=Mid(ref), status="rejected", rev=place.rev, code=error.code), place.epoch)


def rename(turn: Turn, from_mid: Mid) -> None:
    """This store is a copy, or was restored: another name, and numbers from 1 (docs/protocol.md#outbox-new-device)."""
    m = turn.machine
    name, chance = m.chance.identifier()
    waiting = [entry for entry in m.outbox if entry.answered is None or entry.mid >= from_mid]
    renumbered = tuple(replace(entry, mid=Mid(n), answered=None) for n, entry in enumerate(waiting, 1))
    newest = Mid(len(renumbered))
    storing = tuple(replace(waits, mid=Mid(0)) for waits in m.storing)
    turn.set(device=DeviceId(name), chance=chance, outbox=renumbered, newest=newest, kept=Mid(0), storing=storing)
    turn.store(Renamed(DeviceId(name), from_mid), mid=newest)
    if isinstance(m.pushed, Pushing):
        stop_pushing(turn)
    if isinstance(m.state, Opening | Syncing | Live):
        why = "this store is a copy of another: the device has a new identifier"
        hang_up(turn, 1000, "new device id")
        finish(turn, RENAMED, why)
