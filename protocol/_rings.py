"""What rings, derived from definition, registers and time; never stored, never sent (docs/protocol.md#ring-derived).

An *occurrence* is one falling due: of an alarm named by its due instant, of a timer by its run. It rings in *windows*:
the first begins when it is due, or where it was snoozed when the snooze ends; unanswered, it repeats `auto_snooze`
times. Every device computes the same windows from the same record.
"""

from collections.abc import Iterator
from typing import NamedTuple, assert_never

from ._edits import Dismiss, Snooze
from ._fields import MAX_AUTO_SNOOZE, MAX_RING_S, MAX_SNOOZE_S
from ._records import ARMING, Alarm, Record, Snoozed, Timer
from ._registers import APART_MS, is_dismissed
from ._schedule import dues, next_due
from ._types import RunId, Value, Wall, Zones


MISSED_MS = 7 * 86_400_000
"""A missed occurrence is listed for this long after its last window."""


class Ring(Value, frozen=True):
    """One window of one occurrence.

    Attributes:
        occ: the occurrence (alarm: its due instant in ms; timer: its run).
        due: when it was due: for an alarm `occ`, for a timer the `ends_at` that rings.
        n: how often it was postponed before, by hand or by itself.
        since, until: the window `[since, until)`, ms of the server's clock.
    """

    occ: int | str
    due: Wall
    n: int
    since: Wall
    until: Wall

    @property
    def key(self) -> tuple[int | str, int, Wall]:
        """Names this ring among all rings of its record; a device rings at most once for each key."""
        return self.occ, self.n, self.since


class Quiet(Value, frozen=True):
    """Nothing has begun, or everything that did is dismissed."""


class Ringing(Value, frozen=True):
    """Now is inside a window."""

    ring: Ring


class SnoozedTill(Value, frozen=True):
    """Postponed, by hand or by itself; `ring` is the window to come."""

    ring: Ring


class Missed(Value, frozen=True):
    """All windows passed without an answer.

    Attributes:
        occ, due: as in `Ring`.
        ended: end of the last window, ms of the server's clock.
    """

    occ: int | str
    due: Wall
    ended: Wall


Occurrence = Ringing | SnoozedTill | Missed
RingState = Quiet | Ringing | SnoozedTill | Missed

_LONGEST_MS = (MAX_AUTO_SNOOZE + 1) * (MAX_RING_S + MAX_SNOOZE_S) * 1000
"""No occurrence that passed validation has windows for longer."""

_URGENCY: tuple[type[Value], ...] = (Ringing, SnoozedTill, Missed)


def armed(alarm: Alarm, now: Wall) -> int:
    """The newest edit of when the alarm rings, ms, leaving out those from the future; -1 where there is none.

    No occurrence due at or before it exists: an alarm moved at 07:05 to 07:00 stays quiet today.
    """
    edits = (alarm.stamps[name].at for name in ARMING if name in alarm.stamps)
    return max((at for at in edits if at <= now), default=-1)


def occurrences(record: Record, now: Wall, zones: Zones) -> tuple[Occurrence, ...]:
    """Everything that has begun and is not dismissed, the latest due first.

    An alarm can have several: yesterday's missed and today's ringing, or a snoozed one and one due after an edit.
    """
    found = [state for series in _begun(record, now, zones) if (state := _state(record, series, now))]
    return tuple(sorted(found, key=_due, reverse=True))


def ring_state(record: Record, now: Wall, zones: Zones) -> RingState:
    """The one state to show for a record: ringing before snoozed before missed, and of equals the latest due.

    What Stop acknowledges is the `ring` of a `Ringing`.
    """
    return min(occurrences(record, now, zones), key=lambda state: _URGENCY.index(type(state)), default=Quiet())


def ringing(record: Record, now: Wall, zones: Zones) -> tuple[Ring, ...]:
    """The windows that now is inside of, the latest due first."""
    return tuple(state.ring for state in occurrences(record, now, zones) if isinstance(state, Ringing))


def next_ring(record: Record, now: Wall, zones: Zones) -> Ring | None:
    """The window that begins first, strictly after now, if nothing is edited, dismissed or snoozed before."""
    series = [*_begun(record, now, zones), *_upcoming(record, now, zones)]
    rings = [ring for one in series if (ring := _next_window(record, one, now)) and _will_exist(record, one, ring)]
    return min(rings, key=lambda ring: (ring.since, -ring.due), default=None)


def dismissal(record: Record, ring: Ring | Missed, at: int) -> Dismiss:
    """The edit that stops a ring everywhere, or takes a missed occurrence off the list."""
    match record:
        case Alarm():
            return Dismiss(kind="alarm", id=record.id, at=at, occ=ring.due)
        case Timer():
            return Dismiss(kind="timer", id=record.id, at=at, run=RunId(str(ring.occ)), due=ring.due)
        case _:
            assert_never(record)


def postponement(record: Record, ring: Ring, length_ms: int, moment: Wall, at: int) -> Snooze:
    """The edit that postpones a ring to `moment + length_ms`."""
    n = ring.n + 1
    match record:
        case Alarm():
            return Snooze(kind="alarm", id=record.id, at=at, occ=ring.due, n=n, length_ms=length_ms, moment=moment)
        case Timer():
            run = RunId(str(ring.occ))
            return Snooze(
                kind="timer", id=record.id, at=at, run=run, due=ring.due, n=n, length_ms=length_ms, moment=moment
            )  # fmt: skip
        case _:
            assert_never(record)


