"""What a sleep, or a server that refuses, does to a ring that was believed to be settled."""

from pathlib import Path

import trio
from trio.testing import MockClock

from client_qt.commands import CreateItem, SnoozeRing, StartTimer, StopRing
from protocol import ClockEstimate, Epoch, Result, Rev, client
from protocol._facts import ResultHeard

from .desk import Desk, TurnedClocks, desk
from .test_rings import SEVEN, before_seven, wake, when


def sampled(clocks: TurnedClocks, known: ClockEstimate | None = None) -> client.ClockSampled:
    """The server's clock and this device's agree, as far as Trio's clock can tell."""
    now_ms = trio.current_time() * 1000
    clock = (known or ClockEstimate()).add(now_ms, clocks.wall_ms, clocks.wall_ms, now_ms)
    return client.ClockSampled(clock, 0)


async def test_a_snooze_pressed_right_after_sleep_counts_from_now(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The lid is opened inside the window; the next look at the clock is still to come."""
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        item = await wake(device)
        device.engine._hear(sampled(clocks))
        await trio.sleep(11)
        clocks.sleep(400)
        pressed = clocks.wall_ms
        device.do(SnoozeRing(item, 60_000))
        snooze = device.engine.snapshot.records[item].snooze
        assert snooze is not None
        assert snooze.until == pressed + 60_000
        await trio.sleep(70)
        assert when(device)[1] == pressed + 60_000


async def test_a_pong_that_slept_with_the_device_does_not_shift_its_clock(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It comes before the next look, and the other samples of its estimate lag by the whole sleep."""
    clocks = before_seven(600)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
        before = sampled(clocks)
        device.engine._hear(before)
        await trio.sleep(11)
        clocks.sleep(240)
        device.engine._hear(sampled(clocks, before.clock))
        await trio.sleep(400)
        assert when(device) == [SEVEN]


def refuse_the_newest(device: Desk) -> None:
    """As a server does whose clock is far behind this device's (docs/protocol.md#ring-early)."""
    result = Result(mid=device.engine.copy.replica.entries[-1].mid, status="rejected", rev=Rev(0), code="early")
    device.engine._store(client.Store(1, ResultHeard(result, Epoch("e1"))))
    device.engine._hear(client.Answered(result))


async def test_an_alarm_whose_snooze_is_refused_rings_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, before_seven(10)) as device:
        item = await wake(device)
        await trio.sleep(11)
        await device.done(SnoozeRing(item, 60_000))
        refuse_the_newest(device)
        await trio.sleep(1)
        assert [ring.sounding.resumed for ring in device.rings] == [False, True]


async def test_a_timer_whose_snooze_is_refused_rings_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, TurnedClocks()) as device:
        (item,) = await device.done(CreateItem("timer", {"duration_ms": 5_000}))
        await device.done(StartTimer(item))
        await trio.sleep(6)
        await device.done(SnoozeRing(item, 60_000))
        refuse_the_newest(device)
        await trio.sleep(1)
        assert len(device.rings) == 2


async def test_a_snooze_that_cannot_be_made_leaves_the_alarm_ringing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Longer than a day; or on a device that rings by its own clock, far ahead of the server's."""
    async with desk(tmp_path, before_seven(10)) as device:
        item = await wake(device)
        await trio.sleep(11)
        assert (await device.failed(SnoozeRing(item, 86_400_001))).code == "invalid"
        await trio.sleep(1)
        assert len(device.rings) == 2
        device.engine.time.skew_ms = -600_000
        assert (await device.failed(SnoozeRing(item, 60_000))).code == "early"
        await trio.sleep(1)
        assert len(device.rings) == 3
        assert len(device.silences) == 2


async def test_a_stop_that_is_refused_stays_a_stop_here(tmp_path: Path, autojump_clock: MockClock) -> None:
    """docs/protocol.md#ring-stop-local."""
    async with desk(tmp_path, before_seven(10)) as device:
        item = await wake(device)
        await trio.sleep(11)
        await device.done(StopRing(item))
        refuse_the_newest(device)
        await trio.sleep(60)
        assert len(device.rings) == 1
