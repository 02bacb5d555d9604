"""The same log by HTTP while no socket can be had (docs/protocol.md#life-poll-start)."""

from typing import Any

import pytest

from protocol._facts import EventsHeard, SnapshotHeard
from protocol._settings import Timing
from protocol._timers import ClientTimer as T
from protocol._types import Handle
from protocol.client import (
    ClientOutput,
    ClockSampled,
    CloseTransport,
    OpenTransport,
    Poll,
    PollAnswered,
    Polling,
    PollOff,
    PollSoon,
    Start,
    Stop,
    Stored,
    Synced,
)

from .answers import error
from .desk import (
    SERVER_TIME,
    Desk,
    backoff,
    connecting,
    cursor,
    deleted,
    facts,
    links,
    one,
    polling,
    reasons,
    some,
    timer,
)
from .http_side import path, pushing, query


# --- beginning --------------------------------------------------------------------------------------------------------


def test_two_failed_attempts_in_a_row_start_polling() -> None:
    desk = backoff()
    assert isinstance(desk.c.machine.polled, PollOff)
    desk.again()
    outputs = desk.fail()
    assert some(outputs, Poll)
    assert links(outputs) == ["polling"]


def test_ten_seconds_without_reaching_opening_start_polling() -> None:
    desk = connecting(timing=Timing(connect_ms=60_000))
    outputs = desk.wait(10)
    assert some(outputs, Poll)
    assert links(outputs) == ["polling"]


def test_an_open_transport_does_not_start_polling() -> None:
    desk = connecting(timing=Timing(opening_ms=60_000))
    desk.wait(9)
    desk.open()
    assert not some(desk.wait(20), Poll)


def test_without_any_token_there_is_nothing_to_poll_with() -> None:
    desk = Desk()
    desk.step(Start())
    outputs = desk.until(T.POLL_START_DUE)
    assert not some(outputs, Poll)
    assert isinstance(desk.c.machine.polled, PollSoon)
    desk.again()
    assert some(desk.token(), Poll), "the token that the next attempt waits for serves the poll too"


def test_the_socket_goes_on_being_tried() -> None:
    desk, _ = polling()
    assert some(desk.again(), OpenTransport)


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_poll_names_device_cursor_and_waits() -> None:
    _, poll = polling()
    assert path(poll) == "GET /api/alarms-timers/changes"
    assert query(poll) == {"device_id": "desk", "since": "e1:41", "wait": "25"}
    assert poll.handle == Handle("token")
    assert poll.timeout_ms == 45_000


def test_without_a_cursor_the_snapshot_is_asked_for() -> None:
    _, poll = polling(cursor=None)
    assert path(poll) == "GET /api/alarms-timers"
    assert query(poll) == {"device_id": "desk"}


def test_names_are_quoted() -> None:
    _, poll = polling(cursor=cursor(1, "a&b c"))
    assert query(poll)["since"] == "a&b c:1"


def test_a_poll_names_only_what_is_on_disk() -> None:
    """`since` counts as an ack."""
    desk, poll = polling()
    desk.disk = False
    outputs = desk.answers(poll, rev=42, last_mid=0, events=[deleted(42)])
    assert not some(outputs, Poll)
    assert desk.c.machine.polled == PollSoon("changes", storing=True)
    outputs = desk.step(Stored(desk.c.machine.seq))
    assert query(one(outputs, Poll))["since"] == "e1:42"


def test_a_disk_that_does_not_answer_is_looked_at_again() -> None:
    desk, poll = polling()
    desk.disk = False
    desk.answers(poll, rev=42, last_mid=0, events=[deleted(42)])
    assert not some(desk.offline_until(T.POLL_DUE), Poll)
    assert desk.due_in(T.POLL_DUE)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_events_are_applied_with_the_same_cursor() -> None:
    desk, poll = polling()
    outputs = desk.answers(poll, rev=43, last_mid=0, events=[deleted(42), deleted(43)])
    (fact,) = facts(outputs)
    assert isinstance(fact, EventsHeard)
    assert (len(fact.events), fact.cursor) == (2, cursor(43))
    assert some(outputs, Synced)
    assert query(one(outputs, Poll))["since"] == "e1:43"
    assert desk.c.statistics()["polls"] == 2


def test_events_that_the_socket_brought_meanwhile_are_dropped() -> None:
    desk, poll = polling()
    desk.again()
    desk.open()
    desk.welcome()
    desk.event(42)
    (fact,) = facts(desk.answers(poll, rev=43, last_mid=0, events=[deleted(42), deleted(43)]))
    assert [event.rev for event in fact.events] == [43]


def test_an_answer_is_a_clock_sample() -> None:
    desk, poll = polling()
    desk.now += 25.05
    outputs = desk.answers(poll, rev=41, last_mid=0, events=[], t1=SERVER_TIME, t2=SERVER_TIME + 25_000)
    assert one(outputs, ClockSampled).round_trip_ms == pytest.approx(50)


def test_an_answer_without_clock_is_none() -> None:
    desk, poll = polling()
    outputs = desk.step(PollAnswered(poll.gen, '{"epoch":"e1","rev":41,"last_mid":0,"events":[]}'))
    assert not some(outputs, ClockSampled)
    assert some(outputs, Synced)


