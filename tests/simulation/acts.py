"""Every act that a plan may hold, by name, and the peace after the last of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from client_qt.commands import TakeOver
from protocol import DeviceId, client

from .acts_devices import DEVICE_MENDING, DEVICE_TROUBLE
from .acts_links import LINK_MENDING, LINK_TROUBLE
from .acts_servers import SERVER_MENDING, SERVER_TROUBLE
from .acts_user import USER_ACTS
from .performing import Performer
from .plan import Pace


if TYPE_CHECKING:
    from .device import SimDevice
    from .player import Sim


_TROUBLE = LINK_TROUBLE | DEVICE_TROUBLE | SERVER_TROUBLE
_MENDING = LINK_MENDING | DEVICE_MENDING | SERVER_MENDING

ACTS: Mapping[str, Performer] = USER_ACTS | _TROUBLE | _MENDING
"""A performer says whether its act had an effect: one that its world does not allow, as it is by then, has none."""

TROUBLE: frozenset[str] = frozenset(_TROUBLE)
"""Those that count as faults; the rest is what users do, what ends a fault, and what prepares one."""


TURNS_S: Mapping[Pace, tuple[float, ...]] = {
    "brisk": (150, 190, 230, 270, 310, 350),
    "calm": (700, 850, 1_000, 1_150, 1_300, 1_450),
}
"""When, in peace, the user picks up the next of several copies of one device and lets it win.

Copies that differ in nothing cannot know that they are two; only one is connected at a time, and the user decides
which. Each must have had its turn before all can agree."""


def calm(sim: "Sim") -> None:
    """No more trouble: servers, links and devices work again, and everybody is signed in. Wrong clocks stay wrong."""
    bus = sim.world.bus
    bus.lose = bus.delay = bus.repeat = 0
    for process in sim.world.processes.values():
        process.start()
    sim.world.barred.clear()
    for device in sim.devices.values():
        _mend(device)
    for turn, second in enumerate(TURNS_S[sim.plan.pace]):
        sim.world.after(second, lambda turn=turn: _take_turns(sim, turn))  # type: ignore[misc]  # bound in the loop


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


def _take_turns(sim: "Sim", turn: int) -> None:
    copies: dict[DeviceId, list[SimDevice]] = {}
    for device in sim.devices.values():
        copies.setdefault(device.replica.device, []).append(device)
    for twins in copies.values():
        device = twins[turn % len(twins)]
        state = device.client.state
        if isinstance(state, client.Stopped) and state.reason == "replaced":
            device.command(TakeOver())
