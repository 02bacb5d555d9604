"""The driver against a server on a real socket of this machine."""

from pathlib import Path

import trio

from client_qt.commands import CreateItem, CutNetwork, DeleteItem, EditItem, StartTimer, StopRing, SyncNow
from client_qt.events import Answered, InStep, PresenceSeen, Problem, Rejected, StatusChanged
from client_qt.polling import Requests
from client_qt.server_address import read_address
from client_qt.tokens import PasswordTokens
from protocol import Timing

from .desk import Desk, desk
from .fake_server import PASSWORD, fake_server


async def in_step(device: Desk) -> None:
    await device.until(lambda event: isinstance(event, InStep))


async def test_a_change_on_one_device_appears_on_the_other(tmp_path: Path) -> None:
    async with (
        fake_server() as home,
        desk(tmp_path, url=home.url, name="a") as a,
        desk(tmp_path, url=home.url, name="b") as b,
    ):
        await in_step(a)
        await in_step(b)
        (item,) = await a.done(CreateItem("timer", {"duration_ms": 60_000, "label": "Tea"}))
        await b.reaches(lambda: item in b.engine.snapshot.records)
        await a.reaches(lambda: a.engine.snapshot.status.data == "up_to_date")
        assert b.engine.snapshot.records[item].label == "Tea"
        assert home.store.records[item].label == "Tea"
        await a.reaches(lambda: [event.result.status for event in a.of(Answered)] == ["applied"])


async def test_the_token_travels_in_a_header_and_the_subprotocol_is_offered(tmp_path: Path) -> None:
    async with fake_server() as home, desk(tmp_path, url=home.url) as device:
        await in_step(device)
        assert home.headers["authorization"] == "Bearer token-0"
        assert home.headers["sec-websocket-protocol"] == "tocsin.v1"


async def test_two_devices_ring_in_unison_and_one_stop_silences_both(tmp_path: Path) -> None:
    async with (
        fake_server() as home,
        desk(tmp_path, url=home.url, name="a") as a,
        desk(tmp_path, url=home.url, name="b") as b,
    ):
        home.skew_ms = 90_000
        await in_step(a)
        await in_step(b)
        (item,) = await a.done(CreateItem("timer", {"duration_ms": 400}))
        await a.done(StartTimer(item))
        await a.reaches(lambda: bool(a.rings))
        await b.reaches(lambda: bool(b.rings))
        assert abs(a.rings[0].local_ns - b.rings[0].local_ns) < 100_000_000
        await b.done(StopRing())
        await a.reaches(lambda: bool(a.silences))
        assert (a.silences[0].why, a.silences[0].here) == ("dismissed", False)
        assert a.silences[0].by == b.engine.snapshot.device == b.silences[0].by
        assert b.silences[0].here


async def test_what_is_done_with_the_cable_pulled_arrives_when_it_is_back(tmp_path: Path) -> None:
    async with (
        fake_server() as home,
        desk(tmp_path, url=home.url, name="a") as a,
        desk(tmp_path, url=home.url, name="b") as b,
    ):
        await in_step(a)
        await in_step(b)
        await b.done(CutNetwork(cut=True))
        await b.reaches(lambda: b.engine.snapshot.status.link == "offline")
        (mine,) = await b.done(CreateItem("timer", {"duration_ms": 1_000, "label": "made offline"}))
        (theirs,) = await a.done(CreateItem("timer", {"duration_ms": 1_000, "label": "made meanwhile"}))
        assert b.engine.snapshot.status.waiting == 1
        assert theirs not in b.engine.snapshot.records
        await b.done(CutNetwork(cut=False))
        await a.reaches(lambda: mine in a.engine.snapshot.records)
        await b.reaches(lambda: theirs in b.engine.snapshot.records and b.engine.snapshot.status.data == "up_to_date")


async def test_a_restart_goes_on_from_its_cursor_and_sends_what_was_left(tmp_path: Path) -> None:
    async with fake_server() as home:
        async with desk(tmp_path, url=home.url) as device:
            await in_step(device)
            (first,) = await device.done(CreateItem("timer", {"duration_ms": 1_000}))
            await device.reaches(lambda: device.engine.snapshot.status.waiting == 0)
            await device.done(CutNetwork(cut=True))
            (second,) = await device.done(CreateItem("timer", {"duration_ms": 2_000}))
            name = device.engine.snapshot.device
        assert second not in home.store.records
        async with desk(tmp_path, url=home.url) as device:
            assert device.engine.snapshot.device == name
            assert device.engine.snapshot.records.keys() == {first, second}
            await device.reaches(lambda: second in home.store.records)
            await device.reaches(lambda: device.engine.snapshot.status.data == "up_to_date")
        assert home.store.last_mids == {name: 2}


async def test_polling_takes_over_where_no_socket_can_be_had(tmp_path: Path) -> None:
    """A network that lets requests pass and nothing else; sync goes both ways, only slower."""
    async with fake_server() as home, desk(tmp_path, url=home.url, name="a") as a:
        await in_step(a)
        home.refuse_sockets = 403
        async with desk(tmp_path, url=home.url, name="b") as b:
            await b.reaches(lambda: b.engine.snapshot.status.link == "polling")
            await in_step(b)
            (theirs,) = await b.done(CreateItem("timer", {"duration_ms": 1_000}))
            (mine,) = await a.done(CreateItem("timer", {"duration_ms": 1_000}))
            await a.reaches(lambda: theirs in a.engine.snapshot.records)
            await b.reaches(lambda: mine in b.engine.snapshot.records)
            await b.reaches(lambda: b.engine.snapshot.status.waiting == 0)
        assert any(request.startswith("POST /api/alarms-timers/mutations") for request in home.requests)
        assert any("/changes" in request for request in home.requests)


