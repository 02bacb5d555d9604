"""Who is connected and what reaches them: fan-out, evictions, presence, statistics, server-side code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol import DeviceId, ItemId, Kind, Limits, SessionId, UserId, Wall
from server_trio.events import EventType, build_error_event, build_item_event, build_sync_event
from server_trio.notify import Notifier

from .parts import Parts, Wire, parts
from .whole_server import alarm, mutation


ADA, BOB = UserId("ada"), UserId("bob")


async def change(made: Parts, user: UserId = ADA, **fields: Any) -> None:
    work = made.services.commits.post(alarm(**fields), ItemId(fields.pop("id", "one")))
    (outcome,) = await made.services.commits.decide(user, work)
    assert outcome.fault is None


# ------------------------------------------------------------------------------------------------------------- fan-out


async def test_a_change_reaches_all_connections_of_its_user_and_no_other(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        hers = [await made.session("ada"), await made.v1("ada"), await made.session("ada")]
        his = await made.session("bob")
        await change(made)
        assert all(wire.types[-1] == "alarm_created" for wire in hers)
        assert his.messages == []


async def test_changes_by_socket_and_request_are_published_in_the_order_of_the_log(tmp_path: Path) -> None:
    """A request waits in a task, a socket does not: were a change published by whoever waits, they could change places."""
    async with parts(tmp_path) as made:
        classic, v1 = await made.session(), await made.v1()
        epoch = v1.messages[0]["epoch"]
        async with trio.open_nursery() as nursery:
            for mid in range(1, 17):
                nursery.start_soon(change, made)
                v1.session.received(json.dumps(mutation(epoch, mid)))
        await made.settle()
        with trio.fail_after(5):
            while len(classic.messages) < 32:  # noqa: ASYNC110 - the writer's thread knows nothing of tests
                await trio.sleep(0.001)
        assert [message["rev"] for message in classic.messages] == list(range(1, 33))
        assert "sync_required" not in v1.types[4:]
        assert [m["rev"] for m in v1.messages if m["type"].startswith("alarm")] == list(range(1, 33))


async def test_an_author_is_told_only_when_everybody_has_been(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        wire = await made.session()
        await change(made)
        assert wire.types == ["alarm_created"]


async def test_what_leaves_no_trace_in_the_log_is_published_to_nobody(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        wire = await made.session()
        (outcome,) = await made.services.commits.decide(ADA, made.services.commits.delete(ItemId("none")))
        assert outcome.change is None
        assert wire.messages == []
        assert made.hub.statistics().events == {}


# ----------------------------------------------------------------------------------------------------- who must leave


async def test_a_second_connection_of_a_device_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        first, second = await made.v1(conn=1), await made.v1(conn=2)
        assert first.closed == (4005, "a newer connection of this device")
        assert second.closed is None
        await change(made)
        assert second.types[-1] == "alarm_created"
        assert first.types[-1] == "goodbye"


async def test_a_connection_that_may_not_join_never_gets_a_change(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        winner, loser = await made.v1(conn=9), await made.v1(conn=3)
        await change(made)
        assert loser.types == ["goodbye"]
        assert winner.types[-1] == "alarm_created"


async def test_the_cap_of_sockets_counts_each_user_alone(tmp_path: Path) -> None:
    async with parts(tmp_path, limits=Limits(sockets=2)) as made:
        hers = [await made.session("ada") for _ in range(3)]
        his = await made.session("bob")
        assert [wire.closed and wire.closed[0] for wire in (*hers, his)] == [None, None, 4104, None]


async def test_at_the_cap_a_sign_of_life_counts_as_much_as_a_message(tmp_path: Path) -> None:
    """docs/protocol.md#heartbeat-any-bytes."""
    async with parts(tmp_path, limits=Limits(sockets=2)) as made:
        first, second = await made.v1(device="first"), await made.v1(device="second")
        made.advance(1)
        first.session.heard()
        await made.v1(device="third")
        assert [wire.closed and wire.closed[0] for wire in (first, second)] == [None, 4104]


