"""Answers to mutations, the same over the socket and over HTTP (docs/protocol.md#mutation-order)."""

from typing import cast

from msgspec import UNSET
from msgspec.structs import replace

from .._close_codes import RENAMED
from .._errors import Fault, FaultCode
from .._facts import Entry, Renamed, ResultHeard
from .._messages import (
    Error,
    Result,
)
from .._reconnect import believed
from .._types import Cursor, DeviceId, Epoch, Mid, Rev
from ._ending import finish, hang_up
from ._machine import ClientMachine
from ._outputs import Answered, Faulted
from ._polling import poll
from ._states import Live, Opening, Polling, Pushing, Syncing
from ._turn import LARGEST, Turn
from ._upkeep import renewal_refused, say_again
from ._upload import pause, rewind, stop_pushing


UNASKED_PAUSE_MS = 1_000
"""How long to wait where the server does not say."""

_RENEWAL = frozenset({"token_expired", "token_invalid"})


# --- results ----------------------------------------------------------------------------------------------------------


def resulted(turn: Turn, result: Result, epoch: Epoch) -> None:
    """The server decided one mutation; its place in the log belongs to `epoch`."""
    entry = find(turn, result.mid)
    _count_answer(turn, result.mid)
    if entry is None or entry.answered is not None:
        # A second answer to a second sending.
        turn.ignore(f"mid {result.mid} was answered")
        return
    if result.status != "applied" and _follows_displaced(turn.machine, entry):
        # It had no effect because what comes before it is still missing: both go again, in their order.
        _displace(turn, entry.mid)
        return
    turn.store(ResultHeard(result, epoch))
    turn.do(Answered(result))
    if result.status == "rejected":
        turn.set(outbox=tuple(other for other in turn.machine.outbox if other is not entry))
    else:
        placed = replace(entry, answered=Cursor(epoch, result.rev))
        turn.set(outbox=tuple(placed if other is entry else other for other in turn.machine.outbox))
        retire(turn)
    _rename_in_time(turn)


def is_placed(result: Result) -> bool:
    """Whether its place is one that a log can have, and a database can keep."""
    return 0 <= result.rev <= LARGEST


def find(turn: Turn, mid: int) -> Entry | None:
    """The entry of this number, if it waits."""
    return next((entry for entry in turn.machine.outbox if entry.mid == mid), None)


def _count_answer(turn: Turn, mid: int) -> None:
    """One less is waited for on this connection."""
    session = turn.session
    if session is not None and mid in session.unanswered:
        turn.in_session(unanswered=tuple(other for other in session.unanswered if other != mid), asked_at=turn.now)


# --- retiring ---------------------------------------------------------------------------------------------------------


def retire(turn: Turn) -> None:
    """Entries leave whose answer the cursor has reached.

    No event and no snapshot takes an unanswered one out: each says that its number was used up, not that it was used
    for this very edit, since a copy of this store may have been first. Its answer, or `mid_reused`, tells
    (docs/protocol.md#outbox-doubt).
    """
    m = turn.machine
    if m.outbox:
        turn.set(outbox=tuple(entry for entry in m.outbox if not _is_passed(entry, m.cursor)))


def _is_passed(entry: Entry, cursor: Cursor | None) -> bool:
    place = entry.answered
    return place is not None and cursor is not None and place.epoch == cursor.epoch and place.rev <= cursor.rev


def reopen(turn: Turn, epoch: Epoch, *, renewed: bool) -> None:
    """After a snapshot: an answer of another history says nothing about this one, and others may be reached."""
    entries = turn.machine.outbox
    if any(entry.answered is not None and entry.answered.epoch != epoch for entry in entries):
        entries = tuple(
            replace(entry, answered=None) if entry.answered and entry.answered.epoch != epoch else entry
            for entry in entries
        )
        turn.set(outbox=entries)
    if renewed:
        turn.set(displaced=())
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
    turn.in_session(doubted=tuple(mid for mid in session.unanswered if mid > first))
    # For a while only: on a slow link this may be a second answer of old, and no other epoch will ever come.
    pause(turn, turn.machine.timing.answer_ms)
    rewind(turn, first)


def _out_of_order(turn: Turn, error: Error) -> None:
    want, m = error.want, turn.machine
    oldest = next((entry.mid for entry in m.outbox if _is_open(m, entry)), None)
    if want is UNSET or oldest is None or want > m.newest:
        turn.ignore("there is no such mutation to go on from")
    elif want < oldest or want in m.displaced:
        rename(turn)
    elif find(turn, want) is None:
        # Answers below were lost on the way: asked for again, they tell what was done under this name.
        _displace(turn, *(entry.mid for entry in m.outbox if entry.mid > want and entry.answered is None))
        rewind(turn, oldest)
    else:
        rewind(turn, want)


def _reused(turn: Turn, ref: int | None) -> None:
    entry = None if ref is None else find(turn, ref)
    if entry is None or entry.answered is not None:
        turn.ignore("that mutation waits no more")
    else:
        _count_answer(turn, entry.mid)
        _displace(turn, entry.mid)


def _displace(turn: Turn, *mids: Mid) -> None:
    """These numbers belong to something else; their entries need another name (docs/protocol.md#outbox-rename-last)."""
    m = turn.machine
    settled_by = m.settled_by if m.displaced else m.newest
    turn.set(displaced=tuple(sorted({*m.displaced, *mids})), settled_by=settled_by)
    _rename_in_time(turn)


def _rename_in_time(turn: Turn) -> None:
    """Not before every other entry has its answer: what took effect under the old name would do so again."""
    m = turn.machine
    if m.displaced and not any(_is_open(m, entry) and entry.mid <= m.settled_by for entry in m.outbox):
        rename(turn)


def _follows_displaced(machine: ClientMachine, entry: Entry) -> bool:
    """Whether an earlier edit of the same item waits for another name."""
    displaced = (other for other in machine.outbox if other.mid in machine.displaced and other.mid < entry.mid)
    return any(other.edit.id == entry.edit.id for other in displaced)


def _is_open(machine: ClientMachine, entry: Entry) -> bool:
    return entry.answered is None and entry.mid not in machine.displaced


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


def rename(turn: Turn) -> None:
    """This store is a copy, or was restored: another name, and numbers from 1 (docs/protocol.md#outbox-new-device)."""
    m = turn.machine
    name, chance = m.chance.identifier()
    waiting = [entry for entry in m.outbox if entry.answered is None]
    renumbered = tuple(replace(entry, mid=Mid(n)) for n, entry in enumerate(waiting, 1))
    newest = Mid(len(renumbered))
    storing = tuple(replace(waits, mid=Mid(0)) for waits in m.storing)
    turn.set(device=DeviceId(name), chance=chance, outbox=renumbered, newest=newest, kept=Mid(0), storing=storing)
    turn.set(displaced=(), settled_by=Mid(0))
    turn.store(Renamed(DeviceId(name)), mid=newest)
    if isinstance(m.pushed, Pushing):
        stop_pushing(turn)
    if isinstance(m.polled, Polling):
        # Its answer would tell how far the numbers of the old name go.
        poll(turn, m.polled.what)
    if isinstance(m.state, Opening | Syncing | Live):
        why = "this store is a copy of another: the device has a new identifier"
        hang_up(turn, 1000, "new device id")
        finish(turn, RENAMED, why)