def test_a_long_poll_without_news_is_followed_by_the_next() -> None:
    desk, poll = polling()
    desk.now += 25
    assert some(desk.answers(poll, rev=41, last_mid=0, events=[]), Poll)


def test_a_long_poll_that_did_not_wait_is_not_repeated_in_a_busy_loop() -> None:
    desk, poll = polling()
    assert not some(desk.answers(poll, rev=41, last_mid=0, events=[]), Poll)
    delay = desk.due_in(T.POLL_DUE)
    assert delay is not None
    assert 12 <= delay <= 18


@pytest.mark.parametrize(
    "events", [[deleted(43)], [deleted(42), deleted(44)], [{**deleted(42), "type": "timer_updated"}]]
)
def test_events_with_a_hole_or_without_a_member_are_a_failure(events: list[dict[str, Any]]) -> None:
    desk, poll = polling()
    outputs = desk.answers(poll, rev=44, last_mid=0, events=events)
    assert not facts(outputs)
    assert desk.c.statistics()["poll_failures"] == 1


@pytest.mark.parametrize("there", ["Opening", "Syncing"])
def test_a_copied_store_ends_the_session_that_said_hello_under_its_name(there: str) -> None:
    desk, _, push = pushing(1)
    desk.again()
    desk.open()
    if there == "Syncing":
        desk.welcome()
    assert desk.state == there
    outputs = error(desk, "mid_reused", ref=1) if there == "Syncing" else reused(desk, push)
    assert one(outputs, CloseTransport).reason == "new device id"
    assert desk.state == "Connecting"


def reused(desk: Desk, push: Poll) -> list[ClientOutput]:
    """The push is told that its number was used."""
    return desk.answers(push, results=[], error={"code": "mid_reused", "message": "", "ref": 1})


# --- snapshots --------------------------------------------------------------------------------------------------------


def required(desk: Desk, poll: Poll) -> Poll:
    """The request for a snapshot that follows."""
    outputs = desk.answers(poll, rev=900, sync_required="trimmed")
    assert not facts(outputs)
    snapshot = one(outputs, Poll)
    assert path(snapshot) == "GET /api/alarms-timers"
    assert query(snapshot)["since"] == "e1:41", "so that deleted ids are listed where the epoch is another"
    return snapshot


def test_sync_required_is_followed_by_a_snapshot() -> None:
    desk, poll = polling()
    snapshot = required(desk, poll)
    outputs = desk.answers(snapshot, rev=900, last_mid=0, items=[timer("a")], deleted=["b"])
    (fact,) = facts(outputs)
    assert isinstance(fact, SnapshotHeard)
    assert (fact.rev, fact.deleted, len(fact.items)) == (900, ("b",), 1)
    assert some(outputs, Synced)
    assert query(one(outputs, Poll))["since"] == "e1:900"


def test_another_epoch_means_a_snapshot_too() -> None:
    desk, poll = polling()
    outputs = desk.answers(poll, epoch="e2", rev=3, last_mid=0, events=[])
    assert path(one(outputs, Poll)) == "GET /api/alarms-timers"


def test_a_snapshot_below_the_cursor_is_dropped() -> None:
    desk, poll = polling()
    snapshot = required(desk, poll)
    outputs = desk.answers(snapshot, rev=40, last_mid=0, items=[])
    assert reasons(outputs) == ["a snapshot at rev 40, below the cursor"]
    assert desk.c.machine.cursor == cursor(41)
    assert not some(outputs, Poll), "a server that lags behind is not asked in a tight loop"
    assert desk.due_in(T.POLL_DUE)


def test_a_snapshot_that_leads_to_a_snapshot_is_not_asked_for_in_a_tight_loop() -> None:
    desk, poll = polling()
    outputs = desk.answers(required(desk, poll), rev=900, last_mid=0, items=[])
    outputs = desk.answers(one(outputs, Poll), rev=900, sync_required="ahead")
    assert not some(outputs, Poll)
    assert desk.c.machine.polled == PollSoon("snapshot")


def test_an_answer_from_before_the_epoch_changed_is_dropped() -> None:
    desk, poll = polling()
    desk.again()
    desk.open()
    desk.welcome(epoch="e2")
    desk.says("sync_required", reason="epoch", epoch="e2", rev=3)
    desk.snapshot(3, "e2")
    outputs = desk.answers(poll, rev=42, last_mid=0, events=[deleted(42)])
    assert "an answer from before the epoch changed" in reasons(outputs)
    assert not facts(outputs)
    assert query(one(outputs, Poll))["since"] == "e2:3"


# --- ending -----------------------------------------------------------------------------------------------------------


def test_synced_over_the_socket_ends_polling() -> None:
    desk, poll = polling()
    desk.again()
    desk.open()
    desk.welcome()
    assert isinstance(desk.c.machine.polled, Polling), "until then it goes on"
    desk.synced(41)
    assert isinstance(desk.c.machine.polled, PollOff)
    assert desk.due_in(T.POLL_LATE_DUE) is None
    assert reasons(desk.answers(poll, rev=42, last_mid=0, events=[deleted(42)]))


def test_stop_ends_polling() -> None:
    desk, poll = polling()
    desk.step(Stop())
    assert isinstance(desk.c.machine.polled, PollOff)
    assert reasons(desk.refuses(poll, 500))
    assert desk.c.deadline is None
