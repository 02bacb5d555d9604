"""What the server does not consume, and a store that is a copy (docs/protocol.md#outbox-new-device)."""

from typing import Any

import pytest

from protocol._edits import Delete
from protocol._facts import Entry, Renamed
from protocol._timers import ClientTimer as T
from protocol._types import Mid
from protocol.client import (
    Answered,
    ClientOutput,
    CloseTransport,
    Faulted,
    Lost,
    OpenTransport,
    Stored,
)

from .answers import error, result, waiting
from .desk import (
    SERVER_TIME,
    Desk,
    entries,
    entry,
    facts,
    live,
    mids,
    one,
    opening,
    reasons,
    sent,
    some,
)


# --- epochs -----------------------------------------------------------------------------------------------------------


def test_after_an_epoch_error_nothing_is_sent_before_the_new_snapshot() -> None:
    desk = live(outbox=entries(1, 2))
    assert mids(error(desk, "epoch", ref=1)) == []
    assert mids(error(desk, "epoch", ref=2)) == [], "the one about 2 is old news"
    assert mids(desk.submit(3)) == []
    desk.says("sync_required", reason="epoch", epoch="e2", rev=41)
    assert mids(desk.snapshot(41, "e2")) == [1, 2, 3]


def test_an_epoch_error_that_comes_after_the_snapshot_is_old_news() -> None:
    desk = live(outbox=entries(1, 2))
    desk.says("sync_required", reason="epoch", epoch="e2", rev=41)
    assert mids(desk.snapshot(41, "e2")) == [1, 2]
    for mid in (1, 2):
        assert mids(error(desk, "epoch", ref=mid)) == []
    assert desk.c.state.session.unanswered == (1, 2)


def test_an_epoch_error_without_a_number_holds_everything() -> None:
    desk = live(outbox=entries(1, 2))
    error(desk, "epoch")
    assert desk.c.state.session.unanswered == ()
    assert mids(desk.submit(3)) == []


def test_what_is_disowned_for_nothing_is_sent_again_after_a_while() -> None:
    """On a slow link both of two sendings are answered; the second answer is of an epoch that is over already."""
    desk = live(outbox=entries(1))
    desk.says("sync_required", reason="epoch", epoch="e2", rev=41)
    assert mids(desk.snapshot(41, "e2")) == [1]
    assert mids(error(desk, "epoch", ref=1)) == [], "the first answer is old news"
    assert mids(error(desk, "epoch", ref=1)) == [], "the second one is taken for a disowning of e2"
    assert mids(desk.wait(14)) == []
    assert mids(desk.wait(2)) == [1]


# --- order ------------------------------------------------------------------------------------------------------------


def test_out_of_order_rewinds_to_what_is_wanted() -> None:
    desk = live(outbox=entries(1, 2, 3))
    assert mids(error(desk, "out_of_order", ref=3, want=2, retryable=True)) == [2, 3]


def test_out_of_order_may_want_the_newest() -> None:
    desk = live(outbox=entries(1, 2, 3))
    assert mids(error(desk, "out_of_order", ref=3, want=3, retryable=True)) == [3]


@pytest.mark.parametrize("want", [None, 99])
def test_out_of_order_that_makes_no_sense_changes_nothing(want: int | None) -> None:
    desk = live(outbox=entries(1, 2))
    more = {} if want is None else {"want": want}
    outputs = error(desk, "out_of_order", ref=2, **more)
    assert mids(outputs) == []
    assert reasons(outputs) == ["there is no such mutation to go on from"]


def test_out_of_order_when_nothing_waits_changes_nothing() -> None:
    assert reasons(error(live(), "out_of_order", ref=2, want=1))


# --- a copied store ---------------------------------------------------------------------------------------------------


def renamed(outputs: list[ClientOutput], desk: Desk) -> None:
    """The store took a new name, and its entries count from 1."""
    (fact,) = [fact for fact in facts(outputs) if isinstance(fact, Renamed)]
    assert desk.c.machine.device == fact.device != "desk"


def test_a_want_below_the_oldest_entry_means_a_copied_store() -> None:
    desk = live(outbox=entries(5, 6))
    renamed(error(desk, "out_of_order", ref=5, want=2, retryable=True), desk)
    assert waiting(desk) == [1, 2]


