"""A server on a real socket that is only as much as a client needs: the protocol's own server half over a store in memory.

Not the project's server, so that the client's tests prove the client; every decision is still the protocol's.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from protocol import (
    DEFAULT_TIMING,
    DeviceId,
    Fault,
    Handle,
    Mid,
    SessionId,
    Timing,
    UserId,
    Wall,
    changes_text,
    fault_text,
    presence,
    read_batch,
    read_cursor,
    read_submission,
    results_text,
    resume,
    server,
    snapshot_text,
    sync_required_text,
)
from protocol.testing import MemoryStore
from protocol.zones import system_zones


PASSWORD = "correct horse"


class FakeServer:
    """One user's server.

    Attributes:
        store: what it knows. refuse_sockets: HTTP status for every request of a socket (0: hang up without a word).
        requests: method and path of every plain request. headers: of the newest request of a socket.
        tokens: those that are taken, for `token_ms` each. verified: what was said to be one, in a message.
        sign_ins, refreshes: how many there were.
    """

    def __init__(self, timing: Timing = DEFAULT_TIMING) -> None:
        self.store = MemoryStore(system_zones)
        self.terms = server.Terms(timing=timing)
        self.refuse_sockets: int | None = None
        self.requests: list[str] = []
        self.headers: dict[str, str] = {}
        self.tokens = {"token-0"}
        self.sign_ins = 0
        self.refreshes = 0
        self.peers: set[Peer] = set()
        self.skew_ms = 0
        self.token_ms = 86_400_000
        self.verified: list[str] = []
        self.url = ""
        self._changed = trio.Event()

    @property
    def wall(self) -> Wall:
        return Wall(time.time_ns() // 1_000_000 + self.skew_ms)

    def new_token(self) -> str:
        token = f"token-{len(self.tokens)}"
        self.tokens = self.tokens | {token}
        return token

    def apply(self, author: DeviceId, submission: Any) -> server.ServerInput:
        outcome = self.store.commit(author, submission, self.wall)
        if outcome.change is not None:
            publication = server.publication(outcome.change, outcome.record, self.store.limits)
            for peer in list(self.peers):
                peer.publish(publication)
            self._changed.set()
            self._changed = trio.Event()
        if outcome.fault is not None:
            return server.Declined(submission.mid, outcome.fault)
        assert outcome.result is not None
        return server.Answered(outcome.result)

    # --- one TCP connection ---

    async def serve(self, stream: trio.abc.Stream) -> None:
        try:
            head, rest = await _read_head(stream)
            method, target, headers = _parse(head)
            if headers.get("upgrade", "").lower() == "websocket":
                await self._serve_socket(stream, head + rest, headers)
            else:
                await self._serve_request(stream, method, target, headers, rest)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed, EOFError):
            pass  # the client left
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve_socket(self, stream: trio.abc.Stream, seen: bytes, headers: dict[str, str]) -> None:
        self.headers = headers
        if self.refuse_sockets is not None:
            if self.refuse_sockets:
                await _respond(stream, self.refuse_sockets, "<html>not here</html>")
            return
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            await _respond(stream, 401, fault_text(Fault("token_invalid", "No.")))
            return
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, _Replayed(stream, seen))
            socket = await request.accept(subprotocol="tocsin.v1")
            await Peer(self, socket).run()
            nursery.cancel_scope.cancel()

    async def _serve_request(
        self, stream: trio.abc.Stream, method: str, target: str, headers: dict[str, str], rest: bytes
    ) -> None:
        self.requests.append(f"{method} {target}")
        length = int(headers.get("content-length", "0"))
        while len(rest) < length:
            rest += await stream.receive_some()
        status, body = await self._answer(method, target, headers, rest)
        await _respond(stream, status, body)

    async def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/api/auth/"):
            return self._sign_in(url.path, json.loads(body))
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, fault_text(Fault("token_invalid", "No."))
        author = DeviceId(query.get("device_id", ""))
        match method, url.path.rpartition("/")[2]:
            case "GET", "changes":
                return 200, await self._changes(author, query)
            case "POST", "mutations":
                return 200, self._mutations(author, body)
            case _:
                return 200, snapshot_text(self.store.state(author, with_deleted=True), self.wall, self.wall)

    def _sign_in(self, path: str, body: dict[str, str]) -> tuple[int, str]:
        if path.endswith("refresh"):
            self.refreshes += 1
            accepted = body["refresh_token"] == "refresh-me"
        else:
            self.sign_ins += 1
            accepted = body["password"] == PASSWORD
        if not accepted:
            return 401, fault_text(Fault("token_invalid", "No."))
        grant = {"access_token": self.new_token(), "refresh_token": "refresh-me", "expires_in": 3600}
        return 200, json.dumps(grant)

    async def _changes(self, author: DeviceId, query: dict[str, str]) -> str:
        cursor = read_cursor(query.get("since", ""))
        assert not isinstance(cursor, Fault)
        after = resume(cursor, self.store.account, self.store.limits)
        arrived = self.wall
        if isinstance(after, str):
            return sync_required_text(self.store.account, after, arrived, self.wall)
        if not self.store.page(after, 1).rows:
            with trio.move_on_after(float(query.get("wait", "0"))):
                await self._changed.wait()
        rows = self.store.page(after, 500).rows
        return changes_text(self.store.account, self.store.last_mids.get(author, Mid(0)), rows, arrived, self.wall)

    def _mutations(self, author: DeviceId, body: bytes) -> str:
        batch = read_batch(body, self.store.limits)
        assert not isinstance(batch, Fault)
        results: list[Any] = []
        error: tuple[Fault, Mid] | None = None
        for mutate in batch:
            answer = self.apply(author, read_submission(mutate))
            if isinstance(answer, server.Declined):
                error = answer.fault, mutate.mid
                break
            assert isinstance(answer, server.Answered)
            results.append(answer.result)
        return results_text(self.store.account.epoch, results, error, self.wall, self.wall)


class Peer:
    """One socket's server half."""

    def __init__(self, home: FakeServer, socket: WebSocketConnection) -> None:
        self.home = home
        self.socket = socket
        self.connection = server.ServerConnection(home.terms, record=False)
        self._out, self._orders = trio.open_memory_channel[Callable[[], Any]](float("inf"))
        self._stepped = trio.Event()
        self._author = DeviceId("")

    async def run(self) -> None:
        self.home.peers.add(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._tick)
                self.feed(server.Requested("v1", "header", Handle("h")))
                await self._read()
                nursery.cancel_scope.cancel()
        finally:
            self.home.peers.discard(self)

    def publish(self, publication: server.Publish) -> None:
        if "Publish" in self.connection.accepts:
            self.feed(publication)

    def show_presence(self) -> None:
        """Tell who is online."""
        online = frozenset(peer._author for peer in self.home.peers)
        self.feed(server.PresenceIs(presence(self.home.store.devices.values(), online)))

    def say(self, code: int, reason: str) -> None:
        """Close with a code, as a server of another kind might."""
        self._out.send_nowait(partial(self.socket.aclose, code, reason))

    async def _read(self) -> None:
        try:
            while True:
                text = await self.socket.get_message()
                self.feed(server.Received(str(text), self.home.wall))
        except ConnectionClosed as closed:
            self.feed(server.Closed(closed.reason.code if closed.reason else 1006))

    async def _write(self) -> None:
        try:
            async for order in self._orders:
                await order()
        except ConnectionClosed:
            pass  # the reader hears of it

    async def _tick(self) -> None:
        while True:
            self._stepped = trio.Event()
            deadline = self.connection.deadline
            with trio.move_on_at(float("inf") if deadline is None else deadline.at):
                await self._stepped.wait()
            self.feed(server.Tick())

    def feed(self, stimulus: server.ServerInput) -> None:
        for output in self.connection.step(stimulus, trio.current_time()):
            self._perform(output)
        if not isinstance(stimulus, server.Tick):
            self._stepped.set()

    def _perform(self, output: server.ServerOutput) -> None:
        match output:
            case server.Transmit(data=data):
                self._out.send_nowait(partial(self.socket.send_message, data))
            case server.TransmitBinary(data=binary):
                self._out.send_nowait(partial(self.socket.send_message, binary))
            case server.CloseTransport(code=code, reason=reason):
                self._out.send_nowait(partial(self.socket.aclose, code, reason))
            case server.AbortTransport() | server.Accept() | server.Leave() | server.Ignored():
                pass
            case server.StoreAck(device=device, epoch=epoch, rev=rev):
                self.home.store.acked(device, epoch, rev, self.home.wall)
            case _:
                self.feed(self._ask(output))

    def _ask(self, output: Any) -> server.ServerInput:
        store, wall = self.home.store, self.home.wall
        match output:
            case server.VerifyToken(handle=handle):
                self.home.verified.append(handle)
                expires_at = Wall(wall + self.home.token_ms)
                return server.TokenAccepted(handle, UserId("ada"), SessionId("s"), expires_at, wall)
            case server.Join(device=device, cursor=cursor):
                assert device is not None, "this server knows no classic clients"
                self._author = device.id
                return server.Joined(store.account, store.join(device.id, device.name, cursor, wall), wall)
            case server.ReadPage(after=after, limit=limit):
                return server.PageRead(store.page(after, limit))
            case server.ReadState(device=reader, with_deleted=with_deleted):
                return server.StateRead(store.state(reader, with_deleted=with_deleted))
            case server.ReadHead():
                return server.HeadRead(store.account, wall)
            case server.Apply(device=author, submission=submission):
                return self.home.apply(author, submission)
        raise AssertionError(output)


class _Replayed(trio.abc.Stream):
    """A stream whose first bytes were read already."""

    def __init__(self, stream: trio.abc.Stream, seen: bytes) -> None:
        self.stream = stream
        self.seen = seen

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self.seen:
            data, self.seen = self.seen, b""
            return data
        return await self.stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


@asynccontextmanager
async def fake_server(timing: Timing = DEFAULT_TIMING) -> AsyncIterator[FakeServer]:
    """A server on a free port of this machine, gone afterwards."""
    home = FakeServer(timing)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        home.url = f"http://127.0.0.1:{port}"
        nursery.start_soon(partial(trio.serve_listeners, home.serve, [listener], handler_nursery=nursery))
        try:
            yield home
        finally:
            nursery.cancel_scope.cancel()


async def _read_head(stream: trio.abc.Stream) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            raise EOFError
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = (line.partition(":") for line in lines if line)
    return method, target, {name.lower(): value.strip() for name, _, value in headers}


async def _respond(stream: trio.abc.Stream, status: int, body: str) -> None:
    data = body.encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    await stream.send_all(head.encode() + data)
