"""When an alarm is due: from a time of day, weekdays and a zone to instants (docs/protocol.md#ring-due).

Everything here is total: a zone nobody knows, a time that is none or an instant beyond the calendar gives no
occurrence, never an exception.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ._records import Alarm
from ._types import DAYS, Wall, Zones


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DAY = timedelta(days=1)

# A year from either end of the calendar, so that a few days or a zone's offset never leave it.
_FIRST_MS = (datetime(2, 1, 1, tzinfo=UTC) - _EPOCH) // _MS
_LAST_MS = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // _MS

# From any instant to the same weekday again: a week, a day for a gap as long as one, and a day to spare.
_WEEK_MS = 9 * 86_400_000

# ISO 8601 has many spellings of one instant; the wire has one.
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def time_of_day(text: str) -> time | None:
    """Read `HH:MM`, 00:00 to 23:59; None for any other spelling."""
    return time.fromisoformat(text) if _TIME.fullmatch(text) else None


def calendar_day(text: str) -> date | None:
    """Read `YYYY-MM-DD`; None for any other spelling and for a day no calendar has."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def due_at(day: date, time: str, tz: tzinfo) -> int | None:
    """The instant, in ms since the Unix epoch, at which clocks of a zone show `time` on `day`.

    A time left out by a gap is read with the offset before it (02:30 becomes 03:30); of a repeated time the first
    one counts (docs/protocol.md#ring-zone). Both are what `fold=0` means (PEP 495).

    Returns:
        None where `time` is not `HH:MM`.
    """
    clock = time_of_day(time)
    return None if clock is None else _instant(day, clock, tz)


def dues(alarm: Alarm, after: int, upto: int, zones: Zones) -> tuple[int, ...]:
    """Due instants of the definition in `(after, upto]`, ascending; ignores enabled, skip, stamps and registers.

    Costs one look at each day between the two, so callers keep them a few weeks apart.
    """
    return tuple(dict.fromkeys(_dues(alarm, after, upto, zones)))


def next_due(alarm: Alarm, after: Wall, zones: Zones) -> int | None:
    """The first due instant of the definition strictly after `after`; ignores what `dues` ignores."""
    return next(_dues(alarm, after, after + _WEEK_MS if alarm.days else _LAST_MS, zones), None)


def previous_due(alarm: Alarm, upto: Wall, zones: Zones) -> int | None:
    """The last due instant of the definition at or before `upto`; ignores what `dues` ignores."""
    return max(_dues(alarm, upto - _WEEK_MS if alarm.days else _FIRST_MS, upto, zones), default=None)


def once_date(time: str, tz: str, after: Wall, zones: Zones) -> str | None:
    """The first day, as `YYYY-MM-DD`, whose `time` in `tz` comes strictly after `after`."""
    zone, clock = zones(tz), time_of_day(time)
    if zone is None or clock is None:
        return None
    today = _local_day(after, zone)
    # Two days ahead: in a zone that turns its clocks back over midnight, tomorrow's first 00:00 may be past.
    ahead = (today + days * _DAY for days in range(3))
    return next((day.isoformat() for day in ahead if _instant(day, clock, zone) > after), None)


def _dues(alarm: Alarm, after: int, upto: int, zones: Zones) -> Iterator[int]:
    """As `dues`, found while they are asked for; twice the same where a zone left out a whole day."""
    zone, clock = zones(alarm.tz), time_of_day(alarm.time)
    if zone is None or clock is None:
        return
    # Later days never come earlier: no zone moved its clocks forward by more than a day.
    for day in _days(alarm, after, upto, zone):
        due = _instant(day, clock, zone)
        if after < due <= upto:
            yield due


def _days(alarm: Alarm, after: int, upto: int, zone: tzinfo) -> Iterable[date]:
    """Calendar days that may hold an occurrence in `(after, upto]`."""
    if not alarm.days:
        once = calendar_day(alarm.date or "")
        return () if once is None else (once,)
    weekdays = {DAYS.index(day) for day in alarm.days}
    # A day more on either side: a gap can be a whole day long (Samoa, 30 December 2011), and clocks that go back
    # over midnight (St John's until 2011) show yesterday after today.
    first, last = _local_day(after, zone) - _DAY, _local_day(upto, zone) + _DAY
    days = (first + n * _DAY for n in range((last - first).days + 1))
    return (day for day in days if day.weekday() in weekdays)


def _instant(day: date, clock: time, zone: tzinfo) -> int:
    return (datetime.combine(day, clock, zone) - _EPOCH) // _MS


def _local_day(ms: int, zone: tzinfo) -> date:
    inside = min(max(ms, _FIRST_MS), _LAST_MS)
    return (_EPOCH + inside * _MS).astimezone(zone).date()
