"""The server's clock as a device sees it: sampled, lost in sleep, set by hand, and plainly wrong."""

import pytest

from client_qt.timekeeping import Clocks, Timekeeper, system_clocks
from protocol import ClockEstimate

from .records import alarm, running


class Readings:
    """Three clocks that a test moves."""

    def __init__(self, wall_s: float = 1_000_000.0, *, counts_sleep: bool = True) -> None:
        self.wall_s = wall_s
        self.monotonic_s = 50.0
        self.elapsed_s = 70.0
        self.clocks = Clocks(
            lambda: round(self.wall_s * 1e9),
            lambda: self.monotonic_s,
            (lambda: self.elapsed_s) if counts_sleep else None,
        )

    def run(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds
        self.elapsed_s += seconds

    def sleep(self, seconds: float) -> None:
        self.wall_s += seconds
        self.elapsed_s += seconds


def sampled(readings: Readings, ahead_ms: int) -> ClockEstimate:
    """An estimate by a server whose clock is so far ahead of this device's."""
    t0 = readings.monotonic_s * 1000
    server = readings.wall_s * 1000 + ahead_ms
    return ClockEstimate().add(t0, server, server, t0)


def test_without_a_sample_the_servers_clock_is_the_systems_and_the_skew_known_from_before() -> None:
    readings = Readings()
    assert Timekeeper(readings.clocks).server_now() == 1_000_000_000
    assert Timekeeper(readings.clocks, -90_000).server_now() == 999_910_000


def test_a_sample_gives_the_servers_clock_and_the_skew_to_keep() -> None:
    readings = Readings()
    keeper = Timekeeper(readings.clocks)
    keeper.sampled(sampled(readings, 90_000))
    assert (keeper.server_now(), keeper.skew_ms) == (1_000_090_000, 90_000)
    readings.run(10)
    assert keeper.server_now() == 1_000_100_000


def test_a_clock_that_is_set_while_connected_moves_nothing() -> None:
    """Until the next look finds the jump, the estimate goes by the monotonic clock; after it by the corrected skew."""
    readings = Readings()
    keeper = Timekeeper(readings.clocks)
    keeper.sampled(sampled(readings, 90_000))
    readings.wall_s += 90
    assert keeper.server_now() == 1_000_090_000
    assert keeper.has_jumped()
    assert (keeper.server_now(), keeper.skew_ms) == (1_000_090_000, 0)


@pytest.mark.parametrize("counts_sleep", [True, False])
def test_sleep_is_a_jump_that_leaves_the_skew(counts_sleep: bool) -> None:
    readings = Readings(counts_sleep=counts_sleep)
    keeper = Timekeeper(readings.clocks)
    keeper.sampled(sampled(readings, 30_000))
    readings.sleep(3_600)
    assert keeper.has_jumped()
    assert (keeper.server_now(), keeper.skew_ms) == (1_000_030_000 + 3_600_000, 30_000)


def test_a_clock_set_back_is_no_sleep_even_where_sleep_is_not_counted() -> None:
    readings = Readings(counts_sleep=False)
    keeper = Timekeeper(readings.clocks, 0)
    readings.wall_s -= 90
    assert keeper.has_jumped()
    assert keeper.server_now() == 1_000_000_000


def test_a_jump_is_told_once_and_slow_drift_is_none() -> None:
    readings = Readings()
    keeper = Timekeeper(readings.clocks)
    for _ in range(100):
        readings.run(5)
        readings.wall_s += 0.01
        assert not keeper.has_jumped()
    readings.sleep(10)
    assert keeper.has_jumped()
    assert not keeper.has_jumped()


def test_with_clocks_far_apart_alarms_ring_by_the_devices_own_and_timers_by_the_servers() -> None:
    readings = Readings()
    keeper = Timekeeper(readings.clocks, 301_000)
    assert keeper.is_far
    assert keeper.now_for(alarm()) == 1_000_000_000
    assert keeper.now_for(running(ends_at=1)) == 1_000_301_000
    near = Timekeeper(readings.clocks, 300_000)
    assert not near.is_far
    assert near.now_for(alarm()) == 1_000_300_000


def test_the_error_is_bounded_by_the_sample_and_unknown_without_one() -> None:
    readings = Readings()
    keeper = Timekeeper(readings.clocks)
    assert keeper.error_ms() == float("inf")
    keeper.sampled(sampled(readings, 5))
    assert keeper.error_ms() < 1
    assert repr(keeper) == "<Timekeeper by estimate, skew 5 ms>"


async def test_the_systems_clocks_agree_with_each_other() -> None:
    keeper = Timekeeper(system_clocks())
    assert not keeper.has_jumped()
    assert abs(keeper.server_now() - keeper.wall_ms) < 1_000
