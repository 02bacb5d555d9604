"""Plays a plan: trouble first, under the eyes of every check; then peace, in which everybody must come to agree."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from client_qt.ringer import Told as RingTold
from client_qt.ringing import Sounding
from protocol import Limits, Timing, Wall, client, server
from protocol.testing import Dice, Event
from protocol.zones import system_zones

from . import acts
from .bus import Bus
from .checks import Checks
from .device import SimDevice
from .marks import Marks
from .plan import Act, Plan
from .process import Process
from .run import Run, Violation
from .world import World


CALM_TIMING = Timing(
    heartbeat_ms=900_000,
    silence_ms=1_350_000,
    liveness_ms=2_250_000,
    ping_ms=900_000,
    poll_wait_ms=600_000,
    poll_every_ms=300_000,
)
"""A server may announce any timers: with these a week is cheap to play, and every rule is the same."""

TIGHT = Limits(page_rows=3, resume_rows=12, held_events=2, window=2, snapshot_part=1_500)
"""Enough for a few edits at once and no more."""

PEACE_S = {"brisk": 400.0, "calm": 5_400.0}
"""Seconds in which a world without trouble must agree: above the longest silence, backoff and poll together."""

ONLINE = frozenset({"live", "syncing", "polling"})

Watcher = Callable[["Sim", Event], None]


class Sim:
    """A world with the plan that it follows.

    Attributes:
        run: what has come of it so far; `finish` completes it.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        dice = Dice(plan.seed)
        timing = CALM_TIMING if plan.pace == "calm" else Timing()
        self.zones = system_zones
        self.world = World(
            start=Wall(plan.start_ms),
            seed=dice.below(1 << 62),
            zones=self.zones,
            terms=server.Terms(timing=timing, limits=TIGHT if plan.tight else Limits()),
            token_s=plan.token_s,
        )
        self.world.bus = Bus(self.world)
        for n in range(plan.processes):
            self.world.processes[f"p{n}"] = Process(self.world, f"p{n}")
        for device in plan.devices:
            self.world.devices[device.name] = SimDevice(self.world, device, dice.below(1 << 62))
        self.run = Run()
        self._online: dict[str, float] = {}
        self._digest = blake2b(digest_size=16)
        self.world.watchers.append(self._record)
        self.world.ring_watchers.append(self._ring)
        self.world.notes.append(self._noted)

    def __repr__(self) -> str:
        return f"<Sim of seed {self.plan.seed}, {self.world!r}>"

    @property
    def devices(self) -> dict[str, SimDevice]:
        """By name."""
        return self.world.devices

    def begin(self) -> None:
        """Everybody starts, and the plan is laid into the queue."""
        for device in self.devices.values():
            device.boot()
        for act in self.plan.acts:
            self.world.at(act.at, lambda act=act: self.perform(act))  # type: ignore[misc]  # bound in the loop

    def perform(self, act: Act) -> None:
        """One act of the plan."""
        self.world.note(act.who, f"{act.what} {dict(act.args) or ''}")
        if acts.ACTS[act.what](self, act) and act.what in acts.TROUBLE:
            self.run.faults[act.what] += 1

    # --- what is kept of a run ---

    def _record(self, event: Event) -> None:
        """What a step was, as bytes: enough that two runs which differ anywhere differ here soon."""
        parts = [repr(event.now), event.who, type(event.input).__name__, str(getattr(event.input, "data", ""))]
        for output in event.outputs:
            parts.append(type(output).__name__)
            if isinstance(output, client.Transmit | server.Transmit):
                parts.append(output.data)
            elif isinstance(output, client.LinkChanged):
                self._link_changed(event, output)
        self._digest.update("\n".join(parts).encode())

    def _ring(self, device: SimDevice, told: RingTold) -> None:
        key = told.key if isinstance(told, Sounding) else told.sounding.key
        self._digest.update(f"{device.name} {type(told).__name__} {key}".encode())
        self.run.rings += isinstance(told, Sounding) and not told.resumed

    def _link_changed(self, event: Event, changed: client.LinkChanged) -> None:
        self._offline(event.who)
        if changed.state in ONLINE:
            self._online[event.who] = event.now

    def _noted(self, who: str, _: str) -> None:
        """A device that sleeps or is down has no link to speak of, whatever it thought last."""
        device = self.devices.get(who)
        if device is None:
            return
        if not device.awake:
            self._offline(who)
        elif device.link_name in ONLINE:
            self._online.setdefault(who, self.world.now)

    def _offline(self, who: str) -> None:
        since = self._online.pop(who, None)
        if since is not None:
            self.run.online_hours += (self.world.now - since) / 3600

    def finish(self) -> Run:
        """Everything that there is to say about it."""
        for who in list(self._online):
            self._offline(who)
        self.run.device_hours = self.world.now * len(self.devices) / 3600
        self.run.steps = self.world.steps
        self.run.digest = self._digest.hexdigest()
        return self.run


def play(
    plan: Plan, *, watch: Sequence[Watcher] = (), check: bool = True, prepare: Callable[[Sim], Any] = lambda _: None
) -> Run:
    """Play a plan to its end, or to the first broken promise.

    Args:
        watch: called after every step of a connection.
        check: False leaves the checks and marks out: what happens is the same.
        prepare: is given the world before it begins.
    """
    sim = Sim(plan)
    checks = Checks(sim) if check else None
    if checks is not None:
        marks = Marks(sim)
        sim.run.marks = marks.found
        sim.world.watchers += [checks.after, marks.after]
        for device in sim.devices.values():
            device.looked = checks.look
    sim.world.watchers += [lambda event, one=one: one(sim, event) for one in watch]  # type: ignore[misc]  # bound
    prepare(sim)
    try:
        _play(sim, checks)
    except Violation as violation:
        sim.run.violation = violation
    except Exception as error:  # noqa: BLE001 - whatever a machine raises is a finding
        where = _where(error)
        sim.run.violation = Violation(
            "no-exception", "the program", sim.world.now, "no exception", f"{type(error).__name__}: {error} ({where})"
        )
        sim.run.violation.__cause__ = error
    return sim.finish()


def _play(sim: Sim, checks: Checks | None) -> None:
    sim.begin()
    sim.world.run(sim.plan.seconds)
    acts.calm(sim)
    sim.world.run(sim.plan.seconds + PEACE_S[sim.plan.pace])
    if checks is not None:
        checks.at_peace()


def _where(error: BaseException) -> str:
    """The innermost place of an exception, as `file:line`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere"
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
