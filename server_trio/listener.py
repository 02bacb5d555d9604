"""Our own accept loop around Hypercorn: guard, caps, deadlines, drain.

Hypercorn's loop lets an exception inside one connection end the process, shields a stalled write from its own shutdown, and has no
place for limits. Here nothing that a peer does leaves its connection, and a drain ends in bounded time.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGISendEvent
from hypercorn.utils import LifespanFailureError

from .connection import Service, converse
from .failures import described, leaves
from .http1 import ASGIApp, hypercorn_config
from .outbound import Outbound, Upkeep
from .tls import Cipher


_LOG: Final = logging.getLogger("tocsin.listener")
_SWEEP: Final = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenerSettings:
    """How to listen. Times in seconds, sizes in bytes.

    Attributes:
        host: Name or address to bind.
        port: Port to bind; 0 for a free one, reported when listening.
        max_frame: Largest WebSocket message (payload, all its fragments).
        max_body: Largest HTTP request body.
        max_sockets: Most connections at once, of any kind; further ones are closed at once.
        max_sockets_per_address: The same for one IPv4 address or one IPv6 /64, which is what one customer is given.
        opening_timeout: For a request to arrive whole, and for a handshake (TLS too) to be decided.
        answer_timeout: For an application to begin an HTTP answer, and for each further part of it.
        keep_alive: How long an idle HTTP connection is kept.
        progress_timeout: With bytes waiting and none taken for this long, the peer is gone: abort.
        closing_timeout: After our close, how long to wait for the peer's end.
        grace: How long a drain may take before what is left is aborted.
        backlog: Connections that the kernel keeps for us while we are busy.
        ssl_context: Speak TLS with it; its ALPN list is set to HTTP/1.1.
    """

    host: str = "127.0.0.1"
    port: int = 0
    max_frame: int = 64 * 1024
    max_body: int = 1024 * 1024
    max_sockets: int = 20_000
    max_sockets_per_address: int = 20_000
    opening_timeout: float = 10.0
    answer_timeout: float = 60.0
    keep_alive: float = 75.0
    progress_timeout: float = 20.0
    closing_timeout: float = 5.0
    grace: float = 10.0
    backlog: int = 1024
    ssl_context: ssl.SSLContext | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenerStatistics:
    """Counts of one listener; `open` and `sockets` are now, the others since the start.

    Attributes:
        open: Connections of any kind.
        sockets: Those that were handed over and live.
        accepted: Connections ever accepted, the refused ones included.
        handed_over: Sockets ever handed over.
        refused: Connections over a cap.
        overdue: Connections aborted at a deadline.
        guarded: Errors that the guard kept inside their connection; anything but 0 is a bug, ours or a handler's.
    """

    open: int
    sockets: int
    accepted: int
    handed_over: int
    refused: int
    overdue: int
    guarded: int


def _nothing() -> None:
    """Stand in for a hook that nobody gave."""


def _nothing_at(now: float) -> None:
    del now


class Listener:
    """Accepts connections for an ASGI application until told to stop.

    Args:
        app: Any ASGI application; a WebSocket handler may end in `connection.hand_over`.
        settings: Limits and addresses.
        on_drain: Called when a drain begins, to close sessions in their own way; again for each socket that opens after that.
        on_sweep: Called four times a second with Trio's time, for deadlines of the layer above.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ListenerSettings,
        *,
        on_drain: Callable[[], None] = _nothing,
        on_sweep: Callable[[float], None] = _nothing_at,
    ) -> None:
        self.settings = settings
        self._on_sweep = on_sweep
        self._addresses: Counter[str] = Counter()
        self._open = self._accepted = self._refused = self._overdue = self._guarded = 0
        self._empty: trio.Event | None = None
        upkeep = Upkeep(
            progress_timeout=settings.progress_timeout, closing_timeout=settings.closing_timeout, guard=self._guard
        )
        self._service = Service(
            app=app,
            config=hypercorn_config(settings.backlog),
            context=WorkerContext(None),
            state={},
            upkeep=upkeep,
            max_body=settings.max_body,
            max_frame=settings.max_frame,
            opening_timeout=settings.opening_timeout,
            keep_alive=settings.keep_alive,
            answer_timeout=settings.answer_timeout,
            on_drain=on_drain,
        )

    def __repr__(self) -> str:
        return f"<Listener {self.statistics()}>"

    @property
    def sockets(self) -> set[Outbound]:
        """The live sockets that were handed over; each one's `owner` is its handler."""
        return self._service.sockets

    def statistics(self) -> ListenerStatistics:
        """The counts as they are now."""
        return ListenerStatistics(
            open=self._open,
            sockets=len(self._service.sockets),
            accepted=self._accepted,
            handed_over=self._service.handed_over,
            refused=self._refused,
            overdue=self._overdue,
            guarded=self._guarded,
        )

    async def run(self, *, stop: trio.Event, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the application's lifespan, serve until `stop` is set, drain. Reports the bound port when listening.

        Raises:
            LifespanFailureError: The application did not start.
            OSError: The address cannot be bound.
        """
        lifespan = _Lifespan(ASGIWrapper(self._service.app), self._service.config, self._service.state)
        doors = await self._doors()
        try:
            async with trio.open_nursery() as household:
                household.start_soon(lifespan.handle_lifespan)
                await lifespan.wait_for_startup()
                await self._serve(doors, stop, task_status)
                await lifespan.wait_for_shutdown()
                # Shutdown is answered: background tasks that go on have no right to hold the process.
                household.cancel_scope.cancel()
        except* LifespanFailureError as failures:
            raise leaves(failures)[0] from None
        finally:
            for door in doors:
                door.close()

    async def _serve(self, doors: list[Door], stop: trio.Event, task_status: trio.TaskStatus[int]) -> None:
        async with trio.open_nursery() as connections:
            self._service.upkeep.nursery = connections
            connections.start_soon(self._sweep)
            async with trio.open_nursery() as accepting:
                accepting.start_soon(_accept, self._serve_one, doors, connections)
                task_status.started(doors[0].port)
                await stop.wait()
                accepting.cancel_scope.cancel()
            await self._drain()
            connections.cancel_scope.cancel()

    async def _doors(self) -> list[Door]:
        """Bind. Before the application starts: an address in use should cost no start, and early clients wait in the backlog."""
        context = self.settings.ssl_context
        if context is not None:
            # A browser on TLS would otherwise ask for HTTP/2.
            context.set_alpn_protocols(["http/1.1"])
        bound = await trio.open_tcp_listeners(
            self.settings.port, host=self.settings.host, backlog=self.settings.backlog
        )
        return [Door(inner, self._service.upkeep, context) for inner in bound]

    async def _serve_one(self, outbound: Outbound) -> None:
        address = _address_key(outbound.socket)
        self._accepted += 1
        if self._open >= self.settings.max_sockets or (
            self._addresses[address] >= self.settings.max_sockets_per_address
        ):
            self._refused += 1
            outbound.abort()
            return
        self._open += 1
        self._addresses[address] += 1
        try:
            await converse(outbound, self._service, tls=self.settings.ssl_context is not None)
        except* Exception as failures:  # noqa: BLE001 - the guard: whatever goes wrong here stays in this connection
            self._guard(failures)
        finally:
            outbound.abort()
            self._left(address)

    def _left(self, address: str) -> None:
        self._open -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        if self._empty is not None and not self._open:
            self._empty.set()

    def _guard(self, error: BaseException) -> None:
        self._guarded += 1
        _LOG.error("an error was kept inside its connection: %s", described(error))

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(_SWEEP)
            now = trio.current_time()
            for outbound in self._service.upkeep.overdue(now):
                self._overdue += 1
                outbound.abort()
            try:
                self._on_sweep(now)
            except Exception as error:  # noqa: BLE001 - the deadlines of all others depend on this task
                self._guard(error)

    async def _drain(self) -> None:
        self._empty = trio.Event()
        await self._service.context.terminated.set()
        try:
            self._service.on_drain()
        except Exception as error:  # noqa: BLE001 - a drain goes on whatever the layer above does
            self._guard(error)
        for opening in list(self._service.openings):
            opening.leave_if_idle()
        if self._open:
            with trio.move_on_after(self.settings.grace):
                await self._empty.wait()


class _Lifespan(Lifespan):
    """Hypercorn's, except that a failure while the application ends is said and does not change how the server ends."""

    async def asgi_send(self, message: ASGISendEvent) -> None:
        if message["type"] == "lifespan.shutdown.failed":
            # Its words may hold anything; the application has them.
            _LOG.error("the application failed while it shut down; its own log says how")
            self.shutdown.set()
        else:
            await super().asgi_send(message)


class Door(trio.abc.Listener[Outbound]):
    """A listening socket whose connections come as `Outbound`s, with no Trio stream left behind."""

    def __init__(self, inner: trio.SocketListener, upkeep: Upkeep, context: ssl.SSLContext | None) -> None:
        self._inner = inner
        self._upkeep = upkeep
        self._context = context

    def __repr__(self) -> str:
        return f"<Door {self._inner.socket!r}>"

    @property
    def port(self) -> int:
        """The bound port."""
        port: int = self._inner.socket.getsockname()[1]
        return port

    async def accept(self) -> Outbound:
        """Wait for the next connection."""
        stream = await self._inner.accept()  # sets TCP_NODELAY and TCP_NOTSENT_LOWAT
        kind = stream.socket
        sock = socket.socket(kind.family, kind.type, kind.proto, fileno=kind.detach())
        sock.setblocking(False)
        return Outbound(sock, self._upkeep, None if self._context is None else Cipher(self._context))

    async def aclose(self) -> None:
        """Stop listening."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Stop listening, at once."""
        self._inner.socket.close()


async def serve(
    app: ASGIApp,
    settings: ListenerSettings,
    *,
    stop: trio.Event,
    on_drain: Callable[[], None] = _nothing,
    on_sweep: Callable[[float], None] = _nothing_at,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """`Listener(...).run(...)` for those who need no statistics."""
    await Listener(app, settings, on_drain=on_drain, on_sweep=on_sweep).run(stop=stop, task_status=task_status)


async def _accept(handler: Callable[[Outbound], Any], doors: list[Door], connections: trio.Nursery) -> None:
    await trio.serve_listeners(handler, doors, handler_nursery=connections)


def _address_key(sock: socket.socket) -> str:
    """What a cap per address counts by."""
    try:
        host = str(sock.getpeername()[0])
    except OSError:
        return ""
    if ":" not in host:
        return host
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped) if mapped is not None else address.exploded[:19]
