"""Timer commands."""

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol._apply import apply
from protocol._countdown import Command
from protocol._edits import Add, Edit, Mutation, Patch, Pause, Reset, Resume, Start
from protocol._records import Record, Snoozed, Timer
from protocol._types import RunId, Stamp, Wall

from .strategies import ITEM, NOW, RUNS, by, instants, mutations, records, running, timer, wild_edits


def command(op: type[Pause | Resume | Reset | Start], moment: int, run: str = "r1", at: int | None = None) -> Command:
    return op(kind="timer", id=ITEM, at=moment if at is None else at, run=RunId(run), moment=Wall(moment))


def add(ms: int, moment: int, run: str = "r1") -> Add:
    return Add(kind="timer", id=ITEM, at=moment, run=RunId(run), moment=Wall(moment), ms=ms)


def after(record: Record, *edits: Edit, device: str = "lap") -> Timer:
    changed: Record | None = record
    for mid, edit in enumerate(edits, 1):
        changed = apply(changed, by(edit, device, mid))
    assert isinstance(changed, Timer)
    return changed


def clock_of(record: Timer) -> tuple[str, int | None, int | None, int | None]:
    return record.phase, record.started_at, record.ends_at, record.remaining_ms


def test_a_start_runs_for_the_duration_from_the_press() -> None:
    begun = after(timer(acked=RunId("r0"), snooze=Snoozed("r0", 1, NOW)), command(Start, NOW))
    assert clock_of(begun) == ("running", NOW, NOW + 240_000, None)
    assert (begun.run, begun.acked, begun.snooze) == ("r1", None, None)
    assert begun.stamps["run"] == begun.stamps["phase"] == Stamp(NOW, "lap", 1)


def test_a_pause_keeps_what_remained_at_the_press_however_late_it_arrives() -> None:
    held = after(running(), command(Pause, NOW + 60_000, at=NOW + 90_000))
    assert clock_of(held) == ("paused", None, None, 180_000)
    assert held.stamps["phase"] == Stamp(NOW + 90_000, "lap", 1)
    assert held.stamps["run"] == Stamp(NOW, "desk", 1)


def test_a_pause_after_the_end_leaves_nothing() -> None:
    assert after(running(), command(Pause, NOW + 300_000)).remaining_ms == 0


def test_a_resume_goes_on_with_what_remained() -> None:
    ringing = running(acked=RunId("r1"), snooze=Snoozed("r1", 1, NOW))
    again = after(ringing, command(Pause, NOW + 60_000), command(Resume, NOW + 100_000))
    assert clock_of(again) == ("running", NOW + 100_000, NOW + 280_000, None)
    assert (again.acked, again.snooze) == (None, None)


def test_a_reset_makes_it_idle_and_keeps_the_name_of_the_run() -> None:
    idle = after(running(acked=RunId("r1"), snooze=Snoozed("r1", 1, NOW)), command(Reset, NOW + 1))
    assert clock_of(idle) == ("idle", None, None, None)
    assert (idle.run, idle.acked, idle.snooze) == ("r1", None, None)
    assert clock_of(after(running(), command(Pause, NOW + 1), command(Reset, NOW + 2)))[0] == "idle"


def test_a_dismissal_is_undone_by_more_time() -> None:
    longer = after(running(acked=RunId("r1"), snooze=Snoozed("r1", 1, NOW)), add(60_000, NOW + 250_000))
    assert longer.ends_at == NOW + 310_000
    assert (longer.acked, longer.snooze) == (None, None)
    assert longer.stamps == running().stamps


def test_more_time_lengthens_a_pause_too() -> None:
    held = after(running(), command(Pause, NOW + 60_000), add(60_000, NOW + 70_000))
    assert held.remaining_ms == 240_000


def test_an_idle_timer_takes_no_time() -> None:
    before = timer(run=RunId("r1"))
    assert after(before, add(60_000, NOW)) is before


def test_no_more_time_is_no_change() -> None:
    before = running()
    assert apply(before, by(add(0, NOW))) is before


