"""The clocks of one device: wrong by some minutes, a little too fast or slow, and one of them stands still in sleep."""

from .._types import Monotonic, Wall


class DeviceClock:
    """What a device's clocks show at a true moment.

    Attributes:
        offset_ms: its wall clock minus the true one, leaving drift aside.
        rate: seconds that pass here in a true one.

    Args:
        start: the true time at second 0, ms.
        offset_ms: see above. drift_ppm: parts per million that it runs too fast; negative: too slow.
    """

    def __init__(self, start: Wall, offset_ms: int = 0, drift_ppm: int = 0) -> None:
        self.offset_ms = offset_ms
        self.rate = 1 + drift_ppm / 1_000_000
        self._start = start
        self._slept = 0.0
        self._asleep_since: float | None = None

    def __repr__(self) -> str:
        return (
            f"<DeviceClock {self.offset_ms:+} ms, rate {self.rate:.6f}{', asleep' * (self._asleep_since is not None)}>"
        )

    def wall_ms(self, true: float) -> int:
        """The operating system's clock, ms."""
        return self._start + self.offset_ms + round(true * self.rate * 1000)

    def elapsed(self, true: float) -> float:
        """Seconds since start, sleep included."""
        return true * self.rate

    def monotonic(self, true: float) -> Monotonic:
        """Seconds that the device was awake: this clock stands still while it sleeps."""
        reached = true if self._asleep_since is None else self._asleep_since
        return Monotonic((reached - self._slept) * self.rate)

    def true_at(self, monotonic: float) -> float:
        """When `monotonic` will be reached if the device does not sleep before."""
        return monotonic / self.rate + self._slept

    def jump(self, ms: int) -> None:
        """Somebody sets the wall clock."""
        self.offset_ms += ms

    def sleep(self, true: float) -> None:
        """The device sleeps from now on."""
        if self._asleep_since is None:
            self._asleep_since = true

    def wake(self, true: float) -> None:
        """It wakes."""
        if self._asleep_since is not None:
            self._slept += true - self._asleep_since
            self._asleep_since = None
