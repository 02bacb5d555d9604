"""Quart's entries for HTTP and WebSocket requests without a nursery, the same on both Quart generations.

As shipped, Quart-Trio runs each request in two tasks, one of which only waits for a disconnect; under this package's listener a
request comes whole and in the connection's own task, so both tasks can go: about a fifth of the CPU of a POST, measured. To be set
as `app.asgi_http_class` and `app.asgi_websocket_class`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import quart.wrappers.base
import trio
from quart.utils import encode_headers
from quart.wrappers import Response
from quart.wrappers.response import DataBody
from quart_trio.asgi import TrioASGIHTTPConnection, TrioASGIWebsocketConnection


Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class _NeverRaised(Exception):
    """Stands for `ClientDisconnectedError` on Quart 0.22, which has none."""


# Quart 0.23 raises it for a client that left; uncaught, each one is an ERROR with a traceback in the log.
_Disconnected: Final[type[Exception]] = getattr(quart.wrappers.base, "ClientDisconnectedError", _NeverRaised)


class DirectHTTPConnection(TrioASGIHTTPConnection):
    """One HTTP request, handled in the task that calls; its body is there before the handler begins."""

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Answer the request; nothing if the client left before its body was whole."""
        body = await _whole_body(receive)
        if body is None:
            return
        request = self._create_request_from_scope(send)
        request.body.set_result(body)
        try:
            response = await self.app.handle_request(request)
            await self._answer(response, send)
        except _Disconnected:
            return

    async def _answer(self, response: Any, send: Send) -> None:
        content = getattr(response, "response", None)
        if isinstance(content, DataBody):
            # The usual answer, whole: one event, and with our listener one write.
            head = {"type": "http.response.start", "status": response.status_code}
            await send({**head, "headers": encode_headers(response.headers)})
            body = content.data[content.begin : content.end]
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        limit = self.app.config["RESPONSE_TIMEOUT"]
        if isinstance(response, Response) and response.timeout is not Ellipsis:
            limit = response.timeout
        with trio.move_on_after(math.inf if limit is None else limit):
            await self._send_response(send, response)


class DirectWebsocketConnection(TrioASGIWebsocketConnection):
    """One WebSocket handshake in the task that calls, for handlers that end in a hand-over and so never receive."""

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Let the handler accept or reject."""
        del receive
        websocket = self._create_websocket_from_scope(send)
        # The grandparent's: the parent's wants a nursery to cancel.
        await super(TrioASGIWebsocketConnection, self).handle_websocket(websocket, send)


async def _whole_body(receive: Receive) -> bytes | None:
    """The request's body, or None for a client that left."""
    parts = []
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        parts.append(event.get("body", b""))
        if not event.get("more_body", False):
            return b"".join(parts)