def test_a_want_that_fell_out_of_the_middle_means_a_copied_store() -> None:
    desk = live(outbox=entries(5, 9))
    assert mids(error(desk, "out_of_order", ref=9, want=6, retryable=True)) == [5], "5 is asked for first"
    renamed(result(desk, 5, rev=44), desk)
    assert waiting(desk) == [1]


def test_a_number_that_was_used_already_means_a_copied_store() -> None:
    desk = live(outbox=entries(5, 6))
    assert mids(error(desk, "mid_reused", ref=6)) == [], "5 is still unanswered"
    renamed(result(desk, 5, rev=44), desk)
    assert waiting(desk) == [1]
    assert desk.c.machine.outbox[-1].edit == entry(6).edit


def test_what_was_sent_after_a_used_number_is_answered_before_the_name_changes() -> None:
    """The server may have consumed it: under the new name it would take effect again."""
    desk = live(outbox=entries(5, 6, 7))
    assert not facts(error(desk, "mid_reused", ref=5))
    assert not facts(error(desk, "mid_reused", ref=7))
    assert mids(desk.submit(8)) == [], "what is made meanwhile waits for the new name"
    renamed(result(desk, 6, rev=44), desk)
    assert [other.edit for other in desk.c.machine.outbox if other.answered is None] == [
        entry(5).edit,
        entry(7).edit,
        entry(8).edit,
    ]


def test_a_used_number_is_not_sent_again_on_the_next_connection() -> None:
    desk = live(outbox=entries(5, 6))
    error(desk, "mid_reused", ref=5)
    desk.step(Lost(desk.gen, 1006))
    desk.again()
    desk.open()
    assert mids(desk.welcome()) == [6]


@pytest.mark.parametrize(("status", "code"), [("merged", None), ("rejected", "gone")])
def test_what_had_no_effect_for_want_of_a_displaced_edit_goes_again_behind_it(status: str, code: str | None) -> None:
    """Or a timer that was started and reset runs, and what was made and deleted is there."""
    first, second = entry(5), Entry(Mid(6), Delete(kind="timer", id=entry(5).edit.id, at=entry(5).edit.at + 1))
    desk = live(outbox=(first, second))
    error(desk, "mid_reused", ref=5)
    outputs = result(desk, 6, status, rev=44, **({} if code is None else {"code": code}))
    renamed(outputs, desk)
    assert not some(outputs, Answered)
    assert [other.edit for other in desk.c.machine.outbox] == [first.edit, second.edit]


def test_what_took_effect_behind_a_displaced_edit_is_done() -> None:
    first, second = entry(5), Entry(Mid(6), Delete(kind="timer", id=entry(5).edit.id, at=entry(5).edit.at + 1))
    desk = live(outbox=(first, second))
    error(desk, "mid_reused", ref=5)
    renamed(result(desk, 6, rev=44), desk)
    assert [other.edit for other in desk.c.machine.outbox if other.answered is None] == [first.edit]


def test_a_snapshot_of_the_same_history_does_not_forget_a_used_number() -> None:
    """Forgotten, it would be neither sent nor given another name, and hold up everything behind it."""
    desk = live(outbox=entries(9, 10))
    error(desk, "mid_reused", ref=9)
    desk.says("sync_required", reason="trimmed", epoch="e1", rev=500)
    desk.snapshot(500, last_mid=10)
    renamed(error(desk, "mid_reused", ref=10), desk)
    assert waiting(desk) == [1, 2]


def test_a_new_history_forgets_which_numbers_were_used() -> None:
    desk = live(outbox=entries(9, 10))
    error(desk, "mid_reused", ref=9)
    desk.says("sync_required", reason="epoch", epoch="e2", rev=500)
    assert mids(desk.snapshot(500, "e2", last_mid=8)) == [9, 10]


def test_a_server_that_goes_back_on_its_word_ends_the_wait() -> None:
    desk = live(outbox=entries(5, 6))
    error(desk, "mid_reused", ref=5)
    renamed(error(desk, "out_of_order", ref=6, want=5, retryable=True), desk)
    assert waiting(desk) == [1, 2]


def test_the_new_name_says_hello_before_anything_is_sent_under_it() -> None:
    desk = live(outbox=entries(5))
    outputs = error(desk, "mid_reused", ref=5)
    assert one(outputs, CloseTransport).reason == "new device id"
    assert some(outputs, OpenTransport)
    (hello,) = sent(desk.open())
    assert hello["device"]["id"] == desk.c.machine.device
    assert mids(desk.welcome()) == [1]


