"""The v1 profile over a real socket, from the handshake to every way in which the server ends it."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from trio_websocket import open_websocket_url

from .plain_client import BINARY
from .whole_server import WS, Socket, WholeServer, alarm, hello_of, mutation, types, whole_server


V1 = "Sec-WebSocket-Protocol: tocsin.v1"


def wrapped(token: str) -> str:
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


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
