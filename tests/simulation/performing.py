"""How an act is carried out: a function that says whether it had an effect, given the state in which it is met."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from protocol import ItemId

from .plan import Act


if TYPE_CHECKING:
    from .device import SimDevice
    from .player import Sim


Performer = Callable[["Sim", Act], bool]
ByDevice = Callable[["Sim", "SimDevice", Act], bool]


def on_any(act_on: ByDevice) -> Performer:
    """A performer of what takes a device in any state."""

    def perform(sim: "Sim", act: Act) -> bool:
        device = sim.devices.get(act.who)
        return device is not None and act_on(sim, device, act)

    return perform


def awake(act_on: ByDevice) -> Performer:
    """A performer of what takes a device that runs."""

    def perform(sim: "Sim", act: Act) -> bool:
        device = sim.devices.get(act.who)
        return device is not None and device.awake and act_on(sim, device, act)

    return perform


def number(act: Act, name: str, default: int = 0) -> int:
    """One of its numbers."""
    return int(act.args.get(name, default))


def chosen(ids: Collection[ItemId], act: Act) -> ItemId | None:
    """The item that an act means: the n-th of those there are, counted round; so it means something in any state."""
    return sorted(ids)[number(act, "item") % len(ids)] if ids else None
