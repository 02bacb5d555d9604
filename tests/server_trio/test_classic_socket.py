"""The classic profile over a real socket: what users of the system that Tocsin succeeds rely on."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
import trio
from websockets.sync.client import connect

from protocol import Epoch, Limits, UserId

from .plain_client import BINARY
from .whole_server import ITEMS, WS, WholeServer, alarm, timer, whole_server


CLASSIC_TYPES = {
    "alarm_created", "alarm_updated", "alarm_deleted", "timer_created", "timer_updated", "timer_deleted",
    "sync_required", "heartbeat", "error", "pong", "subscribed", "unsubscribed",
}  # fmt: skip


async def test_a_ping_is_answered_with_a_pong_that_carries_both_clocks(server: WholeServer) -> None:
    socket = await server.classic()
    await socket.say(type="ping", t0=17)
    pong = await socket.hear()
    assert pong["type"] == "pong"
    assert pong["t0"] == 17
    assert pong["t1"] <= pong["t2"]


async def test_every_change_by_request_reaches_every_socket_of_its_user_with_the_whole_record(
    server: WholeServer,
) -> None:
    token = server.token("ada")
    sockets = [await server.classic("ada"), await server.classic("ada")]
    made = await server.post(alarm(label="Work"), token)
    changed = await server.post({"id": made["id"], "time": "07:30"}, token)
    await server.http("DELETE", f"{ITEMS}/{made['id']}", token=token)
    for socket in sockets:
        created, updated, deleted = [await socket.hear() for _ in range(3)]
        assert (created["type"], updated["type"], deleted["type"]) == (
            "alarm_created",
            "alarm_updated",
            "alarm_deleted",
        )
        for event, answer in ((created, made), (updated, changed)):
            assert event["data"] == {name: answer[name] for name in answer.keys() - {"epoch", "t1", "t2"}}
        assert updated["data"]["label"] == "Work"
        assert updated["data"]["time"] == "07:30"
        assert "stamps" not in updated["data"]
        assert deleted["data"] == {"id": made["id"], "kind": "alarm"}
        assert [event["rev"] for event in (created, updated, deleted)] == [1, 2, 3]


async def test_a_timer_has_events_of_its_own(server: WholeServer) -> None:
    socket, token = await server.classic(), server.token()
    made = await server.post(timer(label="Tea"), token)
    await server.post({"id": made["id"], "phase": "running"}, token)
    await server.http("DELETE", f"{ITEMS}/{made['id']}", token=token)
    events = [await socket.hear() for _ in range(3)]
    assert [event["type"] for event in events] == ["timer_created", "timer_updated", "timer_deleted"]
    assert events[1]["data"]["phase"] == "running"
    assert events[1]["data"]["ends_at"] is not None


async def test_an_event_is_the_same_bytes_for_every_socket_of_its_user(server: WholeServer) -> None:
    sockets = [await server.classic() for _ in range(3)]
    await server.post(alarm(), server.token())
    frames = {await socket.peer.frame() for socket in sockets}
    assert len(frames) == 1


async def test_nobody_hears_of_another_users_items(server: WholeServer) -> None:
    ada, bob = await server.classic("ada"), await server.classic("bob")
    made = await server.post(alarm(), server.token("ada"))
    assert (await ada.hear())["data"]["id"] == made["id"]
    assert await bob.silent()


async def test_subscribing_narrows_what_comes_and_unsubscribing_narrows_it_further(server: WholeServer) -> None:
    socket, token = await server.classic(), server.token()
    await socket.say(type="subscribe", topics=["timers"])
    assert await socket.hear() == {"type": "subscribed", "topics": ["timers"]}
    await server.post(alarm(), token)
    await server.post(timer(), token)
    assert (await socket.hear())["type"] == "timer_created"
    await socket.say(type="unsubscribe", topics=["timers"])
    assert await socket.hear() == {"type": "unsubscribed", "topics": []}
    await server.post(timer(), token)
    assert await socket.silent()


async def test_a_heartbeat_comes_every_thirty_seconds_and_silence_never_ends_a_classic_socket(
    server: WholeServer,
) -> None:
    socket = await server.classic()
    for number in range(1, 5):
        await server.advance(30.1)
        heartbeat = await socket.hear()
        assert (heartbeat["type"], heartbeat["n"], heartbeat["rev"]) == ("heartbeat", number, 0)
        assert len(json.dumps(heartbeat)) < 80


async def test_a_classic_client_that_leaves_is_forgotten_at_once(server: WholeServer) -> None:
    socket = await server.classic()
    assert server.services.hub.active_connections() == 1
    await socket.leave()
    assert server.services.hub.active_connections() == 0


@pytest.mark.parametrize(
    ("sent", "code"),
    [(b"{", "bad_json"), (b"[]", "bad_json"), (b'{"type":7}', "bad_message"), (b'{"type":"ack"}', "bad_message")],
)
async def test_a_bad_message_is_answered_with_an_error_and_ends_nothing(
    server: WholeServer, sent: bytes, code: str
) -> None:
    socket = await server.classic()
    await socket.say_raw(sent)
    error = await socket.hear()
    assert (error["type"], error["code"]) == ("error", code)
    await socket.say(type="ping")
    assert (await socket.hear())["type"] == "pong"


async def test_a_binary_message_is_answered_with_an_error(server: WholeServer) -> None:
    socket = await server.classic()
    await socket.say_raw(b"\x00", BINARY)
    assert (await socket.hear())["code"] == "bad_message"


async def test_a_message_of_an_unknown_type_is_ignored(server: WholeServer) -> None:
    socket = await server.classic()
    await socket.say(type="from-the-future")
    assert await socket.silent()


async def test_a_message_over_the_frame_limit_closes_with_1009(server: WholeServer) -> None:
    socket = await server.classic()
    await socket.say_raw(b"x" * 65_537)
    assert (await socket.ending())[1] == 1009


async def test_who_says_too_much_is_told_when_to_go_on_and_cut_off_only_far_beyond(tmp_path: Path) -> None:
    async with whole_server(tmp_path, limits=Limits(messages_per_minute=60, burst=4)) as server:
        socket = await server.classic()
        for _ in range(4):
            await socket.say(type="ping")
        answers = [await socket.hear() for _ in range(4)]
        assert [answer["type"] for answer in answers] == ["pong", "pong", "pong", "error"]
        assert answers[-1]["code"] == "rate_limited"
        assert answers[-1]["retryable"] is True
        assert 0 < answers[-1]["retry_after_ms"] <= 1_000
        for _ in range(30):
            await socket.say(type="ping")
        assert (await socket.ending())[1] == 4102


async def test_an_expired_token_ends_the_socket_with_4301_after_an_error(server: WholeServer) -> None:
    token = server.token(ttl=60)
    socket = await server.classic(token=token)
    await server.advance(60 + 31)
    heard, code, _ = await socket.ending()
    assert code == 4301
    assert heard[-1]["code"] == "token_expired"
    _, head = await server.ask(f"{WS}?token={token}")
    assert head.startswith(b"HTTP/1.1 401")


async def test_a_drain_closes_with_1012(server: WholeServer) -> None:
    socket = await server.classic()
    server.stop.set()
    assert (await socket.ending())[1] == 1012


async def test_a_classic_socket_only_ever_hears_classic_types(server: WholeServer) -> None:
    socket, token = await server.classic(), server.token()
    other, heard = await server.v1(device="desk", token=token, caps=["presence"])
    epoch = heard[0]["epoch"]
    made = await server.post(alarm(), token)
    await other.say(type="ack", epoch=epoch, rev=1)
    await server.advance(31)
    await server.http("DELETE", f"{ITEMS}/{made['id']}", token=token)
    renewed = await server.services.store.renew_epoch(UserId("ada"), Epoch(epoch))
    server.services.hub.resync(UserId("ada"), renewed)
    await socket.say(type="ping")
    types = {message["type"] for message in await socket.hear_until("pong")}
    assert {"alarm_created", "alarm_deleted", "sync_required"} <= types <= CLASSIC_TYPES


async def test_an_independent_client_hears_what_it_should(server: WholeServer) -> None:
    url = f"ws://127.0.0.1:{server.port}{WS}?token={server.token()}"

    def listen(ready: trio.Event, token: trio.lowlevel.TrioToken) -> list[str]:
        with connect(url) as socket:
            socket.send('{"type":"ping"}')
            heard = [json.loads(socket.recv(10))["type"]]
            token.run_sync_soon(ready.set)
            return [*heard, json.loads(socket.recv(10))["type"]]

    heard: list[str] = []
    ready = trio.Event()

    async def run() -> None:
        token = trio.lowlevel.current_trio_token()
        heard.extend(await trio.to_thread.run_sync(listen, ready, token))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await ready.wait()
        await server.post(alarm(id=str(uuid4())), server.token())
    assert heard == ["pong", "alarm_created"]