async def test_signing_out_ends_the_sockets_of_that_session_only(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        this, other = made.token(session="this"), made.token(session="other")
        gone = await made.session(token=this)
        stays = await made.session(token=other)
        made.hub.sign_out(SessionId("this"))
        assert gone.closed == (4003, "signed out")
        assert stays.closed is None


async def test_a_drain_ends_every_session_in_its_own_way(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        classic, v1, waiting = await made.session(), await made.v1(), await made.session(profile="v1")
        made.hub.drain()
        assert [wire.closed and wire.closed[0] for wire in (classic, v1, waiting)] == [1012, 4200, 4200]
        assert made.hub.statistics().errors == {}
        made.hub.drain()
        assert v1.types.count("goodbye") == 1


# ------------------------------------------------------------------------------------------------------------ presence


def shown(wire: Wire) -> dict[str, bool]:
    """Which devices the newest presence message shows, and whether as online."""
    newest = [message for message in wire.messages if message["type"] == "presence"][-1]
    return {device["device_id"]: device["online"] for device in newest["devices"]}


async def test_a_device_is_shown_as_offline_ten_seconds_after_it_left(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        desk = await made.v1(device="desk", caps=["presence"])
        lap = await made.v1(device="lap")
        made.advance(5.1)
        assert shown(desk) == {"desk": True, "lap": True}
        lap.session.closed(1006, "")
        made.advance(9)
        assert shown(desk)["lap"] is True
        made.advance(1.1)
        made.advance(5.1)
        assert shown(desk)["lap"] is False


async def test_a_reconnect_within_ten_seconds_shows_nothing(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        desk = await made.v1(device="desk", caps=["presence"])
        lap = await made.v1(device="lap", conn=1)
        made.advance(5.1)
        lap.session.closed(1006, "")
        made.advance(5)
        await made.v1(device="lap", conn=2)
        for _ in range(4):
            made.advance(5.1)
            assert shown(desk)["lap"] is True


async def test_who_comes_to_see_the_devices_is_shown_them_though_nothing_has_changed(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        before = await made.v1(device="desk", conn=1, caps=["presence"])
        made.hub.sweep(made.now)
        again = await made.v1(device="desk", conn=2, caps=["presence"])
        made.hub.sweep(made.now)
        assert shown(before) == shown(again) == {"desk": True}


async def test_a_device_with_a_long_poll_waiting_is_online(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        desk = await made.v1(device="desk", caps=["presence"])
        with made.hub.watch(ADA, DeviceId("phone")):
            made.services.acks.seen(ADA, DeviceId("phone"))
            made.advance(5.1)
            await made.settle()
            made.advance(5.1)
            assert shown(desk)["phone"] is True
        made.advance(9)
        assert shown(desk)["phone"] is True
        made.advance(1.1)
        made.advance(5.1)
        assert shown(desk)["phone"] is False


async def test_nobody_is_shown_devices_without_asking_and_no_user_those_of_another(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        ada, silent = await made.v1("ada", "desk", caps=["presence"]), await made.v1("ada", "lap")
        bob = await made.v1("bob", "desk", caps=["presence"])
        made.advance(6)
        assert set(shown(ada)) == {"desk", "lap"}
        assert set(shown(bob)) == {"desk"}
        assert "presence" not in silent.types


# ------------------------------------------------------------------------------------------------- nothing stays behind


async def test_a_user_whose_last_connection_ended_is_forgotten(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        classic, v1 = await made.session("ada"), await made.v1("bob")
        classic.session.closed(1006, "")
        v1.session.closed(1006, "")
        with made.hub.watch(UserId("carol"), DeviceId("phone")):
            pass
        with made.hub.watch(UserId("dora"), None):
            pass
        made.advance(10.1)
        assert made.hub._people == {}
        assert made.hub._sessions == set()
        assert made.hub._departed == set()


async def test_a_long_poll_is_woken_by_the_next_change_and_by_a_new_epoch(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        with made.hub.watch(ADA, None) as changed, made.hub.watch(BOB, None) as his:
            await change(made)
            assert changed.is_set()
            assert not his.is_set()
        with made.hub.watch(ADA, None) as changed:
            made.hub.resync(ADA, await made.services.store.head(ADA))
            assert changed.is_set()


async def test_all_long_polls_of_a_user_are_woken_and_then_forgotten(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        phone, desk = DeviceId("phone"), DeviceId("desk")
        with made.hub.watch(ADA, phone) as one, made.hub.watch(ADA, phone) as other, made.hub.watch(ADA, desk) as third:
            await change(made)
            assert one.is_set()
            assert other.is_set()
            assert third.is_set()
        made.advance(10.1)
        assert made.hub._people == {}


# ---------------------------------------------------------------------------------------------------- server-side code


async def test_server_side_code_changes_an_item_and_everybody_hears_of_it(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        notifier = Notifier(made.services)
        classic, v1 = await made.session(), await made.v1()
        fields = {"time": "07:00", "days": ["mo"], "tz": "UTC"}
        kind: Kind = "alarm"
        made_outcome = await notifier.notify_item_change(ADA, kind, ItemId("one"), fields)
        assert made_outcome.change is not None
        await notifier.notify_item_change(ADA, kind, ItemId("one"), {"label": "x"})
        await notifier.notify_item_change(ADA, kind, ItemId("one"), None)
        expected = ["alarm_created", "alarm_updated", "alarm_deleted"]
        assert classic.types == expected
        assert v1.types[-3:] == expected
        assert classic.messages[1]["data"]["label"] == "x"
        assert classic.messages[0]["origin"] is None
        refused = await notifier.notify_item_change(ADA, kind, ItemId("one"), {"time": "25:00"})
        assert refused.fault is not None
        assert classic.types == expected


async def test_server_side_code_can_ask_everybody_to_start_afresh(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        classic, v1 = await made.session(), await made.v1()
        await Notifier(made.services).notify_sync_required(ADA)
        await made.settle()
        assert classic.messages[-1]["reason"] == "asked"
        assert v1.types[-3:] == ["sync_required", "snapshot", "synced"]


async def test_an_event_of_ones_own_goes_to_classic_sockets_only(tmp_path: Path) -> None:
    """A v1 client counts revs: an event beside the log would be a gap in it."""
    async with parts(tmp_path) as made:
        hers, v1, his = await made.session("ada"), await made.v1("ada"), await made.session("bob")
        account = await made.services.store.head(ADA)
        before = list(v1.types)
        assert made.hub.send_to_user(ADA, build_sync_event("asked", account, Wall(0))) == 1
        assert made.hub.send_to_all(build_error_event("busy", "Soon.", retryable=True)) == 2
        assert made.hub.send_to_user(UserId("nobody"), build_error_event("busy", "Soon.")) == 0
        assert hers.types == ["sync_required", "error"]
        assert his.types == ["error"]
        assert v1.types == before


def test_an_item_event_has_the_record_and_the_moment() -> None:
    event = build_item_event(EventType.ALARM_CREATED, {"id": "one", "kind": "alarm"}, Wall(1_000))
    assert event == {
        "type": "alarm_created",
        "id": "one",
        "data": {"id": "one", "kind": "alarm"},
        "timestamp": "1970-01-01T00:00:01.000Z",
    }


def test_the_classic_event_types_have_their_names() -> None:
    assert {(event.name, event.value) for event in EventType} == {
        (name, name.lower())
        for name in "ALARM_CREATED ALARM_UPDATED ALARM_DELETED TIMER_CREATED TIMER_UPDATED TIMER_DELETED "
        "SYNC_REQUIRED HEARTBEAT ERROR".split()
    }


# ---------------------------------------------------------------------------------------------------------- statistics


async def test_the_statistics_count_what_happens(tmp_path: Path) -> None:
    async with parts(tmp_path, limits=Limits(sockets=2)) as made:
        await made.session("ada")
        wire = await made.session("ada")
        await made.session("ada")
        await made.session("bob")
        await change(made)
        await change(made, label="x")
        made.hub.count_refusal("not_found")
        stats = made.hub.statistics()
        assert (stats.connections, stats.users, stats.deliveries) == (4, 2, 4)
        assert stats.events == {"alarm_created": 1, "alarm_updated": 1}
        assert stats.errors == {"4104": 1, "not_found": 1}
        assert made.hub.active_connections(ADA) == 2
        wire.session.closed(1000, "")
        assert made.hub.active_connections(ADA) == 1


@pytest.mark.parametrize("part", ["hub", "commits", "access", "heads", "acks", "framer", "background"])
async def test_every_part_has_a_repr_that_tells_no_secret(tmp_path: Path, part: str) -> None:
    async with parts(tmp_path) as made:
        token = made.token()
        await made.session(token=token)
        told = repr(getattr(made.services, part))
        assert not told.startswith("<server_trio.")
        assert token not in told
