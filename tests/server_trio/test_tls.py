"""The same sockets over TLS."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from server_trio.websocket import text_frame

from .plain_client import (
    BINARY,
    CLOSE,
    PATIENCE,
    TEXT,
    Peer,
    Recorder,
    client_frame,
    get,
    handing_over,
    handshake,
    listening,
    mirror,
    post,
)


LIMIT = 64 * 1024
CERTIFICATE = Path(__file__).with_name("localhost.pem")


@pytest.fixture
def tls() -> dict[str, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(CERTIFICATE)
    client.set_alpn_protocols(["h2", "http/1.1"])
    return {"ssl_context": server, "client_tls": client}


async def test_tls_carries_early_data_messages_blocks_and_the_close(tls: dict[str, Any]) -> None:
    handler = Recorder()
    async with listening(handing_over(handler), **tls) as running:
        peer = await running.connect(handshake() + client_frame(TEXT, b"early"))
        assert (await peer.head()).startswith(b"HTTP/1.1 101")
        assert await peer.frame() == (TEXT, b"early")
        await peer.send(client_frame(BINARY, b"x" * LIMIT))
        assert await peer.frame() == (BINARY, b"x" * LIMIT)
        sent = 0
        while not handler.full.is_set():
            handler.outbound.send(text_frame("y" * 60_000))
            sent += 1
        for _ in range(sent):
            assert len((await peer.frame())[1]) == 60_000
        handler.outbound.close(1012, "restart")
        assert await peer.close_code() == 1012
        assert await peer.rest() == b""
        await peer.send(client_frame(CLOSE, (1012).to_bytes(2, "big")))
        assert await handler.end() == ("closed", 1012, "")
        assert isinstance(peer.stream, trio.SSLStream)
        assert peer.stream.selected_alpn_protocol() == "http/1.1"
    assert running.listener.statistics().guarded == 0


async def test_a_request_in_one_segment_with_the_end_of_the_handshake_is_heard(tls: dict[str, Any]) -> None:
    """Nothing makes the socket readable again after that segment."""
    async with listening(mirror, **tls) as running:
        plain = await trio.open_tcp_stream("127.0.0.1", running.port)
        running.peers.append(Peer(plain))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = tls["client_tls"].wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                await plain.send_all(outgoing.read())
                incoming.write(await plain.receive_some(65536))
        client.write(get("/one-segment", "Connection: close"))
        await plain.send_all(outgoing.read())
        with trio.fail_after(PATIENCE):
            while data := await plain.receive_some(65536):
                incoming.write(data)
        assert client.read(65536).endswith(b"GET /one-segment ")


async def test_tls_answers_http(tls: dict[str, Any]) -> None:
    async with listening(mirror, **tls) as running:
        peer = await running.connect(post(b"x" * 50_000))
        assert await peer.answer() == (200, b"POST / " + b"x" * 50_000)


@pytest.mark.parametrize("opening", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""])
async def test_a_handshake_that_is_none_ends_its_connection_only(tls: dict[str, Any], opening: bytes) -> None:
    async with listening(mirror, opening_timeout=0.3, **tls) as running:
        peer = Peer(await trio.open_tcp_stream("127.0.0.1", running.port))
        running.peers.append(peer)
        await peer.send(opening)
        with trio.move_on_after(PATIENCE):
            with contextlib.suppress(trio.BrokenResourceError):
                await peer.rest()
        assert await (await running.connect(get())).answer() == (200, b"GET / ")
        assert running.listener.statistics().guarded == 0


async def test_a_record_that_is_not_genuine_ends_the_socket(tls: dict[str, Any]) -> None:
    handler = Recorder()
    async with listening(handing_over(handler), **tls) as running:
        peer = await running.websocket()
        assert isinstance(peer.stream, trio.SSLStream)
        await peer.stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        assert await handler.end() == ("closed", 1006, "")
    assert running.listener.statistics().guarded == 0
