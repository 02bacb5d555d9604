"""Answers over HTTP that are none, and what they decide (docs/protocol.md#close-http)."""

from typing import Any

import pytest

from protocol._timers import ClientTimer as T
from protocol._types import Generation, Handle
from protocol.client import (
    CloseTransport,
    GetToken,
    OpenTransport,
    Poll,
    PollAnswered,
    PollFailed,
    PollSoon,
    Stopped,
    Synced,
    TokenFailed,
)

from .desk import (
    Desk,
    cursor,
    deleted,
    facts,
    one,
    polling,
    reasons,
    some,
)
from .http_side import polls, pushing, query


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


@pytest.mark.parametrize(("status", "cuts"), [(0, 1), (408, 1), (502, 1), (503, 1), (504, 1), (500, 0), (429, 0)])
def test_cut_looks_like_a_gateway_that_lost_its_patience(status: int, cuts: int) -> None:
    desk, poll = polling()
    desk.refuses(poll, status)
    assert desk.c.machine.cuts == cuts


def test_an_answer_that_is_none_of_ours_is_no_cut() -> None:
    desk, poll = polling()
    desk.step(PollAnswered(poll.gen, "<html>"))
    assert desk.c.machine.cuts == 0


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
    outputs = desk.refuses(poll, status, code)
    assert desk.state == "Stopped"
    assert desk.c.deadline is None
    assert [close.reason for close in some(outputs, CloseTransport)] == ["refused"] * (there != "Backoff")


@pytest.mark.parametrize("status", [401, 403])
def test_captive_portals_stop_nothing(status: int) -> None:
    desk, poll = polling()
    desk.refuses(poll, status)
    assert desk.state == "Backoff"
    assert not desk.c.machine.refused
