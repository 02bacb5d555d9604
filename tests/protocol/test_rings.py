from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol._apply import apply
from protocol._edits import Add, Dismiss, Edit, Mutation, Patch, Snooze
from protocol._records import Alarm, Record, Snoozed, Timer
from protocol._rings import (
    MISSED_MS,
    Missed,
    Occurrence,
    Quiet,
    Ring,
    Ringing,
    SnoozedTill,
    armed,
    dismissal,
    next_ring,
    occurrences,
    postponement,
    ring_state,
    ringing,
)
from protocol._types import DAYS, DeviceId, ItemId, Mid, RunId, Stamp, Wall
from protocol.zones import system_zones

from .calendars import DAY, HOUR, MINUTE, TRANSITIONS, ms, slow_dues


SEVEN = ms("2026-01-07T07:00")
"""A Wednesday morning; most tests happen on it."""


def daily(**fields: Any) -> Alarm:
    """An alarm at 07:00 UTC every day that rings for 10 minutes and snoozes for 5, made long ago."""
    made: dict[str, Any] = {"id": "a", "time": "07:00", "days": DAYS, "ring_s": 600, "snooze_s": 300}
    return Alarm(**(made | fields))


def running(ends_at: int = SEVEN, **fields: Any) -> Timer:
    made: dict[str, Any] = {"id": "t", "duration_ms": MINUTE, "phase": "running", "run": "r1", "ends_at": ends_at}
    return Timer(**(made | {"ring_s": 600, "snooze_s": 300} | fields))


def edited(at: int) -> dict[str, Stamp]:
    return {"time": Stamp(at, "desk", 1)}


def state(record: Record, now: int) -> Any:
    return ring_state(record, Wall(now), system_zones)


def coming(record: Record, now: int) -> Ring | None:
    return next_ring(record, Wall(now), system_zones)


def since(record: Record, now: int) -> int | None:
    ring = coming(record, now)
    return ring.since if ring else None


def rings_at(record: Record, now: int) -> list[Any]:
    return [ring.occ for ring in ringing(record, Wall(now), system_zones)]


def do(record: Record, *edits: Edit) -> Record:
    for mid, edit in enumerate(edits, 1):
        after = apply(record, Mutation(edit, DeviceId("desk"), Mid(mid)))
        assert after is not None
        record = after
    return record


def ring(since: int, n: int = 0, due: int = SEVEN, occ: int | str | None = None, length: int = 10 * MINUTE) -> Ring:
    return Ring(due if occ is None else occ, Wall(due), n, Wall(since), Wall(since + length))


# --- windows ----------------------------------------------------------------------------------------------------------


def test_an_alarm_rings_from_its_due_instant_until_its_ring_length_is_over() -> None:
    assert state(daily(acked=SEVEN - DAY), SEVEN - 1) == Quiet()
    assert state(daily(), SEVEN) == Ringing(ring(SEVEN))
    assert state(daily(), SEVEN + 10 * MINUTE - 1) == Ringing(ring(SEVEN))
    assert state(daily(), SEVEN + 10 * MINUTE) == Missed(SEVEN, SEVEN, Wall(SEVEN + 10 * MINUTE))


def test_a_machine_that_wakes_hours_late_lists_what_it_missed_instead_of_ringing() -> None:
    missed = occurrences(daily(acked=SEVEN - 3 * DAY), Wall(SEVEN + 5 * HOUR), system_zones)

    assert [(type(each), each.due) for each in missed if isinstance(each, Missed)] == [
        (Missed, SEVEN),
        (Missed, SEVEN - DAY),
        (Missed, SEVEN - 2 * DAY),
    ]


def test_a_missed_occurrence_leaves_the_list_after_a_week() -> None:
    once = daily(days=(), date="2026-01-07")
    ended = SEVEN + 10 * MINUTE

    assert state(once, ended + MISSED_MS - 1) == Missed(SEVEN, SEVEN, Wall(ended))
    assert state(once, ended + MISSED_MS) == Quiet()


