"""Faults of rings and clocks: what sounds, when, and what ends it."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any

from msgspec.structs import replace

from client_qt import edits as desks
from client_qt import ringing as books
from client_qt.commands import StartTimer
from client_qt.late_news import LateNews
from client_qt.local_state import RingKey
from client_qt.ringer import LOOK_S, Ringer
from client_qt.ringing import Book, NowFor, Open
from client_qt.timekeeping import Timekeeper
from protocol import Alarm, Edit, ItemId, Record, Ring, RunId, Timer, Wall, Zones
from protocol import _rings as rings
from protocol import _schedule as schedule
from protocol._clock import ClockEstimate, Sample
from protocol._edits import Start
from protocol._records import Snoozed
from protocol.client import ClientMachine, ClientOutput, Woke, _rules_connecting

from .planted_tools import Plant, Planting, attribute, into, swapped, together


FAULTS: dict[str, Plant] = {}
breaks = into(FAULTS)

DAY_MS = 86_400_000


# --- which windows there are ------------------------------------------------------------------------------------------


@breaks("ring-snooze-void")
def snooze_beats_dismissal() -> Planting:
    """It let a snooze ring on, although somebody else had stopped that very ring."""
    running = rings._running

    def standing(alarm: Alarm) -> Any:
        match alarm.snooze:
            case Snoozed(occ=int() as occ, n=n, until=until):
                return rings._Series(occ, Wall(occ), n, until)
            case _:
                return None

    def snoozed(timer: Timer) -> Iterator[Any]:
        postponed = timer.snooze is not None and timer.snooze.occ == timer.run
        return running(replace(timer, acked=None) if postponed else timer)

    return together(swapped(rings._standing_snooze, standing), swapped(running, snoozed))


@breaks("ring-skip")
def skip_takes_earlier_too() -> Planting:
    """It compared `skip` by "at or before", so what rings now goes with the one that is to be left out."""
    honest = rings._left_out

    def left_out(alarm: Alarm, due: int) -> bool:
        return honest(alarm, due) or (alarm.skip is not None and due <= alarm.skip)

    return swapped(honest, left_out)


@breaks("ring-window-repeat")
def repeats_once_too_often() -> Planting:
    """It counted the repeats and forgot that the first window is none of them."""

    def repeats(record: Record) -> int:
        return record.auto_snooze + 1 if record.snooze_s else 0

    return swapped(rings._repeats, repeats)


@breaks("ring-dst-gap")
def gap_alarm_dropped() -> Planting:
    """It left out a time of day that clocks skip, because that night does not have it."""
    honest = schedule._instant

    def instant(day: date, clock: time, zone: tzinfo) -> int:
        local = datetime.combine(day, clock, zone)
        exists = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None)
        return honest(day, clock, zone) if exists else -1

    return swapped(honest, instant)


@breaks("ring-dst-fold")
def fold_rings_twice() -> Planting:
    """It rang at every instant at which the clock shows the time, and some nights show it twice."""
    honest = schedule._dues

    def dues(alarm: Alarm, after: int, upto: int, zones: Zones) -> Iterator[int]:
        zone, clock = zones(alarm.tz), schedule.time_of_day(alarm.time)
        for due in honest(alarm, after - DAY_MS // 24, upto, zones):
            local = datetime.fromtimestamp(due / 1000, zone)
            again = round(local.replace(fold=1).timestamp() * 1000)
            shown = clock is not None and (local.hour, local.minute) == (clock.hour, clock.minute)
            yield from (one for one in dict.fromkeys((due, again if shown else due)) if after < one <= upto)

    return swapped(honest, dues)


@breaks("terms-run")
def runs_counted() -> Planting:
    """It numbered the runs of a timer: two devices that start it offline give both the same name."""
    honest = desks._timer_edit

    def timer_edit(desk: desks.Desk, timer: Timer, at: int, command: desks.TimerCommand) -> Edit:
        edit = honest(desk, timer, at, command)
        if not isinstance(command, StartTimer) or not isinstance(edit, Start):
            return edit
        last = int(timer.run) if timer.run is not None and timer.run.isdecimal() else 0
        return replace(edit, run=RunId(str(last + 1)))

    return swapped(honest, timer_edit)


# --- what a device does about them ------------------------------------------------------------------------------------


@breaks("invariant-8")
def deaf_to_remote_dismissal() -> Planting:
    """It ended a ring when the user of this device said so or its time was over, and did not look at the record again."""
    honest = books.turn

    def turn(
        book: Book, windows: Open, records: Mapping[ItemId, Record], now_for: NowFor, held: Collection[RingKey]
    ) -> books.Turn:
        sounding = {
            key: (records[key.item], one.ring)
            for key, one in book.sounding.items()
            if key.item in records and now_for(records[key.item]) < one.ring.until
        }
        return honest(book, {**sounding, **windows}, records, now_for, held)

    return swapped(honest, turn)


@breaks("ring-dismiss-first")
def early_dismissal_missed() -> Planting:
    """It looked for a dismissal only among rings that sound, so one that came before its ring is seen too late."""
    derived, looked = rings.ringing, books.turn

    def ringing(record: Record, now: Wall, zones: Zones) -> tuple[Ring, ...]:
        return derived(replace(record, acked=None), now, zones)

    def turn(
        book: Book, windows: Open, records: Mapping[ItemId, Record], now_for: NowFor, held: Collection[RingKey]
    ) -> books.Turn:
        seen = {key: one for key, one in windows.items() if key not in book.marks or not books._is_dismissed(*one)}
        return looked(book, seen, records, now_for, held)

    return together(swapped(derived, ringing), swapped(looked, turn))


@breaks("ring-stop-local")
def marks_not_loaded() -> Planting:
    """It wrote down which rings had begun and ended, and never read that again."""
    honest = Ringer.__init__

    def init(self: Ringer, time: Timekeeper, zones: Zones, _: object, around: Any, **how: Any) -> None:
        honest(self, time, zones, {}, around, **how)

    return attribute(Ringer, "__init__", init)


@breaks("invariant-7")
def slept_through_the_start() -> Planting:
    """It rang at the moment a window begins, and not when it first looks later inside of it."""
    honest = books.turn

    def turn(
        book: Book, windows: Open, records: Mapping[ItemId, Record], now_for: NowFor, held: Collection[RingKey]
    ) -> books.Turn:
        late = {
            key
            for key, (record, ring) in windows.items()
            if key not in book.sounding and now_for(record) - ring.since > 2 * LOOK_S * 1000
        }
        return honest(book, windows, records, now_for, {*held, *late})

    return swapped(honest, turn)


@breaks("ring-start-at-synced")
def rings_row_by_row() -> Planting:
    """It rang as soon as a row of the replay said so, although a later one takes that back."""

    def hold(self: Ringer, seconds: float) -> None:
        self.release()

    def held(self: LateNews, windows: Open, *_: Any) -> dict[RingKey, float]:
        return {}

    return together(attribute(Ringer, "hold", hold), attribute(LateNews, "held", held))


# --- clocks -----------------------------------------------------------------------------------------------------------


@breaks("clock-offset")
def worst_sample_believed() -> Planting:
    """It sorted the samples the wrong way round, and believed the one with the longest round trip."""

    def worst(self: ClockEstimate) -> Sample | None:
        return max(self.samples, key=lambda sample: sample.round_trip, default=None)

    return attribute(ClockEstimate, "best", property(worst))


@breaks("clock-offset")
def journey_ignored() -> Planting:
    """It took the server's time as it was when the answer arrived, and forgot how long that was on its way."""
    honest = ClockEstimate.add

    def add(self: ClockEstimate, t0: float, t1: float, t2: float, t3: float) -> ClockEstimate:
        after = honest(self, t0, t1, t2, t3)
        if after is self:
            return self
        return ClockEstimate((*after.samples[:-1], replace(after.samples[-1], offset=t2 - t3)))

    return attribute(ClockEstimate, "add", add)


@breaks("life-suspend")
def clock_kept_through_sleep() -> Planting:
    """It went on counting from the last sample after a sleep, in which its own clock had stood still."""
    woke, jumped = _rules_connecting.woke, Timekeeper.has_jumped

    def keep(machine: ClientMachine, input: Woke, now: Any) -> tuple[ClientMachine, list[ClientOutput]]:
        after, outputs = woke(machine, input, now)
        return replace(after, clock=machine.clock), outputs

    def has_jumped(self: Timekeeper) -> bool:
        estimate = self._estimate
        found = jumped(self)
        self._estimate = estimate
        return found

    return together(swapped(woke, keep), attribute(Timekeeper, "has_jumped", has_jumped))
