"""What the user did, on its way to the server (docs/protocol.md#outbox-durable)."""

from typing import Any

import pytest

from protocol._edits import Create
from protocol._errors import LocalProtocolError
from protocol._facts import Edited, Entry, ResultHeard
from protocol._timers import ClientTimer as T
from protocol._types import ItemId, Mid
from protocol.client import (
    Answered,
    CloseTransport,
    Lost,
    Stop,
    Stored,
    Submit,
)

from .answers import result, waiting
from .desk import (
    Desk,
    Make,
    backoff,
    connecting,
    cursor,
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
    syncing,
)


# --- keeping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Desk, connecting, opening, syncing, live, backoff])
def test_edits_are_taken_in_every_state(make: Make) -> None:
    desk = make()
    assert facts(desk.submit(1)) == [Edited(entry(1))]
    assert waiting(desk) == [1]


def test_edits_are_taken_in_stopped_too() -> None:
    desk = backoff()
    desk.step(Stop())
    assert facts(desk.submit(1))


def test_nothing_is_sent_before_it_is_on_disk() -> None:
    desk = live(disk=False)
    outputs = desk.submit(1)
    assert mids(outputs) == []
    assert mids(desk.step(Stored(desk.c.machine.seq))) == [1]


def test_an_entry_with_a_number_used_before_is_the_drivers_mistake() -> None:
    desk = live(outbox=entries(1, 2))
    before = desk.c.machine
    with pytest.raises(LocalProtocolError, match="entry 2 is out of turn; legal: a fresh one above 2"):
        desk.submit(2)
    assert desk.c.machine is before


def test_an_entry_that_was_answered_already_is_the_drivers_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="out of turn"):
        live().step(Submit(entry(1, cursor(7))))


@pytest.mark.parametrize("fields", [{"label": "\ud800"}, {"label": object()}], ids=["a lone surrogate", "no JSON"])
def test_an_entry_that_is_no_json_is_the_drivers_mistake(fields: dict[str, Any]) -> None:
    desk = live()
    edit = Create(kind="timer", id=ItemId("t1"), at=1, fields=fields)
    with pytest.raises(LocalProtocolError, match="entry 1 is no JSON"):
        desk.step(Submit(Entry(Mid(1), edit)))
    assert desk.c.machine.outbox == ()


def test_an_entry_that_no_frame_can_hold_is_the_drivers_mistake() -> None:
    """It would stick in the outbox, and everything after it."""
    edit = Create(kind="timer", id=ItemId("t1"), at=1, fields={"label": "x" * 70_000})
    with pytest.raises(LocalProtocolError, match="has 70168 bytes as a message; legal: 65536"):
        live().step(Submit(Entry(Mid(1), edit)))


def test_stored_twice_is_no_misuse() -> None:
    desk = live()
    desk.submit(1)
    assert reasons(desk.step(Stored(desk.c.machine.seq))) == [f"nothing waits for seq {desk.c.machine.seq}"]


def test_a_disk_that_never_answers_fills_no_memory() -> None:
    desk = live(disk=False)
    for rev in range(42, 1_042):
        desk.event(rev)
    assert len(desk.c.machine.storing) == 256
    desk.step(Stored(desk.c.machine.seq))
    assert desk.c.machine.stored == cursor(1_041)


def test_merged_stores_forget_neither_entry_nor_cursor() -> None:
    desk = live(disk=False)
    for rev in range(42, 342):
        desk.event(rev)
    desk.submit(1)
    desk.submit(2)
    desk.event(342)
    assert mids(desk.step(Stored(desk.c.machine.seq))) == [1, 2]
    assert desk.c.machine.stored == cursor(342)


# --- sending ----------------------------------------------------------------------------------------------------------


def test_a_mutate_carries_epoch_number_and_edit() -> None:
    (message,) = sent(live().submit(1), "mutate")
    assert message == {
        "type": "mutate",
        "epoch": "e1",
        "mid": 1,
        "op": "create",
        "kind": "timer",
        "id": "t1",
        "at": entry(1).edit.at,
        "fields": {"duration_ms": 1000},
    }


def test_sending_starts_at_the_lowest_unanswered_number_on_every_new_transport() -> None:
    desk = live(outbox=entries(3, 4, 5))
    result(desk, 3, rev=50)
    desk.step(Lost(desk.gen, 1006))
    desk.again()
    desk.open()
    assert mids(desk.welcome()) == [4, 5]


def test_entries_answered_before_a_restart_are_not_sent_again() -> None:
    desk = opening(cursor=cursor(41), outbox=[entry(3, cursor(42)), entry(4)])
    assert mids(desk.welcome()) == [4]


def test_entries_answered_under_an_earlier_name_are_never_sent() -> None:
    desk = opening(cursor=cursor(41), outbox=[entry(-1, cursor(7)), entry(0, cursor(8)), entry(1)])
    assert mids(desk.welcome()) == [1]


def test_a_window_of_sixteen_is_kept() -> None:
    desk = opening(cursor=cursor(41), outbox=entries(*range(1, 21)))
    assert mids(desk.welcome()) == list(range(1, 17))
    assert mids(result(desk, 1)) == [17]


def test_the_announced_window_is_kept() -> None:
    desk = opening(cursor=cursor(41), outbox=entries(1, 2, 3))
    assert mids(desk.welcome(limits={"window": 2})) == [1, 2]


