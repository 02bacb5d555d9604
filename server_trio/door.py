"""Plain ASGI in front of Quart for the one request that is hot: `POST /api/alarms-timers`.

Quart's routing, request and response cost more than everything else that this request needs, measured. The handler is
the one that Quart calls as well, so what is answered is the same byte for byte.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from .answers import JSON, Answer, Asked
from .http1 import ASGIApp
from .routes import POST_ITEM
from .services import Services


Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_CONTENT_TYPE: Final = tuple(part.encode() for part in JSON)


class Door:
    """Answers the hot request, and hands everything else on."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    def __repr__(self) -> str:
        return f"<Door to {self._app!r}>"

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http" and scope["path"] == POST_ITEM.path and scope["method"] == POST_ITEM.method:
            t1 = self._services.wall()
            # Our listener gives a request whole.
            body = (await receive())["body"]
            asked = Asked(t1, body, _authorization(scope["headers"]))
            await _send(await POST_ITEM.answer(self._services, asked), send)
        else:
            await self._app(scope, receive, send)


def _authorization(headers: Any) -> str | None:
    for name, value in headers:
        if name == b"authorization":
            return str(value, "latin-1")
    return None


async def _send(answer: Answer, send: Send) -> None:
    headers = [_CONTENT_TYPE, *((name.encode(), value.encode()) for name, value in answer.headers)]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
