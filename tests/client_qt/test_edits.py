"""From commands to edits: filled in, checked before they are stored, and none where nothing would change."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from client_qt.commands import (
    AddTime,
    Command,
    CreateItem,
    CutNetwork,
    DeleteItem,
    DiscardAside,
    EditItem,
    ForgetRejection,
    PauseTimer,
    QuietHere,
    ResetTimer,
    RestoreAside,
    ResumeTimer,
    SkipNext,
    SnoozeRing,
    StartTimer,
    StopRing,
    SyncNow,
    TakeOver,
)
from client_qt.events import Changed, Deleted
from protocol import Alarm, ItemId, Timer

from .desk import MONDAY_MS, Desk, TurnedClocks, desk


NOBODY = ItemId("nobody")


async def new_alarm(device: Desk, **fields: Any) -> ItemId:
    (item,) = await device.done(CreateItem("alarm", {"time": "07:00", "tz": "UTC", **fields}))
    return item


async def new_timer(device: Desk, **fields: Any) -> ItemId:
    (item,) = await device.done(CreateItem("timer", {"duration_ms": 60_000, **fields}))
    return item


def alarm_of(device: Desk, item: ItemId) -> Alarm:
    record = device.engine.snapshot.records[item]
    assert isinstance(record, Alarm)
    return record


def timer_of(device: Desk, item: ItemId) -> Timer:
    record = device.engine.snapshot.records[item]
    assert isinstance(record, Timer)
    return record


async def test_a_once_alarm_gets_its_day_here_so_that_it_rings_without_a_server(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, TurnedClocks(MONDAY_MS + 8 * 3_600_000)) as device:
        assert alarm_of(device, await new_alarm(device)).date == "2026-11-24"
        assert alarm_of(device, await new_alarm(device, time="09:00")).date == "2026-11-23"
        assert alarm_of(device, await new_alarm(device, days=["fr"])).date is None


async def test_a_once_alarm_changed_after_its_day_is_meant_for_the_next_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, TurnedClocks(MONDAY_MS)) as device:
        item = await new_alarm(device)
        await trio.sleep(8 * 3_600)
        await device.done(EditItem(item, {"label": "Up"}))
        assert alarm_of(device, item).date == "2026-11-23"
        await device.done(EditItem(item, {"time": "07:30"}))
        assert alarm_of(device, item).date == "2026-11-24"


async def test_what_does_not_differ_is_not_sent(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        item = await new_alarm(device, label="Up")
        waiting = len(device.engine.copy.replica.entries)
        assert await device.done(EditItem(item, {"label": "Up", "ring_s": 600})) == (item,)
        assert len(device.engine.copy.replica.entries) == waiting
        await device.done(EditItem(item, {"label": "Up", "ring_s": 30}))
        edit = device.engine.copy.replica.entries[-1].edit
        assert getattr(edit, "fields", None) == {"ring_s": 30}


async def test_a_timer_goes_through_its_phases(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        item = await new_timer(device)
        await device.done(StartTimer(item))
        assert timer_of(device, item).phase == "running"
        await trio.sleep(10)
        await device.done(PauseTimer(item))
        assert abs((timer_of(device, item).remaining_ms or 0) - 50_000) < 100
        await device.done(AddTime(item, 60_000))
        await device.done(ResumeTimer(item))
        assert timer_of(device, item).phase == "running"
        await device.done(ResetTimer(item))
        assert timer_of(device, item).phase == "idle"


REFUSED: list[tuple[Command, str, str | None]] = [
    (CreateItem("alarm", {"time": "25:00"}), "invalid", "time"),
    (CreateItem("alarm", {"time": "07:00", "tz": "Mars/Base"}), "bad_zone", "tz"),
    (CreateItem("alarm", {}), "invalid", "time"),
    (CreateItem("timer", {"duration_ms": 0}), "invalid", "duration_ms"),
    (CreateItem("timer", {"duration_ms": 1, "label": "x" * 201}), "invalid", "label"),
    (EditItem(NOBODY, {"label": "x"}), "unknown_id", "id"),
    (DeleteItem(NOBODY), "unknown_id", "id"),
    (StopRing(NOBODY), "unknown_id", "id"),
    (StopRing(), "not_ringing", None),
    (SnoozeRing(), "not_ringing", None),
    (QuietHere(), "not_ringing", None),
    (SyncNow(), "no_server", None),
    (TakeOver(), "no_server", None),
    (CutNetwork(cut=True), "no_server", None),
    (CutNetwork(cut=False), "no_server", None),
]


@pytest.mark.parametrize(("command", "code", "field"), REFUSED)
async def test_what_cannot_be_done_is_refused_here_with_code_and_field(
    tmp_path: Path, autojump_clock: MockClock, command: Command, code: str, field: str | None
) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        failed = await device.failed(command)
        assert (failed.code, failed.field) == (code, field)
        assert len(failed.message) > 10
        assert device.engine.copy.replica.entries == ()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (PauseTimer, "no_effect"),
        (ResumeTimer, "no_effect"),
        (ResetTimer, "no_effect"),
        (lambda item: AddTime(item, 1_000), "no_effect"),
        (lambda item: AddTime(item, 0), "invalid"),
        (SkipNext, "invalid"),
        (StopRing, "not_ringing"),
        (SnoozeRing, "not_ringing"),
        (RestoreAside, "no_effect"),
    ],
)
async def test_what_an_idle_timer_cannot_do_says_so(
    tmp_path: Path, autojump_clock: MockClock, make: Any, code: str
) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        item = await new_timer(device, label="Tea")
        failed = await device.failed(make(item))
        assert failed.code == code
        assert len(device.engine.copy.replica.entries) == 1


async def test_what_only_a_timer_can_is_refused_for_an_alarm_in_words(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        item = await new_alarm(device, label="Wake")
        assert (await device.failed(StartTimer(item))).message == 'alarm "Wake" is not a timer.'


async def test_an_item_without_a_snooze_length_wants_to_hear_one(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        item = await new_timer(device, duration_ms=1_000, snooze_s=0)
        await device.done(StartTimer(item))
        await trio.sleep(2)
        assert (await device.failed(SnoozeRing(item))).field == "length_ms"
        await device.done(SnoozeRing(item, 5_000))
        await trio.sleep(6)
        assert len(device.rings) == 2


async def test_a_stop_that_is_refused_is_silent_all_the_same(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The clock was far ahead, so the server would say `early`; whoever pressed Stop wants silence."""
    clocks = TurnedClocks(MONDAY_MS + 7 * 3_600_000 - 5_000)
    async with desk(tmp_path, clocks) as device:
        item = await new_alarm(device)
        device.engine.time.skew_ms = -600_000
        await trio.sleep(10)
        assert len(device.rings) == 1
        failed = await device.failed(StopRing(item))
        assert failed.code == "early"
        await trio.sleep(60)
        assert len(device.rings) == 1
        assert device.engine.snapshot.sounding == ()


async def test_every_change_is_told_and_survives_a_restart(tmp_path: Path, autojump_clock: MockClock) -> None:
    clocks = TurnedClocks()
    async with desk(tmp_path, clocks) as device:
        item = await new_timer(device, label="Tea")
        await device.done(EditItem(item, {"label": "Green tea"}))
        gone = await new_timer(device)
        await device.done(DeleteItem(gone))
        assert [event.record.label for event in device.of(Changed)] == ["Tea", "Green tea", ""]
        assert [event.item for event in device.of(Deleted)] == [gone]
        before = device.engine.snapshot.records
    async with desk(tmp_path, clocks) as device:
        assert device.engine.snapshot.records == before
        assert device.engine.snapshot.waiting == {item, gone}


async def test_forgetting_what_is_not_there_does_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        await device.done(ForgetRejection(9))
        await device.done(DiscardAside(NOBODY))
