"""A listener under test and a client that is nothing but a socket: what it sends is what the test wrote."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from server_trio.connection import hand_over
from server_trio.http1 import ASGIApp
from server_trio.listener import Listener, ListenerSettings
from server_trio.outbound import Outbound
from server_trio.websocket import binary_frame, text_frame


# Never waited for when all is well; a hanging test should say where.
PATIENCE = 10.0
MASK = b"\x1f\x2e\x3d\x4c"
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def client_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, claimed: int | None = None) -> bytes:
    """A masked frame; `claimed` puts another length into the header than the payload has."""
    size = len(payload) if claimed is None else claimed
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    mask = MASK * (len(payload) // 4 + 1)
    return head + MASK + bytes(a ^ b for a, b in zip(payload, mask, strict=False))


def handshake(path: str = "/", *extra: str, host: str = "localhost") -> bytes:
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *extra,
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Peer:
    """The client's end of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._rest = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def _more(self) -> bytes:
        with trio.fail_after(PATIENCE):
            return bytes(await self.stream.receive_some(65536))

    async def exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            more = await self._more()
            assert more, f"the server ended after {self._rest!r}"
            self._rest += more
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    async def head(self) -> bytes:
        """The next HTTP head, status line first."""
        while b"\r\n\r\n" not in self._rest:
            more = await self._more()
            assert more, f"the server ended after {self._rest!r}"
            self._rest += more
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return head

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next HTTP answer that has a length."""
        head = await self.head()
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        body = await self.exactly(int(fields.get(b"content-length", b"0")))
        return int(head.split(b" ")[1]), body

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, which must be whole and unmasked."""
        first, size = await self.exactly(2)
        assert first & 0xF0 == 0x80
        if size == 126:
            size = int.from_bytes(await self.exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.exactly(8), "big")
        return first & 0x0F, await self.exactly(size)

    async def close_code(self) -> int:
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        return int.from_bytes(payload[:2], "big")

    async def rest(self) -> bytes:
        """All that comes until the server ends."""
        while more := await self._more():
            self._rest += more
        rest, self._rest = self._rest, b""
        return rest

    async def was_reset(self) -> bool:
        """After whatever still comes: a reset, not an end."""
        try:
            await self.rest()
        except trio.BrokenResourceError:
            return True
        return False

    async def ended(self) -> bool:
        """Nothing more comes, be it by an end or by a reset."""
        try:
            return await self.rest() == b""
        except (trio.BrokenResourceError, ConnectionError):
            return True


@dataclass
class Running:
    listener: Listener
    port: int
    stop: trio.Event
    client_tls: ssl.SSLContext | None = None
    peers: list[Peer] = field(default_factory=list)

    async def connect(self, sent: bytes = b"") -> Peer:
        plain = await trio.open_tcp_stream("127.0.0.1", self.port)
        stream: trio.abc.Stream = plain
        if self.client_tls is not None:
            stream = trio.SSLStream(plain, self.client_tls, server_hostname="localhost", https_compatible=True)
        peer = Peer(stream)
        self.peers.append(peer)
        if sent:
            await peer.send(sent)
        return peer

    async def websocket(self, path: str = "/", *extra: str) -> Peer:
        peer = await self.connect(handshake(path, *extra))
        assert (await peer.head()).startswith(b"HTTP/1.1 101")
        return peer


@asynccontextmanager
async def listening(
    app: ASGIApp,
    *,
    client_tls: ssl.SSLContext | None = None,
    on_drain: Callable[[], None] | None = None,
    on_sweep: Callable[[float], None] | None = None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """A listener on a free port, drained (briefly) at the end."""
    hooks: dict[str, Any] = {"on_drain": on_drain, "on_sweep": on_sweep}
    given = {name: hook for name, hook in hooks.items() if hook is not None}
    listener = Listener(app, ListenerSettings(**{"grace": 0.1, **settings}), **given)
    running = Running(listener, 0, trio.Event(), client_tls)
    try:
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[int]) -> None:
                await listener.run(stop=running.stop, task_status=task_status)

            running.port = await nursery.start(run)
            yield running
            running.stop.set()
    finally:
        for peer in running.peers:
            await trio.aclose_forcefully(peer.stream)


class Recorder:
    """A handler that notes what it is told, echoes messages, and closes as a server should."""

    def __init__(self, *, echo: bool = True) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.signs = 0  # of life; apart from `told`, since how bytes are cut into reads is the network's affair
        self.echo = echo
        self.outbound: Outbound
        self.over = trio.Event()
        self.full = trio.Event()
        self.empty = trio.Event()

    def opened(self, outbound: Outbound) -> None:
        self.outbound = outbound
        self.told.append(("opened",))

    def received(self, data: str | bytes) -> None:
        self.told.append(("received", data))
        if self.echo:
            self.outbound.send(text_frame(data) if isinstance(data, str) else binary_frame(data))

    def heard(self) -> None:
        self.signs += 1

    def overlong(self, size: int) -> None:
        self.told.append(("overlong", size))
        self.outbound.close(1009, "too big")

    def malformed(self, code: int, why: str) -> None:
        self.told.append(("malformed", code))
        self.outbound.close(code, why)

    def blocked(self) -> None:
        self.told.append(("blocked",))
        self.full.set()

    def drained(self) -> None:
        self.told.append(("drained",))
        self.empty.set()

    def closed(self, code: int, reason: str) -> None:
        self.told.append(("closed", code, reason))
        self.over.set()

    async def end(self) -> tuple[Any, ...]:
        """The last thing it is told."""
        with trio.fail_after(PATIENCE):
            await self.over.wait()
        return self.told[-1]


def handing_over(*handlers: Any, subprotocol: str | None = None) -> ASGIApp:
    """An application that accepts every WebSocket, gives the next of `handlers` each, and knows no HTTP."""
    waiting = list(handlers)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
            hand_over(scope, waiting.pop(0))
        else:
            await receive()
            await answer(send, b"plain")

    return app


def get(path: str = "/", *extra: str, method: str = "GET", host: str = "localhost") -> bytes:
    return ("\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {host}", *extra)) + "\r\n\r\n").encode("latin-1")


def post(body: bytes, *extra: str) -> bytes:
    return get("/", f"Content-Length: {len(body)}", *extra, method="POST") + body


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what was received."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    event = await receive()
    await answer(send, b" ".join((scope["method"].encode(), scope["path"].encode(), event.get("body", b""))))


async def leave(peer: Peer, *, reset: bool = False) -> None:
    """Close the client's end: with a FIN, or with a reset as when its process is killed with input unread."""
    assert isinstance(peer.stream, trio.SocketStream)
    if reset:
        peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await peer.stream.aclose()


async def until(fact: Callable[[], bool]) -> None:
    """Wait until `fact` holds; for what no event tells a client, such as the count of a server's connections."""
    with trio.fail_after(PATIENCE):
        while not fact():  # noqa: ASYNC110 - statistics have no event
            await trio.sleep(0.01)


async def lifespan(receive: Any, send: Any) -> None:
    """Say yes to both ends of the lifespan."""
    for word in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{word}"
        await send({"type": f"lifespan.{word}.complete"})


async def answer(send: Any, body: bytes, status: int = 200) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