@pytest.mark.parametrize(
    ("before", "edit"),
    [
        (timer(run=RunId("r1")), command(Pause, NOW)),
        (timer(run=RunId("r1")), command(Resume, NOW)),
        (timer(run=RunId("r1")), command(Reset, NOW)),
        (timer(), command(Reset, NOW)),
        (running(), command(Resume, NOW + 1)),
        (after(running(), command(Pause, NOW + 1)), command(Pause, NOW + 2)),
    ],
)
def test_a_command_that_does_not_lead_from_the_phase_changes_nothing(before: Timer, edit: Command) -> None:
    assert apply(before, by(edit, "zzz", 9)) is before


@pytest.mark.parametrize("op", [Pause, Reset])
def test_a_transition_older_than_the_last_one_changes_nothing(op: type[Pause | Reset]) -> None:
    before = running()
    assert apply(before, by(command(op, NOW - 1))) is before
    assert apply(before, by(command(op, NOW), "desk", 1)) is before
    assert apply(before, by(command(op, NOW), "desk", 2)) is not before


def test_an_older_start_loses_to_the_current_run_even_after_it_was_reset() -> None:
    before = after(running(), command(Reset, NOW + 5))
    assert apply(before, by(command(Start, NOW - 1, "r2"))) is before


def test_a_newer_start_wins_over_a_transition_later_than_itself() -> None:
    """Each device saw its own start; the later start is what a person did last with the timer as a whole."""
    before = after(running(), command(Pause, NOW + 50))
    begun = after(before, command(Start, NOW + 20, "r2"))
    assert (begun.run, begun.phase) == ("r2", "running")
    assert begun.stamps["phase"] == Stamp(NOW + 20, "lap", 1)


def test_a_new_duration_acts_at_the_next_start() -> None:
    before = running()
    changed = after(before, Patch(kind="timer", id=ITEM, at=NOW + 1, fields={"duration_ms": 1_000}))
    assert clock_of(changed) == clock_of(before)
    assert after(changed, command(Start, NOW + 2, "r2")).ends_at == NOW + 1_002


_ON_A_RUN = wild_edits("timer").filter(lambda edit: isinstance(edit, Pause | Resume | Add | Reset))


@given(records("timer"), mutations(_ON_A_RUN))
def test_a_command_of_another_run_never_acts(record: Record, mutation: Mutation) -> None:
    assert isinstance(record, Timer)
    assert isinstance(mutation.edit, Pause | Resume | Add | Reset)
    assume(mutation.edit.run != record.run)
    assert apply(record, mutation) is record


@given(records("timer"), mutations(wild_edits("timer")))
def test_fields_that_are_not_of_the_phase_are_null(record: Record, mutation: Mutation) -> None:
    changed = apply(record, mutation)
    if isinstance(changed, Timer):
        given = (changed.started_at is not None, changed.ends_at is not None, changed.remaining_ms is not None)
        assert (
            given
            == {
                "idle": (False, False, False),
                "running": (True, True, False),
                "paused": (False, False, True),
            }[changed.phase]
        )


@given(records("timer"), st.permutations([1_000, 60_000, 300_000]), st.permutations([1_000, 60_000, 300_000]))
def test_presses_for_more_time_before_the_end_add_up_in_any_order(
    record: Record, lengths: Sequence[int], other: Sequence[int]
) -> None:
    assert isinstance(record, Timer)
    assume(record.run is not None)
    moment = NOW - 600_000
    presses = [add(ms, moment, str(record.run)) for ms in lengths]
    same = [add(ms, moment, str(record.run)) for ms in other]
    assert after(record, *presses) == after(record, *same)


@given(st.lists(st.tuples(st.sampled_from(RUNS), instants), min_size=1, max_size=5))
def test_of_many_starts_the_latest_wins_in_any_order(starts: list[tuple[RunId, Wall]]) -> None:
    made = [by(command(Start, moment, run), "desk", mid) for mid, (run, moment) in enumerate(starts, 1)]
    greatest = max(made, key=lambda one: one.stamp)
    assert isinstance(greatest.edit, Start)
    for order in (made, made[::-1], sorted(made, key=lambda one: one.stamp, reverse=True)):
        record: Record | None = timer()
        for mutation in order:
            record = apply(record, mutation)
        assert isinstance(record, Timer)
        assert (record.run, record.started_at) == (greatest.edit.run, greatest.edit.moment)