class _Series(NamedTuple):
    """The windows of one occurrence: counted from `start`, the first one having `n`."""

    occ: int | str
    due: Wall
    n: int
    start: Wall


def _begun(record: Record, now: Wall, zones: Zones) -> Iterator[_Series]:
    """Occurrences not dismissed that are due or snoozed by now, and not too old to matter."""
    match record:
        case Alarm():
            return _begun_alarm(record, now, zones) if record.enabled else iter(())
        case Timer():
            return (series for series in _running(record) if series.n or series.due <= now)
        case _:
            assert_never(record)


def _upcoming(record: Record, now: Wall, zones: Zones) -> Iterator[_Series]:
    """The occurrence that falls due next, neither dismissed nor snoozed nor left out."""
    match record:
        case Alarm():
            return _upcoming_alarm(record, now, zones) if record.enabled else iter(())
        case Timer():
            return (series for series in _running(record) if not series.n and series.due > now)
        case _:
            assert_never(record)


def _begun_alarm(alarm: Alarm, now: Wall, zones: Zones) -> Iterator[_Series]:
    snooze = _standing_snooze(alarm)
    if snooze is not None:
        yield snooze
    oldest = now - MISSED_MS - min((alarm.auto_snooze + 1) * _period_ms(alarm), _LONGEST_MS)
    for due in dues(alarm, max(oldest, armed(alarm, now), _dismissed_upto(alarm)), now, zones):
        if not _left_out(alarm, due):
            yield _Series(due, Wall(due), 0, Wall(due))


def _upcoming_alarm(alarm: Alarm, now: Wall, zones: Zones) -> Iterator[_Series]:
    due = next_due(alarm, Wall(max(now, _dismissed_upto(alarm))), zones)
    # Ends: each turn needs a stamp or a register that names this very instant, and there are eight of them.
    while due is not None and (_left_out(alarm, due) or armed(alarm, Wall(due)) >= due):
        due = next_due(alarm, Wall(due), zones)
    if due is not None:
        yield _Series(due, Wall(due), 0, Wall(due))


def _left_out(alarm: Alarm, due: int) -> bool:
    """Whether no window counts from this due instant: skipped, dismissed by name, or snoozed."""
    return due in {alarm.skip, alarm.acked, alarm.snooze.occ if alarm.snooze else None}


def _dismissed_upto(alarm: Alarm) -> int:
    """Nothing due up to here can be other than dismissed."""
    return -1 if alarm.acked is None else alarm.acked - APART_MS


def _standing_snooze(alarm: Alarm) -> _Series | None:
    """The snoozed occurrence, which stands on its own whatever the definition says now, unless it is dismissed."""
    match alarm.snooze:
        case Snoozed(occ=int() as occ, n=n, until=until) if not is_dismissed(alarm, occ):
            return _Series(occ, Wall(occ), n, until)
        case _:
            return None


def _running(timer: Timer) -> Iterator[_Series]:
    """The one occurrence of a running timer, unless it is dismissed."""
    if timer.phase != "running" or timer.run is None or timer.ends_at is None or timer.acked == timer.run:
        return
    if timer.snooze and timer.snooze.occ == timer.run:
        yield _Series(timer.run, timer.ends_at, timer.snooze.n, timer.snooze.until)
    else:
        yield _Series(timer.run, timer.ends_at, 0, timer.ends_at)


def _state(record: Record, series: _Series, now: Wall) -> Occurrence | None:
    """Where now stands among the windows; None once it is missed for too long."""
    ring = _window(record, series, max(0, _windows_begun(record, series, now) - 1))
    if now < ring.since:
        return SnoozedTill(ring)
    if now < ring.until:
        return Ringing(ring)
    following = _next_window(record, series, now)
    if following:
        return SnoozedTill(following)
    return Missed(series.occ, series.due, ring.until) if now < ring.until + MISSED_MS else None


def _next_window(record: Record, series: _Series, now: Wall) -> Ring | None:
    """The first window to begin after now, if it still will."""
    begun = _windows_begun(record, series, now)
    return _window(record, series, begun) if begun <= _repeats(record) else None


def _windows_begun(record: Record, series: _Series, now: Wall) -> int:
    """How many windows have begun by now."""
    if now < series.start:
        return 0
    return min((now - series.start) // _period_ms(record), _repeats(record)) + 1


def _window(record: Record, series: _Series, k: int) -> Ring:
    since = series.start + k * _period_ms(record)
    return Ring(series.occ, series.due, series.n + k, Wall(since), Wall(since + record.ring_s * 1000))


def _repeats(record: Record) -> int:
    return record.auto_snooze if record.snooze_s else 0


def _period_ms(record: Record) -> int:
    # At least 1, because a record from a server that does not validate must not stop the scheduler.
    return max(1, (record.ring_s + record.snooze_s) * 1000)


def _will_exist(record: Record, series: _Series, ring: Ring) -> bool:
    """Whether no edit from the future will have moved the alarm away by then; a snooze stands on its own."""
    return isinstance(record, Timer) or series.n > 0 or armed(record, ring.since) < series.due


def _due(state: Occurrence) -> Wall:
    return state.due if isinstance(state, Missed) else state.ring.due