def test_an_unanswered_ring_repeats_as_often_as_auto_snooze_says_and_is_missed_then() -> None:
    alarm = daily(auto_snooze=2)
    second, third = ring(SEVEN + 15 * MINUTE, 1), ring(SEVEN + 30 * MINUTE, 2)

    assert state(alarm, SEVEN + 10 * MINUTE) == SnoozedTill(second)
    assert state(alarm, SEVEN + 15 * MINUTE) == Ringing(second)
    assert state(alarm, SEVEN + 25 * MINUTE) == SnoozedTill(third)
    assert state(alarm, SEVEN + 40 * MINUTE - 1) == Ringing(third)
    assert state(alarm, SEVEN + 40 * MINUTE) == Missed(SEVEN, SEVEN, third.until)


def test_an_alarm_without_a_snooze_never_repeats() -> None:
    assert state(daily(auto_snooze=2, snooze_s=0), SEVEN + 10 * MINUTE) == Missed(SEVEN, SEVEN, ring(SEVEN).until)


def test_repeats_can_reach_into_the_next_day_and_stay_apart_from_its_own_ring() -> None:
    alarm = daily(acked=SEVEN - DAY, auto_snooze=3, snooze_s=8 * 3600)

    # 07:00, 15:10, 23:20 and 07:30 of the next day.
    assert rings_at(alarm, SEVEN + DAY + 30 * MINUTE) == [SEVEN]
    assert rings_at(alarm, SEVEN + DAY) == [SEVEN + DAY]


# --- what keeps an occurrence from existing ---------------------------------------------------------------------------


def test_a_disabled_alarm_neither_rings_nor_is_missed_nor_rings_from_a_snooze() -> None:
    alarm = daily(enabled=False, snooze=Snoozed(SEVEN, 1, Wall(SEVEN + HOUR)))

    assert occurrences(alarm, Wall(SEVEN + HOUR), system_zones) == ()
    assert coming(alarm, SEVEN - HOUR) is None


def test_a_skipped_occurrence_is_left_out_and_the_next_one_is_not() -> None:
    alarm = daily(acked=SEVEN - DAY, skip=SEVEN)

    assert state(alarm, SEVEN) == Quiet()
    assert since(alarm, SEVEN - HOUR) == SEVEN + DAY
    assert rings_at(alarm, SEVEN + DAY) == [SEVEN + DAY]


def test_an_alarm_moved_to_a_time_that_is_past_waits_for_tomorrow() -> None:
    """Edited at 07:05 to 07:00: nobody who does that wants to hear it now."""
    alarm = daily(stamps=edited(SEVEN + 5 * MINUTE))

    assert state(alarm, SEVEN + 5 * MINUTE) == Quiet()
    assert since(alarm, SEVEN + 5 * MINUTE) == SEVEN + DAY


def test_an_occurrence_due_in_the_very_millisecond_of_the_edit_does_not_exist() -> None:
    assert state(daily(stamps=edited(SEVEN)), SEVEN) == Quiet()
    assert state(daily(stamps=edited(SEVEN - 1)), SEVEN) == Ringing(ring(SEVEN))


def test_an_edit_stamped_in_the_future_does_not_silence_what_is_due_before_it() -> None:
    alarm = daily(acked=SEVEN - DAY, stamps=edited(SEVEN + HOUR))

    assert armed(alarm, SEVEN) == -1
    assert armed(alarm, Wall(SEVEN + HOUR)) == SEVEN + HOUR
    assert since(alarm, SEVEN - 1) == SEVEN
    assert state(alarm, SEVEN) == Ringing(ring(SEVEN))


def test_a_repeat_that_comes_after_an_edit_from_the_future_is_not_announced() -> None:
    alarm = daily(auto_snooze=1, stamps=edited(SEVEN + 12 * MINUTE))

    assert since(alarm, SEVEN) == SEVEN + DAY


def test_only_edits_of_when_it_rings_arm_an_alarm() -> None:
    renamed = daily(stamps={"label": Stamp(SEVEN + 1, "desk", 1), "skip": Stamp(SEVEN + 1, "desk", 2)})

    assert rings_at(renamed, SEVEN + MINUTE) == [SEVEN]


@pytest.mark.parametrize("name", ["time", "days", "date", "tz", "enabled"])
def test_each_edit_of_when_it_rings_arms_an_alarm(name: str) -> None:
    assert rings_at(daily(stamps={name: Stamp(SEVEN + 1, "desk", 1)}), SEVEN + MINUTE) == []


