"""The log over plain requests: snapshots, long polls and mutations, as a v1 client without a socket uses them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from protocol import Limits

from .whole_server import ITEMS, WholeServer, alarm, eventually, mutation, stamped, whole_server


async def test_a_devices_snapshot_has_stamps_and_names_deleted_ids_only_for_another_epoch(server: WholeServer) -> None:
    token = server.token()
    made, doomed = await server.post(alarm(), token), await server.post(alarm(), token)
    await server.http("DELETE", f"{ITEMS}/{doomed['id']}", token=token)
    epoch = made["epoch"]
    elsewhere = (await server.http("GET", f"{ITEMS}?device_id=desk&since=other:9", token=token)).json
    same = (await server.http("GET", f"{ITEMS}?device_id=desk&since={epoch}:1", token=token)).json
    first = (await server.http("GET", f"{ITEMS}?device_id=desk", token=token)).json
    assert elsewhere["deleted"] == [doomed["id"]]
    assert same["deleted"] == first["deleted"] == []
    assert [item["id"] for item in first["items"]] == [made["id"]]
    assert first["items"][0]["stamps"]


async def test_mutations_are_answered_one_by_one_and_heard_by_everybody(server: WholeServer) -> None:
    token = server.token()
    socket = await server.classic(token=token)
    epoch = (await server.http("GET", ITEMS, token=token)).json["epoch"]
    batch = [mutation(epoch, 1), mutation(epoch, 2, "patch", fields={"label": "x"}), mutation(epoch, 3)]
    reply = await server.http("POST", f"{ITEMS}/mutations?device_id=desk", {"mutations": batch}, token=token)
    assert reply.status == 200
    assert stamped(reply)
    assert [(r["mid"], r["status"]) for r in reply.json["results"]] == [(1, "applied"), (2, "rejected"), (3, "applied")]
    assert "error" not in reply.json
    assert [(await socket.hear())["origin"] for _ in range(2)] == [
        {"device_id": "desk", "mid": 1},
        {"device_id": "desk", "mid": 3},
    ]
    repeated = await server.http("POST", f"{ITEMS}/mutations?device_id=desk", {"mutations": batch[2:]}, token=token)
    assert repeated.json["results"][0]["dup"] is True
    assert await socket.silent()


async def test_mutations_stop_at_the_first_that_is_not_consumed(server: WholeServer) -> None:
    token = server.token()
    epoch = (await server.http("GET", ITEMS, token=token)).json["epoch"]
    batch = {"mutations": [mutation(epoch, 1), mutation(epoch, 3), mutation(epoch, 2)]}
    reply = await server.http("POST", f"{ITEMS}/mutations?device_id=desk", batch, token=token)
    assert [result["mid"] for result in reply.json["results"]] == [1]
    assert (reply.json["error"]["code"], reply.json["error"]["ref"]) == ("out_of_order", 3)
    assert reply.json["error"]["want"] == 2


async def test_a_batch_has_at_most_sixty_four_mutations(server: WholeServer) -> None:
    batch = {"mutations": [mutation("e", mid) for mid in range(1, 66)]}
    reply = await server.http("POST", f"{ITEMS}/mutations?device_id=desk", batch, token=server.token())
    assert (reply.status, reply.code) == (409, "limit")
    empty = await server.http("POST", f"{ITEMS}/mutations?device_id=desk", {"mutations": []}, token=server.token())
    assert (empty.status, empty.json["results"]) == (200, [])


async def test_changes_tell_what_came_after_a_cursor_as_a_socket_would(server: WholeServer) -> None:
    token = server.token()
    socket, heard = await server.v1(token=token)
    epoch = heard[0]["epoch"]
    made = await server.post(alarm(), token)
    await server.post({"id": made["id"], "label": "x"}, token)
    live = [await socket.hear() for _ in range(2)]
    reply = await server.http("GET", f"{ITEMS}/changes?device_id=poll&since={epoch}:0", token=token)
    assert stamped(reply)
    assert (reply.json["events"], reply.json["rev"], reply.json["last_mid"]) == (live, 2, 0)
    nothing = await server.http("GET", f"{ITEMS}/changes?device_id=poll&since={epoch}:2", token=token)
    assert (nothing.json["events"], nothing.json["rev"]) == ([], 2)


@pytest.mark.parametrize(
    ("since", "reason"), [("", "epoch"), ("other:0", "epoch"), ("{epoch}:7", "ahead"), ("{epoch}:0", "too_many")]
)
async def test_a_cursor_that_cannot_be_resumed_is_told_to_fetch_everything(
    tmp_path: Path, since: str, reason: str
) -> None:
    async with whole_server(tmp_path, limits=Limits(resume_rows=1)) as server:
        token = server.token()
        epoch = (await server.post(alarm(), token))["epoch"]
        await server.post(alarm(), token)
        path = f"{ITEMS}/changes?device_id=poll&since={since.format(epoch=epoch)}"
        reply = await server.http("GET", path, token=token)
        assert (reply.status, reply.json["sync_required"], reply.json["rev"]) == (200, reason, 2)
        # Commits were lost where a client has seen more than there is: from now on the history has another name.
        assert (reply.json["epoch"] != epoch) == (reason == "ahead")


async def test_a_long_poll_is_answered_the_moment_something_happens(server: WholeServer) -> None:
    token = server.token()
    epoch = (await server.http("GET", ITEMS, token=token)).json["epoch"]
    replies = []

    async def poll() -> None:
        replies.append(await server.http("GET", f"{ITEMS}/changes?device_id=p&since={epoch}:0&wait=25", token=token))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await eventually(lambda: any(person.polls for person in server.services.hub._people.values()))
            await server.post(alarm(), token)
    assert [event["type"] for event in replies[0].json["events"]] == ["alarm_created"]


async def test_a_poll_that_waits_while_its_session_is_signed_out_hears_nothing_more(server: WholeServer) -> None:
    """docs/protocol.md#auth-sign-out"""
    token, replies = server.token(), []
    epoch = (await server.http("GET", ITEMS, token=token)).json["epoch"]

    async def poll() -> None:
        replies.append(await server.http("GET", f"{ITEMS}/changes?device_id=p&since={epoch}:0&wait=25", token=token))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await eventually(lambda: any(person.polls for person in server.services.hub._people.values()))
            await server.http("POST", "/api/auth/logout", token=token)
            await server.post(alarm(), server.token())
    assert (replies[0].status, replies[0].code) == (403, "forbidden")


