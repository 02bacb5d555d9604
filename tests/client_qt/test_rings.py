"""An engine on its own, under a clock that tests turn: when it rings, when it is silent, and what a restart keeps."""

from pathlib import Path

import trio
from trio.testing import MockClock

from client_qt.commands import (
    AddTime,
    CreateItem,
    DeleteItem,
    EditItem,
    PauseTimer,
    QuietHere,
    ResumeTimer,
    RingHere,
    SkipNext,
    SnoozeRing,
    StartTimer,
    StopRing,
)
from client_qt.events import Problem, StatusChanged
from client_qt.local_state import PutSkew
from client_qt.timekeeping import FAR_MS
from client_qt.tokens import FixedToken, NoCredentials
from protocol import ItemId, client

from .desk import MONDAY_MS, Desk, TurnedClocks, desk


SEVEN = MONDAY_MS + 7 * 3_600_000
DAILY = ["mo", "tu", "we", "th", "fr", "sa", "su"]


def before_seven(seconds: float) -> TurnedClocks:
    return TurnedClocks(SEVEN - round(seconds * 1000))


async def wake(device: Desk, **fields: object) -> ItemId:
    (item,) = await device.done(CreateItem("alarm", {"time": "07:00", "tz": "UTC", "days": DAILY, **fields}))
    return item


