"""Hypercorn's inner names that `server_trio/http1.py` and its neighbours stand on.

None of them is promised by Hypercorn. When a new version moves one, this file says which, before a socket test fails far from the
cause. The version range in `pyproject.toml` is as wide as this file has passed.
"""

from __future__ import annotations

import inspect
from typing import Any

import h11
import pytest
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from server_trio.http1 import Call, Exchange, Http1, Upgrade, hypercorn_config


STREAM_PARAMETERS = ["app", "config", "context", "task_group", "ssl", "client", "server", "send", "stream_id"]


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


class Told:
    """A task group and a transport that only note."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.scope: Any = None
        self.send: Any = None
        self.put: list[Any] = []

    async def tell(self, event: Event) -> None:
        self.events.append(event)

    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Any:
        self.scope, self.send = scope, send

        async def put(event: Any) -> None:
            self.put.append(event)

        return put


def protocol(told: Told, kind: type[H11Protocol] = H11Protocol) -> H11Protocol:
    group: Any = told
    app: Any = None
    return kind(app, Config(), WorkerContext(None), group, ConnectionState({}), False, None, None, told.tell)


GET = b"GET /path?query HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = (
    GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def test_the_protocol_is_built_and_fed_as_we_do() -> None:
    assert parameters(H11Protocol.__init__) == [
        "app",
        "config",
        "context",
        "task_group",
        "connection_state",
        "ssl",
        "client",
        "server",
        "send",
    ]
    assert parameters(H11Protocol.handle) == ["event"]
    assert parameters(RawData) == ["data", "address"]
    assert parameters(Updated) == ["idle"]
    assert parameters(Closed) == []


@pytest.mark.parametrize("stream", [HTTPStream, WSStream])
def test_both_streams_are_built_as_we_do(stream: type) -> None:
    assert parameters(stream) == STREAM_PARAMETERS


def test_a_stream_is_told_of_a_request_as_we_do() -> None:
    assert parameters(Request) == ["stream_id", "headers", "http_version", "method", "raw_path", "state"]
    assert STREAM_ID == 1
    assert parameters(Response) == ["stream_id", "headers", "status_code"]
    assert parameters(Body) == ["stream_id", "data"]
    assert parameters(EndBody) == ["stream_id"]


@pytest.mark.parametrize(
    "name", ["_check_protocol", "_create_stream", "_send_error_response", "_send_h11_event", "stream_send"]
)
def test_the_protocol_has_the_methods_that_we_override_or_call(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(H11Protocol, name))


def test_what_we_override_really_overrides() -> None:
    for ours, theirs, names in (
        (Http1, H11Protocol, ["_check_protocol", "_create_stream", "_send_error_response"]),
        (Exchange, HTTPStream, ["app_send"]),
        (Upgrade, WSStream, ["app_send", "_send_error_response"]),
        (Http1, Told, ["spawn_app"]),
    ):
        for name in names:
            assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name)), name
    assert parameters(Call.put) == ["event"]


async def test_the_protocol_keeps_the_attributes_that_we_read_and_clear() -> None:
    told = Told()
    http = protocol(told)
    assert http.stream is None
    assert http.send == told.tell
    group: object = http.task_group
    assert group is told
    assert isinstance(http.connection, h11.Connection)
    for name in ("app", "config", "context", "ssl", "client", "server"):
        assert hasattr(http, name)


async def test_a_request_takes_the_road_that_we_stand_on() -> None:
    """Application spawned with its head, fed with its body, answered through `send`, disconnected at the end."""
    told = Told()
    http = protocol(told)
    await http.handle(RawData(GET + b"Content-Length: 2\r\n\r\nhi"))
    assert told.scope["type"] == "http"
    assert told.scope["raw_path"] == b"/path"
    assert told.put == [
        {"type": "http.request", "body": b"hi", "more_body": True},
        {"type": "http.request", "body": b"", "more_body": False},
    ]
    await told.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await told.send({"type": "http.response.body", "body": b"", "more_body": False})
    assert told.put[2:] == [{"type": "http.disconnect"}]
    assert told.events[0] == Updated(idle=False)
    assert told.events[-1] == Updated(idle=True)
    assert http.stream is None


async def test_an_application_that_ends_without_an_answer_is_a_500() -> None:
    told = Told()
    await protocol(told).handle(RawData(GET + b"\r\n"))
    await told.send(None)
    wire = b"".join(event.data for event in told.events if isinstance(event, RawData))
    assert wire.startswith(b"HTTP/1.1 500")
    assert told.events[-1] == Closed()


class EarlyStream(WSStream):
    """A handshake that takes what came behind its request, as ours does."""

    protocol: H11Protocol
    early = b""

    async def handle(self, event: Any) -> None:
        connection = self.protocol.connection
        if isinstance(event, Request) and isinstance(connection, H11WSConnection):
            self.early = bytes(connection.buffer)
            connection.buffer = bytearray()
        await super().handle(event)


class EarlyProtocol(H11Protocol):
    async def _create_stream(self, request: h11.Request) -> None:
        assert isinstance(self.connection, h11.Connection)
        self.connection = H11WSConnection(self.connection)
        kind: Any = EarlyStream
        stream: Any = kind(*(getattr(self, name) for name in STREAM_PARAMETERS[:-2]), self.stream_send, STREAM_ID)
        stream.protocol = self
        self.stream = stream
        headers = list(request.headers)
        await stream.handle(Request(STREAM_ID, headers, "1.1", "GET", request.target, ConnectionState({"key": 1})))


async def test_a_handshake_keeps_early_bytes_and_falls_silent_when_marked_closed() -> None:
    told = Told()
    http = protocol(told, EarlyProtocol)
    await http.handle(RawData(UPGRADE + b"early"))
    stream: Any = http.stream
    assert stream.early == b"early"
    assert told.scope["state"] == {"key": 1}
    assert told.scope["subprotocols"] == []
    assert stream.state == ASGIWebsocketState.HANDSHAKE
    await told.send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    assert stream.state == ASGIWebsocketState.CONNECTED
    assert stream.closed is False
    seen = len(told.events)
    stream.closed = True
    await told.send({"type": "websocket.close", "code": 1000})
    await told.send(None)
    assert len(told.events) == seen


def test_the_settings_that_we_set_exist() -> None:
    for name in ("backlog", "errorlog", "include_server_header", "keep_alive_max_requests", "h11_max_incomplete_size"):
        assert hasattr(Config, name)
    config = hypercorn_config(7)
    assert config.log.access_logger is None
    assert config.response_headers("h11")[0][0] == b"date"
    assert not any(name == b"server" for name, _ in config.response_headers("h11"))


async def test_the_context_says_when_the_server_ends() -> None:
    context = WorkerContext(None)
    assert not context.terminated.is_set()
    await context.terminated.set()
    assert context.terminated.is_set()


def test_the_lifespan_is_driven_as_we_do() -> None:
    assert parameters(Lifespan.__init__) == ["app", "config", "state"]
    for name in ("handle_lifespan", "wait_for_startup", "wait_for_shutdown", "asgi_send"):
        assert inspect.iscoroutinefunction(getattr(Lifespan, name))
