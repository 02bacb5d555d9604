"""What begins and ends to ring between two looks, as rules and as properties over any number of looks."""

from collections.abc import Collection, Mapping
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from client_qt.local_state import DropMark, Mark, PutMark, RingKey
from client_qt.ringing import KEPT_MS, Agenda, Book, Turn, forget, silence, turn
from protocol import Alarm, ItemId, Record, RunId, Snoozed, Stamp, Wall, ringing
from protocol.zones import system_zones

from .desk import MONDAY_MS
from .records import alarm, running


SEVEN = MONDAY_MS + 7 * 3_600_000
WINDOW_MS = 600_000
KEY = RingKey(ItemId("wake"), SEVEN, 0, Wall(SEVEN))


def look(
    book: Book, record: Record | None, now: int, held: Collection[RingKey] = (), agenda: Agenda | None = None
) -> Turn:
    """One look at one record."""
    records: Mapping[ItemId, Record] = {} if record is None else {record.id: record}
    windows, _ = (agenda or Agenda(system_zones)).look(records, lambda _: Wall(now), book.sounding.keys())
    return turn(book, windows, records, lambda _: Wall(now), held)


def rung(record: Record | None = None) -> Book:
    """A device on which the alarm of seven o'clock rings."""
    return look(Book(), record or alarm(), SEVEN).book


def test_a_ring_begins_with_its_window_and_is_marked_for_a_restart() -> None:
    assert look(Book(), alarm(), SEVEN - 1).begun == ()
    step = look(Book(), alarm(), SEVEN)
    assert [(one.key, one.resumed) for one in step.begun] == [(KEY, False)]
    assert step.writes == (PutMark(Mark(KEY, Wall(SEVEN + WINDOW_MS))),)
    assert look(step.book, alarm(), SEVEN + 1) == Turn(step.book)


def test_a_ring_ends_with_its_window() -> None:
    step = look(rung(), alarm(), SEVEN + WINDOW_MS)
    assert [(end.why, end.here) for end in step.ended] == [("window", False)]
    assert step.book.sounding == {}
    assert look(step.book, alarm(), SEVEN + WINDOW_MS - 1).begun == ()


def test_a_restart_inside_the_window_resumes_and_after_it_does_not() -> None:
    after = Book(rung().marks)
    step = look(after, alarm(), SEVEN + 30_000)
    assert [one.resumed for one in step.begun] == [True]
    assert step.writes == ()
    assert look(after, alarm(), SEVEN + WINDOW_MS).begun == ()


def test_a_ring_that_was_stopped_here_stays_silent_whatever_the_server_says() -> None:
    """The record is as if the dismissal had been rejected; a restart changes nothing either."""
    step = silence(rung(), [KEY], {}, "dismissed")
    assert [(end.why, end.here) for end in step.ended] == [("dismissed", True)]
    assert look(step.book, alarm(), SEVEN + 1).begun == ()
    assert look(Book(step.book.marks), alarm(), SEVEN + 1).begun == ()


def test_a_dismissal_from_elsewhere_ends_it_and_one_that_came_before_prevents_it() -> None:
    dismissed = alarm(acked=SEVEN)
    assert [end.why for end in look(rung(), dismissed, SEVEN + 5).ended] == ["dismissed"]
    assert look(Book(), dismissed, SEVEN).begun == ()


def test_a_dismissal_that_is_taken_back_does_not_ring_again() -> None:
    """A server restored from a backup may have forgotten it."""
    book = look(rung(), alarm(acked=SEVEN), SEVEN + 5).book
    assert look(book, alarm(), SEVEN + 6).begun == ()


def test_a_snooze_from_elsewhere_ends_it_and_it_rings_again_at_its_instant() -> None:
    snoozed = alarm(snooze=Snoozed(SEVEN, 1, Wall(SEVEN + 300_000)))
    step = look(rung(), snoozed, SEVEN + 5)
    assert [end.why for end in step.ended] == ["snoozed"]
    assert look(step.book, snoozed, SEVEN + 299_999).begun == ()
    (again,) = look(step.book, snoozed, SEVEN + 300_000).begun
    assert (again.key.n, again.key.since, again.resumed) == (1, SEVEN + 300_000, False)


def test_an_alarm_snoozed_over_midnight_rings_on_a_day_that_is_not_in_its_week() -> None:
    late = alarm(time="23:58", days=("mo",))
    due = MONDAY_MS + (23 * 60 + 58) * 60_000
    snoozed = replace(late, snooze=Snoozed(due, 1, Wall(due + 540_000)))
    assert [one.key.occ for one in look(Book(), snoozed, due + 540_000).begun] == [due]


def test_deletion_and_change_end_it_too() -> None:
    assert [(end.why, end.record) for end in look(rung(), None, SEVEN + 5).ended] == [("deleted", None)]
    assert [end.why for end in look(rung(), alarm(enabled=False), SEVEN + 5).ended] == ["changed"]


def test_a_timer_that_was_lengthened_rings_again_at_its_new_end() -> None:
    book = look(Book(), running(ends_at=SEVEN), SEVEN).book
    longer = running(ends_at=SEVEN + 60_000)
    step = look(book, longer, SEVEN + 10_000)
    assert [end.why for end in step.ended] == ["changed"]
    assert len(look(step.book, longer, SEVEN + 60_000).begun) == 1


def test_a_ring_that_is_held_begins_when_it_is_not_any_more() -> None:
    step = look(Book(), alarm(), SEVEN, held=[KEY])
    assert (step.begun, step.writes) == ((), ())
    assert len(look(step.book, alarm(), SEVEN + 3_000).begun) == 1


