"""What goes wrong with the power, the disk, the lid, the clock or the sign-in of one device, and what ends it."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import msgspec

from protocol import Wall
from protocol.testing import Disk

from .performing import Performer, awake, number, on_any
from .plan import Act


if TYPE_CHECKING:
    from .device import SimDevice
    from .local import Local
    from .player import Sim


_SHELVES: "WeakKeyDictionary[Sim, dict[str, tuple[Disk, Local]]]" = WeakKeyDictionary()
"""Backups of each world's devices, by name."""


def _crash(_: "Sim", device: "SimDevice", __: Act) -> bool:
    was_up = device.up
    device.crash()
    return was_up


def _boot(_: "Sim", device: "SimDevice", __: Act) -> bool:
    was_up = device.up
    device.boot()
    return not was_up


def _suspend(_: "Sim", device: "SimDevice", __: Act) -> bool:
    device.suspend()
    return True


def _resume(_: "Sim", device: "SimDevice", __: Act) -> bool:
    was_awake = device.awake
    device.resume()
    return device.awake and not was_awake


def _clone(sim: "Sim", device: "SimDevice", act: Act) -> bool:
    """A backup of one device is restored on another of the same user."""
    source = sim.devices.get(str(act.args.get("source", "")))
    if source is None or source is device or source.user != device.user:
        return False
    device.copy_from(source)
    return True


def _backup(sim: "Sim", device: "SimDevice", _: Act) -> bool:
    _SHELVES.setdefault(sim, {})[device.name] = device.backup()
    return True


def _restore(sim: "Sim", device: "SimDevice", _: Act) -> bool:
    backup = _SHELVES.get(sim, {}).get(device.name)
    if backup is None:
        return False
    device.restore(backup)
    return True


def _clock_jump(_: "Sim", device: "SimDevice", act: Act) -> bool:
    ms = number(act, "ms")
    device.set_clock(ms)
    return ms != 0


# --- sign-ins ---------------------------------------------------------------------------------------------------------


def _bar(why: str) -> Performer:
    def act_on(_: "Sim", device: "SimDevice", __: Act) -> bool:
        device.sign_out(why)
        return True

    return on_any(act_on)


def _expire(sim: "Sim", device: "SimDevice", act: Act) -> bool:
    """Every token given out is too old from now on; where `refreshes` is 0, so is every new one."""
    world = sim.world
    past = Wall(world.wall - world.timing.leeway_ms - 1)
    for handle, token in world.tokens.items():
        if token.device == device.name and token.expires_at > past:
            world.tokens[handle] = msgspec.structs.replace(token, expires_at=past)
    if not number(act, "refreshes", 1):
        device.sign_out("expired")
    return True


def _sign_in(sim: "Sim", device: "SimDevice", _: Act) -> bool:
    was_barred = device.name in sim.world.barred
    device.sign_in()
    return was_barred


DEVICE_TROUBLE: dict[str, Performer] = {
    "revoke": _bar("revoked"),
    "forbid": _bar("forbidden"),
    "distrust": _bar("invalid"),
    "expire": on_any(_expire),
    "crash": on_any(_crash),
    "suspend": awake(_suspend),
    "clone": on_any(_clone),
    "restore": on_any(_restore),
    "clock_jump": on_any(_clock_jump),
}

DEVICE_MENDING: dict[str, Performer] = {
    "sign_in": on_any(_sign_in),
    "boot": on_any(_boot),
    "resume": on_any(_resume),
    "switch_off": on_any(_crash),
    "backup": on_any(_backup),
}
