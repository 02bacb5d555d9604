"""The server's clock as a device sees it (docs/protocol.md#clock-offset)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._clock import KEPT, ClockEstimate


def test_half_the_difference_of_the_legs_is_the_offset() -> None:
    clock = ClockEstimate().add(t0=1_000, t1=500_020, t2=500_030, t3=1_050)
    assert clock.best is not None
    assert clock.best.offset == 499_000
    assert clock.best.round_trip == 40
    assert clock.server_time(1.05) == 500_050


def test_nothing_is_known_before_the_first_sample() -> None:
    assert ClockEstimate().best is None
    assert ClockEstimate().server_time(5.0) is None
    assert ClockEstimate().error_ms(5.0) == math.inf


def test_the_lowest_round_trip_is_believed_whatever_came_after() -> None:
    clock = ClockEstimate().add(0, 1_000, 1_000, 10).add(100, 9_000, 9_000, 300).add(400, 9_000, 9_000, 500)
    assert clock.best is not None
    assert clock.best.round_trip == 10


def test_only_the_last_eight_samples_count() -> None:
    clock = ClockEstimate().add(0, 1_000, 1_000, 2)
    for n in range(1, KEPT + 1):
        clock = clock.add(n * 1000, n * 1000 + 50, n * 1000 + 50, n * 1000 + 100)
    assert len(clock.samples) == KEPT
    assert clock.best is not None
    assert clock.best.round_trip == 100


@pytest.mark.parametrize(
    ("t0", "t1", "t2", "t3"),
    [
        (0, 1_000, 1_200, 100),  # the round trip would be negative
        (100, 1_000, 1_000, 50),  # ends here before it begins
        (0, 1_200, 1_000, 500),  # ends there before it begins
        (0, -5, 1_000, 2_000),  # before all time
        (0, 1_000, 1 << 60, 2_000),  # after all time, and not exact as a float
        (0, 10**400, 10**400, 2_000),  # greater than any float
    ],
)
def test_what_cannot_be_true_is_refused(t0: int, t1: int, t2: int, t3: int) -> None:
    clock = ClockEstimate()
    assert clock.add(t0, t1, t2, t3) is clock


@given(
    offset=st.integers(-(10**9), 10**9),
    legs=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)), min_size=1, max_size=20),
)
def test_the_error_is_within_half_the_round_trip_of_the_chosen_sample(offset: int, legs: list[tuple[int, int]]) -> None:
    """Invariant 9, with a server clock that does not drift: the bound holds whichever leg was the slow one."""
    clock, now, base = ClockEstimate(), 0, 2 * 10**9
    for there, back in legs:
        at_server = now + there + base + offset
        clock = clock.add(now, at_server, at_server, now + there + back)
        now += there + back + 1_000
    seconds = now / 1000
    estimated = clock.server_time(seconds)
    assert estimated is not None
    assert abs(estimated - (now + base + offset)) <= clock.error_ms(seconds) + 1


def test_the_bound_grows_with_age_by_the_assumed_drift() -> None:
    clock = ClockEstimate().add(0, 1_000, 1_000, 100)
    assert clock.error_ms(0.1) == 50
    assert clock.error_ms(100.1) == pytest.approx(50 + 5), "50 millionths of 100 s"
    assert clock.error_ms(0.0) == 50
