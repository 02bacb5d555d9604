"""The server's clock as a device sees it: offset samples in, an estimate with its bound out (docs/protocol.md#clock-offset).

Each `ping`/`pong` gives four times; half the difference of the legs is the offset, the round trip bounds its error.
Of the last eight samples the one with the lowest round trip is believed (RFC 5905, section 10, the clock filter).
"""

from msgspec import Struct

from ._types import Monotonic, Wall


KEPT = 8
DRIFT = 50e-6
"""Assumed worst drift of a cheap quartz, seconds per second."""

_LATEST = 1 << 53
"""Greater numbers are no times, and not exact as floats (docs/protocol.md#terms-int)."""


class Sample(Struct, frozen=True):
    """One exchange: when it ended here, what it says of the offset, and its round trip, all ms but `taken`."""

    taken: Monotonic
    offset: float
    round_trip: float


class ClockEstimate(Struct, frozen=True):
    """Samples, newest last. `offset` is server ms minus this device's monotonic ms."""

    samples: tuple[Sample, ...] = ()

    def add(self, t0: float, t1: float, t2: float, t3: float) -> "ClockEstimate":
        """Take an exchange: sent `t0` and received `t3` here (monotonic ms), received `t1` and sent `t2` there.

        Refused, and the estimate returned as it is: a negative round trip (one of the clocks stepped meanwhile,
        docs/protocol.md#clock-negative), a leg that ends before it begins, and what is no time at all.
        """
        if not 0 <= t1 <= t2 < _LATEST or not t0 <= t3:
            return self
        round_trip = (t3 - t0) - (t2 - t1)
        if round_trip < 0:
            return self
        sample = Sample(Monotonic(t3 / 1000), ((t1 - t0) + (t2 - t3)) / 2, round_trip)
        return ClockEstimate((*self.samples, sample)[-KEPT:])

    @property
    def best(self) -> Sample | None:
        """The sample believed."""
        return min(self.samples, key=lambda sample: sample.round_trip) if self.samples else None

    def server_time(self, now: float) -> Wall | None:
        """The server's clock at monotonic `now` (seconds); None before the first sample."""
        best = self.best
        return None if best is None else Wall(round(now * 1000 + best.offset))

    def error_ms(self, now: float) -> float:
        """Bound of the estimate's error: half the round trip plus drift since; infinite before the first sample."""
        best = self.best
        return float("inf") if best is None else best.round_trip / 2 + DRIFT * max(0.0, now - best.taken) * 1000
