"""Every act that a plan may hold, by name, and the peace after the last of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from protocol import client

from .acts_trouble import MENDING_ACTS, TROUBLE_ACTS
from .acts_user import USER_ACTS, Performer


if TYPE_CHECKING:
    from .device import SimDevice
    from .player import Sim


ACTS: Mapping[str, Performer] = USER_ACTS | TROUBLE_ACTS | MENDING_ACTS
"""A performer says whether its act had an effect: one that its world does not allow, as it is by then, has none."""

TROUBLE: frozenset[str] = frozenset(TROUBLE_ACTS)
"""Those that count as faults."""


def calm(sim: "Sim") -> None:
    """No more trouble: servers, links and devices work again, and everybody is signed in. Wrong clocks stay wrong."""
    bus = sim.world.bus
    bus.lose = bus.delay = bus.repeat = 0
    for process in sim.world.processes.values():
        process.start()
    sim.world.barred.clear()
    for device in sim.devices.values():
        _mend(device)


def _mend(device: "SimDevice") -> None:
    link, plan = device.link, device.plan
    link.latency, link.jitter, link.slow_connect, link.sockets = plan.latency, plan.jitter, 0.0, plan.sockets
    link.refusals.clear()
    for counts in (link.eat, link.double):
        counts["client"] = counts["server"] = 0
    device.heal()
    device.read_on()
    device.resume()
    device.boot()
    if isinstance(device.client.state, client.Stopped):
        device.sign_in()
