"""What holds for one device's connection: its clock, its politeness, its generations, its silence about tokens."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from protocol import Monotonic, Wall, client
from protocol._clock import DRIFT
from protocol.testing import Event

from .device import SimDevice
from .run import Violation


MOST_ATTEMPTS = 30
"""In one minute, without a hint from outside: jittered delays that double give about a dozen."""

MINUTE_S = 60.0
ROUNDING_MS = 2.0
SECRET = "secret-"

ASKING = (client.OpenTransport, client.GetToken, client.Poll, client.Transmit)
FREEING = (client.Start, client.TakeOver)
HINTS = (client.Start, client.TakeOver, client.SyncNow, client.NetworkChanged, client.Woke)


class LineCheck:
    """Watches the steps of one connection, each against the machine as it was before."""

    def __init__(self, device: SimDevice) -> None:
        self._device = device
        self._attempts: list[float] = []
        self._says: Mapping[type, Callable[[Any], None]] = {
            client.Transmit: self._sends,
            client.Poll: self._requests,
            client.LinkChanged: lambda output: self._secret(output.why),
            client.CloseTransport: lambda output: self._secret(output.reason),
            client.ClockSampled: lambda _: self.clock(),
            client.OpenTransport: lambda _: self._attempt(device.world.now),
        }
        self.rebooted()

    def rebooted(self) -> None:
        """A new program: nothing of the old one counts."""
        self._machine: Any = self._device.client.machine
        self._slept = self._sleep()

    def _broken(self, rule: str, expected: str, happened: str) -> Violation:
        return Violation(rule, self._device.name, self._device.world.now, expected, happened)

    def after(self, event: Event) -> None:
        """One step."""
        before, after = self._machine, self._device.client.machine
        self._machine = after
        stimulus, outputs = event.input, event.outputs
        gen = getattr(stimulus, "gen", None)
        if gen is not None and gen != getattr(before.state, "gen", None):
            self._late(before, after, stimulus, outputs)
        if type(before.state) is client.Stopped and type(stimulus) not in FREEING:
            self._silent(stimulus, outputs)
        if after.history is not before.history and after.history.delays > before.history.delays:
            self._delay(after)
        for output in outputs:
            said = self._says.get(type(output))
            if said is not None:
                said(output)
        kind = type(stimulus)
        if kind in HINTS:
            self._attempts.clear()
            if kind is client.Woke:
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

    # --- politeness (10) ---

    def _silent(self, stimulus: Any, outputs: tuple[Any, ...]) -> None:
        asked = [output for output in outputs if isinstance(output, ASKING)]
        if asked:
            raise self._broken(
                "invariant-10", "no attempt while stopped, but by the user", f"{stimulus!r} led to {asked}"
            )

    def _delay(self, machine: Any) -> None:
        """A backoff delay was drawn: it is above the floor."""
        due = [at for at, timer in machine.timers.pending if timer.name == "RECONNECT_DUE"]
        floor = machine.timing.backoff_floor_ms / 1000
        if type(machine.state) is client.Backoff and due and due[0] - self._device.now < floor - 0.001:
            raise self._broken(
                "invariant-10",
                f"no attempt within {floor} s of a failure",
                f"the next comes in {due[0] - self._device.now:.3f} s",
            )

    def _attempt(self, now: float) -> None:
        self._attempts = [*(at for at in self._attempts if at > now - MINUTE_S), now]
        if len(self._attempts) > MOST_ATTEMPTS:
            raise self._broken(
                "invariant-10", f"at most {MOST_ATTEMPTS} attempts a minute", f"this is number {len(self._attempts)}"
            )

    # --- the clock (9) ---

    def clock(self) -> None:
        """Its estimate of the server's clock is as good as it says."""
        device = self._device
        now = device.now
        estimate = device.client.machine.clock
        best = estimate.best
        if best is None:
            return
        said: Wall = estimate.server_time(now) or Wall(0)
        bound = (
            best.round_trip / 2 + self._drift_ms(now, best.taken, best.round_trip) + self._unnoticed_ms() + ROUNDING_MS
        )
        error = abs(said - device.world.wall)
        if error > bound:
            raise self._broken(
                "invariant-9", f"the server's clock known within {bound:.1f} ms (round trip {best.round_trip:.1f} ms)",
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

    # --- nothing is claimed that is not on disk (docs/protocol.md#outbox-durable, #msg-ack, #http-changes-ack) ---

    def _sends(self, output: client.Transmit) -> None:
        data = output.data
        # Handles stand for tokens here, so where a driver puts a token in, the handle may be read.
        if output.handle is None:
            self._secret(data)
        if data.startswith(('{"type":"mutate"', '{"type":"ack"', '{"type":"hello"')):
            message = msgspec.json.decode(data)
            if message["type"] == "mutate":
                self._is_kept(message["mid"])
            else:
                self._is_read(message if message["type"] == "ack" else message.get("cursor"))

    def _requests(self, output: client.Poll) -> None:
        if output.body is not None:
            for mutate in msgspec.json.decode(output.body)["mutations"]:
                self._is_kept(mutate["mid"])
        since = parse_qs(urlsplit(output.path).query).get("since")
        if since:
            epoch, _, rev = since[0].rpartition(":")
            self._is_read({"epoch": epoch, "rev": int(rev)})

    def _is_kept(self, mid: int) -> None:
        if mid not in self._device.disk.entries:
            raise self._broken(
                "outbox-durable", "that an edit is on disk before it is sent", f"it sends {mid}, which is not"
            )

    def _is_read(self, cursor: Mapping[str, Any] | None) -> None:
        kept = self._device.disk.cursor
        if cursor is None or (kept is not None and kept.epoch == cursor["epoch"] and kept.rev >= cursor["rev"]):
            return
        raise self._broken("msg-ack", "that a cursor is on disk before it is acknowledged", f"{cursor} is not: {kept}")

    # --- tokens (16) ---

    def _secret(self, text: str) -> None:
        if SECRET in text:
            raise self._broken("invariant-16", "no token in what it says", f"it says {text!r}")