@pytest.mark.parametrize("broken", [{"time": "25:00"}, {"tz": "Nowhere/City"}, {"days": (), "date": "soon"}])
def test_an_alarm_nobody_can_place_in_time_is_quiet_but_its_snooze_still_rings(broken: dict[str, Any]) -> None:
    snoozed = daily(**broken, snooze=Snoozed(SEVEN, 1, Wall(SEVEN + HOUR)))

    assert state(daily(**broken), SEVEN) == Quiet()
    assert rings_at(snoozed, SEVEN + HOUR) == [SEVEN]


# --- dismissals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acked", "rings"),
    [
        (SEVEN, False),
        (SEVEN + 5 * MINUTE, False),
        (SEVEN + 5 * MINUTE - 1, True),
        (SEVEN + 1, True),
        (SEVEN - 1, True),
        (SEVEN - 5 * MINUTE, True),
    ],
)
def test_a_dismissal_covers_its_own_occurrence_and_those_five_minutes_older(acked: int, rings: bool) -> None:
    """A nearer one exists only where the alarm was edited between the two, and was never meant."""
    snoozed = daily(snooze=Snoozed(SEVEN, 1, Wall(SEVEN + HOUR)), acked=acked)

    assert rings_at(daily(acked=acked), SEVEN) == ([SEVEN] if rings else [])
    assert rings_at(snoozed, SEVEN + HOUR) == ([SEVEN] if rings else [])


def test_a_dismissal_may_arrive_before_its_ring() -> None:
    alarm = do(daily(acked=SEVEN - DAY), Dismiss(kind="alarm", id=ItemId("a"), at=SEVEN - 4 * MINUTE, occ=SEVEN))

    assert state(alarm, SEVEN) == Quiet()
    assert since(alarm, SEVEN - 4 * MINUTE) == SEVEN + DAY


def test_dismissing_the_latest_clears_the_older_ones_too() -> None:
    missed = occurrences(daily(), Wall(SEVEN + HOUR), system_zones)
    assert isinstance(missed[0], Missed)
    assert len(missed) > 1

    cleared = do(daily(), dismissal(daily(), missed[0], SEVEN + HOUR))

    assert occurrences(cleared, Wall(SEVEN + HOUR), system_zones) == ()


def alarm_edits() -> list[Edit]:
    """Two devices answer two mornings, out of order and twice."""
    item = ItemId("a")
    return [
        Dismiss(kind="alarm", id=item, at=1, occ=SEVEN),
        Dismiss(kind="alarm", id=item, at=2, occ=SEVEN - DAY),
        Snooze(kind="alarm", id=item, at=3, occ=SEVEN, n=1, length_ms=HOUR, moment=SEVEN),
        Snooze(kind="alarm", id=item, at=4, occ=SEVEN - DAY, n=1, length_ms=2 * DAY, moment=SEVEN),
        Snooze(kind="alarm", id=item, at=5, occ=SEVEN + DAY, n=1, length_ms=HOUR, moment=Wall(SEVEN + DAY)),
    ]


def test_dismissals_and_snoozes_may_arrive_in_any_order() -> None:
    for moment in (SEVEN, SEVEN + HOUR, SEVEN + DAY, SEVEN + DAY + HOUR):
        outcomes = [
            occurrences(do(daily(), *order), Wall(moment), system_zones) for order in permutations(alarm_edits())
        ]
        assert all(outcome == outcomes[0] for outcome in outcomes)


# --- snoozes ----------------------------------------------------------------------------------------------------------


def test_a_snooze_replaces_the_windows_from_the_due_instant() -> None:
    alarm = daily(auto_snooze=1, snooze=Snoozed(SEVEN, 3, Wall(SEVEN + 8 * MINUTE)))

    assert state(alarm, SEVEN + MINUTE) == SnoozedTill(ring(SEVEN + 8 * MINUTE, 3))
    assert state(alarm, SEVEN + 8 * MINUTE) == Ringing(ring(SEVEN + 8 * MINUTE, 3))
    # The repeat of the first window would ring at 07:15 and again; the repeat of the snooze rings at 07:23.
    assert state(alarm, SEVEN + 18 * MINUTE) == SnoozedTill(ring(SEVEN + 23 * MINUTE, 4))
    assert state(alarm, SEVEN + 33 * MINUTE) == Missed(SEVEN, SEVEN, Wall(SEVEN + 33 * MINUTE))


