"""The same log by HTTP while no socket can be had (docs/protocol.md#life-poll-start)."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from protocol._facts import EventsHeard, Renamed, SnapshotHeard
from protocol._settings import Limits, Timing
from protocol._timers import ClientTimer as T
from protocol._types import Generation, Handle
from protocol.client import (
    Answered,
    ClientOutput,
    ClockSampled,
    CloseTransport,
    Faulted,
    GetToken,
    Lost,
    Opened,
    OpenTransport,
    Poll,
    PollAnswered,
    PollFailed,
    Polling,
    PollOff,
    PollSoon,
    Pushing,
    Start,
    Stop,
    Stopped,
    Stored,
    Synced,
    TokenFailed,
    TokenReady,
)

from .desk import (
    SERVER_TIME,
    Desk,
    backoff,
    connecting,
    created,
    cursor,
    deleted,
    entries,
    facts,
    links,
    mids,
    one,
    polling,
    reasons,
    sent,
    some,
    timer,
)


def query(poll: Poll) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(poll.path).query).items()}


def path(poll: Poll) -> str:
    return f"{poll.method} {urlsplit(poll.path).path}"


def pushed(poll: Poll) -> list[int]:
    """Numbers of the mutations in a POST."""
    return [message["mid"] for message in json.loads(poll.body or "")["mutations"]]


def polls(outputs: list[ClientOutput], method: str) -> list[Poll]:
    return [poll for poll in some(outputs, Poll) if poll.method == method]


def pushing(*numbers: int, **options: object) -> tuple[Desk, Poll, Poll]:
    """Polling, with a push out beside the poll."""
    desk = backoff(outbox=entries(*numbers), **options)
    desk.again()
    outputs = desk.fail()
    (poll,), (push,) = polls(outputs, "GET"), polls(outputs, "POST")
    return desk, poll, push


def result(mid: int, status: str = "applied", rev: int = 42, **more: object) -> dict[str, object]:
    return {"mid": mid, "status": status, "rev": rev, **more}


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


def test_a_copied_store_is_noticed_here_too() -> None:
    desk, poll, _ = pushing(1)
    outputs = desk.answers(poll, rev=42, last_mid=1, events=[deleted(42, "desk", 1)])
    assert [type(fact) for fact in facts(outputs)] == [Renamed]
    assert not some(outputs, Synced)
    (again,) = polls(outputs, "GET")
    assert query(again)["device_id"] == desk.c.machine.device


@pytest.mark.parametrize("there", ["Opening", "Syncing"])
def test_a_copied_store_ends_the_session_that_said_hello_under_its_name(there: str) -> None:
    desk, poll, _ = pushing(1)
    desk.again()
    desk.open()
    if there == "Syncing":
        desk.welcome()
    assert desk.state == there
    outputs = desk.answers(poll, rev=42, last_mid=1, events=[deleted(42, "desk", 1)])
    assert one(outputs, CloseTransport).reason == "new device id"
    assert desk.state == "Connecting"


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


# --- what is no answer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>Please log in</html>",
        "[]",
        '{"rev":41,"events":[]}',
        '{"epoch":"e1","rev":"x"}',
        '{"epoch":"e1","rev":-1}',
        '{"epoch":"e1","rev":9007199254740992}',
        '{"epoch":"e1","rev":41,"events":[{"type":"confetti"}]}',
        "[" * 100_000,
        '{"epoch":"\ud800","rev":41}',
    ],
)
def test_what_is_not_ours_is_a_failure(body: str) -> None:
    desk, poll = polling()
    outputs = desk.step(PollAnswered(poll.gen, body))
    assert not facts(outputs)
    assert not some(outputs, Synced)
    assert desk.c.statistics()["poll_failures"] == 1
    delay = desk.due_in(T.POLL_DUE)
    assert delay is not None
    assert 12 <= delay <= 18


def test_an_answer_longer_than_everything_a_user_can_have_is_not_read() -> None:
    desk, poll = polling()
    desk.c.step(PollAnswered(poll.gen, " " * 40_000_000), desk.now)
    assert desk.c.statistics()["poll_failures"] == 1


@pytest.mark.parametrize("fact", [PollAnswered(Generation(1), "{}"), PollFailed(Generation(1), 500)])
def test_answers_to_nothing_are_ignored(fact: Any) -> None:
    desk, _ = polling()
    assert reasons(desk.step(fact))[0].endswith("which is over")
    assert reasons(Desk().step(fact))


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failed_poll_is_repeated_after_the_usual_time() -> None:
    desk, poll = polling()
    desk.refuses(poll, 500)
    delay = desk.due_in(T.POLL_DUE)
    assert delay is not None
    assert 12 <= delay <= 18


def test_retry_after_is_kept() -> None:
    desk, poll = polling()
    desk.refuses(poll, 503, "busy", 40_000)
    assert desk.due_in(T.POLL_DUE) == 40


def cut(desk: Desk, poll: Poll, after: float = 5) -> Poll:
    """The long poll was cut; the next one."""
    desk.now += after
    desk.refuses(poll, 504)
    return polls(desk.offline_until(T.POLL_DUE), "GET")[0]


def test_long_polls_that_are_cut_become_short_ones() -> None:
    desk, poll = polling()
    again = cut(desk, poll)
    assert query(again)["wait"] == "25", "once may be chance"
    short = cut(desk, again)
    assert "wait" not in query(short)
    assert short.timeout_ms == 20_000
    desk.answers(short, rev=42, last_mid=0, events=[deleted(42)])
    assert desk.c.machine.cuts == 2


def test_a_long_poll_that_came_through_counts_against_the_cuts() -> None:
    desk, poll = polling()
    again = cut(desk, poll)
    desk.now += 25
    desk.answers(again, rev=41, last_mid=0, events=[])
    assert desk.c.machine.cuts == 0


def test_a_poll_that_is_not_answered_in_time_has_failed_and_a_late_answer_belongs_to_nobody() -> None:
    desk, poll = polling()
    desk.offline_until(T.POLL_LATE_DUE)
    assert isinstance(desk.c.machine.polled, PollSoon)
    assert reasons(desk.answers(poll, rev=42, last_mid=0, events=[deleted(42)]))
    assert desk.c.machine.cursor == cursor(41)


def test_an_expired_token_is_refreshed_by_bringing_the_attempt_forward() -> None:
    desk, poll = polling()
    outputs = desk.refuses(poll, 401, "token_expired")
    assert one(outputs, GetToken).fresh
    outputs = desk.token("t2")
    assert one(outputs, Poll).handle == Handle("t2")
    assert one(outputs, OpenTransport).handle == Handle("t2")


def test_a_token_refused_a_second_time_brings_nothing_forward() -> None:
    desk, poll, push = pushing(1)
    desk.refuses(poll, 401, "token_expired")
    desk.step(TokenFailed(desk.gen, rejected=False, why="offline"))
    assert desk.state == "Backoff"
    assert not some(desk.refuses(push, 401, "token_expired"), GetToken)


def test_an_attempt_under_way_is_left_alone() -> None:
    desk, poll = polling()
    desk.again()
    desk.refuses(poll, 401, "token_expired")
    assert desk.state == "Connecting"
    assert desk.c.machine.refused


def test_an_invalid_token_twice_in_a_minute_stops() -> None:
    desk, poll = polling()
    desk.refuses(poll, 401, "token_invalid")
    outputs = desk.token("t2")
    desk.fail()
    desk.refuses(one(outputs, Poll), 401, "token_invalid")
    assert desk.c.state == Stopped("signed out", sign_in=True)


@pytest.mark.parametrize(("status", "code"), [(403, "forbidden"), (426, "version")])
@pytest.mark.parametrize("there", ["Backoff", "Connecting", "Opening", "Syncing"])
def test_refusals_of_ours_stop_everything(status: int, code: str, there: str) -> None:
    desk, poll = polling()
    for state, go in [("Connecting", desk.again), ("Opening", desk.open), ("Syncing", desk.welcome)]:
        if desk.state != there:
            go()
            assert desk.state == state
    desk.refuses(poll, status, code)
    assert desk.state == "Stopped"
    assert desk.c.deadline is None


@pytest.mark.parametrize("status", [401, 403])
def test_captive_portals_stop_nothing(status: int) -> None:
    desk, poll = polling()
    desk.refuses(poll, status)
    assert desk.state == "Backoff"
    assert not desk.c.machine.refused


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


# --- the outbox -------------------------------------------------------------------------------------------------------


def test_waiting_mutations_are_posted() -> None:
    _, _, push = pushing(1, 2)
    assert path(push) == "POST /api/alarms-timers/mutations"
    assert query(push) == {"device_id": "desk"}
    (first, second) = json.loads(push.body or "")["mutations"]
    assert (first["type"], first["mid"], first["epoch"], second["mid"]) == ("mutate", 1, "e1", 2)


def test_an_edit_waits_for_no_long_poll() -> None:
    desk, _ = polling()
    (push,) = polls(desk.submit(1), "POST")
    assert pushed(push) == [1]


def test_results_are_kept_and_the_rest_follows() -> None:
    desk, _, push = pushing(1)
    desk.submit(2)
    outputs = desk.answers(push, results=[result(1)])
    assert [answered.result.mid for answered in some(outputs, Answered)] == [1]
    assert pushed(one(outputs, Poll)) == [2]


def test_at_most_a_batch_is_posted() -> None:
    _, _, push = pushing(*range(1, 100))
    assert pushed(push) == list(range(1, 65))


def test_a_batch_stays_below_the_bound_in_bytes() -> None:
    _, _, push = pushing(1, 2, 3, limits=Limits(inflate=300))
    assert pushed(push) == [1, 2]


def test_without_a_cursor_there_is_no_epoch_to_send_under() -> None:
    desk, _ = polling(cursor=None)
    assert not polls(desk.submit(1), "POST")


def test_a_socket_with_a_session_takes_over() -> None:
    desk, _, push = pushing(1)
    desk.again()
    desk.open()
    assert mids(desk.welcome()) == [1]
    assert not polls(desk.submit(2), "POST")
    outputs = desk.answers(push, results=[result(1)])
    assert facts(outputs)
    outputs = desk.says("result", mid=1, status="applied", rev=42, dup=True)
    assert reasons(outputs) == ["mid 1 was answered"]


def test_an_error_in_a_push_is_not_taken_for_the_sockets() -> None:
    desk, _, push = pushing(1)
    desk.again()
    desk.open()
    desk.welcome()
    outputs = desk.answers(push, results=[], error={"code": "epoch", "message": "", "ref": 1})
    assert "error epoch: the socket has taken over" in reasons(outputs)
    assert desk.c.state.session.held is None


def test_an_answer_of_a_push_from_before_the_epoch_changed_is_dropped() -> None:
    desk, _, push = pushing(1)
    desk.again()
    desk.open()
    desk.welcome(epoch="e2")
    desk.says("sync_required", reason="epoch", epoch="e2", rev=3)
    desk.snapshot(3, "e2")
    outputs = desk.answers(push, results=[result(1)])
    assert "an answer from before the epoch changed" in reasons(outputs)
    assert not facts(outputs)


def test_an_epoch_error_fetches_the_snapshot_and_sends_again_under_the_new_one() -> None:
    desk, _, push = pushing(1)
    outputs = desk.answers(push, epoch="e2", results=[], error={"code": "epoch", "message": "", "ref": 1})
    assert some(outputs, Faulted)
    (snapshot,) = polls(outputs, "GET")
    assert path(snapshot) == "GET /api/alarms-timers"
    assert not polls(outputs, "POST")
    (again,) = polls(desk.answers(snapshot, epoch="e2", rev=3, last_mid=0, items=[]), "POST")
    assert json.loads(again.body or "")["mutations"][0]["epoch"] == "e2"


@pytest.mark.parametrize("error", [{"code": "mid_reused", "ref": 5}, {"code": "out_of_order", "ref": 5, "want": 2}])
def test_a_copied_store_takes_a_new_name(error: dict[str, Any]) -> None:
    desk, _, push = pushing(5)
    outputs = desk.answers(push, results=[], error={"message": "", **error})
    assert [type(fact) for fact in facts(outputs)] == [Renamed]
    (again,) = polls(outputs, "POST")
    assert pushed(again) == [1]
    assert query(again)["device_id"] == desk.c.machine.device


def test_a_copied_store_forgets_the_push_under_its_old_name() -> None:
    desk, poll, push = pushing(1)
    desk.answers(poll, rev=42, last_mid=1, events=[deleted(42, "desk", 1)])
    assert reasons(desk.answers(push, results=[result(1)]))


@pytest.mark.parametrize("more", [{"ref": 1}, {}])
def test_a_busy_server_is_asked_again_after_its_time(more: dict[str, Any]) -> None:
    desk, _, push = pushing(1)
    busy = {"code": "busy", "message": "", "retryable": True, "retry_after_ms": 3_000, **more}
    outputs = desk.answers(push, results=[], error=busy)
    assert not polls(outputs, "POST")
    assert desk.due_in(T.RESEND_DUE) == 3
    assert polls(desk.until(T.RESEND_DUE), "POST")


@pytest.mark.parametrize("body", ["", "{}", '{"epoch":"e1","results":[{"mid":1,"status":"applied","rev":-1}]}'])
def test_a_push_without_a_sensible_answer_is_repeated_later(body: str) -> None:
    desk, _, push = pushing(1)
    outputs = desk.step(PollAnswered(push.gen, body))
    assert not some(outputs, Answered)
    delay = desk.due_in(T.RESEND_DUE)
    assert delay is not None
    assert 12 <= delay <= 18


def test_a_failed_push_is_repeated_later() -> None:
    desk, _, push = pushing(1)
    desk.refuses(push, 503, "busy", 30_000)
    assert desk.due_in(T.RESEND_DUE) == 30
    desk.until(T.RESEND_DUE)
    assert isinstance(desk.c.machine.pushed, Pushing)


def test_a_push_that_is_not_answered_in_time_has_failed() -> None:
    desk, _, push = pushing(1)
    desk.offline_until(T.POLL_LATE_DUE)
    assert reasons(desk.answers(push, results=[result(1)]))
    assert desk.due_in(T.RESEND_DUE)


def test_an_own_event_in_a_poll_retires_its_entry() -> None:
    desk, poll, _ = pushing(1)
    desk.answers(poll, rev=42, last_mid=1, events=[created(42, 1)])
    assert desk.c.machine.outbox == ()


def test_a_pause_outlasts_the_attempts_beside_it() -> None:
    desk, _, push = pushing(1)
    desk.refuses(push, 503, "busy", 30_000)
    desk.again()
    desk.fail()
    assert desk.due_in(T.RESEND_DUE)


def test_a_new_session_ends_the_pause() -> None:
    desk, _, push = pushing(1)
    desk.refuses(push, 503, "busy", 30_000)
    desk.again()
    desk.step(Opened(desk.gen, "tocsin.v1"))
    assert mids(desk.welcome()) == [1]


def test_after_a_session_was_lost_the_wait_for_polling_begins_again() -> None:
    desk, _ = polling()
    desk.again()
    desk.open()
    desk.welcome()
    desk.synced(41)
    desk.wait(11)
    desk.step(Lost(desk.gen, 1006))
    assert desk.due_in(T.POLL_START_DUE) == 10
    assert isinstance(desk.c.machine.polled, PollOff)


def test_the_token_of_the_next_attempt_wakes_a_waiting_poll() -> None:
    desk, poll = polling()
    desk.refuses(poll, 401, "token_expired")
    assert isinstance(desk.c.machine.polled, PollSoon)
    outputs = desk.step(TokenReady(desk.gen, Handle("t2")))
    assert len(polls(outputs, "GET")) == 1
    assert not sent(outputs)
