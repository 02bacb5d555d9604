"""The two registers of a ring, `acked` and `snooze`: they only grow, so the order of arrival does not matter to them."""

from typing import TypeVar, assert_never

from msgspec.structs import replace

from ._edits import Dismiss, Snooze
from ._records import Alarm, Record, Snoozed, Timer
from ._types import RunId, Wall


R = TypeVar("R", Alarm, Timer)

APART_MS = 300_000
"""Two occurrences of one alarm closer than this exist only through an edit between them."""

LATE_MS = 5_000
"""A timer's ring that began this much before the current `ends_at` still means the current one."""


def is_dismissed(alarm: Alarm, occ: int) -> bool:
    """Whether an occurrence was dismissed: itself, or by a later one that is not an edited form of it."""
    return alarm.acked is not None and (occ == alarm.acked or occ <= alarm.acked - APART_MS)


def times_snoozed(record: Record, occ: int | str) -> int:
    """How often this occurrence was postponed."""
    return record.snooze.n if record.snooze is not None and record.snooze.occ == occ else 0


def dismiss(record: Record, edit: Dismiss) -> Record:
    """`acked` grows to the ring dismissed."""
    match record:
        case Alarm(acked=acked):
            if edit.occ is None or (acked is not None and edit.occ <= acked):
                return _end_older(record, edit.occ)
            return replace(record, acked=edit.occ)
        case Timer():
            if not _rings(record, edit.run, edit.due) or record.acked == edit.run:
                return record
            return replace(record, acked=edit.run)
        case _:
            assert_never(record)


def _end_older(alarm: Alarm, occ: int | None) -> Alarm:
    """A snoozed ring just below `acked` can only be stopped by taking its snooze away: `acked` never goes back."""
    snoozed = alarm.snooze
    rings_on = occ is not None and snoozed is not None and snoozed.occ == occ and not is_dismissed(alarm, occ)
    return replace(alarm, snooze=None) if rings_on else alarm


def snooze(record: Record, edit: Snooze) -> Record:
    """`snooze` grows to the ring postponed, unless it is dismissed: a void register must not displace a live one."""
    until = Wall(edit.moment + edit.length_ms)
    match record:
        case Alarm():
            if edit.occ is None or is_dismissed(record, edit.occ):
                return record
            return _postpone(record, Snoozed(edit.occ, edit.n, until))
        case Timer():
            if edit.run is None or not _rings(record, edit.run, edit.due) or record.acked == edit.run:
                return record
            return _postpone(record, Snoozed(edit.run, edit.n, until))
        case _:
            assert_never(record)


def _postpone(record: R, snoozed: Snoozed) -> R:
    return replace(record, snooze=snoozed) if _exceeds(snoozed, record.snooze) else record


def _exceeds(new: Snoozed, old: Snoozed | None) -> bool:
    """An alarm's occurrences have an order; of a timer's runs only the current one counts."""
    if old is None:
        return True
    if isinstance(new.occ, int) and isinstance(old.occ, int) and new.occ != old.occ:
        return new.occ > old.occ
    return new.occ != old.occ or (new.n, new.until) > (old.n, old.until)


def _rings(timer: Timer, run: RunId | None, due: int | None) -> bool:
    """Whether the ring meant is that of the current run, not of one that went on or was lengthened since."""
    ends_at = timer.ends_at if timer.phase == "running" and timer.run == run else None
    return ends_at is not None and due is not None and ends_at <= due + LATE_MS
