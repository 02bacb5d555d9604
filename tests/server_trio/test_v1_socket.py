"""The v1 profile over a real socket, from the handshake to every way in which the server ends it."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import open_websocket_url

from protocol import Limits, Timing, UserId

from .plain_client import BINARY, TEXT, client_frame
from .whole_server import ITEMS, WS, Socket, WholeServer, alarm, eventually, hello_of, mutation, whole_server


V1 = "Sec-WebSocket-Protocol: tocsin.v1"


def wrapped(token: str) -> str:
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def types(messages: list[Any]) -> list[str]:
    return [message["type"] for message in messages]


# ---------------------------------------------------------------------------------------------------------- a session


async def test_a_new_device_is_welcomed_given_everything_and_synced(server: WholeServer) -> None:
    made = await server.post(alarm(), server.token())
    _, heard = await server.v1()
    welcome, required, snapshot, synced = heard
    assert types(heard) == ["welcome", "sync_required", "snapshot", "synced"]
    assert (welcome["user"], welcome["resume"], welcome["last_mid"]) == ("ada", "snapshot", 0)
    assert welcome["limits"]["sockets"] == 20
    assert required["reason"] == "epoch"
    assert [item["id"] for item in snapshot["items"]] == [made["id"]]
    assert snapshot["items"][0]["stamps"]
    assert (synced["epoch"], synced["rev"]) == (welcome["epoch"], 1)


async def test_a_mutation_is_answered_and_every_device_hears_of_it(server: WholeServer) -> None:
    desk, heard = await server.v1(device="desk")
    lap, _ = await server.v1(device="lap")
    classic = await server.classic()
    epoch = heard[0]["epoch"]
    asked = mutation(epoch, 1)
    await desk.say(**asked)
    both = {message["type"]: message for message in (await desk.hear(), await desk.hear())}
    assert both["result"] == {"type": "result", "mid": 1, "status": "applied", "rev": 1}
    event = both["alarm_created"]
    assert event["origin"] == {"device_id": "desk", "mid": 1}
    assert await lap.hear() == event
    assert (await classic.hear())["data"]["id"] == asked["id"]
    await desk.say(**asked)
    assert await desk.hear() == {"type": "result", "mid": 1, "status": "applied", "rev": 1, "dup": True}
    assert await lap.silent()


async def test_a_mutation_that_cannot_be_is_rejected_and_one_out_of_order_not_consumed(server: WholeServer) -> None:
    desk, heard = await server.v1()
    epoch = heard[0]["epoch"]
    await desk.say(**mutation(epoch, 1, "explode"))
    rejected = await desk.hear()
    assert (rejected["status"], rejected["code"], rejected["mid"]) == ("rejected", "unknown_op", 1)
    await desk.say(**mutation(epoch, 5))
    early = await desk.hear()
    assert (early["type"], early["code"], early["ref"], early["want"]) == ("error", "out_of_order", 5, 2)
    await desk.say(**mutation("another", 2))
    assert (await desk.hear())["code"] == "epoch"


async def test_what_was_missed_is_replayed_from_the_cursor(server: WholeServer) -> None:
    token = server.token()
    desk, heard = await server.v1(token=token)
    epoch = heard[0]["epoch"]
    made = await server.post(alarm(), token)
    live = [await desk.hear()]
    await desk.leave()
    for label in ("a", "b"):
        await server.post({"id": made["id"], "label": label}, token)
    _, heard = await server.v1(token=token, conn=2, cursor={"epoch": epoch, "rev": 1})
    assert types(heard) == ["welcome", "alarm_updated", "alarm_updated", "synced"]
    assert heard[0]["resume"] == "replay"
    assert [event["changed"]["label"] for event in heard[1:3]] == ["a", "b"]
    assert [event["rev"] for event in (*live, *heard[1:3])] == [1, 2, 3]
    _, heard = await server.v1(token=token, conn=3, cursor={"epoch": epoch, "rev": 3})
    assert types(heard) == ["welcome", "synced"]


async def test_a_cursor_above_the_head_gives_the_log_a_new_name_for_everybody(server: WholeServer) -> None:
    lap, heard = await server.v1(device="lap")
    classic = await server.classic()
    epoch = heard[0]["epoch"]
    _, heard = await server.v1(device="desk", cursor={"epoch": epoch, "rev": 9})
    assert heard[0]["epoch"] != epoch
    assert (heard[1]["type"], heard[1]["reason"]) == ("sync_required", "ahead")
    again = await lap.hear_until("synced")
    assert (again[0]["reason"], again[-1]["epoch"]) == ("epoch", heard[0]["epoch"])
    assert (await classic.hear())["type"] == "sync_required"


async def test_deflate_is_used_where_it_was_agreed_and_pays(server: WholeServer) -> None:
    token = server.token()
    packed, _ = await server.v1(device="packed", token=token, caps=["deflate"])
    plain, _ = await server.v1(device="plain", token=token)
    await server.post(alarm(label="x" * 200, extra={"note": "y" * 1_500}), token)
    opcode, payload = await packed.peer.frame()
    assert (opcode, payload[:1]) == (BINARY, b"\x01")
    inflated = json.loads(zlib.decompressobj(-15).decompress(payload[1:]))
    assert inflated == await plain.hear()
    assert len(payload) < 1_000


async def test_the_devices_of_a_user_see_each_other_and_what_each_has_stored(server: WholeServer) -> None:
    token = server.token()
    desk, heard = await server.v1(device="desk", token=token, caps=["presence"])
    epoch = heard[0]["epoch"]
    await desk.hear_until("presence")
    lap, _ = await server.v1(device="lap", token=token)
    await server.post(alarm(), token)
    await lap.hear()
    await lap.say(type="ack", epoch=epoch, rev=1)
    await server.advance(5.1)
    shown = await seen(server, desk, lambda lap: lap["acked_rev"] == 1)
    assert shown["online"] is True
    await lap.leave()
    await server.advance(9)
    await desk.say(type="ping")
    await desk.hear_until("pong")
    await server.advance(2)
    assert (await seen(server, desk, lambda lap: not lap["online"]))["acked_rev"] == 1


async def seen(server: WholeServer, desk: Socket, condition: Any) -> Any:
    """What `desk` is shown of `lap` once `condition` holds of it."""
    while True:
        devices = (await desk.hear_until("presence"))[-1]["devices"]
        lap = next((device for device in devices if device["device_id"] == "lap"), None)
        if lap is not None and condition(lap):
            return lap
        await server.advance(5.1)


async def test_an_independent_client_can_hold_a_session(server: WholeServer) -> None:
    headers = [(b"Authorization", f"Bearer {server.token()}".encode())]
    url = f"ws://127.0.0.1:{server.port}{WS}"
    async with open_websocket_url(url, subprotocols=["tocsin.v1"], extra_headers=headers) as socket:
        assert socket.subprotocol == "tocsin.v1"
        await socket.send_message(json.dumps(hello_of()))
        heard = [json.loads(await socket.get_message())["type"] for _ in range(4)]
        await socket.send_message('{"type":"bye"}')
    assert heard == ["welcome", "sync_required", "snapshot", "synced"]


# -------------------------------------------------------------------------------------------------------------- tokens


async def test_a_bad_token_in_header_or_query_is_refused_before_accept(server: WholeServer) -> None:
    for target, extra, code in [
        (WS, [V1, "Authorization: Bearer x"], b"token_invalid"),
        (WS, [V1, f"Authorization: Bearer {server.token(ttl=-60)}"], b"token_expired"),
        (WS, [V1, "Authorization: Basic YTpi"], b"token_invalid"),
        (f"{WS}?token=x", [V1], b"token_invalid"),
        (f"{WS}?token=x", [], b"token_invalid"),
        (f"{WS}?token=", [], b"token_invalid"),
        (WS, [], b"token_invalid"),
    ]:
        peer, head = await server.ask(target, *extra)
        assert head.startswith(b"HTTP/1.1 401"), head
        assert b"www-authenticate: Bearer" in head
        assert code in await peer.rest()


@pytest.mark.parametrize(("ttl", "code"), [(None, 4302), (-60, 4301)])
async def test_a_bad_token_in_the_subprotocol_or_in_hello_is_refused_after_accept(
    server: WholeServer, ttl: int | None, code: int
) -> None:
    bad = "x" if ttl is None else server.token(ttl=ttl)
    peer, head = await server.ask(WS, f"{V1}, tocsin.bearer.{wrapped(bad)}")
    assert head.startswith(b"HTTP/1.1 101")
    heard, closed, _ = await Socket(peer).ending()
    assert (heard[-1]["type"], heard[-1]["code"], closed) == ("goodbye", code, code)
    peer, _ = await server.ask(WS, V1)
    socket = Socket(peer)
    await socket.say(**hello_of(token=bad))
    assert (await socket.ending())[1] == code


async def test_a_token_is_taken_from_subprotocol_and_hello_and_never_echoed(server: WholeServer) -> None:
    peer, head = await server.ask(WS, f"{V1}, tocsin.bearer.{wrapped(server.token())}")
    assert b"tocsin.v1" in head
    assert b"bearer" not in head.lower()
    socket = Socket(peer)
    await socket.say(**hello_of("one"))
    assert (await socket.hear())["type"] == "welcome"
    peer, _ = await server.ask(WS, V1)
    socket = Socket(peer)
    await socket.say(**hello_of("two", token=server.token()))
    assert (await socket.hear())["type"] == "welcome"


async def test_a_hello_without_any_token_is_closed_with_4302(server: WholeServer) -> None:
    peer, _ = await server.ask(WS, V1)
    socket = Socket(peer)
    await socket.say(**hello_of())
    assert (await socket.ending())[1] == 4302


async def test_query_tokens_can_be_switched_off_and_origins_limited(tmp_path: Path) -> None:
    given = {"query_tokens": False, "allowed_origins": frozenset({"https://tocsin.example"})}
    async with whole_server(tmp_path, **given) as server:
        token = server.token()
        _, head = await server.ask(f"{WS}?token={token}")
        assert head.startswith(b"HTTP/1.1 401")
        bearer = f"Authorization: Bearer {token}"
        peer, head = await server.ask(WS, V1, bearer, "Origin: https://evil.example")
        assert head.startswith(b"HTTP/1.1 403")
        assert b'"origin"' in await peer.rest()
        _, head = await server.ask(WS, V1, bearer, "Origin: https://tocsin.example")
        assert head.startswith(b"HTTP/1.1 101")


async def test_a_token_is_renewed_in_place_and_its_end_ends_the_session(server: WholeServer) -> None:
    socket, _ = await server.v1(token=server.token(ttl=60))
    await socket.say(type="auth", token=server.token(ttl=120))
    assert (await socket.hear())["type"] == "auth_ok"
    await server.advance(30)
    await socket.say(type="auth", token="nonsense")
    assert (await socket.hear_until("error"))[-1]["code"] == "token_invalid"
    await server.advance(65)
    await socket.say(type="ping")
    assert (await socket.hear_until("pong"))[-1]
    await server.advance(60)
    assert (await socket.ending())[1] == 4301


async def test_a_renewal_for_another_user_is_closed_with_4003(server: WholeServer) -> None:
    socket, _ = await server.v1("ada")
    await socket.say(type="auth", token=server.token("bob"))
    assert (await socket.ending())[1] == 4003


async def test_who_signs_out_before_hello_is_not_let_in(server: WholeServer) -> None:
    token = server.token(session="s1")
    socket = await server.upgraded(token=token)
    await server.http("POST", "/api/auth/logout", token=token)
    await socket.say(**hello_of())
    assert (await socket.ending())[1] == 4003


# -------------------------------------------------------------------------------------------------- how it may end


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
