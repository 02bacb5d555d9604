"""A handed-over socket over real loopback: messages, ends, bounds."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import trio
import trio.testing

from server_trio.websocket import text_frame

from .plain_client import (
    BINARY,
    CLOSE,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Recorder,
    client_frame,
    handing_over,
    handshake,
    leave,
    listening,
)
from .whole_server import eventually


LIMIT = 64 * 1024
CERTIFICATE = Path(__file__).with_name("localhost.pem")


async def test_text_binary_and_fragments_come_whole_and_go_back() -> None:
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        await peer.send(client_frame(TEXT, b"one") + client_frame(BINARY, b"\x00\xff"))
        await peer.send(client_frame(TEXT, b"th", fin=False))
        await peer.send(client_frame(PING, b"p") + client_frame(0, b"ree"))
        assert [await peer.frame() for _ in range(4)] == [
            (TEXT, b"one"),
            (BINARY, b"\x00\xff"),
            (PONG, b"p"),
            (TEXT, b"three"),
        ]
        assert handler.told == [("opened",), ("received", "one"), ("received", b"\x00\xff"), ("received", "three")]


async def test_a_frame_that_drips_in_byte_by_byte_is_one_message() -> None:
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        for byte in client_frame(TEXT, b"drip" * 40):
            await peer.send(bytes([byte]))
        assert await peer.frame() == (TEXT, b"drip" * 40)


@pytest.mark.parametrize(
    "sign",
    [client_frame(TEXT, b"one")[:3], client_frame(PONG), client_frame(TEXT, b"o", fin=False)],
    ids=["half a frame", "a pong", "a fragment"],
)
async def test_bytes_that_complete_no_message_are_told_as_a_sign_of_life(sign: bytes) -> None:
    """docs/protocol.md#heartbeat-any-bytes."""
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        await peer.send(sign)
        await eventually(lambda: handler.signs == 1)
        assert handler.told == [("opened",)]


async def test_many_pings_of_one_read_are_one_sign_of_life_and_a_message_is_none_beside_itself() -> None:
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        await peer.send(client_frame(PING, b"p") * 5)
        assert [await peer.frame() for _ in range(5)] == [(PONG, b"p")] * 5
        assert handler.signs == 1
        await peer.send(client_frame(PING) + client_frame(TEXT, b"one"))
        assert [await peer.frame() for _ in range(2)] == [(PONG, b""), (TEXT, b"one")]
        assert handler.signs == 1


async def test_frames_behind_the_upgrade_request_are_delivered_after_opened() -> None:
    """An impatient but honest client; Hypercorn 0.18 answers it with 400 and then breaks."""
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.connect(handshake() + client_frame(TEXT, b"early") + client_frame(TEXT, b"half")[:5])
        assert (await peer.head()).startswith(b"HTTP/1.1 101")
        assert await peer.frame() == (TEXT, b"early")
        await peer.send(client_frame(TEXT, b"half")[5:])
        assert await peer.frame() == (TEXT, b"half")
        assert handler.told[0] == ("opened",)


async def test_an_idle_socket_outlives_every_deadline_of_its_handshake() -> None:
    async with listening(handing_over(Recorder()), opening_timeout=0.2, keep_alive=0.2, answer_timeout=0.2) as running:
        peer = await running.websocket()
        await trio.sleep(0.7)
        await peer.send(client_frame(TEXT, b"still here"))
        assert await peer.frame() == (TEXT, b"still here")
        assert running.listener.statistics().overdue == 0


async def test_deflate_is_never_agreed() -> None:
    async with listening(handing_over(Recorder())) as running:
        peer = await running.connect(
            handshake("/", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        )
        assert b"extensions" not in (await peer.head()).lower()


async def test_the_agreed_subprotocol_is_named() -> None:
    async with listening(handing_over(Recorder(), subprotocol="tocsin.1")) as running:
        peer = await running.connect(handshake("/", "Sec-WebSocket-Protocol: other, tocsin.1"))
        assert b"sec-websocket-protocol: tocsin.1" in await peer.head()


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 3000, 4001, 4999])
async def test_a_peers_close_is_echoed_and_told(code: int) -> None:
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        await peer.send(client_frame(CLOSE, code.to_bytes(2, "big") + b"why") + client_frame(TEXT, b"after"))
        assert await peer.close_code() == code
        assert await peer.rest() == b""
        assert await handler.end() == ("closed", code, "why")
        assert handler.told == [("opened",), ("closed", code, "why")]


async def test_a_close_without_a_code_is_1005_and_echoed_without_one() -> None:
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        await peer.send(client_frame(CLOSE))
        assert await peer.frame() == (CLOSE, b"")
        assert await handler.end() == ("closed", 1005, "")


@pytest.mark.parametrize("how", ["end", "reset", "half frame"])
async def test_a_peer_that_just_goes_is_1006(how: str) -> None:
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        if how == "half frame":
            await peer.send(client_frame(TEXT, b"never whole")[:4])
        await leave(peer, reset=how == "reset")
        assert await handler.end() == ("closed", 1006, "")
        assert handler.told.count(("closed", 1006, "")) == 1
    assert running.listener.statistics().guarded == 0


async def test_a_peer_that_ends_only_its_sending_side_is_gone_too() -> None:
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        assert isinstance(peer.stream, trio.SocketStream)
        await peer.stream.send_eof()
        assert await peer.ended()
        assert await handler.end() == ("closed", 1006, "")


