"""Every way in which the server ends a v1 session, and readers that are too slow for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from protocol import Limits, Timing, UserId

from .plain_client import BINARY, PING, PONG, TEXT, client_frame
from .whole_server import ITEMS, WS, Socket, WholeServer, alarm, eventually, hello_of, mutation, types, whole_server


async def test_the_same_device_twice_keeps_the_higher_counter(server: WholeServer) -> None:
    first, _ = await server.v1(conn=5)
    second, _ = await server.v1(conn=6)
    heard, code, _ = await first.ending()
    assert (code, heard[-1]["type"], heard[-1]["conn"]) == (4005, "goodbye", 6)
    late = await server.upgraded()
    await late.say(**hello_of(conn=4))
    heard, code, _ = await late.ending()
    assert (code, heard[-1]["conn"]) == (4005, 6)
    assert await second.silent()
    assert server.services.hub.active_connections(UserId("ada")) == 1


async def test_at_the_limit_of_sockets_the_silent_one_leaves(tmp_path: Path) -> None:
    async with whole_server(tmp_path, limits=Limits(sockets=2)) as server:
        chatty, _ = await server.v1(device="chatty")
        silent, _ = await server.v1(device="silent")
        await server.advance(1)
        await chatty.say(type="ping")
        await chatty.hear_until("pong")
        await server.v1(device="third")
        heard, code, _ = await silent.ending()
        assert (code, heard[-1]["min_ms"]) == (4104, 60_000)
        assert await chatty.silent()


async def test_at_the_limit_of_classic_sockets_the_newcomer_leaves(tmp_path: Path) -> None:
    async with whole_server(tmp_path, limits=Limits(sockets=1)) as server:
        first = await server.classic()
        peer, _ = await server.ask(f"{WS}?token={server.token()}")
        assert (await Socket(peer).ending())[1] == 4104
        assert await first.silent()


@pytest.mark.parametrize(
    ("sent", "opcode", "code", "fault"),
    [
        (b"{", TEXT, 4000, "bad_json"),
        (b'{"type":"ack"}', TEXT, 4000, "bad_message"),
        (b'{"type":"hello","device":{"id":"x"},"conn":1}', TEXT, 4000, "bad_message"),
        (b"\x01\x00", BINARY, 4000, "bad_message"),
    ],
)
async def test_a_bad_message_is_named_and_ends_the_session(
    server: WholeServer, sent: bytes, opcode: int, code: int, fault: str
) -> None:
    socket, _ = await server.v1()
    await socket.say_raw(sent, opcode)
    heard, closed, _ = await socket.ending()
    assert closed == code
    assert types(heard) == ["error", "goodbye"]
    assert heard[0]["code"] == fault


async def test_a_frame_over_the_limit_is_closed_with_1009_and_a_framing_fault_with_1002(server: WholeServer) -> None:
    socket, _ = await server.v1()
    await socket.peer.send(client_frame(TEXT, b"x", claimed=65_537))
    assert (await socket.ending())[1] == 1009
    other, _ = await server.v1(conn=2)
    await other.peer.send(b"\xff\xff")
    assert (await other.ending())[1] == 1002


async def test_a_hello_over_eight_kibibytes_is_too_big(server: WholeServer) -> None:
    socket = await server.upgraded()
    await socket.say(**hello_of(padding="x" * 9_000))
    heard, code, _ = await socket.ending()
    assert (heard[0]["code"], code) == ("too_big", 1009)


async def test_who_never_says_hello_and_who_falls_silent_is_closed(server: WholeServer) -> None:
    mute = await server.upgraded()
    socket, _ = await server.v1()
    await server.advance(10.1)
    assert (await mute.ending())[1] == 4300
    await server.advance(70)
    assert (await socket.ending())[1] == 4201


async def test_a_client_that_sends_nothing_but_ping_frames_is_not_silent(server: WholeServer) -> None:
    """docs/protocol.md#heartbeat-any-bytes."""
    pinging, silent = (await server.v1(device="desk"))[0], (await server.v1(device="lap"))[0]
    await server.advance(50)
    await ponged(pinging)
    await server.advance(50)
    assert (await silent.ending())[1] == 4201
    await ponged(pinging)


