"""A small Quart application for the listener's tests, on Quart's own request classes and on ours."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from quart import request, websocket
from quart_trio import QuartTrio

from server_trio.connection import hand_over
from server_trio.http_class import DirectHTTPConnection, DirectWebsocketConnection

from .plain_client import Recorder


BOTH_KINDS = pytest.mark.parametrize("kind", ["shipped", "direct"])


def quart_app(kind: str) -> QuartTrio:
    """The application on Quart's request classes (`shipped`) or on ours (`direct`)."""
    app = QuartTrio("quart_app")
    if kind == "direct":
        app.asgi_http_class = DirectHTTPConnection
        app.asgi_websocket_class = DirectWebsocketConnection
    _handshakes(app)
    _failing_handshakes(app)
    _requests(app)
    return app


def _handshakes(app: QuartTrio) -> None:
    @app.websocket("/ws")
    async def ws() -> Any:
        if websocket.headers.get("Authorization") != "Bearer good":
            return "who are you?", 401, {"WWW-Authenticate": "Bearer"}
        await websocket.accept()
        handler = Recorder()
        app.config["HANDLERS"] = [*app.config.get("HANDLERS", []), handler]
        hand_over(websocket.scope, handler)
        return None


def _failing_handshakes(app: QuartTrio) -> None:
    @app.websocket("/raises")
    async def raises() -> None:
        await websocket.accept()
        raise ValueError("handler")

    @app.websocket("/raises-before")
    async def raises_before() -> None:
        raise ValueError("handler")

    @app.websocket("/returns")
    async def returns() -> None:
        await websocket.accept()

    @app.websocket("/closes")
    async def closes() -> None:
        await websocket.accept()
        await websocket.close(4010, "not today")

    @app.websocket("/unoffered")
    async def unoffered() -> None:
        await websocket.accept(subprotocol="never.offered")


def _requests(app: QuartTrio) -> None:
    @app.post("/")
    async def count() -> str:
        return str(len(await request.get_data()))

    @app.get("/fails")
    async def fails() -> str:
        raise ValueError("handler")

    @app.get("/stream")
    async def stream() -> Any:
        async def parts() -> Any:
            for part in (b"a", b"b", b"c"):
                yield part
                await trio.lowlevel.checkpoint()

        return parts(), 200