def test_a_weekday_alarm_snoozed_over_midnight_rings_on_the_day_that_is_not_its_own() -> None:
    friday = ms("2026-01-09T23:58")
    alarm = daily(time="23:58", days=("fr",), snooze=Snoozed(friday, 1, Wall(friday + 9 * MINUTE)))

    assert rings_at(alarm, friday + 9 * MINUTE) == [friday]
    assert since(alarm, friday + 9 * MINUTE) == friday + 7 * DAY


@pytest.mark.parametrize(
    "definition",
    [{"time": "09:00"}, {"days": ("su",)}, {"skip": SEVEN}, {"stamps": edited(SEVEN + 1)}, {"tz": "Asia/Tokyo"}],
)
def test_a_snooze_stands_on_its_own_whatever_the_definition_says_now(definition: dict[str, Any]) -> None:
    alarm = daily(**({"acked": SEVEN - DAY} | definition), snooze=Snoozed(SEVEN, 1, Wall(SEVEN + HOUR)))

    assert SEVEN in rings_at(alarm, SEVEN + HOUR)


def test_an_alarm_can_be_snoozed_before_it_rings() -> None:
    alarm = daily(acked=SEVEN - DAY, snooze=Snoozed(SEVEN, 1, Wall(SEVEN + 6 * MINUTE)))

    assert state(alarm, SEVEN - 3 * MINUTE) == SnoozedTill(ring(SEVEN + 6 * MINUTE, 1))
    assert since(alarm, SEVEN - 3 * MINUTE) == SEVEN + 6 * MINUTE
    assert rings_at(alarm, SEVEN) == []


def test_a_snoozed_occurrence_and_a_new_one_ring_side_by_side_and_stop_takes_the_later_due() -> None:
    """Snoozed at 07:00 to 07:09, then moved to 07:05: both are meant."""
    moved = daily(time="07:05", snooze=Snoozed(SEVEN, 1, Wall(SEVEN + 9 * MINUTE)), stamps=edited(SEVEN + 1))
    later = SEVEN + 5 * MINUTE

    assert rings_at(moved, SEVEN + 10 * MINUTE) == [later, SEVEN]
    shown = state(moved, SEVEN + 10 * MINUTE)
    assert rings_at(do(moved, dismissal(moved, shown.ring, SEVEN)), SEVEN + 10 * MINUTE) == []


def test_ringing_is_shown_before_snoozed_and_snoozed_before_missed() -> None:
    snoozed_yesterday = daily(snooze=Snoozed(SEVEN - DAY, 1, Wall(SEVEN + HOUR)))

    assert isinstance(state(snoozed_yesterday, SEVEN), Ringing)
    assert isinstance(state(snoozed_yesterday, SEVEN + 30 * MINUTE), SnoozedTill)
    assert isinstance(state(snoozed_yesterday, SEVEN + 3 * HOUR), Missed)


def test_postponing_a_repeat_counts_on_from_it() -> None:
    alarm = daily(auto_snooze=2)
    (repeat,) = ringing(alarm, Wall(SEVEN + 15 * MINUTE), system_zones)
    moment = Wall(SEVEN + 16 * MINUTE)

    after = do(alarm, postponement(alarm, repeat, 5 * MINUTE, moment, moment))

    assert after.snooze == Snoozed(SEVEN, 2, Wall(SEVEN + 21 * MINUTE))
    assert state(after, moment) == SnoozedTill(ring(SEVEN + 21 * MINUTE, 2))


def test_two_snoozes_of_the_same_count_ring_as_two_rings() -> None:
    """The later one wins after the earlier began to ring here: it must be heard again, not taken for the same ring."""
    early = daily(snooze=Snoozed(SEVEN, 1, Wall(SEVEN + 9 * MINUTE)))
    late = daily(snooze=Snoozed(SEVEN, 1, Wall(SEVEN + 12 * MINUTE)))

    (first,) = ringing(early, Wall(SEVEN + 10 * MINUTE), system_zones)
    (second,) = ringing(late, Wall(SEVEN + 12 * MINUTE), system_zones)

    assert first.key != second.key


