"""How the log comes down (docs/protocol.md#resume-gap)."""

import json
from typing import Any

import pytest

from protocol._facts import EventsHeard, SnapshotHeard
from protocol._timers import ClientTimer as T
from protocol.client import CloseTransport, Faulted, Live, Received, Synced

from .desk import (
    Desk,
    cursor,
    deleted,
    entries,
    facts,
    live,
    mids,
    one,
    opening,
    reasons,
    said,
    sent,
    some,
    syncing,
    timer,
)


def gathering(**options: object) -> Desk:
    """Live, and the server has said that a snapshot follows."""
    desk = live(**options)
    desk.says("sync_required", reason="too_many", epoch="e1", rev=900)
    return desk


def gathered(desk: Desk) -> bool:
    """Whether a snapshot is awaited still."""
    return desk.c.state.session.gathering is not None


# --- events -----------------------------------------------------------------------------------------------------------


def test_the_next_event_is_applied() -> None:
    desk = live()
    (fact,) = facts(desk.event(42))
    assert isinstance(fact, EventsHeard)
    assert [event.rev for event in fact.events] == [42]
    assert fact.cursor == desk.c.machine.cursor == cursor(42)


@pytest.mark.parametrize("rev", [1, 40, 41])
def test_an_old_event_is_dropped(rev: int) -> None:
    desk = live()
    outputs = desk.event(rev)
    assert reasons(outputs) == [f"rev {rev} is here already"]
    assert desk.c.machine.cursor == cursor(41)
    assert desk.c.statistics()["dropped"] == 1


def test_an_event_after_a_gap_is_not_applied_but_closes_with_4202() -> None:
    desk = live()
    outputs = desk.event(43)
    assert sent(outputs) == [{"type": "bye", "reason": "gap"}]
    assert one(outputs, CloseTransport).code == 4202
    assert not facts(outputs)
    delay = desk.due_in(T.RECONNECT_DUE)
    assert delay is not None
    assert 0 <= delay <= 1


def test_a_second_gap_within_a_minute_is_a_failed_attempt() -> None:
    desk = live()
    desk.event(43)
    desk.again()
    desk.open()
    desk.welcome()
    desk.event(43)
    assert desk.c.machine.history.failed == 1
    assert desk.c.machine.history.delays == 1


def test_an_event_before_any_snapshot_is_a_gap() -> None:
    desk = opening()
    desk.welcome()
    assert one(desk.event(1), CloseTransport).code == 4202


def test_events_are_applied_while_syncing_too() -> None:
    desk = syncing()
    assert facts(desk.event(42))


def test_rev_zero_is_a_cursor() -> None:
    desk = opening(cursor=cursor(0))
    desk.welcome()
    assert facts(desk.event(1))


@pytest.mark.parametrize("missing", ["id", "changed"])
def test_an_update_without_what_v1_needs_is_a_bad_message(missing: str) -> None:
    """Classic updates of the same type carry `data` instead."""
    event = {"type": "timer_updated", "rev": 42, "at": 1, "id": "t", "changed": {}, "origin": None, "data": {}}
    del event[missing]
    desk = live()
    outputs = desk.step(Received(desk.gen, json.dumps(event)))
    assert one(outputs, Faulted).fault.field == "changed"
    assert one(outputs, CloseTransport).code == 4000


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_a_snapshot_in_one_part_replaces_everything() -> None:
    desk = gathering()
    (fact,) = facts(desk.snapshot(900, last_mid=4, items=[timer("a")], deleted=["b"]))
    assert isinstance(fact, SnapshotHeard)
    assert (fact.epoch, fact.rev, fact.last_mid, fact.deleted) == ("e1", 900, 4, ("b",))
    assert [item.id for item in fact.items] == ["a"]
    assert desk.c.machine.cursor == cursor(900)
    assert isinstance(desk.c.state, Live)


def test_parts_are_gathered_and_applied_on_the_last_only() -> None:
    desk = gathering()
    assert not facts(desk.snapshot(900, part=0, last=False, items=[timer("a")], deleted=["x"]))
    assert not facts(desk.snapshot(900, part=1, last=False, items=[timer("b")]))
    (fact,) = facts(desk.snapshot(900, part=2, items=[timer("c")], deleted=["y"]))
    assert [item.id for item in fact.items] == ["a", "b", "c"]
    assert fact.deleted == ("x", "y")


def test_a_snapshot_without_deleted_says_so() -> None:
    (fact,) = facts(gathering().snapshot(900))
    assert not fact.deleted


def test_events_before_the_last_part_are_dropped() -> None:
    desk = gathering()
    assert reasons(desk.event(42)) == ["rev 42 before the snapshot is complete"]
    desk.snapshot(900, part=0, last=False)
    assert reasons(desk.event(901))
    desk.snapshot(900, part=1)
    assert facts(desk.event(901))


@pytest.mark.parametrize(
    "wrong",
    [{"part": 2}, {"part": 0}, {"rev": 901}, {"epoch": "e9"}],
    ids=["a hole", "a repetition", "another rev", "another epoch"],
)
def test_parts_that_do_not_fit_are_a_bad_message(wrong: dict[str, Any]) -> None:
    desk = gathering()
    desk.snapshot(900, part=0, last=False)
    outputs = desk.snapshot(**{"rev": 900, "part": 1, **wrong})
    assert one(outputs, Faulted).fault.field == "part"
    assert not facts(outputs)


