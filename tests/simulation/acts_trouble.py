"""What goes wrong, and what ends it: with cables, proxies, tokens, servers, disks, lids and clocks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from protocol import Generation, Rev, UserId, Wall, client, server

from .acts_user import ByDevice, Performer, awake, number
from .network import Noticed, Refusal
from .plan import Act


if TYPE_CHECKING:
    from .device import SimDevice
    from .player import Sim
    from .process import Process


_SHELVES: "WeakKeyDictionary[Sim, dict[str, Any]]" = WeakKeyDictionary()
"""Backups of each world, by whose they are."""

SERVERS = "servers"


def _on(act_on: ByDevice) -> Performer:
    """A performer of what takes a device in any state."""

    def perform(sim: "Sim", act: Act) -> bool:
        device = sim.devices.get(act.who)
        return device is not None and act_on(sim, device, act)

    return perform


def _at(act_on: Callable[["Process", Act], bool]) -> Performer:
    """A performer of what happens to a server process."""

    def perform(sim: "Sim", act: Act) -> bool:
        process = sim.world.processes.get(act.who)
        return process is not None and act_on(process, act)

    return perform


# --- links ------------------------------------------------------------------------------------------------------------


def _noticed(act: Act, default: Noticed = "both") -> Noticed:
    known: dict[str, Noticed] = {"both": "both", "client": "client", "server": "server", "nobody": "nobody"}
    return known.get(str(act.args.get("noticed", default)), default)


def _cut(_: "Sim", device: "SimDevice", act: Act) -> bool:
    was_up = device.link.up
    device.cut(deliver=False, noticed=_noticed(act))
    return was_up


def _cut_after_delivery(_: "Sim", device: "SimDevice", act: Act) -> bool:
    was_up = device.link.up
    device.cut(deliver=True, noticed=_noticed(act))
    return was_up


def _half_open(_: "Sim", device: "SimDevice", __: Act) -> bool:
    had = _has_transport(device)
    device.cut(noticed="nobody")
    return had


def _lose(_: "Sim", device: "SimDevice", act: Act) -> bool:
    had = _has_transport(device)
    device.lose(noticed=_noticed(act))
    return had


def _late_frames(_: "Sim", device: "SimDevice", act: Act) -> bool:
    had = _has_transport(device)
    device.lose(deliver=True, noticed=_noticed(act))
    return had


def _has_transport(device: "SimDevice") -> bool:
    return device.transport is not None and device.transport.broken_at is None


def _heal(_: "Sim", device: "SimDevice", __: Act) -> bool:
    was_up = device.link.up
    device.heal()
    return not was_up


def _ghosts(sim: "Sim", device: "SimDevice", _: Act) -> bool:
    """What an earlier connection still had to say: a frame, its end, a refusal."""
    old = Generation(device.client.machine.gen - 1)
    rows = sim.world.storage.of(device.user).rows
    if old < 0 or not device.awake:
        return False
    if rows:
        late = server.publication(rows[-1], None, sim.world.terms.limits)
        device.feed(client.Received(old, late.v1))
    device.feed(client.Opened(old, "tocsin.v1"))
    device.feed(client.Lost(old, 4003, "an earlier connection"))
    device.feed(client.Refused(old, 403, "forbidden"))
    return True


def _double(_: "Sim", device: "SimDevice", act: Act) -> bool:
    device.link.double["client"] += number(act, "client")
    device.link.double["server"] += number(act, "server")
    return True


def _eat(_: "Sim", device: "SimDevice", act: Act) -> bool:
    device.link.eat["client"] += number(act, "client")
    device.link.eat["server"] += number(act, "server")
    return True


def _spike(_: "Sim", device: "SimDevice", act: Act) -> bool:
    device.link.latency = number(act, "latency_ms") / 1000
    device.link.jitter = number(act, "jitter_ms") / 1000
    return True


def _settle(_: "Sim", device: "SimDevice", __: Act) -> bool:
    device.link.latency, device.link.jitter = device.plan.latency, device.plan.jitter
    return True


def _refuse(_: "Sim", device: "SimDevice", act: Act) -> bool:
    wait_ms = number(act, "retry_after_ms", -1)
    refusal = Refusal(
        number(act, "status", 502), str(act.args.get("code", "")) or None, wait_ms if wait_ms >= 0 else None
    )
    device.link.refusals += [refusal] * number(act, "times", 1)
    return True


def _slow_connect(_: "Sim", device: "SimDevice", act: Act) -> bool:
    device.link.slow_connect = number(act, "ms") / 1000
    return True


def _let_pass(_: "Sim", device: "SimDevice", __: Act) -> bool:
    link = device.link
    link.refusals.clear()
    link.slow_connect = 0.0
    for counts in (link.eat, link.double):
        counts["client"] = counts["server"] = 0
    return True


def _no_sockets(_: "Sim", device: "SimDevice", __: Act) -> bool:
    had, device.link.sockets = device.link.sockets, False
    return had


def _sockets(_: "Sim", device: "SimDevice", __: Act) -> bool:
    device.link.sockets = device.plan.sockets
    return device.plan.sockets


def _stall(_: "Sim", device: "SimDevice", __: Act) -> bool:
    device.stall()
    return _has_transport(device)


def _read_on(_: "Sim", device: "SimDevice", __: Act) -> bool:
    was_stalled = device.link.stalled
    device.read_on()
    return was_stalled


# --- tokens -----------------------------------------------------------------------------------------------------------


def _bar(why: str) -> Performer:
    def act_on(_: "Sim", device: "SimDevice", __: Act) -> bool:
        device.sign_out(why)
        return True

    return _on(act_on)


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


# --- servers ----------------------------------------------------------------------------------------------------------


def _process_crash(process: "Process", act: Act) -> bool:
    was_up = process.up
    process.crash(keep_tail=bool(number(act, "keep_tail")))
    return was_up


def _process_start(process: "Process", _: Act) -> bool:
    was_up = process.up
    process.start()
    return not was_up


def _drain(process: "Process", _: Act) -> bool:
    if process.up:
        process.drain()
    return process.up


def _trim(sim: "Sim", act: Act) -> bool:
    """The log of a user forgets all but so many rows."""
    store = sim.world.storage.users.get(UserId(act.who))
    if store is None:
        return False
    before = store.account.floor
    store.trim(Rev(store.account.rev - number(act, "keep")))
    return store.account.floor > before


def _epoch(sim: "Sim", act: Act) -> bool:
    """The log of a user starts anew; the processes are told, or find out."""
    storage = sim.world.storage
    store = storage.users.get(UserId(act.who))
    if store is None:
        return False
    store.renew(storage.new_epoch())
    for process in sim.world.processes.values():
        if process.up and number(act, "told", 1):
            process.nudged(UserId(act.who))
    return True


def _server_backup(sim: "Sim", _: Act) -> bool:
    _shelf(sim)[SERVERS] = sim.world.storage.backup()
    return True


def _server_restore(sim: "Sim", _: Act) -> bool:
    """All processes stop, the database comes back from the backup, and they start again."""
    backup = _shelf(sim).get(SERVERS)
    if backup is None:
        return False
    running = [process for process in sim.world.processes.values() if process.up]
    for process in running:
        process.crash(keep_tail=False)
    sim.world.storage.restore(backup)
    for process in running:
        process.start()
    return True


def _shelf(sim: "Sim") -> dict[str, Any]:
    return _SHELVES.setdefault(sim, {})


def _bus_lose(sim: "Sim", act: Act) -> bool:
    sim.world.bus.lose += number(act, "count")
    return len(sim.world.processes) > 1


def _bus_delay(sim: "Sim", act: Act) -> bool:
    sim.world.bus.delay += number(act, "count")
    return len(sim.world.processes) > 1


def _bus_repeat(sim: "Sim", act: Act) -> bool:
    sim.world.bus.repeat += number(act, "count")
    return len(sim.world.processes) > 1


# --- devices ----------------------------------------------------------------------------------------------------------


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
    _shelf(sim)[device.name] = device.backup()
    return True


def _restore(sim: "Sim", device: "SimDevice", _: Act) -> bool:
    backup = _shelf(sim).get(device.name)
    if backup is None:
        return False
    device.restore(backup)
    return True


def _clock_jump(_: "Sim", device: "SimDevice", act: Act) -> bool:
    ms = number(act, "ms")
    device.set_clock(ms)
    return ms != 0


TROUBLE_ACTS: dict[str, Performer] = {
    "cut": _on(_cut),
    "cut_after_delivery": _on(_cut_after_delivery),
    "half_open": _on(_half_open),
    "lose": _on(_lose),
    "late_frames": _on(_late_frames),
    "ghosts": _on(_ghosts),
    "double": _on(_double),
    "eat": _on(_eat),
    "spike": _on(_spike),
    "refuse": _on(_refuse),
    "slow_connect": _on(_slow_connect),
    "no_sockets": _on(_no_sockets),
    "stall": awake(_stall),
    "revoke": _bar("revoked"),
    "forbid": _bar("forbidden"),
    "distrust": _bar("invalid"),
    "expire": _on(_expire),
    "process_crash": _at(_process_crash),
    "drain": _at(_drain),
    "trim": _trim,
    "epoch": _epoch,
    "server_restore": _server_restore,
    "bus_lose": _bus_lose,
    "bus_delay": _bus_delay,
    "bus_repeat": _bus_repeat,
    "crash": _on(_crash),
    "suspend": awake(_suspend),
    "clone": _on(_clone),
    "restore": _on(_restore),
    "clock_jump": _on(_clock_jump),
}
"""Faults."""

MENDING_ACTS: dict[str, Performer] = {
    "heal": _on(_heal),
    "settle": _on(_settle),
    "let_pass": _on(_let_pass),
    "sockets": _on(_sockets),
    "read_on": _on(_read_on),
    "sign_in": _on(_sign_in),
    "process_start": _at(_process_start),
    "boot": _on(_boot),
    "resume": _on(_resume),
    "switch_off": _on(_crash),
    "backup": _on(_backup),
    "server_backup": _server_backup,
}
"""What ends faults, or prepares them; switching a device off is no fault either."""
