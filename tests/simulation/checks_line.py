"""What holds for one device's connection: its generations, its clock, its silence about tokens; and the rest by theme."""

from collections.abc import Callable, Mapping
from typing import Any

from protocol import Monotonic, Wall, client
from protocol._clock import DRIFT
from protocol.testing import Event

from .checks_pace import PaceCheck
from .checks_session import SessionCheck
from .device import SimDevice
from .run import Violation


ROUNDING_MS = 2.0
SECRET = "secret-"


class LineCheck:
    """Watches the steps of one connection, each against the machine as it was before.

    Attributes:
        machine: as it was after the last step.
        pace: of its attempts.
    """

    def __init__(self, device: SimDevice) -> None:
        self._device = device
        self.pace = PaceCheck(device)
        self._session = SessionCheck(device)
        self._says: Mapping[type, Callable[[Any], None]] = {
            client.Transmit: self._sends,
            client.Poll: self._session.requests,
            client.LinkChanged: lambda output: self._secret(output.why),
            client.CloseTransport: self._closes,
            client.ClockSampled: lambda _: self.clock(),
            client.OpenTransport: lambda _: self.pace.attempt(),
        }
        self.rebooted()

    def rebooted(self) -> None:
        """A new program: nothing of the old one counts."""
        self.machine: Any = self._device.client.machine
        self._slept = self._sleep()

    def _broken(self, rule: str, expected: str, happened: str) -> Violation:
        return Violation(rule, self._device.name, self._device.world.now, expected, happened)

    def after(self, event: Event) -> None:
        """One step."""
        before, after = self.machine, self._device.client.machine
        self.machine = after
        gen = getattr(event.input, "gen", None)
        if gen is not None and gen != getattr(before.state, "gen", None):
            self._late(before, after, event.input, event.outputs)
        self.pace.after(before, after, event)
        self._session.after(before, after, event)
        for output in event.outputs:
            said = self._says.get(type(output))
            if said is not None:
                said(output)
        if type(event.input) is client.Woke:
            self._slept = self._sleep()

    # --- generations (11) ---

    def _late(self, before: Any, after: Any, stimulus: Any, outputs: tuple[Any, ...]) -> None:
        if stimulus.gen in {getattr(before.polled, "gen", None), getattr(before.pushed, "gen", None)}:
            return
        if after.state is not before.state or any(type(output) is not client.Ignored for output in outputs):
            raise self._broken(
                "invariant-11", "that what belongs to an earlier generation has no effect",
                f"{stimulus!r} came to {before.state!r} and led to {outputs}",
            )  # fmt: skip

    # --- the clock (9) ---

    def clock(self) -> None:
        """Its estimate of the server's clock is as good as the sample with the shortest way."""
        device = self._device
        now = device.now
        estimate = device.client.machine.clock
        if not estimate.samples:
            return
        shortest = min(sample.round_trip for sample in estimate.samples)
        taken = min(sample.taken for sample in estimate.samples if sample.round_trip == shortest)
        said: Wall = estimate.server_time(now) or Wall(0)
        bound = shortest / 2 + self._drift_ms(now, taken, shortest) + self._unnoticed_ms() + ROUNDING_MS
        if abs(said - device.world.wall) > bound:
            raise self._broken(
                "invariant-9", f"the server's clock known within {bound:.1f} ms (round trip {shortest:.1f} ms)",
                f"it is off by {said - device.world.wall:+d} ms",
            )  # fmt: skip

    def _drift_ms(self, now: float, taken: Monotonic, round_trip: float) -> float:
        # A quartz that is worse than the protocol assumes is worse by just so much.
        drift = max(DRIFT, abs(self._device.clock.rate - 1))
        return drift * (max(0.0, now - taken) * 1000 + round_trip)

    def _sleep(self) -> float:
        """True seconds that the device has slept in its life."""
        device = self._device
        return (device.clock.elapsed(device.world.now) - device.now) / device.clock.rate

    def _unnoticed_ms(self) -> float:
        """A nap too short to be noticed, or one that has not been noticed yet."""
        return max(0.0, self._sleep() - self._slept) * 1000

    # --- what it says (16) ---

    def _sends(self, output: client.Transmit) -> None:
        # Handles stand for tokens here, so where a driver puts a token in, the handle may be read.
        if output.handle is None:
            self._secret(output.data)
        self._session.sends(output.data)

    def _closes(self, output: client.CloseTransport) -> None:
        self._secret(output.reason)
        self._session.closes(output.code)

    def _secret(self, text: str) -> None:
        if SECRET in text:
            raise self._broken("invariant-16", "no token in what it says", f"it says {text!r}")
