"""The driver of one socket: what happens becomes an input of the state machine, what the machine says is done.

It decides nothing. Every method that the transport calls is one step; every output is one call of something shared.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, assert_never

import trio

from protocol import Fault, Handle, Mid, SessionId, Tick
from protocol.server import (
    CROWDED,
    SIGNED_OUT,
    AbortTransport,
    Accept,
    Answered,
    Apply,
    Behind,
    Blocked,
    ClassicLive,
    Closed,
    CloseTransport,
    Declined,
    Drained,
    Evicted,
    Heard,
    Ignored,
    Join,
    Joined,
    Joining,
    Leave,
    Live,
    Login,
    Malformed,
    Overlong,
    PageRead,
    ReadHead,
    ReadPage,
    ReadState,
    Received,
    ReceivedBinary,
    Refuse,
    RenewEpoch,
    Requested,
    ServerConnection,
    ServerInput,
    ServerOutput,
    StateRead,
    StoreAck,
    StoreFailed,
    Transmit,
    TransmitBinary,
    VerifyToken,
    hide_token,
)

from .hidden import NOTHING, Hidden
from .outbound import Outbound
from .services import Services
from .store import Outcomes, StoreUnavailable


if TYPE_CHECKING:
    from .people import Person

_LOG: Final = logging.getLogger("tocsin.session")

Question = Apply | Join | ReadPage | ReadState | ReadHead | RenewEpoch | StoreAck | VerifyToken
"""Outputs that ask the rest of the server for something; an input answers most of them."""

Ending = CloseTransport | AbortTransport | Leave | Accept | Refuse


class Session:
    """One socket and its state machine; a `SocketHandler` of the transport.

    Attributes:
        key: names this connection in the log; unique in the life of the process, growing.
        due: when `tick` is to be called next, in Trio's time.
        heard_at: when bytes of the peer last came, in Trio's time.
        person: whose connection it is, while it is among that user's.
    """

    __slots__ = ("_core", "_early", "_join", "_outbound", "_services", "due", "heard_at", "key", "person")

    def __init__(self, services: Services) -> None:
        self._services = services
        self._core = ServerConnection(services.terms, record=False)
        self._outbound: Outbound | None = None
        self._early: Sequence[ServerOutput] = ()
        self._join: Join | None = None
        self.key = services.hub.next_key()
        self.due = math.inf
        self.heard_at = services.now()
        self.person: Person | None = None

    def __repr__(self) -> str:
        return f"<Session {self.key}, {self._core.state!r}>"

    def sign_out(self, ended: SessionId, now: float) -> None:
        """End this connection if it came with a token of the session that has ended."""
        login = self._login
        if login is not None and login.session == ended:
            self.take(SIGNED_OUT, now)

    @property
    def _login(self) -> Login | None:
        """Who is behind it, once it is among its user's."""
        match self._core.state:
            case Joining(login) | ClassicLive(login):
                return login
            case Behind(peer) | Live(peer):
                return peer.login
            case _:
                return None

    @property
    def classic(self) -> bool:
        """Whether it is a classic client that gets events now."""
        return isinstance(self._core.state, ClassicLive)

    # -------------------------------------------------------------------------------------------------- the handshake

    async def request(self, requested: Requested, hidden: Hidden) -> Accept | Refuse:
        """Judge the request for a socket. What else is to be done waits until the transport says `opened`."""
        outputs = self._step(requested)
        if outputs and isinstance(outputs[0], VerifyToken):
            outputs = await self._judged(outputs[0].handle, hidden)
        verdict = outputs[0]
        assert isinstance(verdict, Accept | Refuse)
        self._early = outputs[1:]
        return verdict

    async def _judged(self, handle: Handle, hidden: Hidden) -> list[ServerOutput]:
        with trio.move_on_after(self.due - self._services.now()):
            try:
                verdict = await self._services.access.verdict(handle, hidden.reveal(handle), self._services.wall())
            except StoreUnavailable:
                # No input says that nobody can judge a token: the deadline does, a little later.
                await trio.sleep_forever()
            return self._step(verdict)
        # Never early, whatever the two clocks make of the last bit.
        return self._step(Tick(), max(self._services.now(), self.due))

    # ---------------------------------------------------------------------------------------- what the transport says

    def opened(self, outbound: Outbound) -> None:
        """See `SocketHandler.opened`."""
        self._outbound = outbound
        self._services.hub.connect(self)
        early, self._early = self._early, ()
        self.send(self._perform(early, NOTHING))

    def received(self, data: str | bytes) -> None:
        """See `SocketHandler.received`."""
        now = self.heard_at = self._services.now()
        wall = self._services.wall()
        if isinstance(data, str):
            hidden = Hidden()
            self.take(Received(hide_token(data, hidden.hide), wall), now, hidden)
        else:
            self.take(ReceivedBinary(data, wall), now)

    def heard(self) -> None:
        """See `SocketHandler.heard`."""
        now = self.heard_at = self._services.now()
        self.take(Heard(), now)

    def overlong(self, size: int) -> None:
        """See `SocketHandler.overlong`."""
        self.take(Overlong(size))

    def malformed(self, code: int, why: str) -> None:
        """See `SocketHandler.malformed`."""
        self.take(Malformed(code, why))

    def blocked(self) -> None:
        """See `SocketHandler.blocked`."""
        self.take(Blocked())

    def drained(self) -> None:
        """See `SocketHandler.drained`."""
        self.take(Drained())

    def closed(self, code: int, reason: str) -> None:
        """See `SocketHandler.closed`."""
        self.take(Closed(code, reason))
        self._services.hub.disconnect(self)
        _LOG.debug("connection %d ended with %d", self.key, code)

    # ------------------------------------------------------------------------------------------------------- the step

    def tick(self, now: float) -> None:
        """A deadline is due."""
        self.take(Tick(), now)

    def take(self, input: ServerInput, now: float | None = None, hidden: Hidden = NOTHING) -> None:
        """One input: step, and do what comes out."""
        self.send(self.advance(input, now, hidden))

    def advance(self, input: ServerInput, now: float | None = None, hidden: Hidden = NOTHING) -> bytes:
        """The same, but what is to be sent last is returned: who steps many sessions sends when all steps are done."""
        outputs = self._step(input, now)
        # A change that is passed on is one message to send: nearly all steps of a busy server are this.
        if len(outputs) == 1 and type(outputs[0]) is Transmit:
            return self._services.framer.text(outputs[0].data)
        return self._perform(outputs, hidden) if outputs else b""

    def broken(self) -> None:
        """Something failed on our side that nobody expected: the peer comes back to a fresh connection."""
        _LOG.error("connection %d is ended after an internal error", self.key)
        if self._outbound is not None:
            self._outbound.abort()

    def send(self, wire: bytes) -> None:
        """Send ready-made frames, of which there may be none."""
        if wire and self._outbound is not None:
            self._outbound.send(wire)

    def _step(self, input: ServerInput, now: float | None = None) -> list[ServerOutput]:
        core = self._core
        outputs = core.step(input, self._services.now() if now is None else now)
        pending = core.machine.timers.pending
        self.due = pending[0][0] if pending else math.inf
        return outputs

    def _perform(self, outputs: Sequence[ServerOutput], hidden: Hidden) -> bytes:
        """Do what was put out, in order; returns the frames that stand at its end, to be sent."""
        framer = self._services.framer
        wire = b""
        for output in outputs:
            match output:
                case Transmit():
                    wire += framer.text(output.data)
                case TransmitBinary():
                    wire += framer.binary(output.data)
                case Ignored():
                    _LOG.debug("connection %d: %s", self.key, output.reason)
                case CloseTransport() | AbortTransport() | Leave() | Accept() | Refuse():
                    self.send(wire)
                    wire = b""
                    self._end(output)
                case _:
                    self.send(wire)
                    wire = b""
                    self._ask(output, hidden)
        return wire

    def _end(self, output: Ending) -> None:
        match output:
            case CloseTransport(code, reason):
                self._services.hub.count_close(code)
                _LOG.info("connection %d is closed with %d: %s", self.key, code, reason)
                if self._outbound is not None:
                    self._outbound.close(code, reason)
            case AbortTransport():
                if self._outbound is not None:
                    self._outbound.abort()
            case Leave():
                self._services.hub.leave(self)
            case Accept() | Refuse():
                raise AssertionError(f"{output!r} after the handshake")
            case _:
                assert_never(output)

    # ------------------------------------------------------------------------------------------------ what it asks for

    def _ask(self, question: Question, hidden: Hidden) -> None:
        match question:
            case Apply():
                self._apply(question)
            case StoreAck(user, device, epoch, rev):
                self._services.acks.note(user, device, epoch, rev)
            case ReadHead(user):
                self._services.heads.ask(user, self)
            case Join():
                self._register(question)
            case ReadPage():
                self._start("page", partial(self._read_page, question))
            case ReadState():
                self._start("state", partial(self._read_state, question))
            case RenewEpoch():
                self._start("join", partial(self._renew, question))
            case VerifyToken(handle):
                self._services.background.start(self._verify, handle, hidden, broken=self.broken)
            case _:
                assert_never(question)

    def _start(self, what: Literal["join", "page", "state"], question: Callable[[], Awaitable[ServerInput]]) -> None:
        self._services.background.start(self._answer, what, question, broken=self.broken)

    async def _answer(
        self, what: Literal["join", "page", "state"], question: Callable[[], Awaitable[ServerInput]]
    ) -> None:
        try:
            answer = await question()
        except StoreUnavailable:
            answer = StoreFailed(what)
        self.take(answer)
        if not isinstance(self._core.state, Joining):
            self._join = None

    async def _verify(self, handle: Handle, hidden: Hidden) -> None:
        try:
            verdict = await self._services.access.verdict(handle, hidden.reveal(handle), self._services.wall())
        except StoreUnavailable:
            # Silence: before the session its deadline decides, in it the token in force stays so.
            return
        self.take(verdict)

    def _apply(self, asked: Apply) -> None:
        work = self._services.commits.mutation(asked.device, asked.submission)
        answer = partial(self._applied, asked.submission.mid)
        try:
            self._services.commits.submit(asked.user, (work,), answer)
        except StoreUnavailable:
            self.take(StoreFailed("apply", asked.submission.mid))

    def _applied(self, mid: Mid, outcomes: Outcomes | Exception) -> None:
        if isinstance(outcomes, StoreUnavailable):
            self.take(StoreFailed("apply", mid))
        elif isinstance(outcomes, Exception):
            self._services.background.failed(outcomes)
            self.broken()
        else:
            fault, result = outcomes[0].fault, outcomes[0].result
            if isinstance(fault, Fault):
                self.take(Declined(mid, fault))
            elif result is not None:
                self.take(Answered(result))

    def _register(self, join: Join) -> None:
        self._join = join
        if self._services.hub.join(self, join):
            self._start("join", self._joined)

    async def _joined(self) -> Joined | Evicted:
        join, services = self._join, self._services
        assert join is not None
        if not await services.store.session_alive(join.session):
            # Signed out between its token and its hello; from here on the hub knows it and closes it at once.
            return SIGNED_OUT
        if join.device is None:
            account, last_mid = await services.store.head(join.user), Mid(0)
        else:
            known = await services.store.join(
                join.user, join.device.id, join.device.name, join.conn, join.cursor, services.wall()
            )
            if not known.room:
                return CROWDED
            account, last_mid = known.account, known.last_mid
            services.hub.know_devices(join.user, known.devices)
        return Joined(account, last_mid, services.wall())

    async def _renew(self, asked: RenewEpoch) -> Joined | Evicted:
        account = await self._services.store.renew_epoch(asked.user, asked.seen)
        self._services.hub.resync(asked.user, account)
        return await self._joined()

    async def _read_page(self, asked: ReadPage) -> PageRead:
        return PageRead(await self._services.store.page(asked.user, asked.after, asked.limit))

    async def _read_state(self, asked: ReadState) -> StateRead:
        state = await self._services.store.state(asked.user, asked.device, with_deleted=asked.with_deleted)
        return StateRead(state)
