"""When a record must sound, worked out the slow and obvious way, to hold the real rules of rings against.

It shares no code with the protocol: it knows the sentences of docs/protocol.md, section 5, and looks at the clocks of a
zone as a person would: it walks along them, and where they jump, goes minute by minute.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from protocol import Alarm, Record, Timer, Zones


MINUTE = 60_000
QUARTER = 15 * MINUTE
DAY = 24 * 60 * MINUTE

_WEEK = ("mo", "tu", "we", "th", "fr", "sa", "su")
_ARMS = ("time", "days", "date", "tz", "enabled")
_UNIX = date(1970, 1, 1).toordinal()

APART = 5 * MINUTE
"""A dismissal covers its own occurrence and those at least this much earlier (docs/protocol.md#ring-dismissed-alarm)."""


class Window(NamedTuple):
    """One stretch of sound: the occurrence, how often it was postponed before, and `[since, until)` in ms."""

    occ: int | str
    n: int
    since: int
    until: int


class _Start(NamedTuple):
    """The first window of an occurrence: when it begins and how often it was postponed until then."""

    occ: int | str
    n: int
    at: int


def sounding(record: Record, now: int, zones: Zones) -> set[Window]:
    """The windows of a record that `now` (ms of the clock it rings by) is inside of."""
    return {
        window
        for start in _starts(record, now - _span(record), now, zones)
        if _exists(record, start, now)
        for window in _windows(record, start)
        if window.since <= now < window.until
    }


def steady_until(record: Record, now: int, zones: Zones, horizon: int) -> int:
    """The first moment after `now` at which `sounding` may say something else; `now + horizon` where none comes before."""
    edges = [
        edge
        for start in _starts(record, now - _span(record), now + horizon, zones)
        for window in _windows(record, start)
        for edge in (window.since, window.until)
    ]
    # An edit from the future arms the alarm anew when its time comes.
    edges += (stamp.at for stamp in record.stamps.values())
    return min((edge for edge in edges if now < edge < now + horizon), default=now + horizon)


# --- windows ----------------------------------------------------------------------------------------------------------


def _windows(record: Record, start: _Start) -> Iterator[Window]:
    """The first window and its repeats, one pause apart; a pause of nothing means no repeats."""
    repeats = record.auto_snooze if record.snooze_s > 0 else 0
    for k in range(repeats + 1):
        since = start.at + k * (record.ring_s + record.snooze_s) * 1000
        yield Window(start.occ, start.n + k, since, since + record.ring_s * 1000)


def _span(record: Record) -> int:
    """No window ends later than this after its occurrence began."""
    return (record.auto_snooze + 1) * (record.ring_s + record.snooze_s) * 1000


def _starts(record: Record, after: int, upto: int, zones: Zones) -> Iterator[_Start]:
    """Everything that begins in `(after, upto]`, or was snoozed whenever it was."""
    if isinstance(record, Timer):
        yield from _timer_starts(record)
        return
    if not record.enabled:
        return
    if record.snooze is not None:
        yield _Start(record.snooze.occ, record.snooze.n, record.snooze.until)
    for due in _dues(record, after, upto, zones):
        if due != record.skip and (record.snooze is None or record.snooze.occ != due):
            yield _Start(due, 0, due)


def _timer_starts(timer: Timer) -> Iterator[_Start]:
    if timer.phase != "running" or timer.run is None or timer.ends_at is None:
        return
    if timer.snooze is not None and timer.snooze.occ == timer.run:
        yield _Start(timer.run, timer.snooze.n, timer.snooze.until)
    else:
        yield _Start(timer.run, 0, timer.ends_at)


def _exists(record: Record, start: _Start, now: int) -> bool:
    """Whether it was neither dismissed nor edited away; a snooze stands whatever was edited."""
    if isinstance(record, Timer):
        return record.acked != record.run
    due = start.occ
    assert isinstance(due, int), f"an alarm has a snooze of {due!r}, which is no instant"
    if record.acked is not None and (due == record.acked or due <= record.acked - APART):
        return False
    return start.n > 0 or due > _armed(record, now)


def _armed(alarm: Alarm, now: int) -> int:
    """The newest edit of when it rings, as far as edits are not from the future."""
    return max((stamp.at for name, stamp in alarm.stamps.items() if name in _ARMS and stamp.at <= now), default=-1)


# --- due instants -----------------------------------------------------------------------------------------------------


def _dues(alarm: Alarm, after: int, upto: int, zones: Zones) -> set[int]:
    """When its definition says that it is due, in `(after, upto]`."""
    zone = zones(alarm.tz)
    if zone is None:
        return set()
    minute = int(alarm.time[:2]) * 60 + int(alarm.time[3:])
    # Two days more on either side: no zone is further from UTC, and no gap longer.
    days = range(after // DAY - 2, upto // DAY + 3)
    due = {_instant(zone, day, minute) for day in days if _is_day(alarm, day)}
    return {instant for instant in due if after < instant <= upto}


def _is_day(alarm: Alarm, day: int) -> bool:
    """Whether the alarm is for this day, counted from 1970-01-01."""
    if alarm.days:
        return _WEEK[(day + 3) % 7] in alarm.days
    return alarm.date is not None and date.fromordinal(day + _UNIX).isoformat() == alarm.date


@lru_cache(maxsize=20_000)
def _instant(zone: tzinfo, day: int, minute: int) -> int:
    """When the clocks of a zone first show this minute of this day.

    A minute that they leave out is taken from a clock that nobody has set: it comes as if there were no gap.
    """
    reading = day * DAY + minute * MINUTE
    stretches = [stretch for utc_day in (day - 1, day, day + 1) for stretch in _walk(zone, utc_day)]
    for stretch in stretches:
        if stretch.since <= reading - stretch.offset < stretch.until:
            return reading - stretch.offset
    for before, after in pairwise(stretches):
        if before.until + before.offset <= reading < after.since + after.offset:
            return reading - before.offset
    raise AssertionError(f"{zone} shows minute {minute} of day {day} never, and has no gap there")


class _Stretch(NamedTuple):
    """`[since, until)` in ms, in which the clocks of a zone run evenly, `offset` ms ahead of UTC."""

    since: int
    until: int
    offset: int


@lru_cache(maxsize=5_000)
def _walk(zone: tzinfo, utc_day: int) -> tuple[_Stretch, ...]:
    """A zone's clocks during one UTC day: from quarter to quarter, and minute by minute through one with a jump."""
    since, end = utc_day * DAY, (utc_day + 1) * DAY
    offset = _offset(zone, since)
    stretches: list[_Stretch] = []
    for quarter in range(since, end, QUARTER):
        if _offset(zone, quarter + QUARTER) == offset:
            continue
        for instant in range(quarter, quarter + QUARTER, MINUTE):
            if (shown := _offset(zone, instant)) != offset:
                stretches.append(_Stretch(since, instant, offset))
                since, offset = instant, shown
    return (*stretches, _Stretch(since, end, offset))


def _offset(zone: tzinfo, instant: int) -> int:
    """What the clocks of a zone show less what those of UTC do."""
    shown = datetime.fromtimestamp(instant / 1000, zone).replace(tzinfo=UTC)
    return round(shown.timestamp() * 1000) - instant
