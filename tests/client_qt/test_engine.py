"""What the engine does around its parts: waking up, damaged copies, records aside, and its end."""

from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from client_qt.commands import CreateItem, CutNetwork, DiscardAside, RestoreAside, StartTimer, StopRing
from client_qt.events import Failed, InStep, Problem, RingEnded, StatusChanged
from protocol import Epoch, client

from .desk import TurnedClocks, desk
from .fake_server import fake_server


DEAD = "http://127.0.0.1:9"


async def test_after_sleep_the_connection_is_taken_as_lost_and_tried_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = TurnedClocks()
    async with desk(tmp_path, clocks, url=DEAD, cut=True) as device:
        await trio.sleep(300)
        heard = list[client.ClientInput]()
        feed = device.engine.session.feed

        def tap(stimulus: client.ClientInput) -> None:
            heard.append(stimulus)
            feed(stimulus)

        device.engine.session.feed = tap  # type: ignore[method-assign]  # to hear what the engine says to it
        clocks.sleep(3_600)
        await trio.sleep(6)
        assert heard.count(client.Woke()) == 1


async def test_a_device_stays_quiet_about_a_clock_that_only_drifts(tmp_path: Path, autojump_clock: MockClock) -> None:
    clocks = TurnedClocks()
    async with desk(tmp_path, clocks, url=DEAD, cut=True) as device:
        attempts = device.engine.session.connection.statistics()["attempts"]
        for _ in range(20):
            await trio.sleep(1)
            clocks.set(0.3)
        assert attempts == device.engine.session.connection.statistics()["attempts"]
        assert not device.of(Problem)


async def test_a_damaged_copy_is_said_and_the_device_goes_on(tmp_path: Path) -> None:
    (tmp_path / "desk.db").write_bytes(b"not a database" * 1_000)
    async with desk(tmp_path) as device:
        (problem,) = device.of(Problem)
        assert problem.code == "damaged"
        assert "desk.damaged-1.db" in problem.message
        await device.done(CreateItem("timer", {"duration_ms": 1_000}))


async def test_what_was_changed_is_on_disk_even_when_it_is_cancelled(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with desk(tmp_path) as device:
            device.do(CreateItem("timer", {"duration_ms": 1_000}))
            scope.cancel()
            await trio.sleep_forever()
    async with desk(tmp_path) as device:
        assert len(device.engine.snapshot.records) == 1


async def test_offline_is_calm(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Hours without a network are no news but for the attempts; nothing piles up, and it goes on trying."""
    async with desk(tmp_path, TurnedClocks(), url=DEAD, cut=True) as device:
        await trio.sleep(6 * 3_600)
        assert not device.of(Problem)
        assert not device.of(Failed)
        last = device.of(StatusChanged)[-1].status
        assert last.link in {"offline", "polling", "connecting"}
        assert device.engine.session.connection.statistics()["storing"] <= 1


async def test_records_that_a_restored_server_lacks_still_ring_and_can_be_given_back(tmp_path: Path) -> None:
    async with fake_server() as home, desk(tmp_path, url=home.url) as device:
        await device.until(lambda event: isinstance(event, InStep))
        (kept,) = await device.done(CreateItem("timer", {"duration_ms": 60_000, "label": "kept"}))
        (lost,) = await device.done(CreateItem("timer", {"duration_ms": 60_000, "label": "lost"}))
        (dropped,) = await device.done(CreateItem("timer", {"duration_ms": 60_000, "label": "dropped"}))
        await device.reaches(lambda: device.engine.snapshot.status.data == "up_to_date")
        await device.done(CutNetwork(cut=True))
        for item in (lost, dropped):
            del home.store.records[item]
        home.store.renew(Epoch("restored"))
        await device.done(CutNetwork(cut=False))
        await device.reaches(lambda: device.engine.snapshot.aside == {lost, dropped})
        assert device.engine.snapshot.records.keys() == {kept, lost, dropped}
        await device.done(RestoreAside(lost))
        await device.reaches(lambda: lost in home.store.records)
        await device.done(DiscardAside(dropped))
        await device.reaches(lambda: device.engine.snapshot.records.keys() == {kept, lost})


async def test_two_stops_in_one_breath_are_one_silence(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        (item,) = await device.done(CreateItem("timer", {"duration_ms": 1_000}))
        await device.done(StartTimer(item))
        await trio.sleep(2)
        device.do(StopRing(item))
        device.do(StopRing(item))
        await trio.sleep(1)
        assert len(device.of(RingEnded)) == 1


async def test_the_snapshot_is_a_value_that_later_changes_leave_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        before = device.engine.snapshot
        await device.done(CreateItem("timer", {"duration_ms": 1_000}))
        assert before.records == {}
        assert len(device.engine.snapshot.records) == 1
        with pytest.raises(AttributeError):
            before.device = "other"  # type: ignore[misc,assignment]  # it is frozen
        assert replace(before) == before
