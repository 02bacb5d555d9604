"""HTTP/1.1 as the listener serves it to any ASGI application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from server_trio.outbound import Outbound

from .plain_client import (
    answer,
    get,
    lifespan,
    listening,
    mirror,
    post,
    until,
)


LIMIT = 64 * 1024
CERTIFICATE = Path(__file__).with_name("localhost.pem")


async def test_requests_one_after_another_and_pipelined_use_one_connection() -> None:
    async with listening(mirror) as running:
        peer = await running.connect(post(b"one"))
        assert await peer.answer() == (200, b"POST / one")
        await peer.send(post(b"two") + get("/three") + post(b"four"))
        assert [(await peer.answer())[1] for _ in range(3)] == [b"POST / two", b"GET /three ", b"POST / four"]
        assert running.listener.statistics().accepted == 1


async def test_pipelined_requests_let_neighbours_run_between_them() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with listening(mirror) as running, trio.open_nursery() as nursery:
        peer = await running.connect(get() * 100)
        nursery.start_soon(count)
        for _ in range(100):
            await peer.answer()
        assert turns > 50
        nursery.cancel_scope.cancel()


async def test_head_and_body_leave_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    async with listening(mirror) as running:
        from server_trio.outbound import Outbound  # noqa: PLC0415 - beside its use

        whole = Outbound.write

        async def noting(self: Outbound, data: bytes) -> None:
            writes.append(data)
            await whole(self, data)

        monkeypatch.setattr(Outbound, "write", noting)
        peer = await running.connect(post(b"body"))
        assert await peer.answer() == (200, b"POST / body")
        assert len(writes) == 1


async def test_a_streamed_part_leaves_before_the_next_is_there() -> None:
    seen = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await seen.wait()
        await send({"type": "http.response.body", "body": b"two", "more_body": False})

    async with listening(app) as running:
        peer = await running.connect(get())
        await peer.head()
        assert await peer.exactly(3) == b"one"
        seen.set()
        assert await peer.exactly(3) == b"two"


async def test_a_chunked_body_is_put_together_and_bounded() -> None:
    head = get("/", "Transfer-Encoding: chunked", method="POST")
    async with listening(mirror, max_body=100) as running:
        peer = await running.connect(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert await peer.answer() == (200, b"POST / abcde")
        await peer.send(head + b"50\r\n" + b"x" * 0x50 + b"\r\n50\r\n" + b"x" * 0x50 + b"\r\n")
        assert (await peer.answer())[0] == 413
        assert await peer.ended()


async def test_a_body_of_exactly_the_bound_passes() -> None:
    async with listening(mirror, max_body=100) as running:
        peer = await running.connect(post(b"x" * 100))
        assert (await peer.answer())[0] == 200
        await peer.send(post(b"x" * 101))
        assert (await peer.answer())[0] == 413


async def test_a_client_that_asks_first_is_told_to_continue_unless_its_body_is_too_long() -> None:
    async with listening(mirror, max_body=100) as running:
        peer = await running.connect(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert (await peer.head()).startswith(b"HTTP/1.1 100")
        await peer.send(b"abc")
        assert await peer.answer() == (200, b"POST / abc")
        await peer.send(get("/", "Content-Length: 101", "Expect: 100-continue", method="POST"))
        assert (await peer.answer())[0] == 413


@pytest.mark.parametrize(
    "wire", [get("/", "Connection: close"), b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]
)
async def test_a_client_that_wants_the_connection_closed_gets_it_closed(wire: bytes) -> None:
    async with listening(mirror) as running:
        peer = await running.connect(wire)
        assert b"connection: close" in (await peer.head()).lower()
        assert await peer.rest() == b"GET / "


async def test_bytes_behind_a_last_request_are_not_a_request() -> None:
    async with listening(mirror) as running:
        peer = await running.connect(get("/", "Connection: close") + get("/second"))
        assert (await peer.answer())[1] == b"GET / "
        assert await peer.ended()


async def test_an_absolute_target_is_its_path() -> None:
    async with listening(mirror) as running:
        peer = await running.connect(get("http://localhost:80/a/b?c=d") + get("HTTP://localhost"))
        assert await peer.answer() == (200, b"GET /a/b ")
        assert await peer.answer() == (200, b"GET / ")


async def test_head_has_no_body() -> None:
    async with listening(mirror) as running:
        peer = await running.connect(get("/", "Connection: close", method="HEAD"))
        assert b"content-length: 7" in await peer.head()
        assert await peer.rest() == b""


async def test_an_idle_connection_is_closed_after_keep_alive() -> None:
    async with listening(mirror, keep_alive=0.2) as running:
        peer = await running.connect(get())
        await peer.answer()
        assert await peer.ended()


async def test_an_application_that_never_answers_is_cut() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await trio.sleep_forever()

    async with listening(app, answer_timeout=0.2) as running:
        assert await (await running.connect(get())).ended()


async def test_a_client_that_does_not_read_its_answer_is_cut() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await answer(send, b"x" * 30_000_000)

    async with listening(app, progress_timeout=0.3) as running:
        peer = await running.connect(get())
        await until(lambda: running.listener.statistics().overdue == 1)
        assert await peer.was_reset()


async def test_an_application_that_raises_costs_its_own_request(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("token=hush")

    async with listening(app) as running:
        peer = await running.connect(get("/?token=hush", "Authorization: Bearer hush"))
        assert (await peer.answer())[0] == 500
        peer = await running.connect(get("/late"))
        await peer.head()
        assert await peer.rest() == b"half"
        assert running.listener.statistics().guarded == 2
    assert "ValueError at test_http.py" in caplog.text
    assert "hush" not in caplog.text
