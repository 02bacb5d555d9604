"""What time it is for the server, on a device whose clock may be wrong and which may have slept.

Three readings come in as functions, so tests need neither sleep nor a wrong clock: the wall clock, Trio's clock (it
stands still while the machine sleeps, python-trio/trio#1586) and, where the system has one, a clock that counts sleep.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import trio

from protocol import Alarm, ClockEstimate, Record, Wall


JUMP_S = 2.0
"""The wall clock moved by more than this against the monotonic one: the device slept, or its clock was set."""

FAR_MS = 300_000
"""Further apart than this, one of the two clocks is plainly wrong; alarms then ring by the device's own."""


class Clocks(NamedTuple):
    """Where the readings come from.

    Attributes:
        wall_ns: the operating system's clock, ns since the Unix epoch.
        monotonic: seconds of Trio's clock.
        elapsed: seconds that also count sleep; None where the system cannot say.
    """

    wall_ns: Callable[[], int]
    monotonic: Callable[[], float]
    elapsed: Callable[[], float] | None = None


def system_clocks() -> Clocks:
    """The machine's own."""
    return Clocks(time.time_ns, trio.current_time, _elapsed() if hasattr(time, "CLOCK_BOOTTIME") else None)


def _elapsed() -> Callable[[], float]:
    return lambda: time.clock_gettime(time.CLOCK_BOOTTIME)


class _Reading(NamedTuple):
    wall: float
    monotonic: float
    elapsed: float | None


class Timekeeper:
    """The server's clock as this device sees it.

    Attributes:
        skew_ms: server clock minus operating system clock, as last known; kept on disk by the engine.
    """

    def __init__(self, clocks: Clocks, skew_ms: int = 0) -> None:
        self.clocks = clocks
        self.skew_ms = skew_ms
        self._estimate = ClockEstimate()
        self._last = self._read()

    def __repr__(self) -> str:
        source = "estimate" if self._estimate.best else "system clock"
        return f"<Timekeeper by {source}, skew {self.skew_ms} ms>"

    @property
    def wall_ms(self) -> int:
        """The operating system's clock, ms."""
        return self.clocks.wall_ns() // 1_000_000

    @property
    def is_far(self) -> bool:
        """Whether the two clocks are so far apart that the user should hear of it."""
        return abs(self.skew_ms) > FAR_MS

    def server_now(self) -> Wall:
        """The best estimate of the server's clock: from its own samples, else the system's clock and the last skew."""
        sampled = self._estimate.server_time(self.clocks.monotonic())
        return sampled if sampled is not None else Wall(self.wall_ms + self.skew_ms)

    def now_for(self, record: Record) -> Wall:
        """By which moment a record rings: an alarm by the device's own clock where the two are far apart."""
        return Wall(self.wall_ms) if self.is_far and isinstance(record, Alarm) else self.server_now()

    def reading(self) -> Callable[[Record], Wall]:
        """The same for many records, by one look at the clocks: all of them ring by the same moment."""
        server, wall, is_far = self.server_now(), Wall(self.wall_ms), self.is_far
        return lambda record: wall if is_far and isinstance(record, Alarm) else server

    def error_ms(self) -> float:
        """Bound of the estimate's error; infinite without one."""
        return self._estimate.error_ms(self.clocks.monotonic())

    def sampled(self, estimate: ClockEstimate) -> None:
        """Take over the connection's estimate."""
        self._estimate = estimate
        now = estimate.server_time(self.clocks.monotonic())
        if now is not None:
            self.skew_ms = now - self.wall_ms

    def has_jumped(self) -> bool:
        """Compare the clocks with the last look; after a jump the estimate is void, since it counts Trio's seconds.

        What the skew becomes depends on the cause: sleep leaves it as it was, a clock that was set moves it.
        """
        before, self._last = self._last, self._read()
        slept, moved = self._apart(before, self._last)
        if abs(moved) <= JUMP_S:
            return False
        stepped = moved - slept
        if abs(stepped) > JUMP_S:
            self.skew_ms -= round(stepped * 1000)
        self._estimate = ClockEstimate()
        return True

    def _apart(self, before: _Reading, after: _Reading) -> tuple[float, float]:
        """Seconds slept, and seconds by which the wall clock moved against the monotonic one."""
        awake = after.monotonic - before.monotonic
        moved = after.wall - before.wall - awake
        if before.elapsed is None or after.elapsed is None:
            # Nobody sleeps backwards; a jump ahead is far more often a lid than a hand on the clock.
            return max(0.0, moved), moved
        return after.elapsed - before.elapsed - awake, moved

    def _read(self) -> _Reading:
        clocks = self.clocks
        return _Reading(clocks.wall_ns() / 1e9, clocks.monotonic(), clocks.elapsed() if clocks.elapsed else None)
