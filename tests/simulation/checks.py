"""Every promise that a running world can break, looked at after every step (docs/protocol.md, section 17).

It costs microseconds, because it compares by identity what the stepping device and the log of its user were before.
Each theme has a file of its own: the log (`checks_log`), a device's copy and disk (`checks_copy`), its connection
(`checks_line`), its rings (`checks_rings`); what must hold in peace is here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from client_qt.ringer import Told
from protocol import Create, Edited, ItemId, Record, client, server
from protocol.testing import Event

from .checks_copy import CopyCheck, Owners
from .checks_line import SECRET, LineCheck
from .checks_log import LogCheck
from .checks_rings import RingCheck
from .device import SimDevice
from .run import Violation


if TYPE_CHECKING:
    from .player import Sim


BARRING = ("revoke", "forbid", "distrust")
"""Acts that take a device its tokens away for good: it may ask for a sign-in."""

_JSON = msgspec.json.Encoder(order="sorted").encode


class _Watched:
    """One device under watch."""

    def __init__(self, device: SimDevice, log: LogCheck, owners: Owners) -> None:
        self.device = device
        self.log = log
        self.program = device.copy
        self.copy = CopyCheck(device, owners)
        self.line = LineCheck(device)
        self.rings = RingCheck(device)


class Checks:
    """Watches a world.

    Raises (all of its methods):
        Violation: a promise was broken.
    """

    def __init__(self, sim: "Sim") -> None:
        self._world = sim.world
        self._owners = Owners()
        self._logs = {user: LogCheck(sim.world, user) for user in {d.user: None for d in sim.devices.values()}}
        self._watched = {d.name: _Watched(d, self._logs[d.user], self._owners) for d in sim.devices.values()}
        self._ends = {f"{name}'s": watched for name, watched in self._watched.items()}
        for device in sim.devices.values():
            device.written = _both(device.written, self._written)
        sim.world.ring_watchers.append(self._told)
        sim.world.notes.append(self._noted)

    def __repr__(self) -> str:
        return f"<Checks of {len(self._watched)} devices>"

    # --- every step ---

    def after(self, event: Event) -> None:
        """One step of a connection."""
        watched = self._watched.get(event.who)
        if watched is None:
            self._after_server(event)
            return
        if watched.device.copy is not watched.program:
            self._rebooted(watched)
        watched.log.after()
        stimulus = type(event.input)
        if stimulus is client.Submit:
            self._submitted(watched, event)
        elif stimulus is client.Stored:
            watched.log.fates.kept(event.who, event.input.seq)
        self._heard(watched, event)
        watched.line.after(event)
        watched.copy.after(event)

    def _rebooted(self, watched: _Watched) -> None:
        device = watched.device
        watched.program = device.copy
        other_disk = watched.copy.rebooted()
        watched.line.rebooted()
        watched.log.fates.rebooted(device.name, device.disk.load().entries, other_disk=other_disk)

    def _submitted(self, watched: _Watched, event: Event) -> None:
        for output in event.outputs:
            if type(output) is client.Store and isinstance(output.fact, Edited):
                entry = output.fact.entry
                if isinstance(entry.edit, Create):
                    self._owners.created(entry.edit.id, watched.device.user)
                name = watched.device.replica.device
                watched.log.fates.accepted(event.who, name, entry, output.seq, event.now)

    def _heard(self, watched: _Watched, event: Event) -> None:
        """What the device is told of its mutations is so."""
        before = watched.line.machine
        for output in event.outputs:
            kind = type(output)
            if kind is client.Welcomed:
                watched.rings.welcomed_at, watched.rings.synced = watched.device.now, False
            elif kind is client.Synced:
                watched.rings.synced = True
            elif kind is client.Answered and output.result.status == "applied" and not output.result.dup:
                replica = watched.device.replica
                if replica.epoch is not None:
                    result = output.result
                    watched.log.heard_applied(event.who, before.device, replica.epoch, result.mid, result.rev)

    def _after_server(self, event: Event) -> None:
        watched = self._ends.get(event.who)
        if watched is None:
            return
        watched.log.after()
        for output in event.outputs:
            if type(output) is server.Transmit and SECRET in output.data:
                raise Violation(
                    "invariant-16", event.who, event.now, "no token in what a server says", f"it says {output.data!r}"
                )
        if type(event.input) is server.Publish:
            self._bounded(watched, event)

    def _bounded(self, watched: _Watched, event: Event) -> None:
        transport = watched.device.transport
        held = getattr(transport.end.state, "held", ()) if transport is not None else ()
        limits = self._world.terms.limits
        if len(held) > limits.held_events or sum(map(len, held)) > limits.held_bytes:
            raise Violation(
                "invariant-12",
                event.who,
                event.now,
                f"at most {limits.held_events} events held",
                f"{len(held)} are held",
            )

    # --- beside the machines ---

    def look(self, device: SimDevice) -> None:
        """A device's ringer has looked."""
        watched = self._watched[device.name]
        watched.rings.look()
        watched.line.clock()

    def _told(self, device: SimDevice, told: Told) -> None:
        self._watched[device.name].rings.told(told)

    def _written(self, device: SimDevice) -> None:
        self._watched[device.name].copy.written()

    def _noted(self, who: str, what: str) -> None:
        if who not in self._watched:
            return
        if what == "crashes":
            self._watched[who].rings.crashed()
        elif what.startswith(BARRING):
            self._watched[who].line.pace.barred()

    # --- peace ---

    def at_peace(self) -> None:
        """Trouble ended long ago: everybody agrees, nothing waits, nothing was lost, and what is due rings."""
        for log in self._logs.values():
            log.after()
        for watched in self._watched.values():
            if watched.device.awake:
                self._settled(watched)
                watched.rings.look()
        for log in self._logs.values():
            log.at_peace()

    def _settled(self, watched: _Watched) -> None:
        device = watched.device
        replica, store = device.replica, self._world.storage.of(device.user)
        account = store.account

        def broken(rule: str, expected: str, happened: str) -> Violation:
            return Violation(rule, device.name, self._world.now, expected, f"{happened} ({device.client!r})")

        if replica.entries:
            raise broken("liveness", "an empty outbox in peace", f"{replica.entries[0]} and perhaps others wait")
        place = None if replica.cursor is None else (replica.cursor.epoch, replica.cursor.rev)
        if place != (account.epoch, account.rev):
            raise broken("liveness", f"a cursor at {account.epoch}:{account.rev} in peace", f"it is at {place}")
        shown = replica.server if replica.aside else device.copy.records
        different = _difference(shown, store.records)
        if different:
            raise broken("invariant-1", "that it shows what the server has", different)
        if device.disk.load() != replica:
            raise broken("invariant-2", "that its disk holds what it shows", f"the disk has {device.disk!r}")


def _both(first: Callable[[SimDevice], None], second: Callable[[SimDevice], None]) -> Callable[[SimDevice], None]:
    def call(device: SimDevice) -> None:
        first(device)
        second(device)

    return call


def _difference(shown: "dict[ItemId, Record] | object", truth: dict[ItemId, Record]) -> str:
    """Where two sets of records differ, in words; empty where they are the same."""
    assert isinstance(shown, dict)
    for item in sorted(shown.keys() | truth.keys()):
        mine, theirs = (_JSON(records[item]).decode() if item in records else "nothing" for records in (shown, truth))
        if mine != theirs:
            return f"for {item} it has {mine}, the server {theirs}"
    return ""
