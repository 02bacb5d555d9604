"""What holds for the attempts of one device: polite, within bounds, and never without its user once it has stopped."""

from typing import Any

from protocol import client
from protocol._timers import ClientTimer
from protocol.testing import Event

from .device import SimDevice
from .run import Violation


MOST_ATTEMPTS = 30
"""In one minute, without a hint from outside: jittered delays that double give about a dozen."""

MINUTE_S = 60.0
DRAIN = range(4200, 4300)
REFUSING = frozenset({401, 403, 426})

ASKING = (client.OpenTransport, client.GetToken, client.Poll, client.Transmit)
FREEING = frozenset({client.Start, client.TakeOver})
HINTS = frozenset({client.Start, client.TakeOver, client.SyncNow, client.NetworkChanged, client.Woke})


class PaceCheck:
    """Watches when one device tries."""

    def __init__(self, device: SimDevice) -> None:
        self._device = device
        self._attempts: list[float] = []
        self._was_barred = False
        self._was_refused = False

    def _broken(self, expected: str, happened: str, rule: str = "invariant-10") -> Violation:
        return Violation(rule, self._device.name, self._device.world.now, expected, happened)

    def after(self, before: Any, after: Any, event: Event) -> None:
        """One step."""
        stimulus = type(event.input)
        if type(before.state) is client.Stopped and stimulus not in FREEING:
            self._silent(event)
        if after.history is not before.history:
            self._counted(before, after, stimulus)
        if after.state is not before.state:
            self._landed(before, after)
        if stimulus in HINTS:
            self._attempts.clear()
        elif stimulus is client.Refused or stimulus is client.PollFailed:
            self._was_refused = self._was_refused or event.input.status in REFUSING

    def barred(self) -> None:
        """Its tokens were taken from it."""
        self._was_barred = True

    # --- stopped ---

    def _silent(self, event: Event) -> None:
        asked = [output for output in event.outputs if isinstance(output, ASKING)]
        if asked:
            raise self._broken("no attempt while stopped, but by the user", f"{event.input!r} led to {asked}")

    def _landed(self, before: Any, after: Any) -> None:
        state = after.state
        if type(state) is client.Stopped:
            self._stopped(after, state)
        elif type(state) is client.Backoff and type(before.state) is not client.Backoff:
            self._waits(before, after, state)

    def _stopped(self, machine: Any, state: Any) -> None:
        if state.reason == "replaced" and state.winner is not None and state.winner < machine.conn:
            raise self._broken(
                "that the newer of two connections stays",
                f"attempt {machine.conn} made way for attempt {state.winner}",
                "life-replaced",
            )
        if state.sign_in and not (self._was_barred or self._was_refused):
            raise self._broken("a reason to ask for a sign-in", f"it stopped as {state!r}, though nobody barred it")

    # --- delays ---

    def _waits(self, before: Any, after: Any, state: Any) -> None:
        """A delay is drawn from a window: longer than its low end, no longer than its high one."""
        due = next((at for at, timer in after.timers.pending if timer is ClientTimer.RECONNECT_DUE), None)
        if due is None:
            return
        if due <= state.not_before:
            raise self._broken(
                "a delay drawn from a window", f"the next attempt comes at its very beginning, {due:.3f}"
            )
        session = getattr(before.state, "session", before.state)
        goodbye = getattr(session, "goodbye", None)
        wait = due - self._device.now
        if goodbye is not None and goodbye.code in DRAIN and 0 < goodbye.max_ms < (wait - 0.001) * 1000:
            raise self._broken(f"a return within {goodbye.max_ms} ms", f"the next attempt comes in {wait:.3f} s")

    def _counted(self, before: Any, after: Any, stimulus: type) -> None:
        machine, delays = after, after.history.delays
        if delays > before.history.delays:
            due = [at for at, timer in machine.timers.pending if timer is ClientTimer.RECONNECT_DUE]
            floor = machine.timing.backoff_floor_ms / 1000
            if type(machine.state) is client.Backoff and due and due[0] - self._device.now < floor - 0.001:
                raise self._broken(
                    f"no attempt within {floor} s of a failure", f"the next comes in {due[0] - self._device.now:.3f} s"
                )
        elif delays < before.history.delays and stimulus not in FREEING:
            since = getattr(before.state, "since", None)
            if since is None or self._device.now - since < machine.timing.stable_ms / 1000 - 0.001:
                raise self._broken(
                    f"that failures are forgotten after {machine.timing.stable_ms} ms in step", f"{stimulus.__name__} made it forget",
                    "backoff-reset",
                )  # fmt: skip

    def attempt(self) -> None:
        """It opens a socket."""
        now = self._device.world.now
        self._attempts = [*(at for at in self._attempts if at > now - MINUTE_S), now]
        if len(self._attempts) > MOST_ATTEMPTS:
            raise self._broken(f"at most {MOST_ATTEMPTS} attempts a minute", f"this is number {len(self._attempts)}")