async def ponged(socket: Socket) -> None:
    """A ping frame is answered, after messages that were on their way."""
    await socket.peer.send(client_frame(PING))
    while (opcode := (await socket.peer.frame())[0]) != PONG:
        assert opcode == TEXT


async def test_a_message_above_the_rate_is_not_consumed(tmp_path: Path) -> None:
    async with whole_server(tmp_path, limits=Limits(messages_per_minute=60, burst=2)) as server:
        socket, heard = await server.v1()
        epoch = heard[0]["epoch"]
        for mid in (1, 2, 3):
            await socket.say(**mutation(epoch, mid))
        answers = [await socket.hear() for _ in range(5)]
        refused = next(answer for answer in answers if answer["type"] == "error")
        assert (refused["code"], refused["ref"]) == ("rate_limited", 3)
        await server.advance(refused["retry_after_ms"] / 1_000 + 0.1)
        await socket.say(**mutation(epoch, 3))
        assert (await socket.hear_until("result"))[-1]["status"] == "applied"


async def test_a_drain_says_goodbye_with_a_window_and_applies_nothing_more(server: WholeServer) -> None:
    socket, _ = await server.v1()
    server.stop.set()
    heard, code, _ = await socket.ending()
    assert code == 4200
    assert (heard[-1]["code"], heard[-1]["min_ms"], heard[-1]["max_ms"]) == (4200, 0, 1_000)


async def test_a_client_may_say_bye(server: WholeServer) -> None:
    socket, _ = await server.v1()
    await socket.say(type="bye")
    heard, code, _ = await socket.ending()
    assert (code, heard[-1]["code"]) == (1000, 1000)


# -------------------------------------------------------------------------------------------------------- slow readers


async def test_a_reader_too_slow_for_live_events_reads_on_from_the_log(tmp_path: Path) -> None:
    async with whole_server(tmp_path, limits=Limits(held_events=4)) as server:
        token = server.token()
        slow, _ = await server.v1(device="slow", token=token)
        with trio.fail_after(30):
            item, count = await server.post(alarm(), token), 1
            while "Behind" not in repr(list(server.services.hub._sessions)):
                # Only what the kernel does not take is held, so it takes some.
                await fill(server, item["id"], count, token)
                count += 50
            head = (await server.post({"id": item["id"], "label": "last"}, token))["rev"]
            heard = await slow.hear_until("synced")
        revs = [message["rev"] for message in heard if message["type"].startswith("alarm_")]
        snapshots = [message for message in heard if message["type"] == "snapshot"]
        assert heard[-1]["rev"] == head
        if not snapshots:
            assert revs == list(range(1, head + 1))


async def fill(server: WholeServer, item: str, number: int, token: str) -> None:
    async with trio.open_nursery() as nursery:
        for n in range(number, number + 50):
            nursery.start_soon(server.post, {"id": item, "extra": {"x": f"{n}" + "y" * 1_900}}, token)


async def test_a_classic_reader_too_slow_is_asked_to_load_everything_again(tmp_path: Path) -> None:
    async with whole_server(tmp_path, limits=Limits(held_events=4)) as server:
        token = server.token()
        slow = await server.classic(token=token)
        with trio.fail_after(30):
            item, count = await server.post(alarm(), token), 1
            while "missed=" not in repr(list(server.services.hub._sessions)):
                await fill(server, item["id"], count, token)
                count += 50
            assert (await slow.hear_until("sync_required"))[-1]["reason"] == "slow"


async def test_a_peer_that_reads_nothing_for_ten_seconds_is_given_up(tmp_path: Path) -> None:
    async with whole_server(tmp_path, timing=Timing(unwritable_ms=1_000)) as server:
        token = server.token()
        await server.v1(device="stalled", token=token)
        with trio.fail_after(30):
            item, count = await server.post(alarm(), token), 1
            while "blocked=True" not in repr(list(server.services.hub._sessions)):
                await fill(server, item["id"], count, token)
                count += 50
        await server.advance(1.5)
        await server.http("GET", ITEMS, token=token)
        await eventually(lambda: server.services.hub.statistics().errors.get("4101") == 1)
