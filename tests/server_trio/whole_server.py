"""A whole server on a free port over a real database, and clients that are nothing but sockets.

Its clocks are the real ones plus what a test adds to them, so no test waits for a heartbeat.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import trio

from protocol import SessionId, UserId, Wall
from server_trio.app import create_app
from server_trio.auth import Tokens, wall_clock
from server_trio.config import Config
from server_trio.services import Services
from server_trio.serving import build_services, run_listener
from server_trio.settings import Database
from server_trio.store_sqlite import open_sqlite

from .plain_client import CLOSE, PATIENCE, PING, PONG, TEXT, Peer, client_frame, handshake


SECRET = "a secret of the tests, long enough for HS256"
ITEMS = "/api/alarms-timers"
WS = f"{ITEMS}/ws"


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        code: str = self.json["error"]["code"]
        return code


class Socket:
    """A client's end of a WebSocket; messages are JSON."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def say(self, **message: Any) -> None:
        await self.say_raw(json.dumps(message).encode())

    async def say_raw(self, payload: bytes, opcode: int = TEXT) -> None:
        await self.peer.send(client_frame(opcode, payload))

    async def hear(self) -> Any:
        """The next message."""
        opcode, payload = await self.peer.frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def hear_until(self, kind: str) -> list[Any]:
        """All messages up to the first of a type, that one included."""
        heard = [await self.hear()]
        while heard[-1]["type"] != kind:
            heard.append(await self.hear())
        return heard

    async def silent(self) -> bool:
        """Nothing is on its way: a control frame overtakes nothing, so its answer must be the next frame."""
        await self.peer.send(client_frame(PING, b"?"))
        return await self.peer.frame() == (PONG, b"?")

    async def ending(self) -> tuple[list[Any], int, str]:
        """What is said until the close frame, and its code and reason."""
        heard = list[Any]()
        while True:
            opcode, payload = await self.peer.frame()
            if opcode == CLOSE:
                return heard, int.from_bytes(payload[:2], "big"), payload[2:].decode()
            heard.append(json.loads(payload))

    async def leave(self, code: int = 1000) -> None:
        await self.peer.send(client_frame(CLOSE, code.to_bytes(2, "big")))
        await self.peer.rest()


