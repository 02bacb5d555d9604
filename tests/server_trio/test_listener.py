"""The listener as a whole: caps, guard, drain, lifespan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.utils import LifespanFailureError
from quart_trio import QuartTrio

from server_trio.connection import hand_over
from server_trio.listener import Listener, ListenerSettings, serve
from server_trio.websocket import text_frame

from .plain_client import (
    CLOSE,
    PATIENCE,
    TEXT,
    Peer,
    Recorder,
    answer,
    client_frame,
    get,
    handing_over,
    handshake,
    lifespan,
    listening,
    mirror,
    until,
)


LIMIT = 64 * 1024
CERTIFICATE = Path(__file__).with_name("localhost.pem")


async def test_connections_over_a_cap_are_closed_at_once_and_counted() -> None:
    async with listening(handing_over(*(Recorder() for _ in range(3))), max_sockets_per_address=2) as running:
        first, _second = await running.websocket(), await running.websocket()
        third = await running.connect()
        assert await third.ended()
        assert running.listener.statistics().refused == 1
        await first.stream.aclose()
        await until(lambda: running.listener.statistics().open == 1)
        await running.websocket()
    assert running.listener.statistics().open == 0


async def test_the_total_cap_holds_for_all_addresses() -> None:
    async with listening(handing_over(Recorder()), max_sockets=1) as running:
        await running.websocket()
        assert await (await running.connect()).ended()


@pytest.mark.parametrize("where", ["opened", "received", "closed"])
async def test_an_owner_that_raises_loses_its_own_socket_only(where: str, caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Recorder):
        def _maybe(self, method: str) -> None:
            if method == where:
                raise ValueError("token=hush")

        def opened(self, outbound: Any) -> None:
            super().opened(outbound)
            self._maybe("opened")

        def received(self, data: str | bytes) -> None:
            self._maybe("received")

        def closed(self, code: int, reason: str) -> None:
            super().closed(code, reason)
            self._maybe("closed")

    clumsy, steady = Clumsy(), Recorder()
    async with listening(handing_over(clumsy, steady)) as running:
        peer = await running.websocket()
        neighbour = await running.websocket()
        await peer.send(client_frame(TEXT, b"x") + client_frame(CLOSE))
        await clumsy.end()
        await neighbour.send(client_frame(TEXT, b"still here"))
        assert await neighbour.frame() == (TEXT, b"still here")
        assert [told[0] for told in clumsy.told].count("closed") == 1
        await until(lambda: running.listener.statistics().open == 1)
        assert running.listener.statistics().guarded == 1
    assert "hush" not in caplog.text


async def test_a_drain_lets_the_owner_say_goodbye_and_ends_as_soon_as_all_have_gone() -> None:
    handlers = [Recorder() for _ in range(20)]
    swept: list[float] = []

    def goodbye() -> None:
        for handler in handlers:
            handler.outbound.close(1012, "restart")

    async def leave(peer: Peer) -> None:
        assert await peer.close_code() == 1012
        await peer.send(client_frame(CLOSE, (1012).to_bytes(2, "big")))
        await peer.stream.aclose()

    async with listening(handing_over(*handlers), on_drain=goodbye, on_sweep=swept.append, grace=PATIENCE) as running:
        peers = [await running.websocket() for _ in handlers]
        idle = await running.connect(get())
        await idle.answer()
        await trio.sleep(0.3)
        started = trio.current_time()
        running.stop.set()
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(leave, peer)
        assert await idle.ended()
    assert trio.current_time() - started < PATIENCE / 2
    assert {handler.told[-1] for handler in handlers} == {("closed", 1012, "")}
    assert swept
    assert running.listener.statistics().open == 0


async def test_a_drain_with_stalled_peers_and_half_requests_ends_with_the_grace_period() -> None:
    handler = Recorder()
    async with listening(handing_over(handler), grace=0.3) as running:
        await running.websocket()
        half = await running.connect(get()[:10])
        await trio.sleep(0.05)
        while not handler.full.is_set():
            handler.outbound.send(text_frame("x" * 60_000))
        running.stop.set()
        started = trio.current_time()
        assert await half.ended()
        assert await handler.end() == ("closed", 1006, "")
    assert 0.2 < trio.current_time() - started < 3


async def test_a_request_under_way_is_answered_during_a_drain_and_a_new_handshake_refused() -> None:
    go_on = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await go_on.wait()
        await answer(send, b"done")

    async with listening(app, grace=PATIENCE) as running:
        busy = await running.connect(get())
        shaking = await running.connect(handshake()[:20])
        await trio.sleep(0.05)
        running.stop.set()
        await trio.sleep(0.05)
        await shaking.send(handshake()[20:])
        head = await shaking.head()
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in head.lower()
        await shaking.stream.aclose()
        go_on.set()
        assert await busy.answer() == (200, b"done")
        assert await busy.ended()
        await busy.stream.aclose()


async def test_a_socket_that_opens_while_draining_is_said_goodbye_too() -> None:
    decided = trio.Event()
    handler = Recorder()

    def goodbye() -> None:
        if handler.told:
            handler.outbound.close(1012, "restart")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await decided.wait()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        hand_over(scope, handler)

    async with listening(app, on_drain=goodbye, grace=PATIENCE) as running:
        peer = await running.connect(handshake())
        await trio.testing.wait_all_tasks_blocked(0.05)
        running.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.05)
        decided.set()
        assert (await peer.head()).startswith(b"HTTP/1.1 101")
        assert await peer.close_code() == 1012
        await peer.stream.aclose()


async def test_a_hook_that_raises_stops_neither_the_sweeper_nor_a_drain() -> None:
    swept = 0

    def sweep(now: float) -> None:
        nonlocal swept
        swept += 1
        raise ValueError("hook")

    def drain() -> None:
        raise ValueError("hook")

    async with listening(mirror, on_sweep=sweep, on_drain=drain) as running:
        await until(lambda: swept >= 2)
    assert running.listener.statistics().guarded == swept + 1


async def test_cancellation_goes_through_and_every_owner_is_told() -> None:
    handler = Recorder()
    with trio.CancelScope() as scope:
        async with listening(handing_over(handler)) as running:
            await running.websocket()
            await trio.sleep(0.05)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert handler.told == [("opened",), ("closed", 1006, "")]
    assert running.listener.statistics().open == 0


async def test_an_application_that_does_not_start_is_an_error() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(LifespanFailureError, match="no database"):
        await serve(app, ListenerSettings(), stop=trio.Event())


async def test_an_application_that_fails_while_it_ends_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "late"})

    async with listening(app):
        pass
    assert "failed while it shut down" in caplog.text


async def test_an_endless_background_task_does_not_hold_the_end() -> None:
    """Quart would wait five seconds for it."""
    app = QuartTrio("endless")

    @app.before_serving
    async def begin() -> None:
        app.add_background_task(trio.sleep_forever)

    async with listening(app):
        started = trio.current_time()
    assert trio.current_time() - started < 2


async def test_lifespan_state_reaches_a_request() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["answer"] = b"42"
            await lifespan(receive, send)
            return
        await answer(send, scope["state"]["answer"])

    async with listening(app) as running:
        assert await (await running.connect(get())).answer() == (200, b"42")


async def test_an_address_in_use_is_an_error() -> None:
    async with listening(mirror) as running:
        with pytest.raises(OSError, match="in use"):
            await serve(mirror, ListenerSettings(port=running.port), stop=trio.Event())


def test_hand_over_needs_a_scope_of_this_listener() -> None:
    with pytest.raises(RuntimeError, match="scope of a WebSocket handshake"):
        hand_over({"type": "websocket"}, Recorder())


async def test_hand_over_comes_after_accept_and_only_once() -> None:
    errors: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        for _ in range(2):
            try:
                hand_over(scope, Recorder())
            except RuntimeError as error:
                errors.append(str(error))
            if not errors[1:]:
                await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        try:
            hand_over(scope, Recorder())
        except RuntimeError as error:
            errors.append(str(error))

    async with listening(app) as running:
        await running.websocket()
        await until(lambda: len(errors) == 2)
    assert errors == [
        "hand_over() comes after websocket.accept(), and not after close()",
        "this socket was handed over already",
    ]


def test_the_repr_of_a_listener_says_how_busy_it_is() -> None:
    assert repr(Listener(mirror, ListenerSettings())).startswith("<Listener ListenerStatistics(open=0, sockets=0,")
