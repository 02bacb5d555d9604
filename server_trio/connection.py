"""One connection, one task, two lives: HTTP until an application accepts a WebSocket, then messages.

Between the two everything of Hypercorn and Quart is dropped. What an idle socket keeps is a task, a descriptor, an `Outbound`, a
`FrameReader` and its handler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import parse_socket_addr

from .http1 import UPGRADE_KEY, ASGIApp, Http1, Upgrade
from .outbound import Outbound, Upkeep
from .websocket import ABNORMAL, Arrival, FrameReader, Malformed, Overlong, PeerClose, Ping, SocketHandler, pong_frame


# One flooder held its neighbours' echo at 111 ms with reads of 64 KiB, at 5 ms with reads of 4 KiB (measured).
_SOCKET_READ: Final = 4096
_HTTP_READ: Final = 16384
_PONG_BOUND: Final = 65536


def hand_over(scope: Mapping[str, Any], handler: SocketHandler) -> None:
    """Take the socket of an accepted WebSocket away from Quart and Hypercorn: the last act of a WebSocket handler.

    When the handler has returned, `handler.opened` is called and messages flow. If the peer has left meanwhile, nothing happens:
    then neither `opened` nor `closed` is called.

    Args:
        scope: The ASGI scope of the handshake; in a Quart handler, `websocket.scope`.
        handler: Who owns the socket from now on.

    Raises:
        RuntimeError: Not accepted yet, handed over before, or the scope is not from this package's listener.
    """
    upgrade = scope.get("state", {}).get(UPGRADE_KEY)
    if not isinstance(upgrade, Upgrade):
        raise RuntimeError("hand_over() needs the scope of a WebSocket handshake that server_trio.listener serves")
    upgrade.take_over(handler)


@dataclass(eq=False, slots=True)
class Service:
    """What one listener gives to all its connections.

    Attributes:
        app: The application.
        config: Hypercorn's settings.
        context: Hypercorn's word on whether the server is ending.
        state: What the lifespan put into the ASGI state.
        upkeep: Deadlines, flushers, guard.
        max_body: Largest HTTP request body, bytes.
        max_frame: Largest WebSocket message, bytes of payload.
        opening_timeout: Seconds for a request to arrive, and for a handshake to be decided.
        keep_alive: Seconds that an idle HTTP connection is kept.
        answer_timeout: Seconds for an application to answer, or to go on with an answer.
        on_drain: Called when the server begins to drain, and again for each socket that opens after that.
        openings: Connections in their first life.
        sockets: Connections in their second.
        handed_over: Sockets so far.
    """

    app: ASGIApp
    config: Config
    context: WorkerContext
    state: dict[str, Any]
    upkeep: Upkeep
    max_body: int
    max_frame: int
    opening_timeout: float
    keep_alive: float
    answer_timeout: float
    on_drain: Callable[[], None]
    openings: set[Opening] = field(default_factory=set)
    sockets: set[Outbound] = field(default_factory=set)
    handed_over: int = 0


async def converse(outbound: Outbound, service: Service, *, tls: bool) -> None:
    """Live through both lives of a connection. Raises what an owner or the application's server raises wrongly."""
    handler, early = await _open(outbound, service, tls=tls)
    if handler is not None:
        service.handed_over += 1
        await _live(outbound, service, handler, early)


# --------------------------------------------------------------------------------------------------------- first life


async def _open(outbound: Outbound, service: Service, *, tls: bool) -> tuple[SocketHandler | None, bytes]:
    opening = Opening(outbound, service, tls=tls)
    service.openings.add(opening)
    try:
        return await opening.run()
    finally:
        service.openings.discard(opening)
        opening.dissolve()