@dataclass
class WholeServer:
    """A running server.

    Attributes:
        wall_ahead: added to the wall clock, ms. ahead: added to the monotonic clock, s.
    """

    services: Services
    tokens: Tokens
    stop: trio.Event
    ended: trio.Event
    port: int = 0
    wall_ahead: int = 0
    ahead: float = 0.0
    peers: list[Peer] = field(default_factory=list)

    def token(self, user: str = "ada", session: str | None = None, ttl: int = 3_600) -> str:
        return self.tokens.issue(UserId(user), SessionId(session or str(uuid4())), ttl)

    async def advance(self, seconds: float) -> None:
        """Let time pass, for the deadlines of sessions and for the wall clock."""
        self.ahead += seconds
        self.wall_ahead += round(seconds * 1_000)

    # -------------------------------------------------------------------------------------------------------- requests

    async def http(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> Reply:
        """One request by the standard library's client; `body` is JSON unless it is bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with trio.fail_after(PATIENCE):
            return await trio.to_thread.run_sync(partial(self._http, method, path, data, headers))

    def _http(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, answer.read())
        finally:
            connection.close()

    async def post(self, item: dict[str, Any], token: str) -> Any:
        """Create or update an item, which must succeed."""
        reply = await self.http("POST", ITEMS, item, token=token)
        assert reply.status in (200, 201), reply.raw
        return reply.json

    # --------------------------------------------------------------------------------------------------------- sockets

    async def connect(self) -> Peer:
        peer = Peer(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.peers.append(peer)
        return peer

    async def ask(self, path: str, *extra: str) -> tuple[Peer, bytes]:
        """Ask for a socket; the head of the answer."""
        peer = await self.connect()
        await peer.send(handshake(path, *extra))
        return peer, await peer.head()

    async def classic(self, user: str = "ada", token: str | None = None) -> Socket:
        """A classic client that is among its user's connections."""
        peer, head = await self.ask(f"{WS}?token={token or self.token(user)}")
        assert head.startswith(b"HTTP/1.1 101"), head
        socket = Socket(peer)
        await socket.say(type="ping")
        assert (await socket.hear())["type"] == "pong"
        return socket

    async def upgraded(self, user: str = "ada", token: str | None = None) -> Socket:
        """A v1 socket before its hello."""
        bearer = f"Authorization: Bearer {token or self.token(user)}"
        peer, head = await self.ask(WS, "Sec-WebSocket-Protocol: tocsin.v1", bearer)
        assert head.startswith(b"HTTP/1.1 101"), head
        return Socket(peer)

    async def v1(
        self, user: str = "ada", device: str = "desk", token: str | None = None, **hello: Any
    ) -> tuple[Socket, list[Any]]:
        """A v1 client, and what it heard up to `synced`."""
        socket = await self.upgraded(user, token)
        await socket.say(**hello_of(device, **hello))
        return socket, await socket.hear_until("synced")


def types(messages: list[Any]) -> list[str]:
    return [message["type"] for message in messages]


def stamped(reply: Reply) -> bool:
    """Whether an answer carries what every authenticated one must."""
    body = reply.json
    return isinstance(body["epoch"], str) and body["t1"] <= body["t2"]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that happens by itself in another task or thread."""
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of tests
            await trio.sleep(0.01)


def hello_of(device: str = "desk", **more: Any) -> dict[str, Any]:
    plain = {"type": "hello", "device": {"id": device, "name": device}, "conn": 1, "cursor": None, "caps": []}
    return plain | {"app": {"name": "tests", "version": "1"}} | more


def alarm(**fields: Any) -> dict[str, Any]:
    return {"kind": "alarm", "time": "07:00", "days": ["mo"], "tz": "Europe/Warsaw", **fields}


def timer(**fields: Any) -> dict[str, Any]:
    return {"kind": "timer", "duration_ms": 60_000, **fields}


def mutation(epoch: str, mid: int, op: str = "create", **fields: Any) -> dict[str, Any]:
    """A `mutate` that makes an alarm unless told otherwise."""
    asked = {"kind": "alarm", "id": str(uuid4()), "at": wall_clock(), **fields}
    if op == "create":
        asked.setdefault("fields", {"time": "07:00", "days": ["mo"], "tz": "UTC"})
    return {"type": "mutate", "epoch": epoch, "mid": mid, "op": op, **asked}


@asynccontextmanager
async def whole_server(folder: Path, **given: Any) -> AsyncIterator[WholeServer]:
    """A server over the database in `folder`; drained, briefly, at the end. `given` are fields of `Config`."""
    config = Config(database=Database(folder / "tocsin.db"), port=0, **{"grace": 0.1, **given})
    tokens = Tokens(SECRET)
    async with open_sqlite(config.database.path, limits=config.limits) as store, trio.open_nursery() as nursery:
        services = build_services(
            config,
            store,
            tokens,
            nursery,
            wall=lambda: Wall(wall_clock() + server.wall_ahead),
            now=lambda: trio.current_time() + server.ahead,
        )
        server = WholeServer(services, tokens, trio.Event(), trio.Event())
        tokens.clock = services.wall

        async def run(task_status: trio.TaskStatus[Any]) -> None:
            await run_listener(config, services, create_app, server.stop, task_status)
            server.ended.set()

        try:
            (url,) = await nursery.start(run)
            server.port = int(url.rpartition(":")[2])
            yield server
            server.stop.set()
            await server.ended.wait()
            assert services.background.failures == 0
        finally:
            for peer in server.peers:
                await trio.aclose_forcefully(peer.stream)
        nursery.cancel_scope.cancel()
