"""Carries bytes and time to one `ClientConnection`: what happens goes in, what comes out is done, nothing is decided.

Every result carries the generation that its question had, so whatever comes too late is a no-op in the core.
"""

import json
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from secrets import token_hex
from typing import TypeVar, assert_never

import trio

from protocol import Generation, Handle, Tick, client

from .polling import Requests
from .tokens import TokenRefusedError, TokenSource
from .transport import Socket


CLOSE_S = 2.0
CUT = "The network of this device is cut on purpose."

T = TypeVar("T")
Asked = TypeVar("Asked", client.GetToken, client.OpenTransport, client.Poll)

Heard = (
    client.LinkChanged | client.Welcomed | client.Synced | client.Answered | client.PresenceHeard | client.ClockSampled
    | client.HeartbeatHeard | client.Faulted | client.Ignored
)  # fmt: skip
"""Outputs that tell something and ask for nothing."""


class Network:
    """The roads to one server.

    Attributes:
        is_cut: nothing passes, as with a pulled cable: for stories and tests.
    """

    def __init__(self, requests: Requests, tokens: TokenSource) -> None:
        self.requests = requests
        self.tokens = tokens
        self.is_cut = False

    def __repr__(self) -> str:
        return f"<Network to {self.requests.address.base_url}{', cut' if self.is_cut else ''}>"


class Session:
    """The driver.

    Args:
        connection: decides. network: None for a device without a server.
        store: absorbs a fact and calls `Session.feed(Stored(seq))` once it is on disk.
        hear: is told what the connection tells.
        now: the monotonic clock, seconds.
    """

    def __init__(
        self,
        connection: client.ClientConnection,
        network: Network | None,
        store: Callable[[client.Store], None],
        hear: Callable[[Heard], None],
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self.connection = connection
        self.network = network
        self._store = store
        self._hear = hear
        self._now = now
        self._inputs: deque[client.ClientInput] = deque()
        self._is_stepping = False
        self._stepped = trio.Event()
        self._closed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._sockets: dict[Generation, Socket] = {}
        self._asking: set[trio.CancelScope] = set()
        self._tokens: dict[Handle, str] = {}

    def __repr__(self) -> str:
        return f"<Session {self.connection!r} over {self.network!r}>"

    # --- one way in ---

    def feed(self, stimulus: client.ClientInput) -> None:
        """Take one input and do what follows. An input that arises meanwhile has its turn afterwards."""
        self._inputs.append(stimulus)
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._inputs:
                for output in self.connection.step(self._inputs.popleft(), self._now()):
                    self._perform(output)
        finally:
            self._is_stepping = False
        self._stepped.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry time, until cancelled; a network is used only while this runs."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await self._tick()
            finally:
                self._nursery = None
                nursery.cancel_scope.cancel()

    async def _tick(self) -> None:
        while True:
            self._stepped = trio.Event()
            deadline = self.connection.deadline
            with trio.move_on_at(float("inf") if deadline is None else deadline.at) as waited:
                await self._stepped.wait()
            if waited.cancelled_caught:
                self.feed(Tick())

    async def hung_up(self) -> None:
        """Wait until every socket has closed, which takes no longer than `CLOSE_S`."""
        with trio.move_on_after(CLOSE_S):
            while self._sockets:
                self._closed = trio.Event()
                await self._closed.wait()

    # --- the cable ---

    def pull(self) -> None:
        """Cut the network: what is under way breaks off, and nothing passes until `plug`."""
        if self.network is not None:
            self.network.is_cut = True
        for socket in list(self._sockets.values()):
            socket.cut()
        for scope in list(self._asking):
            scope.cancel()

    def plug(self) -> None:
        """Let everything pass again, and say so as a system would."""
        if self.network is not None:
            self.network.is_cut = False
        self.feed(client.NetworkChanged())

    # --- one way out ---

    def _perform(self, output: client.ClientOutput) -> None:
        match output:
            case client.GetToken():
                self._begin(self._fetch_token, output)
            case client.OpenTransport():
                self._begin(self._open, output)
            case client.CloseTransport(gen=gen, code=code, reason=reason):
                if gen in self._sockets:
                    self._sockets[gen].hang_up(code, reason, CLOSE_S)
            case client.Transmit(gen=gen, data=data, handle=handle):
                if gen in self._sockets:
                    self._sockets[gen].say(data if handle is None else self._with_token(data, handle))
            case client.Store():
                self._store(output)
            case client.Poll():
                self._begin(self._poll, output)
            case (
                client.LinkChanged() | client.Welcomed() | client.Synced() | client.Answered() | client.PresenceHeard()
                | client.ClockSampled() | client.HeartbeatHeard() | client.Faulted() | client.Ignored()
            ):  # fmt: skip
                self._hear(output)
            case _:
                assert_never(output)

    def _begin(self, task: Callable[[Network, Asked], Awaitable[None]], question: Asked) -> None:
        assert self._nursery is not None, "a session that does not run asks for nothing"
        assert self.network is not None, "a device without a server never starts"
        self._nursery.start_soon(task, self.network, question)

    def _with_token(self, data: str, handle: Handle) -> str:
        return data.replace(json.dumps(handle), json.dumps(self._tokens[handle]), 1)

    async def _fetch_token(self, network: Network, question: client.GetToken) -> None:
        gen = question.gen
        try:
            token = await self._unless_cut(partial(network.tokens.token, fresh=question.fresh))
        except TokenRefusedError as refused:
            self.feed(client.TokenFailed(gen, refused.rejected, str(refused)))
            return
        if token is None:
            self.feed(client.TokenFailed(gen, rejected=False, why=CUT))
            return
        handle, is_new = self._handle(token)
        self.feed(client.TokenReady(gen, handle, is_new))

    def _handle(self, token: str) -> tuple[Handle, bool]:
        """A word that stands for a token in the core, and whether the token is another than before."""
        known = next((handle for handle, old in self._tokens.items() if old == token), None)
        if known is not None:
            return known, False
        # Random, so that no label or identifier in a message can be mistaken for it.
        handle = Handle(f"token-{token_hex(8)}")
        self._tokens = {handle: token, **dict(list(self._tokens.items())[:1])}
        return handle, True

    async def _open(self, network: Network, question: client.OpenTransport) -> None:
        gen = question.gen
        if network.is_cut:
            self.feed(client.Unreachable(gen, CUT))
            return
        socket = self._sockets[gen] = Socket(gen, network.requests.address, self.feed)
        try:
            await socket.run(self._tokens[question.handle], self.connection.machine.timing.connect_ms / 1000)
        finally:
            del self._sockets[gen]
            self._closed.set()

    async def _poll(self, network: Network, question: client.Poll) -> None:
        answer = await self._unless_cut(partial(network.requests.poll, question, self._tokens[question.handle]))
        self.feed(answer or client.PollFailed(question.gen, 0))

    async def _unless_cut(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Ask over the network; None where it is cut, or is being cut meanwhile."""
        if self.network is None or self.network.is_cut:
            return None
        with trio.CancelScope() as scope:
            self._asking.add(scope)
            try:
                return await ask()
            finally:
                self._asking.discard(scope)
        return None
