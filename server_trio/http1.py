"""HTTP/1.1 and the WebSocket handshake by Hypercorn, with the application awaited in the connection's own task.

The only file that knows Hypercorn's inner names (`tests/server_trio/test_hypercorn_names.py` fails when they move). Hypercorn would
give every request a task, a channel and a timer task; here `spawn_app`, its one door to an application, collects the request and
awaits the application where the request ends. What Hypercorn 0.18 lets through and would end the process for, or would answer with
a 500 and a traceback, is refused before it sees the request.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, cast

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, ConnectionState, Scope

from .refusals import refusal
from .websocket import SocketHandler


# An application as the listener awaits it. ASGI's own types are closed unions of typed dictionaries that frameworks widen at will.
ASGIApp = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
Put = Callable[[ASGIReceiveEvent], Awaitable[None]]

UPGRADE_KEY: Final = "tocsin.upgrade"
_BAD_REQUEST: Final = 400
_CONTENT_TOO_LARGE: Final = 413
_UNAVAILABLE: Final = 503
# RFC 9110 section 4.2.3 with RFC 1035's 63 bytes for a label: Werkzeug on Quart 0.22 answers 500 to an empty or longer one.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?)?(?::\d{1,5})?", re.ASCII)
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)


class Carrier(Protocol):
    """The connection, as far as its HTTP knows it."""

    @property
    def app(self) -> ASGIApp:
        """What answers."""

    @property
    def max_body(self) -> int:
        """The largest request body, in bytes."""

    @property
    def state(self) -> dict[str, Any]:
        """What the lifespan put into the ASGI state."""

    @property
    def gone(self) -> bool:
        """The peer has left, or nothing may be sent any more."""

    async def tell(self, event: Event) -> None:
        """Take what Hypercorn says: bytes to send, closed, idle or not."""

    async def flush(self) -> None:
        """Write all bytes told so far."""

    def begun(self, *, websocket: bool) -> None:
        """The request is whole; the application takes over."""

    def failed(self, error: BaseException) -> None:
        """The application raised."""


def hypercorn_config(backlog: int) -> Config:
    """Hypercorn's settings: no access log (its lines cost 50 us and can show tokens), no banner, no cap on requests."""
    config = Config()
    config.backlog = backlog
    config.errorlog = logging.getLogger("tocsin.hypercorn")
    config.include_server_header = False
    config.keep_alive_max_requests = sys.maxsize
    return config


