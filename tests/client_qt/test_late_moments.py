"""What a sleep, a server that refuses, or news from the past does to a ring that was believed to be settled."""

from pathlib import Path

import trio
from trio.testing import MockClock

from client_qt.commands import CreateItem, SnoozeRing, StartTimer, StopRing
from protocol import ClockEstimate, Epoch, Mid, Record, Result, Rev, RunId, client
from protocol._facts import ResultHeard, SnapshotHeard

from .desk import MONDAY_MS, Desk, TurnedClocks, desk
from .records import running
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


# --- rings heard of when they are long due ----------------------------------------------------------------------------


def hear(device: Desk, rev: int, record: Record) -> None:
    """News of a server, that reaches a device which is live."""
    device.engine._store(client.Store(rev, SnapshotHeard(Epoch("e1"), Rev(rev), Mid(0), items=(record,))))


async def test_a_timer_that_was_stopped_elsewhere_is_not_heard_while_its_news_comes_in(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It was started and stopped without a network; the two changes come one after the other."""
    async with desk(tmp_path, TurnedClocks()) as device:
        await trio.sleep(60)
        hear(device, 1, running(ends_at=MONDAY_MS + 30_000))
        await trio.sleep(0.5)
        hear(device, 2, running(ends_at=MONDAY_MS + 30_000, acked=RunId("r1")))
        await trio.sleep(60)
        assert device.rings == []


async def test_a_late_ring_that_nobody_stopped_is_heard_after_a_second(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Whatever else comes in meanwhile makes it no later."""
    async with desk(tmp_path, TurnedClocks()) as device:
        await trio.sleep(60)
        hear(device, 1, running(ends_at=MONDAY_MS + 30_000))
        await trio.sleep(0.6)
        hear(device, 2, running(ends_at=MONDAY_MS + 30_000, label="Tea"))
        await trio.sleep(60)
        assert [at - MONDAY_MS for at in when(device)] == [61_000]


async def test_a_ring_that_came_due_here_is_never_held(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Also where the device slept over it and hears news of it as it wakes, or where the news is only a little late."""
    clocks = TurnedClocks()
    async with desk(tmp_path, clocks) as device:
        hear(device, 1, running(ends_at=MONDAY_MS + 30_000))
        await trio.sleep(10)
        clocks.sleep(60)
        hear(device, 2, running(ends_at=MONDAY_MS + 30_000, label="Tea"))
        await trio.sleep(0.01)
        assert [at - MONDAY_MS for at in when(device)] == [70_000]
        hear(device, 3, running("egg", ends_at=clocks.wall_ms - 900))
        await trio.sleep(0.01)
        assert len(device.rings) == 2


async def test_in_step_no_late_ring_waits(tmp_path: Path, autojump_clock: MockClock) -> None:
    """docs/protocol.md#ring-start-at-synced: there is no more news than this."""
    async with desk(tmp_path, TurnedClocks()) as device:
        await trio.sleep(60)
        hear(device, 1, running(ends_at=MONDAY_MS + 30_000))
        device.engine._hear(client.Synced())
        await trio.sleep(0.01)
        assert [at - MONDAY_MS for at in when(device)] == [60_000]
