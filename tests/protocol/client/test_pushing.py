"""The outbox by HTTP while no socket can be had (docs/protocol.md#life-poll-outbox)."""

import json
from typing import Any

import pytest

from protocol._facts import Renamed
from protocol._settings import Limits
from protocol._timers import ClientTimer as T
from protocol._types import Handle
from protocol.client import (
    Answered,
    Faulted,
    Lost,
    Opened,
    Poll,
    PollAnswered,
    PollOff,
    PollSoon,
    Pushing,
    TokenReady,
)

from .desk import (
    created,
    cursor,
    facts,
    mids,
    one,
    polling,
    reasons,
    sent,
    some,
)
from .http_side import path, polls, pushed, pushing, query, result


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
    assert desk.c.machine.paused <= desk.now, "nothing is held back"


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


def test_a_renamed_device_does_not_take_what_was_asked_under_the_old_name() -> None:
    """That answer tells how far the numbers of the old name go."""
    desk, poll, push = pushing(9)
    outputs = desk.answers(poll, rev=500, last_mid=9, sync_required="trimmed")
    (asked,) = polls(outputs, "GET")
    outputs = desk.answers(push, results=[], error={"code": "mid_reused", "message": "", "ref": 9})
    (again,) = polls(outputs, "GET")
    assert query(again)["device_id"] == desk.c.machine.device != query(asked)["device_id"]
    assert path(again) == path(asked)
    assert reasons(desk.answers(asked, rev=500, last_mid=9, items=[]))
    assert desk.c.machine.cursor == cursor(41)


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


def test_an_own_event_in_a_poll_waits_for_the_answer_to_the_push() -> None:
    desk, poll, push = pushing(1)
    desk.answers(poll, rev=42, last_mid=1, events=[created(42, 1)])
    assert [entry.mid for entry in desk.c.machine.outbox] == [1]
    desk.answers(push, results=[result(1)])
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
