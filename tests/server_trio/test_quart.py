"""Quart in front of the listener: authenticate, accept, hand over; and ordinary requests."""

from __future__ import annotations

import gc
import logging
from pathlib import Path

import pytest
import trio
import trio.testing
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from wsproto.connection import Connection as FrameConnection

from .plain_client import (
    CLOSE,
    TEXT,
    client_frame,
    get,
    handshake,
    listening,
    post,
    until,
)
from .quart_app import BOTH_KINDS, quart_app


LIMIT = 64 * 1024
CERTIFICATE = Path(__file__).with_name("localhost.pem")


@BOTH_KINDS
async def test_quart_rejects_before_accept_with_a_body(kind: str) -> None:
    async with listening(quart_app(kind)) as running:
        peer = await running.connect(handshake("/ws?token=secret"))
        head = await peer.head()
        assert head.startswith(b"HTTP/1.1 401")
        assert b"www-authenticate: bearer" in head.lower()
        assert b"connection: close" in head.lower()
        assert await peer.rest() == b"who are you?"


@BOTH_KINDS
async def test_quart_hands_over(kind: str) -> None:
    app = quart_app(kind)
    async with listening(app) as running:
        peer = await running.websocket("/ws", "Authorization: Bearer good")
        await peer.send(client_frame(TEXT, b"hello"))
        assert await peer.frame() == (TEXT, b"hello")
        assert len(running.listener.sockets) == 1
        await peer.send(client_frame(CLOSE, (1000).to_bytes(2, "big")))
        assert await peer.close_code() == 1000
        (handler,) = app.config["HANDLERS"]
        assert await handler.end() == ("closed", 1000, "")


@BOTH_KINDS
@pytest.mark.parametrize(("path", "code"), [("/raises", 1011), ("/returns", 1011), ("/closes", 4010)])
async def test_only_a_hand_over_is_a_proper_end(kind: str, path: str, code: int) -> None:
    """Quart closes with 1000 for a handler that raised: to a client, a wish to leave."""
    async with listening(quart_app(kind)) as running:
        peer = await running.websocket(path)
        assert await peer.close_code() == code
        assert await peer.ended()


@BOTH_KINDS
@pytest.mark.parametrize(("path", "status"), [("/raises-before", 500), ("/unoffered", 403), ("/nowhere", 404)])
async def test_a_handshake_that_fails_is_an_http_answer(kind: str, path: str, status: int) -> None:
    async with listening(quart_app(kind)) as running:
        peer = await running.connect(handshake(path))
        assert (await peer.head()).startswith(f"HTTP/1.1 {status}".encode())


@BOTH_KINDS
async def test_quart_answers_http_on_one_connection(kind: str) -> None:
    async with listening(quart_app(kind)) as running:
        peer = await running.connect(post(b"12345"))
        assert await peer.answer() == (200, b"5")
        await peer.send(get("/fails"))
        assert (await peer.answer())[0] == 500
        await peer.send(get("/stream"))
        assert b"transfer-encoding: chunked" in (await peer.head()).lower()
        assert await peer.exactly(23) == b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"[:23]
        assert running.listener.statistics().guarded == 0


@BOTH_KINDS
async def test_clients_that_leave_half_way_log_no_error(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(quart_app(kind)) as running:
        for wire in (post(b"x" * 100)[:-50], post(b"x"), handshake("/ws"), get("/stream")) * 5:
            peer = await running.connect(wire)
            await trio.aclose_forcefully(peer.stream)
        await until(lambda: running.listener.statistics().open == 0)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@BOTH_KINDS
async def test_after_the_hand_over_nothing_of_hypercorn_or_wsproto_is_left(kind: str) -> None:
    """With the collector off: what a cycle keeps is paid for by every socket until some later collection."""
    kinds = (H11Protocol, HTTPStream, WSStream, FrameConnection)
    async with listening(quart_app(kind)) as running:
        gc.collect()
        gc.disable()
        try:
            before = sum(isinstance(thing, kinds) for thing in gc.get_objects())
            peers = [await running.websocket("/ws", "Authorization: Bearer good") for _ in range(5)]
            for peer in peers:
                await peer.send(client_frame(TEXT, b"hello"))
                await peer.frame()
            after = sum(isinstance(thing, kinds) for thing in gc.get_objects())
        finally:
            gc.enable()
        assert after == before
