"""The way between a device and the servers: what delays, eats, doubles, holds up or breaks what travels."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from protocol import Generation, server
from protocol.testing import Dice


if TYPE_CHECKING:
    from .process import Process


Noticed = Literal["both", "client", "server", "nobody"]
Towards = Literal["client", "server"]


class Refusal(NamedTuple):
    """What a proxy or a busy server answers to a request for a socket."""

    status: int
    code: str | None = None
    retry_after_ms: int | None = None


class Link:
    """One device's way to the network.

    Attributes:
        up: whether anything passes. latency, jitter: seconds one way, and how much more at random.
        eat: this many of the next frames in a direction vanish without a trace. double: this many arrive twice.
        refusals: what the next requests for a socket are answered, before anything of Tocsin sees them.
        slow_connect: seconds that opening a socket takes on top.
        sockets: False where a proxy lets only plain requests pass.
        stalled: the device does not read its socket.
    """

    def __init__(self, latency: float, jitter: float, *, sockets: bool = True) -> None:
        self.up = True
        self.latency = latency
        self.jitter = jitter
        self.eat: dict[Towards, int] = {"client": 0, "server": 0}
        self.double: dict[Towards, int] = {"client": 0, "server": 0}
        self.refusals: list[Refusal] = []
        self.slow_connect = 0.0
        self.sockets = sockets
        self.stalled = False

    def __repr__(self) -> str:
        return f"<Link {'up' if self.up else 'down'}, {self.latency * 1000:.0f} ms>"

    def delay(self, chance: Dice) -> float:
        """How long the next thing takes one way."""
        return self.latency + chance.uniform(0.0, self.jitter) if self.jitter else self.latency

    def copies(self, towards: Towards) -> int:
        """How often the next frame arrives."""
        if self.eat[towards]:
            self.eat[towards] -= 1
            return 0
        if self.double[towards]:
            self.double[towards] -= 1
            return 2
        return 1


class Transport:
    """One socket, from both ends: each may believe in it when the other no longer does.

    Attributes:
        device: whose; gen: of which attempt; life: in which run of its program.
        key: the process's name for it. end: the server's machine.
        client_open, server_open: whether that side still holds it.
        broken_at: since when nothing new passes, None while it does; delivers: what was in flight then still arrives.
        last: when the newest thing sent to either side arrives.
        held: frames that the device does not read.
    """

    __slots__ = (
        "broken_at",
        "client_open",
        "delivers",
        "device",
        "end",
        "gen",
        "held",
        "key",
        "last",
        "life",
        "process",
        "server_open",
    )

    def __init__(
        self,
        device: str,
        life: int,
        gen: Generation,
        process: "Process",
        end: server.ServerConnection,
        key: int,
    ) -> None:
        self.device = device
        self.life = life
        self.gen = gen
        self.process = process
        self.end = end
        self.key = key
        self.client_open = True
        self.server_open = True
        self.broken_at: float | None = None
        self.delivers = False
        self.held: list[object] = []
        self.last: dict[Towards, float] = {"client": 0.0, "server": 0.0}

    def __repr__(self) -> str:
        return f"<Transport {self.key} of {self.device}, generation {self.gen}>"

    def arrival(self, towards: Towards, now: float, delay: float) -> float:
        """When something sent now arrives: never before what was sent earlier."""
        at = max(now + delay, self.last[towards])
        self.last[towards] = at
        return at

    def passes(self, sent_at: float) -> bool:
        """Whether what was sent then arrives, as far as the wire is concerned."""
        return self.broken_at is None or (self.delivers and sent_at <= self.broken_at)

    def break_at(self, now: float, *, delivers: bool) -> None:
        """Nothing new passes any more."""
        if self.broken_at is None:
            self.broken_at, self.delivers = now, delivers
