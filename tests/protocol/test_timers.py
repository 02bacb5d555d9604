"""Named deadlines as a value."""

from enum import Enum

from hypothesis import given
from hypothesis import strategies as st

from protocol._timers import ClientTimer, Deadline, ServerTimer, Timers
from protocol._types import Monotonic


A, B, C = ServerTimer.AUTH_DUE, ServerTimer.HELLO_DUE, ServerTimer.CLOSE_DUE
NONE = Timers[ServerTimer]()

changes = st.lists(st.tuples(st.sampled_from([A, B, C]), st.none() | st.integers(0, 9)), max_size=12)


def test_the_earliest_is_next() -> None:
    timers = NONE.set(A, 3.0).set(B, 1.0).set(C, 2.0)
    assert timers.next == Deadline(Monotonic(1.0), B)
    assert repr(timers.next) == "HELLO_DUE at 1.0"
    assert NONE.next is None


def test_of_two_due_at_once_the_one_set_first_is_next() -> None:
    assert NONE.set(A, 1.0).set(B, 1.0).due(1.0) is A
    assert NONE.set(A, 1.0).set(B, 1.0).set(A, 1.0).due(1.0) is B


def test_setting_again_moves() -> None:
    timers = NONE.set(A, 1.0).set(A, 5.0)
    assert timers.pending == ((5.0, A),)


def test_due_is_at_its_moment_and_not_before() -> None:
    timers = NONE.set(A, 1.0)
    assert (timers.due(0.999), timers.due(1.0), NONE.due(9.0)) == (None, A, None)
    assert (timers.is_due(A, 0.999), timers.is_due(A, 1.0), timers.is_due(B, 9.0)) == (False, True, False)


def test_clear_and_only_are_opposites() -> None:
    timers = NONE.set(A, 1.0).set(B, 2.0).set(C, 3.0)
    assert [timer for _, timer in timers.clear(A, C).pending] == [B]
    assert [timer for _, timer in timers.only(A, C).pending] == [A, C]
    assert timers.clear() == timers
    assert NONE.clear(A) == NONE
    assert (A in timers, A in timers.clear(A)) == (True, False)


@given(changes)
def test_it_is_a_mapping_sorted_by_time(steps: list[tuple[ServerTimer, int | None]]) -> None:
    timers, expected = NONE, dict[ServerTimer, float]()
    for timer, at in steps:
        if at is None:
            timers = timers.clear(timer)
            expected.pop(timer, None)
        else:
            timers = timers.set(timer, at)
            expected[timer] = at
    assert dict[ServerTimer, float]((timer, at) for at, timer in timers.pending) == expected
    assert [float(at) for at, _ in timers.pending] == sorted(expected.values())


def test_every_timer_of_both_sides_has_its_own_word() -> None:
    """Traces name timers by it."""
    kinds: tuple[type[Enum], ...] = (ServerTimer, ClientTimer)
    for kind in kinds:
        assert len({timer.value for timer in kind}) == len(kind)
        assert all(timer.name.endswith("_DUE") for timer in kind)