async def test_the_long_polls_of_two_devices_wait_side_by_side_and_both_are_answered(server: WholeServer) -> None:
    token = server.token()
    epoch = (await server.http("GET", ITEMS, token=token)).json["epoch"]
    heard: dict[str, list[str]] = {}

    async def poll(device: str) -> None:
        reply = await server.http("GET", f"{ITEMS}/changes?device_id={device}&since={epoch}:0&wait=25", token=token)
        heard[device] = [event["type"] for event in reply.json["events"]]

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll, "phone")
            nursery.start_soon(poll, "desk")
            await eventually(lambda: sum(person.polls for person in server.services.hub._people.values()) == 2)
            await server.post(alarm(), token)
    assert heard == {"phone": ["alarm_created"], "desk": ["alarm_created"]}


async def test_a_long_poll_ends_with_the_server(server: WholeServer) -> None:
    token = server.token()
    epoch = (await server.http("GET", ITEMS, token=token)).json["epoch"]
    replies = []

    async def poll() -> None:
        replies.append(await server.http("GET", f"{ITEMS}/changes?device_id=p&since={epoch}:0&wait=25", token=token))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await eventually(lambda: any(person.polls for person in server.services.hub._people.values()))
            server.stop.set()
    assert replies[0].json["events"] == []


async def test_a_poll_counts_as_an_ack_and_its_device_as_online(server: WholeServer) -> None:
    token = server.token()
    socket, heard = await server.v1(device="desk", token=token, caps=["presence"])
    epoch = heard[0]["epoch"]
    first = await socket.hear_until("presence")
    assert [device["device_id"] for device in first[-1]["devices"]] == ["desk"]
    await server.advance(6)
    await server.http("GET", f"{ITEMS}/changes?device_id=phone&since={epoch}:0", token=token)
    devices = {device["device_id"]: device for device in (await socket.hear_until("presence"))[-1]["devices"]}
    assert devices["phone"]["online"] is True
    assert (devices["phone"]["acked_epoch"], devices["phone"]["acked_rev"]) == (epoch, 0)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("changes?since=e:0", "device_id"),
        ("changes?device_id=a%20b&since=e:0", "device_id"),
        ("changes?device_id=" + "x" * 65, "device_id"),
        ("changes?device_id=d&since=e", "since"),
        ("changes?device_id=d&since=e:-1", "since"),
        ("changes?device_id=d&since=e:0&wait=soon", "wait"),
        ("changes?device_id=d&since=e:0&wait=-1", "wait"),
    ],
)
async def test_a_parameter_that_is_wrong_is_named(server: WholeServer, path: str, field: str) -> None:
    reply = await server.http("GET", f"{ITEMS}/{path}", token=server.token())
    assert (reply.status, reply.code, reply.json["error"]["field"]) == (422, "invalid", field)