def when(device: Desk) -> list[int]:
    """The system's clock at each ring, ms."""
    return [ring.local_ns // 1_000_000 for ring in device.rings]


async def test_an_alarm_rings_at_its_instant_without_any_network(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, before_seven(60)) as device:
        await wake(device)
        await trio.sleep(61)
        assert when(device) == [SEVEN]
        assert device.rings[0].at == SEVEN


async def test_it_is_silent_when_its_window_is_over_and_rings_again_the_next_day(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, before_seven(60)) as device:
        await wake(device, ring_s=30)
        await trio.sleep(86_400 + 61)
        assert when(device) == [SEVEN, SEVEN + 86_400_000]
        assert (device.silences[0].why, device.silences[0].by, device.silences[0].local_ns) == (
            "window",
            None,
            (SEVEN + 30_000) * 1_000_000,
        )


async def test_stop_is_silent_before_the_call_returns_and_stays_so_after_a_restart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
        await trio.sleep(20)
        device.do(StopRing())
        assert [(end.why, end.here) for end in device.silences] == [("dismissed", True)]
        assert not device.engine.snapshot.sounding
        await trio.sleep(1)
    async with desk(tmp_path, clocks) as device:
        await trio.sleep(700)
        assert device.rings == []


async def test_a_restart_inside_the_window_rings_on_as_the_same_ring(tmp_path: Path, autojump_clock: MockClock) -> None:
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
        await trio.sleep(11)
        first = device.rings[0].sounding
    clocks.sleep(60)
    async with desk(tmp_path, clocks) as device:
        await trio.sleep(1)
        (again,) = device.rings
        assert (again.sounding.key, again.sounding.resumed) == (first.key, True)


async def test_a_restart_after_the_window_lists_and_does_not_ring(tmp_path: Path, autojump_clock: MockClock) -> None:
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        item = await wake(device)
    clocks.sleep(3_600)
    async with desk(tmp_path, clocks) as device:
        await trio.sleep(10)
        assert device.rings == []
        await device.done(StopRing(item))
        assert device.engine.snapshot.records[item].acked == SEVEN


async def test_after_sleep_across_the_due_instant_it_rings_within_five_seconds(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = before_seven(3_600)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
        await trio.sleep(10)
        clocks.sleep(3_600)
        woke = clocks.wall_ms
        await trio.sleep(6)
        assert when(device)[0] - woke <= 5_000


async def test_after_sleep_past_the_window_it_does_not_ring(tmp_path: Path, autojump_clock: MockClock) -> None:
    clocks = before_seven(3_600)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
        clocks.sleep(3_600 + 601)
        await trio.sleep(10)
        assert device.rings == []


async def test_stop_before_the_ring_means_that_it_never_begins(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A dismissal may arrive first; here it comes by the timer's own deletion and by a snoozed ring that is stopped."""
    async with desk(tmp_path, before_seven(10)) as device:
        item = await wake(device)
        await trio.sleep(11)
        await device.done(SnoozeRing(item, 60_000))
        await device.done(StopRing(item))
        await trio.sleep(600)
        assert len(device.rings) == 1


async def test_a_snooze_over_midnight_rings_on_the_next_day(tmp_path: Path, autojump_clock: MockClock) -> None:
    clocks = TurnedClocks(MONDAY_MS + 86_400_000 - 300_000)
    async with desk(tmp_path, clocks) as device:
        await wake(device, time="23:58", days=["mo"])
        await trio.sleep(200)
        assert len(device.rings) == 1
        pressed = clocks.wall_ms
        await device.done(SnoozeRing())
        await trio.sleep(600)
        assert when(device)[1] == pressed + 540_000
        assert device.rings[1].sounding.key.n == 1


async def test_unanswered_it_repeats_by_itself(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, before_seven(10)) as device:
        await wake(device, ring_s=30, snooze_s=60, auto_snooze=2)
        await trio.sleep(600)
        assert when(device) == [SEVEN, SEVEN + 90_000, SEVEN + 180_000]
        assert [ring.sounding.key.n for ring in device.rings] == [0, 1, 2]


async def test_a_clock_that_is_90_s_fast_rings_with_the_others(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The skew was learned from the server in an earlier run, and holds without a network."""
    clocks = before_seven(10)
    clocks.set(90)
    async with desk(tmp_path, clocks) as device:
        device.engine._keep((PutSkew(-90_000),))
        await wake(device)
    async with desk(tmp_path, clocks) as device:
        await trio.sleep(20)
        assert when(device) == [SEVEN + 90_000]
        assert device.rings[0].at == SEVEN


async def test_with_clocks_hours_apart_an_alarm_rings_by_the_devices_own_and_says_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        device.engine.time.skew_ms = -(FAR_MS + 1)
        device.engine._keep_skew()
        assert [problem.code for problem in device.of(Problem)] == ["clock_far"]
        await wake(device)
        await trio.sleep(20)
        assert when(device) == [SEVEN]


async def test_a_clock_set_ahead_by_hand_does_not_ring_what_the_server_says_is_not_due(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = before_seven(100)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
        clocks.set(120)
        await trio.sleep(50)
        assert device.rings == []
        await trio.sleep(60)
        assert device.rings[0].at == SEVEN


async def test_quiet_here_silences_this_device_and_changes_nothing_else(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        item = await wake(device)
        await trio.sleep(11)
        await device.done(QuietHere())
        assert [end.why for end in device.silences] == ["quiet"]
        assert device.engine.snapshot.records[item].acked is None
        await trio.sleep(30)
        assert len(device.rings) == 1
        await device.done(StopRing(item))
        assert device.engine.snapshot.records[item].acked == SEVEN


async def test_an_item_that_does_not_ring_here_stays_silent_until_that_is_changed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        item = await wake(device)
        await device.done(RingHere(item, rings=False))
    async with desk(tmp_path, clocks) as device:
        await trio.sleep(20)
        assert device.rings == []
        await device.done(RingHere(item, rings=True))
        await trio.sleep(1)
        assert len(device.rings) == 1
        await device.done(RingHere(item, rings=False))
        assert [end.why for end in device.silences] == ["quiet"]


async def test_a_skipped_occurrence_does_not_ring_and_the_next_one_does(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, before_seven(10)) as device:
        item = await wake(device)
        await device.done(SkipNext(item))
        await trio.sleep(86_400 + 20)
        assert when(device) == [SEVEN + 86_400_000]


async def test_a_skip_can_be_taken_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, before_seven(10)) as device:
        item = await wake(device)
        await device.done(SkipNext(item))
        await device.done(SkipNext(item, undo=True))
        await trio.sleep(20)
        assert when(device) == [SEVEN]


async def test_a_timer_rings_when_it_ends_also_after_pause_resume_and_more_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = TurnedClocks()
    async with desk(tmp_path, clocks) as device:
        (item,) = await device.done(CreateItem("timer", {"duration_ms": 60_000}))
        await device.done(StartTimer(item))
        start = clocks.wall_ms
        await trio.sleep(10)
        await device.done(PauseTimer(item))
        await trio.sleep(1_000)
        await device.done(ResumeTimer(item))
        await device.done(AddTime(item, 5_000))
        await trio.sleep(60)
        assert abs(when(device)[0] - (start + 60_000 + 1_000_000 + 5_000)) <= 20


async def test_a_running_timer_survives_a_restart(tmp_path: Path, autojump_clock: MockClock) -> None:
    clocks = TurnedClocks()
    async with desk(tmp_path, clocks) as device:
        (item,) = await device.done(CreateItem("timer", {"duration_ms": 60_000}))
        await device.done(StartTimer(item))
        end = clocks.wall_ms + 60_000
    async with desk(tmp_path, clocks) as device:
        await trio.sleep(90)
        assert abs(when(device)[0] - end) <= 20


async def test_several_rings_stack_and_stop_without_a_name_stops_them_all(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, before_seven(10)) as device:
        await wake(device)
        await wake(device, label="too")
        await trio.sleep(11)
        assert len(device.engine.snapshot.sounding) == 2
        assert len(await device.done(StopRing())) == 2
        assert not device.engine.snapshot.sounding


async def test_deleting_what_rings_silences_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, before_seven(10)) as device:
        item = await wake(device)
        await trio.sleep(11)
        await device.done(DeleteItem(item))
        await trio.sleep(1)
        assert [(end.why, end.here) for end in device.silences] == [("deleted", True)]


async def test_an_alarm_edited_to_a_time_just_past_waits_for_the_next_day(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, before_seven(-300)) as device:
        item = await wake(device, time="08:00")
        await device.done(EditItem(item, {"time": "07:00"}))
        await trio.sleep(600)
        assert device.rings == []


# --- news that is about to come ---------------------------------------------------------------------------------------


DEAD = "http://127.0.0.1:9"


class NoAnswer:
    """A server that neither answers nor refuses."""

    async def token(self, *, fresh: bool) -> str:
        await trio.sleep_forever()
        raise AssertionError(fresh)


async def test_with_a_server_rings_wait_for_news_and_for_three_seconds_at_most(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
    clocks.sleep(60)
    async with desk(tmp_path, clocks, url=DEAD, tokens=NoAnswer()) as device:
        started = clocks.wall_ms
        await trio.sleep(20)
        assert [at - started for at in when(device)] == [3_000]


async def test_a_refused_attempt_ends_the_wait(tmp_path: Path, autojump_clock: MockClock) -> None:
    """No news will come, so a dead server makes no ring late."""
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
    clocks.sleep(60)
    for tokens, link in ((FixedToken("good"), "offline"), (NoCredentials(), "stopped")):
        async with desk(tmp_path, clocks, url=DEAD, tokens=tokens, cut=link == "offline") as device:
            started = clocks.wall_ms
            await trio.sleep(2)
            assert [at - started for at in when(device)] == [0]
            assert link in {event.status.link for event in device.of(StatusChanged)}


async def test_news_that_comes_ends_the_wait(tmp_path: Path, autojump_clock: MockClock) -> None:
    clocks = before_seven(10)
    async with desk(tmp_path, clocks) as device:
        await wake(device)
    clocks.sleep(60)
    async with desk(tmp_path, clocks, url=DEAD, tokens=NoAnswer()) as device:
        started = clocks.wall_ms
        await trio.sleep(1)
        device.engine._hear(client.Synced())
        await trio.sleep(20)
        assert [at - started for at in when(device)] == [1_000]


async def test_a_link_that_comes_and_goes_cannot_keep_a_ring_waiting(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with desk(tmp_path, before_seven(10), url=DEAD, tokens=NoAnswer()) as device:
        await wake(device)
        for _ in range(30):
            await trio.sleep(1)
            device.engine._settle()
        assert [at - SEVEN for at in when(device)] == [3_000]


async def test_one_that_rings_already_rings_on_while_the_link_comes_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with desk(tmp_path, before_seven(10), url=DEAD, tokens=NoAnswer()) as device:
        await wake(device)
        await trio.sleep(15)
        device.engine._settle()
        await trio.sleep(5)
        assert len(device.rings) == 1
        assert device.silences == []
