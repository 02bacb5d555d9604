"""Dismissal and snooze: what a ring leaves in a record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._apply import apply
from protocol._edits import Add, Dismiss, Mutation, Pause, Snooze
from protocol._records import Alarm, Record, Snoozed, Timer
from protocol._registers import APART_MS, LATE_MS, is_dismissed, times_snoozed
from protocol._types import RunId, Wall

from .strategies import ITEM, NOW, alarm, any_edits, by, instants, mutations, records, running


END = NOW + 240_000


def stop(occ: int) -> Dismiss:
    return Dismiss(kind="alarm", id=ITEM, at=NOW, occ=occ)


def later(occ: int, n: int = 1, length_ms: int = 540_000, moment: int = NOW) -> Snooze:
    return Snooze(kind="alarm", id=ITEM, at=NOW, occ=occ, n=n, length_ms=length_ms, moment=Wall(moment))


def stop_run(run: str = "r1", due: int = END) -> Dismiss:
    return Dismiss(kind="timer", id=ITEM, at=NOW, run=RunId(run), due=due)


def later_run(run: str = "r1", due: int = END, n: int = 1, length_ms: int = 540_000) -> Snooze:
    return Snooze(kind="timer", id=ITEM, at=NOW, run=RunId(run), due=due, n=n, length_ms=length_ms, moment=Wall(END))


# --- alarms -----------------------------------------------------------------------------------------------------------


@given(records("alarm"), mutations(any_edits))
def test_what_was_dismissed_of_an_alarm_never_decreases(record: Record, mutation: Mutation) -> None:
    after = apply(record, mutation)
    if record.acked is not None and isinstance(after, Alarm):
        assert isinstance(record, Alarm)
        assert after.acked is not None
        assert after.acked >= (record.acked or 0)


@given(st.lists(instants.map(stop), max_size=5))
def test_dismissals_of_an_alarm_may_arrive_in_any_order_and_twice(edits: list[Dismiss]) -> None:
    there: Record | None = alarm()
    back: Record | None = alarm()
    for edit in edits:
        there = apply(there, by(edit))
    for edit in [*reversed(edits), *edits]:
        back = apply(back, by(edit))
    assert there == back


def test_a_later_dismissal_covers_earlier_occurrences_but_not_an_edited_form_of_itself() -> None:
    record = alarm(acked=NOW)
    assert is_dismissed(record, NOW)
    assert is_dismissed(record, NOW - APART_MS)
    assert not is_dismissed(record, NOW - APART_MS + 1)
    assert not is_dismissed(record, NOW + 1)
    assert not is_dismissed(alarm(), NOW)


def test_a_snooze_rings_again_at_its_length_after_the_press() -> None:
    after = apply(alarm(), by(later(NOW, n=2, moment=NOW + 7)))
    assert after is not None
    assert after.snooze == Snoozed(NOW, 2, Wall(NOW + 540_007))
    assert after.stamps == alarm().stamps


@pytest.mark.parametrize(
    ("stored", "new", "wins"),
    [
        ((5, 1, 100), (6, 1, 50), True),
        ((6, 1, 50), (5, 9, 100), False),
        ((5, 1, 100), (5, 2, 50), True),
        ((5, 2, 100), (5, 1, 200), False),
        ((5, 1, 100), (5, 1, 101), True),
        ((5, 1, 100), (5, 1, 100), False),
    ],
)
def test_the_greatest_occurrence_count_and_end_wins(
    stored: tuple[int, int, int], new: tuple[int, int, int], wins: bool
) -> None:
    before = alarm(snooze=Snoozed(stored[0], stored[1], Wall(stored[2])))
    after = apply(before, by(later(new[0], new[1], new[2], 0)))
    assert after is not None
    assert after.snooze == (Snoozed(new[0], new[1], Wall(new[2])) if wins else before.snooze)
    assert (after is before) is not wins


@pytest.mark.parametrize("occ", [NOW, NOW - APART_MS])
def test_a_snooze_of_what_is_dismissed_has_no_effect(occ: int) -> None:
    before = alarm(acked=NOW)
    assert apply(before, by(later(occ))) is before


def test_a_void_snooze_does_not_displace_a_live_one() -> None:
    """An occurrence a minute before the dismissed one exists through an edit, and still has to ring."""
    live = apply(alarm(acked=NOW), by(later(NOW - 60_000)))
    assert apply(live, by(later(NOW, n=2))) is live


def test_a_snoozed_ring_just_below_acked_can_still_be_stopped() -> None:
    """docs/protocol.md#ring-dismiss-older"""
    snoozed = alarm(acked=NOW, snooze=Snoozed(NOW - 60_000, 1, Wall(NOW + 9)))
    stopped = apply(snoozed, by(stop(NOW - 60_000)))
    assert stopped is not None
    assert (stopped.acked, stopped.snooze) == (NOW, None)
    assert apply(snoozed, by(stop(NOW - 120_000))) is snoozed