@pytest.mark.parametrize("wrong", [{"part": 1}, {"rev": -1}, {"rev": 1 << 60}])
def test_a_first_part_that_is_none_is_a_bad_message(wrong: dict[str, Any]) -> None:
    outputs = gathering().snapshot(**{"rev": 900, **wrong})
    assert one(outputs, CloseTransport).code == 4000


def test_a_snapshot_that_nobody_announced_is_a_bad_message() -> None:
    assert one(live().snapshot(900), CloseTransport).code == 4000


def test_a_snapshot_without_end_is_too_big() -> None:
    """Invariant 12: what is gathered is bounded."""
    desk = gathering()
    outputs = []
    for part in range(1_025):
        outputs = desk.snapshot(900, part=part, last=False)
    assert one(outputs, CloseTransport).code == 1009


def test_a_second_sync_required_starts_the_gathering_again() -> None:
    desk = gathering()
    desk.snapshot(900, part=0, last=False, items=[timer("a")])
    desk.says("sync_required", reason="epoch", epoch="e2", rev=3)
    (fact,) = facts(desk.snapshot(3, "e2", items=[timer("b")]))
    assert [item.id for item in fact.items] == ["b"]


def test_a_snapshot_below_the_cursor_does_not_turn_time_back() -> None:
    """A poll may have gone further meanwhile."""
    desk = gathering()
    outputs = desk.snapshot(40)
    assert not facts(outputs)
    assert reasons(outputs) == ["a snapshot at rev 40, below the cursor"]
    assert desk.c.machine.cursor == cursor(41)


def test_a_new_epoch_may_have_a_lower_rev() -> None:
    desk = live()
    desk.says("sync_required", reason="epoch", epoch="e2", rev=3)
    assert facts(desk.snapshot(3, "e2"))
    assert desk.c.machine.cursor == cursor(3, "e2")


def test_frames_belong_to_the_epoch_of_the_last_snapshot() -> None:
    desk = live()
    desk.says("sync_required", reason="epoch", epoch="e2", rev=3)
    desk.snapshot(3, "e2")
    (fact,) = facts(desk.event(4))
    assert fact.cursor == cursor(4, "e2")


def test_a_snapshot_may_be_of_a_later_epoch_than_what_announced_it() -> None:
    desk = gathering()
    desk.snapshot(5, "e3")
    assert desk.c.machine.cursor == cursor(5, "e3")
    assert not gathered(desk)


@pytest.mark.parametrize("reason", ["epoch", "trimmed", "ahead", "too_many", "slow", "asked"])
def test_every_reason_is_treated_alike(reason: str) -> None:
    desk = live()
    desk.says("sync_required", reason=reason, epoch="e1", rev=50)
    assert gathered(desk)


# --- synced -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rev", "epoch"), [(42, "e1"), (41, "e2")])
def test_synced_at_a_place_that_was_not_reached_is_a_gap(rev: int, epoch: str) -> None:
    desk = syncing()
    outputs = desk.synced(rev, epoch)
    assert one(outputs, CloseTransport).code == 4202
    assert not some(outputs, Synced)


def test_synced_before_the_snapshot_is_complete_is_a_gap() -> None:
    assert one(gathering().synced(41), CloseTransport).code == 4202


def test_synced_without_any_snapshot_is_a_gap() -> None:
    desk = opening()
    desk.welcome()
    assert one(desk.synced(0), CloseTransport).code == 4202


def test_an_empty_stretch_ends_in_synced_too() -> None:
    desk = syncing()
    assert some(desk.synced(41), Synced)


def test_synced_below_the_cursor_is_fine() -> None:
    """A poll was faster."""
    desk = syncing()
    assert some(desk.synced(40), Synced)


# --- uploads beside it ------------------------------------------------------------------------------------------------


def test_uploads_wait_for_no_replay() -> None:
    desk = opening(cursor=cursor(41), outbox=entries(1, 2))
    assert mids(desk.welcome(rev=500)) == [1, 2]


def test_a_device_without_cursor_uploads_before_its_snapshot() -> None:
    desk = opening(outbox=entries(1))
    assert mids(desk.welcome()) == [1]


def test_a_new_epoch_has_to_be_here_before_anything_is_sent_under_it() -> None:
    desk = opening(cursor=cursor(41), outbox=entries(1))
    assert mids(desk.welcome(epoch="e2")) == []
    assert mids(desk.says("sync_required", reason="epoch", epoch="e2", rev=3)) == []
    (message,) = sent(desk.snapshot(3, "e2"), "mutate")
    assert (message["mid"], message["epoch"]) == (1, "e2")


def test_a_poll_may_bring_the_epoch_that_the_socket_has_not_heard_of() -> None:
    """Then the socket's events belong to a history that is over."""
    desk = syncing()
    desk.c.step(Received(desk.gen, said("sync_required", reason="epoch", epoch="e2", rev=3)), desk.now)
    desk.snapshot(3, "e2")
    assert desk.c.machine.cursor == cursor(3, "e2")
    assert json.loads(json.dumps(deleted(4)))["rev"] == 4