class Http1(H11Protocol):
    """One connection's HTTP/1.1. It is its own task group: the application has no other task than the connection's."""

    def __init__(
        self,
        carrier: Carrier,
        config: Config,
        context: WorkerContext,
        addresses: tuple[tuple[str, int] | None, tuple[str, int] | None],
        *,
        tls: bool,
    ) -> None:
        client, server = addresses
        group = cast(Any, self)
        application = cast(Any, carrier.app)
        super().__init__(application, config, context, group, ConnectionState({}), tls, client, server, carrier.tell)
        self.carrier = carrier
        self.asked_head = False
        self.early = b""  # what came behind the upgrade request: an impatient but honest client's first frame

    async def spawn_app(self, app: object, config: Config, scope: Scope, send: Callable[..., Awaitable[None]]) -> Put:
        """Hypercorn's way to start an application: what it returns is fed with the request, and runs it at its end."""
        del app, config
        return Call(self.carrier, self, scope, send).put

    def mute(self) -> None:
        """Nothing of what is buffered or still comes is a request any more: it is frames, or it came after a close."""
        if not isinstance(self.connection, H11WSConnection):
            self.connection = H11WSConnection(self.connection)

    def dissolve(self) -> None:
        """Cut the reference cycles, so that all of this is freed at the hand-over and not at some later collection."""
        self.stream = None
        parts = cast(Any, self)
        parts.task_group = parts.send = parts.carrier = parts.connection = None

    async def refuse(self, status: int) -> None:
        """Answer with an error, and end the connection."""
        await self._send_error_response(status)
        await self.send(Closed())

    async def _send_error_response(self, status_code: int) -> None:
        """Hypercorn's refusals have no body; here every error says what it is."""
        headers, body = refusal(status_code)
        # The connection may have had a HEAD before, and now something that is no request.
        bodiless = self.asked_head and self.connection.our_state is h11.SEND_RESPONSE
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        if not bodiless:
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())

    async def _check_protocol(self, event: h11.Request) -> None:
        """No h2c and no prior-knowledge HTTP/2, whatever a request offers."""

    async def _create_stream(self, request: h11.Request) -> None:
        self.asked_head = request.method == b"HEAD"
        fields = dict(request.headers)
        target = _origin_form(request.target)
        websocket = _wants_websocket(request, fields)
        refusal = _objection(request, fields, target, self.carrier.max_body)
        if refusal is None and websocket:
            refusal = _upgrade_objection(fields, draining=self.context.terminated.is_set())
        if refusal is not None or target is None:
            await self.refuse(refusal or _BAD_REQUEST)
            return
        headers = list(request.headers)
        if websocket:
            self.connection = H11WSConnection(cast("h11.Connection", self.connection))
            # With no offer to see, Hypercorn cannot agree to permessage-deflate (it has no setting for that).
            headers = [field for field in headers if field[0] != b"sec-websocket-extensions"]
        stream = self.stream = self._new_stream(Upgrade if websocket else Exchange)
        state = ConnectionState({**self.carrier.state, UPGRADE_KEY: stream} if websocket else self.carrier.state)
        method = request.method.decode("ascii").upper()
        version = request.http_version.decode()
        await stream.handle(Request(STREAM_ID, headers, version, method, target, state))
        if isinstance(stream, Upgrade):
            # The scope held the stream that holds the scope; and who keeps a scope must not keep a connection.
            stream.scope["state"].pop(UPGRADE_KEY, None)
            if stream.handler is None:
                # Rejected, failed, or returned without a hand-over: a refused handshake does not go back to HTTP.
                await self.send(Closed())
            else:
                # Now, before Hypercorn's loop gives it to a stream that is closed for it.
                self.early = bytes(cast(H11WSConnection, self.connection).buffer)

    def _new_stream(self, kind: type[Upgrade | Exchange]) -> Upgrade | Exchange:
        stream = kind(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        stream.carrier = self.carrier
        return stream


class Exchange(HTTPStream):
    """One HTTP request and its answer; head and body leave in one write."""

    carrier: Carrier

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Take the application's next event. A streamed part is written now, anything else with the end of the answer."""
        await super().app_send(message)
        if message is not None and message.get("more_body"):
            await self.carrier.flush()


class Upgrade(WSStream):
    """One WebSocket handshake; ends in a hand-over, a rejection, or a close with 1011."""

    carrier: Carrier
    handler: SocketHandler | None = None

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Take the application's next event.

        Raises:
            ValueError: It accepts a subprotocol that the client did not offer (Hypercorn would leave the client without answer).
        """
        if message is not None and message["type"] == "websocket.accept":
            if message.get("subprotocol") not in (None, *self.scope["subprotocols"]):
                raise ValueError("accept() with a subprotocol that the client did not offer")
        elif message is not None and message["type"] == "websocket.close" and message.get("code", 1000) == 1000:
            # Quart closes with 1000 when a handler returns, and also when it raises: to a client that would be a wish to leave.
            message = {**message, "code": 1011}
        elif message is not None and message["type"] == "websocket.http.response.start":
            # True of every rejection here, and a client that is not told would send its next request into the void.
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await super().app_send(message)
        await self.carrier.flush()

    async def _send_error_response(self, status_code: int) -> None:
        """As for any request; a handshake is a GET."""
        headers, body = refusal(status_code)
        await self.send(Response(stream_id=self.stream_id, status_code=status_code, headers=headers))
        await self.send(Body(stream_id=self.stream_id, data=body))
        await self.send(EndBody(stream_id=self.stream_id))

    def take_over(self, handler: SocketHandler) -> None:
        """Note who takes the socket; Hypercorn sends nothing more. Nothing happens if the peer has left meanwhile.

        Raises:
            RuntimeError: The handshake was not accepted, or the socket was handed over before.
        """
        if self.handler is not None:
            raise RuntimeError("this socket was handed over already")
        if self.closed or self.carrier.gone:
            return
        if self.state is not ASGIWebsocketState.CONNECTED:
            raise RuntimeError("hand_over() comes after websocket.accept(), and not after close()")
        self.closed = True
        self.handler = handler


class Call:
    """A request being collected, then the one run of the application for it."""

    __slots__ = ("_carrier", "_event", "_http", "_parts", "_scope", "_send", "_size")

    def __init__(self, carrier: Carrier, http: Http1, scope: Scope, send: Callable[..., Awaitable[None]]) -> None:
        self._carrier = carrier
        self._http = http
        self._scope = scope
        self._send = send
        self._parts: list[bytes] = []
        self._size = 0
        self._event: object = None

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Take the next piece of the request; with the last one, await the application."""
        if event["type"] == "websocket.connect":
            await self._run(event)
        elif event["type"] == "http.request":
            self._parts.append(event["body"])
            self._size += len(event["body"])
            if self._size > self._carrier.max_body:
                await self._http.refuse(_CONTENT_TOO_LARGE)
            elif not event["more_body"]:
                await self._run({"type": "http.request", "body": b"".join(self._parts), "more_body": False})

    async def _run(self, event: object) -> None:
        self._event = event
        self._parts.clear()
        self._carrier.begun(websocket=self._scope["type"] == "websocket")
        try:
            await self._carrier.app(self._scope, self._receive, self._send)
        except* Exception as failures:  # noqa: BLE001 - whatever an application raises costs its own request
            self._carrier.failed(failures)
        # Hypercorn's word for "the application has ended": it answers 500 if there was no answer.
        await self._send(None)
        # The stream refers to this call and this call to the stream: a cycle for each request, if it were left.
        self._send = _nobody

    async def _receive(self) -> object:
        event, self._event = self._event, None
        if event is None:
            # The request was given whole. That the peer left shows when something is written to it.
            await trio.sleep_forever()
        return event


async def _nobody(message: object) -> None:
    """Take the words for a stream whose application has ended."""


def _origin_form(target: bytes) -> bytes | None:
    """The target as a path; None for `*` and `host:port`, which name nothing here (RFC 9112 section 3.2)."""
    if target.startswith(b"/"):
        return target
    if absolute := _ABSOLUTE.match(target):
        rest = target[absolute.end() :]
        return rest if rest.startswith(b"/") else b"/" + rest
    return None


def _wants_websocket(request: h11.Request, fields: dict[bytes, bytes]) -> bool:
    tokens = fields.get(b"connection", b"").lower().split(b",")
    return (
        request.method == b"GET"
        and fields.get(b"upgrade", b"").strip().lower() == b"websocket"
        and b"upgrade" in (token.strip() for token in tokens)
    )


def _objection(request: h11.Request, fields: dict[bytes, bytes], target: bytes | None, max_body: int) -> int | None:
    """The status that refuses this request, if anything does."""
    if target is None or not all(value.isascii() for _, value in request.headers):
        return _BAD_REQUEST
    if not _HOST.fullmatch(fields.get(b"host", b"")):
        return _BAD_REQUEST
    if int(fields.get(b"content-length", b"0")) > max_body:
        # Before the 100 that would invite the body.
        return _CONTENT_TOO_LARGE
    return None


def _upgrade_objection(fields: dict[bytes, bytes], *, draining: bool) -> int | None:
    if draining:
        return _UNAVAILABLE
    # A body would be taken for frames.
    if b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0":
        return _BAD_REQUEST
    return None