# --- timers -----------------------------------------------------------------------------------------------------------


def test_a_timer_rings_when_its_run_ends() -> None:
    assert state(running(), SEVEN - 1) == Quiet()
    assert state(running(), SEVEN) == Ringing(ring(SEVEN, occ="r1"))
    assert state(running(), SEVEN + 10 * MINUTE) == Missed("r1", SEVEN, Wall(SEVEN + 10 * MINUTE))
    assert coming(running(), SEVEN - 1) == ring(SEVEN, occ="r1")
    assert coming(running(), SEVEN) is None


@pytest.mark.parametrize(
    "timer",
    [
        Timer(id=ItemId("t"), duration_ms=1),
        Timer(id=ItemId("t"), duration_ms=1, phase="paused", run=RunId("r1"), remaining_ms=0),
        Timer(id=ItemId("t"), duration_ms=1, phase="running", run=RunId("r1")),
        Timer(id=ItemId("t"), duration_ms=1, phase="running", ends_at=SEVEN),
        running(acked="r1"),
        running(phase="idle", snooze=Snoozed("r1", 1, SEVEN)),
    ],
)
def test_a_timer_that_does_not_run_or_is_dismissed_is_quiet(timer: Timer) -> None:
    assert state(timer, SEVEN + MINUTE) == Quiet()
    assert coming(timer, SEVEN - HOUR) is None


def test_a_snoozed_timer_rings_from_the_end_of_its_snooze() -> None:
    timer = running(auto_snooze=1, snooze=Snoozed("r1", 2, Wall(SEVEN + HOUR)))

    assert state(timer, SEVEN) == SnoozedTill(ring(SEVEN + HOUR, 2, occ="r1"))
    assert state(timer, SEVEN + HOUR) == Ringing(ring(SEVEN + HOUR, 2, occ="r1"))
    assert since(timer, SEVEN + HOUR) == SEVEN + HOUR + 15 * MINUTE


def test_a_snooze_and_a_dismissal_of_an_earlier_run_count_as_absent() -> None:
    timer = running(run="r2", acked="r1", snooze=Snoozed("r1", 1, Wall(SEVEN + HOUR)))

    assert rings_at(timer, SEVEN) == ["r2"]
    assert rings_at(timer, SEVEN + HOUR) == []


def test_a_timer_lengthened_while_it_rings_rings_again_as_another_ring() -> None:
    (first,) = ringing(running(), SEVEN, system_zones)
    pressed = Wall(SEVEN + MINUTE)
    longer = do(running(), Add(kind="timer", id=ItemId("t"), at=1, run=RunId("r1"), moment=pressed, ms=MINUTE))

    assert rings_at(longer, pressed) == []
    (second,) = ringing(longer, Wall(pressed + MINUTE), system_zones)
    assert (first.occ, first.n) == (second.occ, second.n)
    assert first.key != second.key


def test_a_timers_ring_is_stopped_and_postponed_by_its_run_and_the_instant_that_rang() -> None:
    timer = running()
    (now_ringing,) = ringing(timer, SEVEN, system_zones)
    stop = dismissal(timer, now_ringing, SEVEN)
    later = postponement(timer, now_ringing, HOUR, SEVEN, SEVEN)

    assert (stop.run, stop.due, stop.occ) == ("r1", SEVEN, None)
    assert state(do(timer, stop), SEVEN) == Quiet()
    assert state(do(timer, later), SEVEN) == SnoozedTill(ring(SEVEN + HOUR, 1, occ="r1"))


def test_a_missed_timer_is_taken_off_the_list_by_the_same_dismissal() -> None:
    timer = running()
    missed = state(timer, SEVEN + HOUR)

    assert state(do(timer, dismissal(timer, missed, SEVEN + HOUR)), SEVEN + HOUR) == Quiet()


# --- what comes next --------------------------------------------------------------------------------------------------