def test_nothing_is_sent_under_a_name_that_is_not_on_disk() -> None:
    desk = live(outbox=entries(5))
    desk.disk = False
    error(desk, "mid_reused", ref=5)
    desk.open()
    assert mids(desk.welcome()) == []
    assert mids(desk.step(Stored(desk.c.machine.seq))) == [1]


def test_a_second_new_name_within_a_minute_is_a_failed_attempt() -> None:
    """A server that calls every number used must not be flooded with new devices."""
    desk = live(outbox=entries(5))
    error(desk, "mid_reused", ref=5)
    desk.open()
    desk.welcome()
    error(desk, "mid_reused", ref=1)
    assert desk.state == "Backoff"


def test_a_second_new_name_later_is_a_first_one() -> None:
    desk = live(outbox=entries(5))
    error(desk, "mid_reused", ref=5)
    desk.open()
    desk.welcome()
    desk.synced(41)
    for _ in range(2):
        desk.wait(31)
        desk.says("heartbeat", n=1, t=SERVER_TIME, rev=41)
    error(desk, "mid_reused", ref=1)
    assert desk.state == "Connecting"


@pytest.mark.parametrize("ref", [{}, {"ref": 77}])
def test_mid_reused_about_nothing_that_waits_changes_nothing(ref: dict[str, Any]) -> None:
    desk = live(outbox=entries(5))
    assert reasons(error(desk, "mid_reused", **ref)) == ["that mutation waits no more"]
    assert desk.c.machine.device == "desk"


def test_mid_reused_about_an_answered_entry_changes_nothing() -> None:
    desk = live(outbox=entries(5))
    result(desk, 5, rev=50)
    assert reasons(error(desk, "mid_reused", ref=5))


# --- not now ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["rate_limited", "busy"])
def test_what_is_refused_for_now_is_sent_again_after_the_time_asked_for(code: str) -> None:
    desk = live(outbox=entries(1, 2))
    assert mids(error(desk, code, ref=1, retryable=True, retry_after_ms=700)) == []
    assert mids(desk.submit(3)) == []
    assert mids(desk.wait(0.6)) == []
    assert mids(desk.wait(0.2)) == [1, 2, 3]


def test_without_a_time_asked_for_a_second_is_waited() -> None:
    desk = live(outbox=entries(1))
    error(desk, "busy", ref=1, retryable=True)
    assert desk.due_in(T.RESEND_DUE) == 1


def test_an_unknown_code_is_decided_by_retryable() -> None:
    desk = live(outbox=entries(1))
    error(desk, "hiccup", ref=1, retryable=True, retry_after_ms=500)
    assert mids(desk.wait(1)) == [1]


def test_an_unknown_code_that_no_repetition_mends_is_a_rejection() -> None:
    """Or the outbox would stick."""
    desk = live(outbox=entries(1, 2))
    outputs = error(desk, "forbidden_fruit", ref=1)
    answer = one(outputs, Answered).result
    assert (answer.status, answer.code, answer.rev) == ("rejected", "forbidden_fruit", 41)
    assert waiting(desk) == [2]


def test_it_is_one_without_a_cursor_too() -> None:
    desk = opening(outbox=entries(1))
    desk.welcome()
    assert some(error(desk, "forbidden_fruit", ref=1), Answered)


def test_an_unknown_code_about_nothing_is_only_reported() -> None:
    desk = live(outbox=entries(1))
    outputs = error(desk, "forbidden_fruit")
    assert outputs == some(outputs, Faulted)


def test_an_ack_that_may_have_been_refused_is_said_again() -> None:
    desk = live()
    desk.event(42)
    desk.wait(6)
    error(desk, "rate_limited", retryable=True, retry_after_ms=800)
    assert sent(desk.wait(1), "ack") == [{"type": "ack", "epoch": "e1", "rev": 42}]


def test_an_error_says_all_it_says() -> None:
    fault = one(error(live(), "out_of_order", ref=9, want=4, field="mid", retry_after_ms=3), Faulted).fault
    assert (fault.want, fault.field, fault.retry_after_ms) == (4, "mid", 3)
