"""How a device reaches the servers: tokens, sockets and plain requests over a link that may do anything."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import assert_never

from protocol import Generation, Handle, UserId, client, server

from .network import Link, Noticed, Refusal, Transport
from .polls import answer_poll
from .world import World


class Wired(ABC):
    """The network side of a device.

    Attributes:
        boots: how often its program was started; what belongs to an earlier one is dropped.
        transport: the newest socket, None where there never was one.
    """

    def __init__(self, world: World, name: str, user: str, link: Link) -> None:
        self.world = world
        self.name = name
        self.user = UserId(user)
        self.link = link
        self.boots = 0
        self.transport: Transport | None = None
        self._token: Handle | None = None

    @property
    @abstractmethod
    def awake(self) -> bool:
        """Whether its program runs now."""

    @property
    @abstractmethod
    def wants_start(self) -> bool:
        """Whether only the user makes it connect again."""

    @abstractmethod
    def feed(self, stimulus: client.ClientInput) -> None:
        """The connection's one way in."""

    @abstractmethod
    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen to this run of the program: in sleep it waits, and after a crash it never comes."""

    def ask(
        self, question: client.Transmit | client.GetToken | client.OpenTransport | client.CloseTransport | client.Poll
    ) -> None:
        """Carry out what the connection asks of the network."""
        match question:
            case client.Transmit(gen=gen, data=data):
                self._transmit(gen, data)
            case client.GetToken(gen=gen, fresh=fresh):
                self._get_token(gen, fresh)
            case client.OpenTransport(gen=gen, handle=handle):
                self._open(gen, handle)
            case client.CloseTransport(gen=gen, code=code):
                self._close(gen, code)
            case client.Poll():
                self._poll(question)
            case _:
                assert_never(question)

    # --- tokens ---

    def _get_token(self, gen: Generation, fresh: bool) -> None:
        token = self._token
        if token is not None and not fresh:
            self.later(0.0, lambda: self.feed(client.TokenReady(gen, token, fresh=False)))
            return
        self.later(2 * self.link.delay(self.world.chance), lambda: self._token_answered(gen))

    def _token_answered(self, gen: Generation) -> None:
        why = self.world.barred.get(self.name)
        if not self.link.up:
            self.feed(client.TokenFailed(gen, rejected=False, why="no network"))
        elif why in {"revoked", "forbidden"}:
            self.feed(client.TokenFailed(gen, rejected=True, why=why))
        else:
            self._token = self.world.issue(self.name, self.user)
            self.feed(client.TokenReady(gen, self._token, fresh=True))

    # --- sockets ---

    def _open(self, gen: Generation, handle: Handle) -> None:
        delay = self.link.delay(self.world.chance) + self.link.slow_connect
        self.later(delay, lambda: self._reach(gen, handle))

    def _reach(self, gen: Generation, handle: Handle) -> None:
        """The request for a socket arrives somewhere, or nowhere."""
        link, world = self.link, self.world
        if not link.up:
            # Half of the networks that are gone say so; the others keep silent.
            if world.chance.hit(0.5):
                self.feed(client.Unreachable(gen, "no route"))
            return
        process = world.choose_process()
        refusal = link.refusals.pop(0) if link.refusals else None if link.sockets else Refusal(502)
        if process is None:
            refusal = Refusal(503, None, 2_000)
        if refusal is not None:
            refused = client.Refused(gen, refusal.status, refusal.code, refusal.retry_after_ms)
            self.later(link.delay(world.chance), lambda: self.feed(refused))
            return
        assert process is not None
        self.transport = process.accept(self.name, self.boots, gen, handle)

    def carry(self, transport: Transport, stimulus: client.ClientInput) -> None:
        """Something from a server's end travels to this device."""
        world, sent_at = self.world, self.world.now
        at = transport.arrival("client", sent_at, self.link.delay(world.chance))
        frame = isinstance(stimulus, client.Received | client.ReceivedBinary)

        def arrive() -> None:
            if transport.life != self.boots or (not self.link.up and not transport.delivers):
                return
            if not transport.passes(sent_at):
                return
            # After its own close a program may still read what had arrived before.
            if not transport.client_open and not (frame and world.chance.hit(0.5)):
                return
            for _ in range(self.link.copies("client") if frame else 1):
                self.feed(stimulus)
            if isinstance(stimulus, client.Lost | client.Refused):
                transport.client_open = False

        self._arriving(transport, at - sent_at, arrive)

    def _arriving(self, transport: Transport, seconds: float, arrive: Callable[[], None]) -> None:
        if transport.life == self.boots:
            self.later(seconds, arrive)

    def _transmit(self, gen: Generation, data: str) -> None:
        transport = self.transport
        if transport is None or transport.gen != gen or not transport.client_open:
            return
        world, sent_at = self.world, self.world.now
        if transport.broken_at is not None:
            self._reset(transport)
            return
        at = transport.arrival("server", sent_at, self.link.delay(world.chance))
        process, life = transport.process, transport.process.life

        def arrive() -> None:
            if process.life != life or not transport.passes(sent_at):
                return
            if not self.link.up and not transport.delivers:
                return
            for _ in range(self.link.copies("server")):
                process.feed(transport, server.Received(data, world.wall))

        world.at(at, arrive)

    def _reset(self, transport: Transport) -> None:
        """Nobody is there any more: where the network works, the first frame into the void is answered by a reset."""
        if self.link.up:
            self.later(2 * self.link.latency, lambda: self._lost(transport))

    def _lost(self, transport: Transport, code: int = 1006) -> None:
        if transport.client_open and transport.life == self.boots:
            transport.client_open = False
            self.feed(client.Lost(transport.gen, code))

    def _close(self, gen: Generation, code: int) -> None:
        transport = self.transport
        if transport is None or transport.gen != gen:
            return
        transport.client_open = False
        process = transport.process
        if self.link.up and transport.broken_at is None:
            at = transport.arrival("server", self.world.now, self.link.delay(self.world.chance))
            self.world.at(at, lambda: process.closed(transport, code))

    # --- the network ---

    def cut(self, *, deliver: bool = False, noticed: Noticed = "both") -> None:
        """The link breaks. deliver: what is in flight still arrives. noticed: which ends learn of it at once."""
        self.link.up = False
        self.lose(deliver=deliver, noticed=noticed)

    def lose(self, *, deliver: bool = False, noticed: Noticed = "both") -> None:
        """The connection breaks, the link stays as it is."""
        transport = self.transport
        if transport is None or transport.broken_at is not None:
            return
        transport.break_at(self.world.now, delivers=deliver)
        self.world.note(self.name, f"its connection breaks, noticed by {noticed}")
        if noticed in {"both", "client"}:
            # After what was in flight, where that still arrives.
            behind = max(0.0, transport.last["client"] - self.world.now) if deliver else 0.0
            self.later(behind, lambda: self._lost(transport))
        if noticed in {"both", "server"}:
            behind = max(0.0, transport.last["server"] - self.world.now) if deliver else 0.0
            self.world.after(behind, lambda: transport.process.closed(transport, 1006))

    def heal(self) -> None:
        """The link works again; the system says so, sometimes."""
        if not self.link.up:
            self.link.up = True
            self.world.note(self.name, "its network is back")
            if self.awake and self.world.chance.hit(0.5):
                self.later(0.0, lambda: self.feed(client.NetworkChanged()))

    def stall(self) -> None:
        """The program stops reading its socket."""
        self.link.stalled = True

    def read_on(self) -> None:
        """It reads again."""
        self.link.stalled = False
        if self.transport is not None and self.transport.process.up:
            self.transport.process.release(self.transport)

    def sign_in(self) -> None:
        """The user signs in again."""
        self.world.barred.pop(self.name, None)
        if self.awake:
            self._token = None
            self.feed(client.Start() if self.wants_start else client.SyncNow())

    def sign_out(self, why: str) -> None:
        """Its tokens hold no more."""
        self.world.barred[self.name] = why
        for process in self.world.processes.values():
            if process.up and why == "revoked":
                process.sign_out(self.world.session_of(self.name))

    # --- requests ---

    def _poll(self, poll: client.Poll) -> None:
        world, boots = self.world, self.boots
        process = world.choose_process()

        def answer(said: str | client.PollFailed) -> None:
            def arrive() -> None:
                if not self.link.up:
                    self.feed(client.PollFailed(poll.gen, 0))
                else:
                    self.feed(client.PollAnswered(poll.gen, said) if isinstance(said, str) else said)

            if self.boots == boots:
                self.later(self.link.delay(world.chance), arrive)

        def reach() -> None:
            if not self.link.up:
                answer(client.PollFailed(poll.gen, 0))
            elif process is None or not process.up:
                answer(client.PollFailed(poll.gen, 503))
            else:
                answer_poll(process, poll, answer)

        world.after(self.link.delay(world.chance), reach)

    def drop_transport(self, *, deliver: bool) -> None:
        """Its socket vanishes; the server hears of it when the system closes it, or by silence."""
        transport, self.transport = self.transport, None
        if transport is None:
            return
        transport.client_open = False
        transport.break_at(self.world.now, delivers=deliver)
        if self.link.up and self.world.chance.hit(0.5):
            self.world.after(self.link.latency, lambda: transport.process.closed(transport, 1006))