def test_the_next_ring_is_the_earliest_of_snooze_repeat_and_definition() -> None:
    alarm = daily(auto_snooze=1, acked=SEVEN - 2 * DAY, snooze=Snoozed(SEVEN - DAY, 1, Wall(SEVEN + 3 * HOUR)))

    assert [since(alarm, SEVEN + passed) for passed in (-1, 0, 15 * MINUTE, 3 * HOUR, 3 * HOUR + 15 * MINUTE)] == [
        SEVEN,
        SEVEN + 15 * MINUTE,
        SEVEN + 3 * HOUR,
        SEVEN + 3 * HOUR + 15 * MINUTE,
        SEVEN + DAY,
    ]


def test_of_two_rings_that_begin_together_the_one_that_stop_takes_is_next() -> None:
    alarm = daily(acked=SEVEN - 2 * DAY, snooze=Snoozed(SEVEN - DAY, 1, SEVEN))

    assert coming(alarm, SEVEN - MINUTE) == ring(SEVEN)
    assert rings_at(alarm, SEVEN) == [SEVEN, SEVEN - DAY]


def test_a_once_alarm_that_rang_has_no_next_ring() -> None:
    assert coming(daily(days=(), date="2026-01-07"), SEVEN) is None


def test_an_alarm_whose_next_two_occurrences_are_dismissed_and_skipped_announces_the_third() -> None:
    weekly = daily(days=("we",), acked=SEVEN, skip=SEVEN + 7 * DAY)

    assert since(weekly, SEVEN - MINUTE) == SEVEN + 14 * DAY


def test_an_occurrence_due_in_the_very_millisecond_of_a_future_stamp_is_not_announced() -> None:
    assert since(daily(acked=SEVEN - DAY, stamps=edited(SEVEN)), SEVEN - HOUR) == SEVEN + DAY


# --- against an oracle ------------------------------------------------------------------------------------------------

STEP = 5 * MINUTE
HORIZON = 3 * DAY


@st.composite
def alarms_near_a_transition(draw: st.DrawFn) -> tuple[Alarm, list[int], Wall]:
    """An alarm in any condition, all its due instants, and a now close to one of them, on a grid of five minutes."""
    tz, day = draw(st.sampled_from(TRANSITIONS))
    weekdays = draw(st.sets(st.sampled_from(DAYS), min_size=1))
    steps = st.integers(0, 24)
    alarm = Alarm(
        id=ItemId("a"),
        time=f"{draw(st.sampled_from([0, 1, 2, 3, 23])):02}:{draw(st.sampled_from([0, 15, 30, 45])):02}",
        tz=tz,
        days=tuple(each for each in DAYS if each in weekdays) if draw(st.booleans()) else DAYS,
        ring_s=draw(st.integers(1, 6)) * 300,
        snooze_s=draw(st.sampled_from([0, 300, 900, 5 * 3600, 86_400])),
        auto_snooze=draw(st.integers(0, 4)),
    )
    dues = slow_dues(alarm, day)
    near = st.sampled_from([due for due in dues if ms(day) - 2 * DAY <= due <= ms(day) + 5 * DAY])
    off = st.sampled_from([-5 * MINUTE, -5 * MINUTE + 1, -1, 0, 1, 5 * MINUTE - 1, 5 * MINUTE])
    stamps = st.builds(lambda due, by: {"time": Stamp(due + by, "desk", 1)}, near, off)
    snoozes = st.builds(lambda due, n, by: Snoozed(due, n, Wall(due + by * STEP)), near, st.integers(1, 3), steps)
    alarm = replace(
        alarm,
        enabled=draw(st.integers(0, 9)) > 0,
        skip=draw(st.none() | near),
        acked=draw(st.none() | st.builds(lambda due, by: due + by, near, off)),
        snooze=draw(st.none() | snoozes),
        stamps=draw(st.just(dict[str, Stamp]()) | stamps),
    )
    return alarm, dues, Wall(draw(near) + (draw(steps) - 6) * STEP)