def test_nothing_is_sent_after_a_goodbye() -> None:
    desk = live()
    desk.says("goodbye", code=4200, reason="", min_ms=0, max_ms=900, conn=None)
    assert mids(desk.submit(1)) == []


def test_the_client_paces_itself_within_the_announced_rate() -> None:
    """120 a minute with a burst of 40; a few are left for pings, acks and bye."""
    desk = live(outbox=entries(*range(1, 200)))
    moments = []
    for mid in range(1, 151):
        while mid not in [e for session in [desk.c.state.session] for e in session.unanswered]:
            desk.tick()
        moments.append(desk.now)
        result(desk, mid, rev=41 + mid)
    for start in range(100):
        assert moments[start + 50] - moments[start] >= (50 - 40) / 2


def test_what_had_no_answer_for_too_long_is_sent_again() -> None:
    desk = live()
    desk.submit(1)
    desk.wait(10)
    desk.submit(2)
    result(desk, 1)
    assert mids(desk.wait(14.9)) == []
    assert mids(desk.wait(0.2)) == [2]


def test_the_wait_for_an_answer_begins_with_the_first_that_has_none() -> None:
    desk = live()
    desk.wait(20)
    desk.submit(1)
    desk.wait(1)
    result(desk, 1)
    desk.wait(9)
    desk.submit(2)
    assert mids(desk.wait(14.9)) == []
    assert mids(desk.wait(0.2)) == [2]


def test_answers_in_time_are_not_asked_for_again() -> None:
    desk = live()
    desk.submit(1)
    result(desk, 1)
    assert mids(desk.wait(30)) == []


def test_asking_again_ends_at_any_time_of_the_clock() -> None:
    """A rest of the waiting time that is too small to be added to the clock must not be waited for for ever."""
    desk = live()
    desk.now = 1e9 + 0.1
    desk.submit(1)
    desk.now += 7.3
    result(desk, 5)
    desk.submit(2)
    desk.now += 1 / 3
    result(desk, 1)
    assert mids(desk.until(T.RESEND_DUE) + desk.until(T.RESEND_DUE)) == [2]


# --- results ----------------------------------------------------------------------------------------------------------


def test_a_result_is_kept_and_told() -> None:
    desk = live(outbox=entries(1))
    outputs = result(desk, 1, rev=42)
    (fact,) = facts(outputs)
    assert isinstance(fact, ResultHeard)
    assert (fact.result.mid, fact.epoch) == (1, "e1")
    assert one(outputs, Answered).result.status == "applied"


def test_an_applied_entry_waits_for_its_event() -> None:
    desk = live(outbox=entries(1))
    result(desk, 1, rev=42)
    assert desk.c.machine.outbox == (entry(1, cursor(42)),)
    desk.own(42, 1)
    assert waiting(desk) == []


def test_an_event_may_come_before_the_result() -> None:
    desk = live(outbox=entries(1))
    desk.own(42, 1)
    assert waiting(desk) == [1]
    outputs = result(desk, 1, rev=42)
    assert some(outputs, Answered)
    assert waiting(desk) == []


def test_a_merged_entry_leaves_once_the_cursor_has_passed_it() -> None:
    desk = live(outbox=entries(1, 2))
    result(desk, 1, "merged", rev=41)
    assert waiting(desk) == [2]
    result(desk, 2, "merged", rev=43)
    desk.event(42)
    assert waiting(desk) == [2]
    desk.event(43)
    assert waiting(desk) == []


def test_a_rejected_entry_leaves_at_once_and_blocks_nobody() -> None:
    desk = live(outbox=entries(1, 2))
    outputs = result(desk, 1, "rejected", code="gone")
    assert one(outputs, Answered).result.code == "gone"
    assert waiting(desk) == [2]


def test_a_second_answer_changes_nothing() -> None:
    desk = live(outbox=entries(1))
    result(desk, 1)
    before = desk.c.machine.outbox
    assert reasons(result(desk, 1, dup=True)) == ["mid 1 was answered"]
    assert desk.c.machine.outbox == before


def test_an_event_of_this_device_takes_out_no_entry_without_its_answer() -> None:
    """A copy of this store may have used their numbers."""
    desk = live(outbox=entries(1, 2, 3))
    desk.own(42, 2)
    assert waiting(desk) == [1, 2, 3]


@pytest.mark.parametrize("rev", [-1, 1 << 53])
def test_a_place_that_no_log_can_have_is_a_bad_message(rev: int) -> None:
    desk = live(outbox=entries(1))
    outputs = result(desk, 1, rev=rev)
    assert one(outputs, CloseTransport).code == 4000
    assert not facts(outputs)


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_what_a_snapshot_contains_is_asked_about_and_leaves_with_its_answer() -> None:
    """A copy of this store may have used its number: only the answer, or `mid_reused`, tells."""
    desk = live(outbox=entries(1, 2, 3))
    desk.says("sync_required", reason="trimmed", epoch="e1", rev=90)
    desk.snapshot(90, last_mid=2)
    assert waiting(desk) == [1, 2, 3]
    result(desk, 1, rev=80, dup=True)
    assert waiting(desk) == [2, 3]


def test_an_answer_of_another_history_says_nothing_about_this_one() -> None:
    desk = live(outbox=entries(1, 2))
    result(desk, 1, rev=50)
    desk.says("sync_required", reason="epoch", epoch="e2", rev=41)
    outputs = desk.snapshot(41, "e2", last_mid=0)
    assert mids(outputs) == [1, 2]
    assert [message["epoch"] for message in sent(outputs, "mutate")] == ["e2", "e2"]
