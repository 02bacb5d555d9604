"""What a peer may send before there is a socket, and what it gets."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from server_trio.connection import hand_over

from .plain_client import (
    CLOSE,
    PATIENCE,
    TEXT,
    Recorder,
    client_frame,
    get,
    handing_over,
    handshake,
    leave,
    lifespan,
    listening,
    mirror,
    post,
    until,
)
from .quart_app import BOTH_KINDS, quart_app


LIMIT = 64 * 1024
CERTIFICATE = Path(__file__).with_name("localhost.pem")


@pytest.mark.parametrize(
    ("opening", "status"),
    [
        pytest.param(handshake("/", "Sec-WebSocket-Protocol: t\xf6csin"), 400, id="subprotocol not ASCII"),
        pytest.param(get("/", "X-Name: J\xfcrgen"), 400, id="header not ASCII"),
        pytest.param(get(host="a..b"), 400, id="host with an empty label"),
        pytest.param(get(host="a" * 64 + ".org"), 400, id="host with a label over 63 bytes"),
        pytest.param(get(host="a b"), 400, id="host with a space"),
        pytest.param(get(host="user@b"), 400, id="host with a user"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(get("*", method="OPTIONS"), 400, id="asterisk form"),
        pytest.param(get("example.org:443", method="CONNECT"), 400, id="authority form"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01", 400, id="TLS to a plain port"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 with prior knowledge"),
        pytest.param(get("/", "A: " + "x" * 40_000), 431, id="endless headers"),
        pytest.param(get("/", "Content-Length: 5000"), 413, id="announced body over the bound"),
        pytest.param(get("/", "Content-Length: -1"), 400, id="negative length"),
        pytest.param(get("/", "Content-Length: 1", "Content-Length: 2"), 400, id="two lengths"),
        pytest.param(handshake("/", "Content-Length: 3") + b"abc", 400, id="handshake with a body"),
        pytest.param(
            handshake("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, id="handshake with a chunked body"
        ),
        pytest.param(handshake().replace(b": 13", b": 8"), 400, id="WebSocket version 8"),
        pytest.param(handshake().replace(b"Sec-WebSocket-Key", b"X-Key"), 400, id="no key"),
        pytest.param(handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 400, id="handshake over HTTP/1.0"),
    ],
)
async def test_a_bad_opening_is_answered_and_ended(opening: bytes, status: int) -> None:
    async with listening(handing_over(Recorder()), max_body=1000) as running:
        peer = await running.connect(opening)
        head = await peer.head()
        assert head.startswith(f"HTTP/1.1 {status}".encode())
        assert b"connection: close" in head.lower()
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        error = json.loads(await peer.exactly(length))
        assert error["error"]["code"] == ("too_big" if status == 413 else "bad_message")
        assert error["t1"] <= error["t2"]
        assert await peer.ended()
        assert running.listener.statistics().guarded == 0


async def test_a_refused_head_request_has_no_body() -> None:
    async with listening(mirror) as running:
        peer = await running.connect(get(host="a b", method="HEAD"))
        assert (await peer.head()).startswith(b"HTTP/1.1 400")
        assert await peer.rest() == b""


async def test_an_upgrade_to_http2_is_not_heard() -> None:
    async with listening(mirror) as running:
        peer = await running.connect(
            get("/", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", "Connection: Upgrade")
        )
        assert await peer.answer() == (200, b"GET / ")


def mutated(chance: random.Random) -> bytes:
    """A request or handshake that is wrong in a few places, or no request at all."""
    parts = [
        handshake("/ws", "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: permessage-deflate"),
        post(b"hello"),
        get("/x?y=z", "Cookie: a=b", "Expect: 100-continue", "Content-Length: 3"),
        get("/", "Transfer-Encoding: chunked", method="PUT") + b"3\r\nabc\r\n0\r\n\r\n",
        client_frame(TEXT, b"x") + client_frame(CLOSE),
        chance.randbytes(chance.randrange(1, 200)),
    ]
    wire = bytearray(b"".join(chance.choices(parts, k=chance.randrange(1, 4))))
    for _ in range(chance.randrange(0, 6)):
        at = chance.randrange(len(wire))
        match chance.randrange(4):
            case 0:
                wire[at] = chance.randrange(256)
            case 1:
                del wire[at : at + chance.randrange(1, 20)]
            case 2:
                wire[at:at] = chance.choice(
                    [b"\r\n", b"\x00", b":", b" ", b"\xff", b"%", b"0", b"\xc3\xa9", b",", b"\r\n\r\n"]
                )
            case _:
                wire[at:at] = wire[: chance.randrange(1, 60)]
        if not wire:
            break
    return bytes(wire)


@BOTH_KINDS
@pytest.mark.parametrize("seed", range(4))
async def test_no_opening_reaches_beyond_its_connection(seed: int, kind: str) -> None:
    """Hundreds of seeded mutations; Hypercorn as shipped ends its process on some of them."""
    chance = random.Random(seed)
    async with listening(quart_app(kind), max_sockets=1000, opening_timeout=2.0, max_body=1000) as running:

        async def attack(wire: bytes, leave: bool) -> None:
            peer = await running.connect()
            try:
                half = len(wire) // 2
                await peer.send(wire[:half])
                await peer.send(wire[half:])
                if not leave:
                    with trio.move_on_after(0.1):
                        await peer.rest()
            except (trio.BrokenResourceError, ConnectionError):
                pass
            await trio.aclose_forcefully(peer.stream)

        for _ in range(6):
            async with trio.open_nursery() as nursery:
                for _ in range(25):
                    nursery.start_soon(attack, mutated(chance), chance.random() < 0.3)
        peer = await running.connect(post(b"alive"))
        assert await peer.answer() == (200, b"5")
        assert running.listener.statistics().guarded == 0


async def test_a_handshake_that_nobody_decides_is_cut_and_its_handler_cancelled() -> None:
    cancelled = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with listening(app, opening_timeout=0.2) as running:
        peer = await running.connect(handshake())
        assert await peer.ended()
        with trio.fail_after(PATIENCE):
            await cancelled.wait()
        assert running.listener.statistics().overdue == 1


async def test_a_request_that_drips_is_cut_though_each_byte_is_progress() -> None:
    async with listening(mirror, opening_timeout=0.4) as running:
        peer = await running.connect()
        started = trio.current_time()
        cut = False
        while not cut:
            try:
                await peer.send(b"x" if trio.current_time() > started else get()[:-2] + b"X: ")
                await trio.sleep(0.05)
            except trio.BrokenResourceError:
                cut = True
        assert trio.current_time() - started < PATIENCE / 2


@pytest.mark.parametrize("noticed", [False, True])
async def test_a_hand_over_after_the_peer_has_left_harms_nobody(noticed: bool) -> None:
    """Only a write shows that a peer was reset: without one, the socket opens and is over at once."""
    left = trio.Event()
    handler = Recorder()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await receive()
        if not noticed:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await left.wait()
        if noticed:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        hand_over(scope, handler)

    async with listening(app) as running:
        peer = await running.connect(handshake())
        await until(lambda: running.listener.statistics().open == 1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await leave(peer, reset=True)
        left.set()
        await until(lambda: running.listener.statistics().open == 0)
        assert running.listener.statistics().guarded == 0
        assert [told[0] for told in handler.told] == ([] if noticed else ["opened", "closed"])