def test_a_clock_that_is_corrected_a_little_does_not_make_a_ring_stutter() -> None:
    assert look(rung(), alarm(), SEVEN - 1_900).ended == ()


def test_a_ring_that_came_too_early_by_a_wrong_clock_comes_again_at_its_time() -> None:
    """Silence at seven would be the worse of the two mistakes."""
    step = look(rung(), alarm(), SEVEN - 3_600_000)
    assert [end.why for end in step.ended] == ["early"]
    assert step.writes == (DropMark(KEY),)
    assert len(look(step.book, alarm(), SEVEN).begun) == 1


def test_one_that_was_stopped_then_stays_stopped() -> None:
    book = silence(rung(), [KEY], {}, "dismissed").book
    assert look(look(book, alarm(), SEVEN - 3_600_000).book, alarm(), SEVEN).begun == ()


def test_marks_are_forgotten_when_they_can_matter_no_more() -> None:
    book = silence(rung(), [KEY], {}, "quiet").book
    until = SEVEN + WINDOW_MS
    assert forget(book, Wall(until + KEPT_MS)).writes == ()
    step = forget(book, Wall(until + KEPT_MS + 1))
    assert (step.writes, step.book.marks) == ((DropMark(KEY),), {})


# --- the agenda -------------------------------------------------------------------------------------------------------


def test_the_agenda_says_when_to_look_again() -> None:
    agenda, records = Agenda(system_zones), {ItemId("wake"): alarm()}
    for now, wait in [(SEVEN - 5, 5), (SEVEN, WINDOW_MS), (SEVEN + WINDOW_MS, 86_400_000 - WINDOW_MS)]:
        assert agenda.look(records, partial(_at, Wall(now)), ())[1] == wait
    assert agenda.look({}, lambda _: Wall(0), ())[1] == float("inf")


def test_an_edit_from_the_future_is_looked_at_again_when_its_time_comes() -> None:
    """`armed` leaves stamps later than now out, so it moves without any change of the record."""
    stamped = alarm(stamps={"time": Stamp(SEVEN - 10, "other", 1)})
    _, wait = Agenda(system_zones).look({ItemId("wake"): stamped}, lambda _: Wall(SEVEN - 15), ())
    assert wait == 5


def test_an_edit_inside_a_window_is_seen_at_the_next_look() -> None:
    agenda = Agenda(system_zones)
    book = look(Book(), alarm(), SEVEN, agenda=agenda).book
    assert len(look(book, alarm(acked=SEVEN), SEVEN, agenda=agenda).ended) == 1


def _at(now: Wall, _: Record) -> Wall:
    return now


RECORDS = st.one_of(
    st.builds(
        lambda minute, acked, snooze, auto, enabled: alarm(
            time=f"07:{minute:02}", ring_s=60, snooze_s=30, auto_snooze=auto, enabled=enabled,
            acked=None if acked is None else SEVEN + acked * 60_000,
            snooze=None if snooze is None else Snoozed(SEVEN + minute * 60_000, 1, Wall(SEVEN + snooze)),
        ),
        st.integers(0, 4), st.none() | st.integers(0, 4), st.none() | st.integers(0, 300_000), st.integers(0, 2),
        st.booleans(),
    ),
    st.builds(lambda end, run, acked: running("wake", ends_at=SEVEN + end, run=run, ring_s=60,
        acked=RunId(run) if acked else None), st.integers(0, 300_000), st.sampled_from("ab"), st.booleans()),
)  # fmt: skip
# Backwards only by more than what a better estimate may turn the clock back.
PASSING = st.integers(0, 90_000) | st.integers(-90_000, -2_001)
STEPS = st.lists(st.tuples(st.sampled_from(["run", "edit", "stop", "restart", "gone"]), PASSING, RECORDS), max_size=15)


@settings(max_examples=300)
@given(alarm_first=RECORDS, steps=STEPS)
def test_whatever_happens_a_device_rings_exactly_for_the_open_windows_it_has_not_ended(
    alarm_first: Record, steps: list[tuple[str, int, Record]]
) -> None:
    """At most once for each key, resumed only by a restart, and silent only where a window is shut or was ended here.

    The agenda, which works out as little as it can, is compared with the protocol's own answer at every look.
    """
    record: Record | None = alarm_first
    book, agenda, now, over = Book(), Agenda(system_zones), SEVEN - 30_000, set[RingKey]()
    begun = set[RingKey]()
    for what, ms, other in steps:
        now += ms
        if what == "edit":
            record = other
        elif what == "gone":
            record = None
        elif what == "restart":
            book, agenda = Book(book.marks), Agenda(system_zones)
        elif what == "stop":
            step = silence(book, list(book.sounding), {}, "dismissed")
            over |= {end.sounding.key for end in step.ended}
            book = step.book
        step = look(book, record, now, agenda=agenda)
        over |= {end.sounding.key for end in step.ended if end.why != "early"}
        over -= {end.sounding.key for end in step.ended if end.why == "early"}
        begun -= {end.sounding.key for end in step.ended if end.why == "early"}
        for one in step.begun:
            assert one.resumed == (one.key in begun)
            begun.add(one.key)
        book = step.book
        rings = [] if record is None else ringing(record, Wall(now), system_zones)
        open_now = {RingKey(ItemId("wake"), ring.occ, ring.n, ring.since) for ring in rings}
        assert set(book.sounding) == open_now - over
        assert isinstance(record, Alarm) or len(book.sounding) <= 1
