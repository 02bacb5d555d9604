"""What goes wrong with server processes, the store and the bus, and what ends it."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from protocol import Rev, UserId
from protocol.testing import MemoryStore

from .performing import Performer, number
from .plan import Act


if TYPE_CHECKING:
    from .player import Sim
    from .process import Process


_SHELVES: "WeakKeyDictionary[Sim, dict[UserId, MemoryStore]]" = WeakKeyDictionary()
"""Backups of each world's store."""


def _at(act_on: Callable[["Process", Act], bool]) -> Performer:
    """A performer of what happens to a server process."""

    def perform(sim: "Sim", act: Act) -> bool:
        process = sim.world.processes.get(act.who)
        return process is not None and act_on(process, act)

    return perform


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
    _SHELVES[sim] = sim.world.storage.backup()
    return True


def _server_restore(sim: "Sim", _: Act) -> bool:
    """All processes stop, the database comes back from the backup, and they start again."""
    backup = _SHELVES.get(sim)
    if backup is None:
        return False
    running = [process for process in sim.world.processes.values() if process.up]
    for process in running:
        process.crash(keep_tail=False)
    sim.world.storage.restore(backup)
    for process in running:
        process.start()
    return True


def _bus_lose(sim: "Sim", act: Act) -> bool:
    sim.world.bus.lose += number(act, "count")
    return len(sim.world.processes) > 1


def _bus_delay(sim: "Sim", act: Act) -> bool:
    sim.world.bus.delay += number(act, "count")
    return len(sim.world.processes) > 1


def _bus_repeat(sim: "Sim", act: Act) -> bool:
    sim.world.bus.repeat += number(act, "count")
    return len(sim.world.processes) > 1


SERVER_TROUBLE: dict[str, Performer] = {
    "process_crash": _at(_process_crash),
    "drain": _at(_drain),
    "trim": _trim,
    "epoch": _epoch,
    "server_restore": _server_restore,
    "bus_lose": _bus_lose,
    "bus_delay": _bus_delay,
    "bus_repeat": _bus_repeat,
}

SERVER_MENDING: dict[str, Performer] = {
    "process_start": _at(_process_start),
    "server_backup": _server_backup,
}