def test_a_dismissal_leaves_the_snooze_which_is_void_by_itself() -> None:
    after = apply(alarm(snooze=Snoozed(NOW, 1, Wall(NOW + 9))), by(stop(NOW)))
    assert after is not None
    assert (after.acked, after.snooze) == (NOW, Snoozed(NOW, 1, Wall(NOW + 9)))


def test_a_repeated_dismissal_changes_nothing() -> None:
    before = alarm(acked=NOW)
    assert apply(before, by(stop(NOW))) is before
    assert apply(before, by(stop(NOW - 1))) is before


def test_how_often_counts_for_the_occurrence_asked_about() -> None:
    record = alarm(snooze=Snoozed(NOW, 3, Wall(NOW + 9)))
    assert times_snoozed(record, NOW) == 3
    assert times_snoozed(record, NOW + 1) == 0
    assert times_snoozed(alarm(), NOW) == 0


# --- timers -----------------------------------------------------------------------------------------------------------


def test_a_timers_ring_is_dismissed_by_its_run() -> None:
    after = apply(running(), by(stop_run()))
    assert isinstance(after, Timer)
    assert after.acked == "r1"
    assert apply(after, by(stop_run())) is after


def test_a_timers_snooze_counts_within_its_run() -> None:
    before = running(snooze=Snoozed("r0", 9, Wall(END + 9)))
    after = apply(before, by(later_run()))
    assert after is not None
    assert after.snooze == Snoozed("r1", 1, Wall(END + 540_000))
    assert apply(after, by(later_run())) is after
    again = apply(after, by(later_run(n=2, length_ms=1)))
    assert again is not None
    assert again.snooze == Snoozed("r1", 2, Wall(END + 1))


@pytest.mark.parametrize("edit", [stop_run("r2"), later_run("r2")])
def test_a_ring_of_another_run_is_nothing(edit: Dismiss | Snooze) -> None:
    before = running()
    assert apply(before, by(edit)) is before


@pytest.mark.parametrize(("late", "acts"), [(LATE_MS, True), (LATE_MS + 1, False)])
def test_a_ring_that_was_lengthened_since_is_nothing(late: int, acts: bool) -> None:
    """ "+1 min" on one device must not be dismissed by a stop of the ring before it on another."""
    before = running(ends_at=Wall(END + late))
    assert (apply(before, by(stop_run())) is not before) is acts
    assert (apply(before, by(later_run())) is not before) is acts


def test_only_a_running_timer_rings() -> None:
    held = apply(running(), by(Pause(kind="timer", id=ITEM, at=END, run=RunId("r1"), moment=Wall(END)), "lap"))
    assert apply(held, by(stop_run())) is held
    assert apply(held, by(later_run())) is held


def test_a_snooze_of_a_dismissed_run_has_no_effect() -> None:
    before = running(acked=RunId("r1"))
    assert apply(before, by(later_run())) is before


def test_more_time_after_a_stop_rings_again_at_its_end() -> None:
    more = Add(kind="timer", id=ITEM, at=END, run=RunId("r1"), moment=Wall(END), ms=60_000)
    after = apply(apply(running(), by(stop_run())), by(more, mid=2))
    assert isinstance(after, Timer)
    assert (after.acked, after.ends_at) == (None, END + 60_000)