class Opening:
    """A connection as long as it speaks HTTP."""

    __slots__ = (
        "_answering",
        "_answers",
        "_ended",
        "_http",
        "_outbound",
        "_peer_ended",
        "_pending",
        "_service",
        "_tls",
        "idle",
    )

    def __init__(self, outbound: Outbound, service: Service, *, tls: bool) -> None:
        self._outbound = outbound
        self._service = service
        self._tls = tls
        self._http: Http1 | None = None
        self._pending = b""
        self._ended = False
        self._peer_ended = False
        self._answering = False
        self._answers = 0  # since the last read
        self.idle = True

    def __repr__(self) -> str:
        doing = (
            "ended" if self._ended else "idle" if self.idle else "answering" if self._answering else "reading a request"
        )
        return f"<Opening {doing}, {self._outbound!r}>"

    async def run(self) -> tuple[SocketHandler | None, bytes]:
        """Serve requests until a hand-over (its handler, and what came early) or the end (None)."""
        outbound = self._outbound
        outbound.watch(self._service.opening_timeout)
        with trio.CancelScope() as outbound.opening:
            try:
                await self._exchange()
            except trio.ClosedResourceError:
                return None, b""  # aborted, by the sweeper or a drain
        outbound.opening = None
        if outbound.over:
            return None, b""
        if self._http is not None and (handler := self._handed_over()) is not None:
            outbound.unwatch()
            return handler, self._http.early
        if not self._peer_ended:
            outbound.finish()
            await outbound.drop_input()
        return None, b""

    def dissolve(self) -> None:
        """Let go of Hypercorn's objects."""
        if self._http is not None:
            self._http.dissolve()
            self._http = None

    def leave_if_idle(self) -> None:
        """End the connection if no request is under way."""
        if self.idle:
            self._outbound.abort()

    async def _exchange(self) -> None:
        if not await self._outbound.shake_hands():
            return
        try:
            self._http = Http1(self, self._service.config, self._service.context, self._addresses(), tls=self._tls)
        except OSError:
            return  # gone before it was looked at
        data: bytes | None = self._outbound.leftover()
        while True:
            if data:
                await self._hear(data)
            if self._ended or self._outbound.over or self._handed_over() is not None:
                return
            await trio.lowlevel.wait_readable(self._outbound.socket)
            data = self._outbound.take(_HTTP_READ)
            if data is None:
                self._peer_ended = True
                await self._http.handle(RawData(b""))
                await self.flush()
                return

    async def _hear(self, data: bytes) -> None:
        assert self._http is not None
        if self.idle:
            # The whole request has this long. Not moved by its later bytes, or a slow drip would live for ever.
            self.idle = False
            self._outbound.watch(self._service.opening_timeout)
        self._answers = 0
        await self._http.handle(RawData(data))
        await self.flush()

    def _handed_over(self) -> SocketHandler | None:
        stream = self._http.stream if self._http is not None else None
        return stream.handler if isinstance(stream, Upgrade) else None

    def _addresses(self) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
        sock = self._outbound.socket
        client = parse_socket_addr(sock.family, sock.getpeername())
        return client, parse_socket_addr(sock.family, sock.getsockname())

    # What `http1.Carrier` asks for.

    @property
    def app(self) -> ASGIApp:
        """What answers."""
        return self._service.app

    @property
    def max_body(self) -> int:
        """The largest request body, in bytes."""
        return self._service.max_body

    @property
    def state(self) -> dict[str, Any]:
        """What the lifespan put into the ASGI state."""
        return self._service.state

    @property
    def gone(self) -> bool:
        """The peer has left, or nothing may be sent any more."""
        return self._outbound.ending

    async def tell(self, event: Event) -> None:
        """Take what Hypercorn says."""
        if isinstance(event, RawData):
            self._pending += event.data
        elif isinstance(event, Closed):
            self._ended = True
            if self._http is not None:
                self._http.mute()
            await self.flush()
        elif isinstance(event, Updated):
            self.idle = event.idle
            if event.idle:
                await self._answered()

    async def _answered(self) -> None:
        self._answering = False
        await self.flush()
        if self._outbound.over:
            return
        self._outbound.watch(self._service.keep_alive)
        self._answers += 1
        if self._answers > 1:
            # Pipelined: some hundred requests fit into one read, and neighbours should not wait for them all.
            await trio.lowlevel.checkpoint()

    async def flush(self) -> None:
        """Write what Hypercorn gave so far."""
        if self._pending:
            data, self._pending = self._pending, b""
            await self._outbound.write(data)
            if self._answering and not self._outbound.over:
                self._outbound.watch(self._service.answer_timeout)

    def begun(self, *, websocket: bool) -> None:
        """The request is whole. A handshake goes on under the deadline of its request."""
        if not websocket:
            self._answering = True
            self._outbound.watch(self._service.answer_timeout)

    def failed(self, error: BaseException) -> None:
        """The application raised."""
        self._service.upkeep.guard(error)


# -------------------------------------------------------------------------------------------------------- second life


async def _live(outbound: Outbound, service: Service, handler: SocketHandler, early: bytes) -> None:
    outbound.owner = handler
    service.sockets.add(outbound)
    last = PeerClose(ABNORMAL, "")
    try:
        handler.opened(outbound)
        if service.context.terminated.is_set():
            service.on_drain()
        last = await _read_on(outbound, FrameReader(service.max_frame), handler, early)
    except trio.ClosedResourceError:
        pass  # aborted: `closed` says so
    finally:
        service.sockets.discard(outbound)
        outbound.owner = None
        handler.closed(last.code, last.reason)
    if outbound.ending:
        await outbound.drop_input()


async def _read_on(outbound: Outbound, reader: FrameReader, handler: SocketHandler, data: bytes | None) -> PeerClose:
    """Read until the peer's last word: its close frame, or the 1006 that stands for none."""
    sock = outbound.socket
    while data is not None:
        if data:
            close = _deliver(reader.feed(data), outbound, handler)
            if close is not None:
                outbound.close(close.code)
                return close
            if reader.deaf:
                # Nothing more is understood, not even a close frame. An owner that did not close is cut off.
                break
        if sock.fileno() == -1:
            break
        await trio.lowlevel.wait_readable(sock)
        data = outbound.take(_SOCKET_READ)
    return PeerClose(ABNORMAL, "")


def _deliver(arrivals: Iterable[Arrival], outbound: Outbound, handler: SocketHandler) -> PeerClose | None:
    told = False
    for arrival in arrivals:
        if isinstance(arrival, PeerClose):
            return arrival
        if outbound.ending:
            continue  # dropped; only the peer's close frame is still of interest
        if isinstance(arrival, Ping):
            # Who pings and does not read gets no endless queue of pongs.
            if outbound.waiting < _PONG_BOUND:
                outbound.send(pong_frame(arrival.payload))
            continue
        told = True
        match arrival:
            case str() | bytes():
                handler.received(arrival)
            case Overlong(size):
                handler.overlong(size)
            case Malformed(code, why):
                handler.malformed(code, why)
            case _:
                assert_never(arrival)
    if not told and not outbound.ending:
        handler.heard()
    return None
