"""One user's devices and their server, joined by links under one virtual clock.

Every byte that a socket would carry goes through here as data; what each side said and when is in `log`.
"""

from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import Any, assert_never

import msgspec

from .. import client, server
from .._log import Submission
from .._machine import Tick
from .._roster import presence
from .._settings import DEFAULT_TIMING, Timing
from .._types import DeviceId, Epoch, Generation, Handle, Mid, Monotonic, SessionId, UserId, Wall, Zones
from ._device import Device, Event
from ._store import MemoryStore
from ._wire import Action, Queue


START = Wall(1_790_000_000_000)
"""The server's clock when the virtual clock is 0: 2026-09-21 14:13:20 UTC."""


Question = (
    server.VerifyToken
    | server.Join
    | server.RenewEpoch
    | server.ReadPage
    | server.ReadState
    | server.ReadHead
    | server.Apply
)
"""What the server's end asks and waits for."""


class Household:
    """One user, a server, and devices.

    Attributes:
        rejects: names of devices whose tokens are refused, and why.
        refuse_sockets: names of devices whose sockets a proxy refuses; HTTP works.
        listeners: called with every change published.

    Args:
        devices: their names.
        zones: how time zones are looked up; None knows UTC only.
        latency: seconds one way.
        seed: of every device's chance.
        timing: protocol timers of the server and of clients before their welcome.
    """

    def __init__(
        self,
        *devices: str,
        zones: Zones | None = None,
        latency: float = 0.01,
        seed: int = 7,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self.zones: Zones = zones or utc_only
        self.now = Monotonic(0.0)
        self.timing = timing
        self.terms = server.Terms(timing=timing)
        self.store = MemoryStore(self.zones)
        self.queue = Queue()
        self.log: list[Event] = []
        self.rejects: dict[str, str] = {}
        self.refuse_sockets: set[str] = set()
        self.listeners: list[Callable[[server.Publish], None]] = []
        self.devices = {name: Device(self, name, seed + n, latency) for n, name in enumerate(devices)}

    def __getitem__(self, name: str) -> Device:
        return self.devices[name]

    def __repr__(self) -> str:
        return f"<Household at {round(self.now, 3)}, {self.store!r}, {', '.join(map(repr, self.devices.values()))}>"

    @property
    def wall(self) -> Wall:
        """The server's clock."""
        return Wall(START + round(self.now * 1000))

    # --- time ---

    @property
    def next_at(self) -> Monotonic | None:
        """When something happens next, in flight or by deadline."""
        moments = [at for at, _ in self._deadlines()]
        if self.queue.next_at is not None:
            moments.append(self.queue.next_at)
        return min(moments, default=None)

    def step(self) -> bool:
        """The next thing happens: what is in flight first, then deadlines. False when nothing ever will."""
        at = self.next_at
        if at is None:
            return False
        self.now = max(self.now, at)
        if self.queue.next_at is not None and self.queue.next_at <= self.now:
            self.queue.pop()()
        else:
            tick = min(self._deadlines(), key=_when)[1]
            tick()
        return True

    def _deadlines(self) -> list[tuple[Monotonic, Action]]:
        """When each end wants its tick, and how it gets it."""
        found: list[tuple[Monotonic, Action]] = []
        for device in self.devices.values():
            if device.client.deadline is not None:
                found.append((device.client.deadline.at, partial(device.feed, Tick())))
            if device.server is not None and device.server.deadline is not None:
                found.append((device.server.deadline.at, partial(self.feed_server, device, device.server, Tick())))
        return found

    def run_until_idle(self, limit: int = 10_000) -> None:
        """Until nothing is in flight; deadlines that are not due stay.

        Raises:
            RuntimeError: still busy after `limit` steps.
        """
        for _ in range(limit):
            at = self.next_at
            if at is None or (len(self.queue) == 0 and at > self.now):
                return
            self.step()
        raise RuntimeError(f"still busy after {limit} steps: {self!r}")

    def run(self, seconds: float, limit: int = 100_000) -> None:
        """Let time pass.

        Raises:
            RuntimeError: still busy after `limit` steps.
        """
        end = Monotonic(self.now + seconds)
        for _ in range(limit):
            at = self.next_at
            if at is None or at > end:
                self.now = end
                return
            self.step()
        raise RuntimeError(f"still busy after {limit} steps: {self!r}")

    # --- the wire ---

    def later(self, device: Device, deliver: Any, fail: Any = None) -> None:
        """After the latency of the link: `deliver` if it is up then, else `fail`."""

        def arrive() -> None:
            if device.link.up:
                deliver()
            elif fail is not None:
                fail()

        self.queue.put(self.now + device.link.latency, arrive)

    def to_server(self, device: Device, end: server.ServerConnection | None, data: str) -> None:
        """A frame on its way to the server's end that was there when it was sent."""

        def arrive() -> None:
            if device.server is end and end is not None and not device.link.eats("server"):
                self.feed_server(device, end, server.Received(data, self.wall))

        self.later(device, arrive)

    def to_client(self, device: Device, end: server.ServerConnection, stimulus: Any) -> None:
        """Something on its way to the client, from one particular server's end."""
        gen = device.gen

        def arrive() -> None:
            closing = isinstance(stimulus, client.Lost)
            if device.gen == gen and (closing or (device.server is end and not device.link.eats("client"))):
                device.feed(stimulus)

        self.later(device, arrive)

    def closed_by_client(self, device: Device, end: server.ServerConnection | None, code: int) -> None:
        """A close frame arrived at the server."""
        if end is not None and device.server is end:
            device.hang_up(code)

    # --- the server ---

    def open(self, device: Device, gen: int) -> None:
        """A request for a socket arrives."""
        device.hang_up(1006)
        if device.name in self.refuse_sockets:
            self.later(device, lambda: device.feed(client.Refused(Generation(gen), 502)))
            return
        device.gen = gen
        device.server = server.ServerConnection(self.terms)
        self.feed_server(device, device.server, server.Requested("v1", "header", Handle(f"{device.name}:{gen}")))

    def feed_server(self, device: Device, end: server.ServerConnection, stimulus: server.ServerInput) -> None:
        """One step of the server's end, and all that follows from it there."""
        outputs = end.step(stimulus, self.now)
        self.log.append(Event(self.now, f"{device.name}'s", stimulus, tuple(outputs)))
        for output in outputs:
            self.perform(device, end, output)

    def perform(self, device: Device, end: server.ServerConnection, output: server.ServerOutput) -> None:
        """Carry out what the server's end asks."""
        gen = Generation(device.gen)
        match output:
            case server.Accept(subprotocol=subprotocol):
                self.to_client(device, end, client.Opened(gen, subprotocol))
            case server.Refuse(status=status, code=code):
                device.server = None
                self.later(device, lambda: device.feed(client.Refused(gen, status, code)))
            case server.Transmit(data=data):
                self.to_client(device, end, client.Received(gen, data))
            case server.TransmitBinary(data=binary):
                self.to_client(device, end, client.ReceivedBinary(gen, binary))
            case server.CloseTransport(code=code, reason=reason):
                self.to_client(device, end, client.Lost(gen, code, reason))
                self.later(device, lambda: self.closed_by_client(device, end, code))
            case server.AbortTransport():
                self.to_client(device, end, client.Lost(gen, 1006))
                device.hang_up(1006)
            case server.Leave() | server.Ignored():
                pass
            case server.StoreAck(device=acking, epoch=epoch, rev=rev):
                self.store.acked(acking, epoch, rev, self.wall)
            case _:
                self.feed_server(device, end, self.ask_store(device, output))

    def ask_store(self, device: Device, output: Question) -> server.ServerInput:
        """What the store and the token service say."""
        match output:
            case server.VerifyToken(handle=handle):
                return self.verdict(handle)
            case server.Join(device=asked, cursor=cursor):
                name = "" if asked is None else asked.name
                last_mid = self.store.join(device.replica.device, name, cursor, self.wall)
                return server.Joined(self.store.account, last_mid, self.wall)
            case server.RenewEpoch(seen=seen):
                self.store.renew(Epoch(f"{seen}+"))
                return server.Joined(
                    self.store.account, self.store.last_mids.get(device.replica.device, Mid(0)), self.wall
                )
            case server.ReadPage(after=after, limit=limit):
                return server.PageRead(self.store.page(after, limit))
            case server.ReadState(device=reader, with_deleted=with_deleted):
                return server.StateRead(self.store.state(reader, with_deleted=with_deleted))
            case server.ReadHead():
                return server.HeadRead(self.store.account, self.wall)
            case server.Apply(device=author, submission=submission):
                return self.apply(author, submission)
            case _:
                assert_never(output)

    def verdict(self, handle: Handle) -> server.ServerInput:
        """Every token holds for a day, unless `rejects` names its device and why it does not."""
        why: Any = self.rejects.get(handle.partition(":")[0])
        if why is not None:
            return server.TokenRejected(handle, why)
        return server.TokenAccepted(handle, UserId("anna"), SessionId("s"), Wall(self.wall + 86_400_000), self.wall)

    def apply(self, author: DeviceId, submission: Submission) -> server.Answered | server.Declined:
        """Commit a mutation and publish what came of it."""
        outcome = self.store.commit(author, submission, self.wall)
        if outcome.change is not None:
            self.publish(server.publication(outcome.change, outcome.record, self.store.limits))
        if outcome.fault is not None:
            return server.Declined(submission.mid, outcome.fault)
        assert outcome.result is not None
        return server.Answered(outcome.result)

    def publish(self, change: server.Publish) -> None:
        """To every end that has begun, and to whoever listens in."""
        for listener in self.listeners:
            listener(change)
        for device in self.devices.values():
            end = device.server
            if end is not None and "Publish" in end.accepts:
                self.queue.put(self.now, self._publishing(device, end, change))

    def _publishing(self, device: Device, end: server.ServerConnection, change: server.Publish) -> Any:
        return lambda: self.feed_server(device, end, change) if device.server is end else None

    def drain(self) -> None:
        """The server goes down."""
        for device in self.devices.values():
            if device.server is not None:
                self.feed_server(device, device.server, server.Drain(len(self.devices)))

    def show_presence(self) -> None:
        """Tell every device which of them are online."""
        online = frozenset(d.replica.device for d in self.devices.values() if d.server is not None)
        devices = presence(self.store.devices.values(), online)
        for device in self.devices.values():
            if device.server is not None and "PresenceIs" in device.server.accepts:
                self.feed_server(device, device.server, server.PresenceIs(devices))

    def in_step(self) -> bool:
        """Whether every device shows exactly what the server has, and nothing waits."""
        truth = {key: msgspec.to_builtins(record) for key, record in self.store.records.items()}
        return all(
            {key: msgspec.to_builtins(record) for key, record in device.view.items()} == truth
            and not device.replica.entries
            for device in self.devices.values()
        )


def utc_only(name: str) -> Any:
    """A look-up that knows UTC only; give `protocol.zones.system_zones` for all."""
    return UTC if name == "UTC" else None


def _when(deadline: tuple[Monotonic, Action]) -> Monotonic:
    return deadline[0]