def slow_occurrence(alarm: Alarm, occ: int, now: int) -> Occurrence | None:
    """The rules, one after the other, as they are written."""
    snoozed = alarm.snooze is not None and alarm.snooze.occ == occ
    if not alarm.enabled:
        return None
    if alarm.acked is not None and (occ == alarm.acked or occ <= alarm.acked - 5 * MINUTE):
        return None
    if not snoozed and (occ > now or occ == alarm.skip or any(occ <= s.at <= now for s in alarm.stamps.values())):
        return None
    start, n = (alarm.snooze.until, alarm.snooze.n) if snoozed and alarm.snooze else (Wall(occ), 0)
    windows = [
        ring(start + k * (alarm.ring_s + alarm.snooze_s) * 1000, n + k, due=occ, length=alarm.ring_s * 1000)
        for k in range(alarm.auto_snooze + 1 if alarm.snooze_s else 1)
    ]
    for window in windows:
        if window.since <= now < window.until:
            return Ringing(window)
    for window in windows:
        if now < window.since:
            return SnoozedTill(window)
    recent = now < windows[-1].until + MISSED_MS
    return Missed(occ, Wall(occ), windows[-1].until) if recent else None


def slow_occurrences(alarm: Alarm, dues: list[int], now: int) -> list[Occurrence]:
    named = {*dues, alarm.snooze.occ} if alarm.snooze else set(dues)
    found = (slow_occurrence(alarm, int(occ), now) for occ in sorted(named, reverse=True))
    return [each for each in found if each]


@given(alarms_near_a_transition())
def test_what_has_begun_is_what_the_rules_say_one_by_one(case: tuple[Alarm, list[int], Wall]) -> None:
    alarm, dues, now = case

    assert list(occurrences(alarm, now, system_zones)) == slow_occurrences(alarm, dues, now)


@given(alarms_near_a_transition())
def test_the_next_ring_is_the_one_that_a_walk_through_time_meets_first(case: tuple[Alarm, list[int], Wall]) -> None:
    alarm, dues, now = case
    recent = [due for due in dues if now - 7 * DAY < due <= now + HORIZON]
    begins = [
        each.ring
        for moment in range(now + STEP, now + HORIZON, STEP)
        for each in slow_occurrences(alarm, recent, moment)
        if isinstance(each, Ringing) and each.ring.since == moment
    ]

    expected = begins[0] if begins else None
    found = next_ring(alarm, now, system_zones)
    assert (found if found and found.since < now + HORIZON else None) == expected


numbers = st.integers(-(2**70), 2**70)
registers = st.builds(Snoozed, numbers | st.text(max_size=3), numbers, numbers)


@given(
    st.builds(
        Alarm,
        id=st.just("a"),
        time=st.just("07:00") | st.text(max_size=5),
        days=st.sampled_from([(), ("mo",), DAYS]),
        date=st.none() | st.just("2026-01-07") | st.text(max_size=10),
        tz=st.just("UTC") | st.text(max_size=5),
        ring_s=numbers,
        snooze_s=numbers,
        auto_snooze=numbers,
        skip=st.none() | numbers,
        acked=st.none() | numbers,
        snooze=st.none() | registers,
        stamps=st.just(dict[str, Stamp]()) | st.builds(edited, numbers),
    )
    | st.builds(
        Timer,
        id=st.just("t"),
        duration_ms=numbers,
        phase=st.just("running"),
        run=st.none() | st.text(max_size=3),
        ends_at=st.none() | numbers,
        ring_s=numbers,
        snooze_s=numbers,
        auto_snooze=numbers,
        acked=st.none() | st.text(max_size=3),
        snooze=st.none() | registers,
    ),
    numbers | st.just(SEVEN),
)
def test_no_record_is_too_odd_to_ask_whether_it_rings(record: Record, now: int) -> None:
    """A server that validates nothing may sit at the other end; the scheduler must go on for the other records."""
    found = occurrences(record, Wall(now), system_zones)
    upcoming = coming(record, now)

    assert all(isinstance(each, Ringing | SnoozedTill | Missed) for each in found)
    assert upcoming is None or upcoming.since > now


def test_a_patch_of_the_time_keeps_a_running_snooze() -> None:
    snoozed = daily(snooze=Snoozed(SEVEN, 1, Wall(SEVEN + HOUR)))
    moved = do(snoozed, Patch(kind="alarm", id=ItemId("a"), at=SEVEN + 1, fields={"time": "12:00"}))

    assert rings_at(moved, SEVEN + HOUR) == [SEVEN]