async def test_a_server_that_hangs_up_during_the_handshake_is_noticed_at_once(tmp_path: Path) -> None:
    async with fake_server() as home:
        home.refuse_sockets = 0
        async with desk(tmp_path, url=home.url) as device:
            await device.until(
                lambda event: isinstance(event, StatusChanged) and "before it answered" in event.status.why, 3
            )


async def test_nobody_listening_is_said_in_words(tmp_path: Path) -> None:
    async with fake_server() as home:
        url = home.url
    async with desk(tmp_path, url=url) as device:
        await device.until(lambda event: isinstance(event, StatusChanged) and "refused" in event.status.why.lower(), 5)
        assert device.engine.snapshot.status.link in {"offline", "polling", "connecting"}


async def test_a_sign_in_brings_a_token_and_a_refusal_asks_for_a_refreshed_one(tmp_path: Path) -> None:
    async with fake_server() as home:
        tokens = PasswordTokens(Requests(read_address(home.url)), "ada", PASSWORD)
        async with desk(tmp_path, url=home.url, tokens=tokens) as device:
            await in_step(device)
            assert (home.sign_ins, home.refreshes) == (1, 0)
            home.tokens = {"none of them"}
            await device.done(CutNetwork(cut=True))
            await device.done(CutNetwork(cut=False))
            await device.reaches(lambda: home.refreshes == 1)
            await device.reaches(lambda: device.engine.snapshot.status.link == "live")


async def test_a_wrong_password_stops_and_asks_for_a_sign_in(tmp_path: Path) -> None:
    async with fake_server() as home:
        tokens = PasswordTokens(Requests(read_address(home.url)), "ada", "wrong")
        async with desk(tmp_path, url=home.url, tokens=tokens) as device:
            await device.reaches(lambda: device.engine.snapshot.status.sign_in)
            assert "refuses the sign-in of ada" in device.engine.snapshot.status.why
            assert device.engine.snapshot.status.data == "attention"


async def test_a_rejected_change_is_shown_with_both_values_until_it_is_forgotten(tmp_path: Path) -> None:
    async with fake_server() as home:
        async with desk(tmp_path, url=home.url, name="a") as a, desk(tmp_path, url=home.url, name="b") as b:
            await in_step(a)
            (item,) = await a.done(CreateItem("timer", {"duration_ms": 1_000, "label": "Tea"}))
            await b.reaches(lambda: item in b.engine.snapshot.records)
            await b.done(CutNetwork(cut=True))
            await a.done(DeleteItem(item))
            await a.reaches(lambda: item not in home.store.records)
            await b.done(EditItem(item, {"label": "Green tea"}))
            await b.done(CutNetwork(cut=False))
            await b.reaches(lambda: bool(b.of(Rejected)))
            await b.reaches(lambda: b.engine.snapshot.status.data == "attention")
        async with desk(tmp_path, url=home.url, name="b") as b:
            (rejection,) = b.engine.snapshot.rejections
            assert (rejection.item, rejection.op, rejection.code) == (item, "patch", "gone")
            assert rejection.wanted == {"label": "Green tea"}


async def test_leaving_says_goodbye_and_takes_little_time(tmp_path: Path) -> None:
    async with fake_server() as home:
        with trio.fail_after(4):
            async with desk(tmp_path, url=home.url) as device:
                await in_step(device)
        with trio.fail_after(2):
            while home.peers:  # noqa: ASYNC110 - the fake server tells nobody
                await trio.sleep(0.01)


async def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    """Liveness counts what was received; a socket that looks open and is dead does not fool it."""
    timing = Timing(silence_ms=300, heartbeat_ms=60_000, ping_ms=60_000)
    async with fake_server(timing) as home, desk(tmp_path, url=home.url) as device:
        await in_step(device)
        await device.until(
            lambda event: isinstance(event, StatusChanged) and event.status.link in {"offline", "connecting"}
        )
        await device.reaches(lambda: len(device.of(InStep)) >= 2)


async def test_sync_now_is_taken_in_every_state(tmp_path: Path) -> None:
    async with fake_server() as home, desk(tmp_path, url=home.url) as device:
        await device.done(SyncNow())
        await in_step(device)
        await device.done(SyncNow())
        await device.done(CutNetwork(cut=True))
        await device.done(SyncNow())


async def test_presence_names_the_devices(tmp_path: Path) -> None:
    async with fake_server() as home, desk(tmp_path, url=home.url, name="kitchen") as device:
        await in_step(device)
        next(iter(home.peers)).show_presence()
        await device.until(lambda event: isinstance(event, PresenceSeen))
        assert [(one.name, one.online) for one in device.engine.snapshot.devices] == [("kitchen", True)]


async def test_a_close_code_of_the_server_reaches_the_decision(tmp_path: Path) -> None:
    """4004 stops: the device was revoked, and no attempt follows without the user."""
    async with fake_server() as home, desk(tmp_path, url=home.url) as device:
        await in_step(device)
        next(iter(home.peers)).say(4004, "revoked")
        await device.reaches(lambda: device.engine.snapshot.status.link == "stopped")
        assert device.engine.snapshot.status.sign_in
        assert not device.of(Problem)


async def test_the_same_token_again_is_not_taken_for_a_fresh_one(tmp_path: Path) -> None:
    """Else a token that the server refuses would be tried for ever, without a pause."""
    async with fake_server() as home:
        home.tokens = {"another"}
        async with desk(tmp_path, url=home.url) as device:
            await device.reaches(lambda: device.engine.snapshot.status.sign_in)
            session = device.engine.session
            handle, is_new = session._handle("token-0")
            assert (session._handle("token-0"), is_new) == ((handle, False), False)
            other, is_new = session._handle("token-1")
            assert is_new
            assert other != handle