async def test_our_close_arrives_though_the_peer_keeps_talking_and_its_answer_is_told() -> None:
    handler = Recorder(echo=False)
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        await trio.testing.wait_all_tasks_blocked(0.01)
        handler.outbound.close(4003, "enough")
        handler.outbound.send(text_frame("never"))
        for _ in range(20):
            await peer.send(client_frame(TEXT, b"x" * 1000))
        assert await peer.frame() == (CLOSE, (4003).to_bytes(2, "big") + b"enough")
        assert await peer.rest() == b""
        await peer.send(client_frame(CLOSE, (4003).to_bytes(2, "big")))
        assert await handler.end() == ("closed", 4003, "")
        assert [told[0] for told in handler.told] == ["opened", "closed"]


async def test_a_peer_that_never_answers_our_close_is_cut_after_a_short_time() -> None:
    handler = Recorder()
    async with listening(handing_over(handler), closing_timeout=0.2) as running:
        peer = await running.websocket()
        await trio.testing.wait_all_tasks_blocked(0.01)
        handler.outbound.close(1000)
        assert await handler.end() == ("closed", 1006, "")
        assert await peer.close_code() == 1000


async def test_malformed_frames_end_in_their_code() -> None:
    handler = Recorder()
    async with listening(handing_over(handler)) as running:
        peer = await running.websocket()
        await peer.send(client_frame(TEXT, b"\xff\xff") + client_frame(TEXT, b"after"))
        assert await peer.close_code() == 1007
        await peer.stream.aclose()
        await handler.end()
        assert handler.told == [("opened",), ("malformed", 1007), ("closed", 1006, "")]


async def test_an_owner_that_does_nothing_about_a_violation_still_loses_the_socket() -> None:
    class Idle(Recorder):
        def malformed(self, code: int, why: str) -> None:
            pass

    handler = Idle()
    async with listening(handing_over(handler), closing_timeout=0.2) as running:
        peer = await running.websocket()
        await peer.send(b"\xff\xff\xff\xff")
        assert await peer.ended()
        assert await handler.end() == ("closed", 1006, "")
        assert handler.signs == 0


async def test_a_message_of_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    handler = Recorder()
    async with listening(handing_over(handler), max_frame=LIMIT) as running:
        peer = await running.websocket()
        await peer.send(client_frame(TEXT, b"x" * LIMIT))
        assert await peer.frame() == (TEXT, b"x" * LIMIT)
        await peer.send(client_frame(TEXT, b"x" * (LIMIT + 1)))
        assert await peer.close_code() == 1009
        await peer.stream.aclose()
        await handler.end()
        assert handler.told[2:] == [("overlong", LIMIT + 1), ("closed", 1006, "")]


@pytest.mark.parametrize("fragmented", [False, True])
async def test_memory_stays_flat_while_a_peer_pushes_a_message_over_the_limit(fragmented: bool) -> None:
    handler = Recorder()
    total = 48 * 1024 * 1024
    async with listening(handing_over(handler), max_frame=LIMIT, closing_timeout=30.0) as running:
        peer = await running.websocket()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if fragmented:
            await peer.send(client_frame(BINARY, b"x" * 1000, fin=False))
        else:
            await peer.send(client_frame(BINARY, claimed=total))
        chunk = client_frame(0, b"x" * 60_000, fin=False) if fragmented else b"x" * 65536
        with trio.fail_after(PATIENCE * 3):
            for _ in range(total // len(chunk)):
                await peer.send(chunk)
        assert await peer.close_code() == 1009
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 6 * 1024, f"{grown} KiB"
        await peer.stream.aclose()
        await handler.end()
        assert handler.told[1][0] == "overlong"


async def test_a_peer_that_does_not_read_is_reset_after_the_progress_timeout() -> None:
    handler = Recorder(echo=False)
    async with listening(handing_over(handler), progress_timeout=0.3) as running:
        peer = await running.websocket()
        await trio.testing.wait_all_tasks_blocked(0.01)
        while not handler.full.is_set():
            handler.outbound.send(text_frame("x" * 60_000))
        assert handler.outbound.waiting > 0
        assert await handler.end() == ("closed", 1006, "")
        assert running.listener.statistics().overdue == 1
        assert await peer.was_reset()


async def test_a_slow_reader_that_goes_on_is_kept_and_told_drained() -> None:
    handler = Recorder(echo=False)
    async with listening(handing_over(handler), progress_timeout=0.6) as running:
        peer = await running.websocket()
        await trio.testing.wait_all_tasks_blocked(0.01)
        sent = 0
        while not handler.full.is_set():
            handler.outbound.send(text_frame("x" * 60_000))
            sent += 1
        for _ in range(sent):
            assert len((await peer.frame())[1]) == 60_000
        with trio.fail_after(PATIENCE):
            await handler.empty.wait()
        assert handler.told == [("opened",), ("blocked",), ("drained",)]


async def test_who_pings_and_does_not_read_gets_no_endless_queue_of_pongs() -> None:
    handler = Recorder()
    async with listening(handing_over(handler), progress_timeout=5.0) as running:
        peer = await running.websocket()
        pings = client_frame(PING, b"p" * 125) * 100
        with trio.move_on_after(1.0):
            while True:
                await peer.send(pings)
        assert 0 < handler.outbound.waiting < 70_000
