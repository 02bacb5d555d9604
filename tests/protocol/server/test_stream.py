"""Behind and Live: how changes reach a v1 client, page by page, live, and when it is slow."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from protocol._deflate import pack, unpack
from protocol._settings import Limits, Timing
from protocol._timers import ServerTimer
from protocol._types import ItemId, Rev
from protocol.server import (
    Behind,
    Blocked,
    CloseTransport,
    Drained,
    Draining,
    HeadRead,
    Ignored,
    Live,
    ReadHead,
    ReadPage,
    ReadState,
    Resync,
    ServerConnection,
    StoreFailed,
    Terms,
    Tick,
    Transmit,
    TransmitBinary,
)
from protocol.server._rules_stream import parts

from .sessions import (
    ANNA,
    EPOCH,
    OTHER,
    SMALL,
    WALL,
    account,
    behind,
    classic,
    cursor,
    frames,
    item,
    join,
    joining,
    kinds,
    live,
    messages,
    only,
    page,
    published,
    row,
    say,
    serve,
    snapshot,
)


LONG = "x" * 2_000


def revs(outputs: Any) -> list[Any]:
    return [message["rev"] for message in messages(outputs)]


def head(rev: int, epoch: Any = EPOCH) -> HeadRead:
    return HeadRead(account(rev, epoch=epoch), WALL)


# --- replay ----------------------------------------------------------------------------------------------------------


def test_a_replay_goes_page_by_page_and_ends_with_synced() -> None:
    """docs/protocol.md#life-behind, docs/protocol.md#msg-synced."""
    c = joining(SMALL, cursor=cursor(41))
    outputs = serve(c, join(c, 46), 46)
    assert [o for o in outputs if isinstance(o, ReadPage)] == [ReadPage(ANNA, Rev(r), 2) for r in (41, 43, 45)]
    assert revs(outputs) == [46, 42, 43, 44, 45, 46, 46]
    assert kinds(outputs)[-1] == "synced"
    assert c.state == replace(c.state, sent=Rev(46), blocked=False, held=())


def test_a_change_published_during_a_replay_is_read_from_the_log_and_comes_before_synced() -> None:
    c = behind(41, 43)
    assert c.step(published(44), 0.0) == []
    first = c.step(page(41, 43), 0.0)
    assert kinds(first) == ["alarm_updated", "alarm_updated", "ReadPage"]
    assert kinds(c.step(page(43, 44), 0.0)) == ["alarm_updated", "synced"]


def test_a_page_that_knows_of_a_newer_head_is_followed_by_the_next() -> None:
    c = behind(41, 43)
    assert kinds(c.step(page(41, 43, head=50), 0.0))[-1] == "ReadPage"


def test_a_goal_that_the_log_never_reached_does_not_hold_synced_back() -> None:
    """The log is the truth: a rev that was published and never committed is waited for by nobody."""
    c = behind(41, 43)
    assert kinds(c.step(page(41, 41), 0.0)) == ["synced"]
    assert isinstance(c.state, Live)


@pytest.mark.parametrize("i", [page(40, 43), page(42, 43), snapshot(43)])
def test_an_answer_to_another_question_is_ignored(i: Any) -> None:
    c = behind(41, 43)
    before = c.machine
    assert kinds(c.step(i, 0.0)) == ["Ignored"]
    assert c.machine == before


def test_answers_that_nobody_waits_for_any_more_are_ignored() -> None:
    c = live()
    assert kinds(c.step(page(41, 43), 0.0)) == ["Ignored"]
    assert kinds(c.step(snapshot(43), 0.0)) == ["Ignored"]
    assert kinds(c.step(StoreFailed("page"), 0.0)) == ["Ignored"]
    assert c.state.sent == 41


def test_a_page_while_a_snapshot_is_read_is_ignored() -> None:
    c = behind(cursor=None)
    assert c.step(page(0, 3), 0.0) == [Ignored("not the page asked for")]


@pytest.mark.parametrize(("i", "reason"), [(page(41, 43, floor=42), "trimmed"), (page(41, 43, head=542), "too_many")])
def test_a_log_that_moved_on_during_the_replay_is_answered_with_a_snapshot(i: Any, reason: str) -> None:
    """docs/protocol.md#life-behind-limit, docs/protocol.md#log-floor."""
    c = behind(41, 43)
    outputs = c.step(i, 0.0)
    assert kinds(outputs) == ["sync_required", "ReadState"]
    assert messages(outputs)[0]["reason"] == reason
    assert outputs[-1] == ReadState(ANNA, c.state.peer.device, with_deleted=False)


def test_a_page_of_another_epoch_is_answered_with_a_snapshot() -> None:
    """docs/protocol.md#life-new-epoch."""
    outputs = behind(41, 43).step(page(41, 43, epoch=OTHER), 0.0)
    assert messages(outputs)[0] == {"type": "sync_required", "reason": "epoch", "epoch": OTHER, "rev": 43}
    assert outputs[-1] == ReadState(ANNA, behind().state.peer.device, with_deleted=True)


# --- a store that does not answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "what"), [(behind, "page"), (lambda: behind(cursor=None), "state")])
def test_a_session_ends_with_1013_when_its_log_cannot_be_read(make: Any, what: Any) -> None:
    """docs/protocol.md#life-store-busy."""
    c = make()
    outputs = c.step(StoreFailed(what, retry_after_ms=700), 0.0)
    assert kinds(outputs) == ["goodbye", "CloseTransport", "Leave"]
    assert (only(outputs)["code"], only(outputs)["min_ms"]) == (1013, 700)


@pytest.mark.parametrize("make", [behind, lambda: behind(cursor=None)])
def test_a_session_ends_with_1013_when_two_heartbeats_pass_without_an_answer(make: Any) -> None:
    """It would wait for ever: publishing does not wake it, and its peer hears heartbeats."""
    c = make()
    assert kinds(c.step(Tick(), 30.0)) == ["ReadHead"]
    c.step(published(44), 31.0)
    c.step(head(44), 31.0)
    assert only(c.step(Tick(), 60.0))["code"] == 1013
    assert isinstance(c.state, Draining)


def test_an_answer_in_between_gives_the_store_its_time_again() -> None:
    c = behind(41, 45, SMALL)
    c.step(Tick(), 30.0)
    c.step(page(41, 43, head=45), 31.0)
    assert kinds(c.step(Tick(), 60.0)) == ["ReadHead"]
    assert kinds(c.step(page(43, 45), 61.0)) == ["alarm_updated", "alarm_updated", "synced"]


@pytest.mark.parametrize("what", ["head", "ack", "join", "page", "state"])
def test_other_failures_of_the_store_end_nothing(what: Any) -> None:
    c = live()
    assert kinds(c.step(StoreFailed(what), 0.0)) == ["Ignored"]


# --- live ------------------------------------------------------------------------------------------------------------


def test_a_change_goes_out_at_once_with_changed_fields_only() -> None:
    """docs/protocol.md#frame-all-events."""
    c = live()
    message = only(c.step(published(42), 0.0))
    assert message == {
        "type": "alarm_updated", "rev": 42, "at": WALL + 42, "id": "a", "changed": {"label": "label 42"},
        "origin": {"device_id": "desk", "mid": 42}, "timestamp": "2027-01-15T08:00:00.000Z",
    }  # fmt: skip
    assert c.state.sent == 42


@pytest.mark.parametrize("rev", [40, 41])
def test_a_change_that_was_sent_is_not_sent_again(rev: int) -> None:
    """docs/protocol.md#invariant-2."""
    assert live(41).step(published(rev), 0.0) == [Ignored(f"rev {rev} was sent")]


def test_a_gap_in_what_is_published_is_read_from_the_log() -> None:
    """docs/protocol.md#life-behind."""
    c = live(41)
    assert c.step(published(43), 0.0) == [ReadPage(ANNA, Rev(41), 100)]
    assert revs(serve(c, [ReadPage(ANNA, Rev(41), 100)], 43)) == [42, 43, 43]


@pytest.mark.parametrize("caps", [[], ["deflate"]])
def test_replayed_and_published_events_are_the_same_bytes_on_every_connection(caps: list[str]) -> None:
    """docs/protocol.md#msg-identical."""
    long = msgspec.structs.replace(page(41, 42).page, rows=(row(42, LONG),))
    replayed = behind(41, 42, caps=caps).step(type(page(41, 42))(long), 0.0)[0]
    ones = [live(41, caps=[*caps, *more]).step(published(42, LONG), 0.0)[0] for more in ([], ["presence"])]
    assert ones == [replayed, replayed]
    assert isinstance(replayed, TransmitBinary if caps else Transmit)


# --- deflate ---------------------------------------------------------------------------------------------------------


def test_nothing_is_deflated_unless_both_agreed() -> None:
    """docs/protocol.md#frame-deflate-cap."""
    assert isinstance(live(caps=[]).step(published(42, LONG), 0.0)[0], Transmit)
    assert isinstance(live(caps=["deflate"]).step(published(42, LONG), 0.0)[0], TransmitBinary)


def test_only_what_is_long_and_shrinks_by_a_fifth_is_deflated() -> None:
    """docs/protocol.md#frame-deflate-when."""
    assert isinstance(live(caps=["deflate"]).step(published(42, "x" * 500), 0.0)[0], Transmit)
    assert pack("x" * 1_024, Limits()) is None
    assert pack("x" * 1_025, Limits()) is not None
    noise = "".join(chr(33 + (n * n * 7919 + n * 31) % 90) for n in range(1_100))
    hard = pack(noise, Limits())
    assert hard is None or len(hard) * 5 <= len(noise) * 4


def test_a_snapshot_is_deflated_where_that_was_agreed() -> None:
    c = behind(cursor=None, caps=["deflate"])
    outputs = c.step(snapshot(43, [item(label=LONG)]), 0.0)
    assert isinstance(outputs[0], TransmitBinary)
    assert messages(outputs)[0]["items"][0]["label"] == LONG


# --- snapshots -------------------------------------------------------------------------------------------------------


def test_a_snapshot_carries_full_records_with_stamps_and_ends_with_synced() -> None:
    """docs/protocol.md#msg-snapshot, docs/protocol.md#stamp-snapshot-only."""
    c = behind(cursor=None)
    outputs = c.step(snapshot(43, [item()]), 0.0)
    assert kinds(outputs) == ["snapshot", "synced"]
    told = messages(outputs)[0]
    assert (told["epoch"], told["rev"], told["last_mid"], told["part"], told["last"]) == (EPOCH, 43, 3, 0, True)
    assert told["items"][0]["stamps"] == {"time": [WALL, "desk", 1]}
    assert "deleted" not in told
    assert isinstance(c.state, Live)


def test_a_snapshot_older_than_what_was_published_goes_on_with_the_log() -> None:
    c = behind(cursor=None)
    c.step(published(44), 0.0)
    outputs = c.step(snapshot(43), 0.0)
    assert outputs[-1] == ReadPage(ANNA, Rev(43), 100)
    assert kinds(c.step(page(43, 44), 0.0)) == ["alarm_updated", "synced"]


def test_an_empty_snapshot_is_one_part() -> None:
    assert [part.last for part in parts(snapshot(0).state, 65_536)] == [True]


def test_parts_are_at_most_64_kib_all_of_one_rev_and_numbered_from_0() -> None:
    """docs/protocol.md#msg-snapshot-parts."""
    records = [item(f"i{n}", "ž" * 200) for n in range(500)]
    gone = [f"{n:036}" for n in range(4_000)]
    outputs = behind(cursor=None).step(snapshot(43, records, gone), 0.0)[:-1]
    told = messages(outputs)
    assert all(len(frame.encode()) <= 65_536 for frame in frames(outputs))
    assert {(part["rev"], part["last_mid"]) for part in told} == {(43, 3)}
    assert [part["part"] for part in told] == list(range(len(told)))
    assert [part["last"] for part in told] == [False] * (len(told) - 1) + [True]
    assert [record["id"] for part in told for record in part["items"]] == [record.id for record in records]
    assert [name for part in told for name in part.get("deleted", [])] == gone
    assert len(told) >= 4


def test_a_record_longer_than_a_part_goes_alone() -> None:
    cut = parts(snapshot(43, [item("a"), item("b", LONG), item("c")]).state, 1_000)
    assert [[record.id for record in part.items] for part in cut] == [["a"], ["b"], ["c"]]


def test_tombstones_without_records_are_told_too() -> None:
    """docs/protocol.md#msg-snapshot-deleted."""
    cut = parts(snapshot(43, (), ["a", "b"]).state, 65_536)
    assert [part.deleted for part in cut] == [(ItemId("a"), ItemId("b"))]


def test_a_snapshot_of_another_epoch_is_asked_for_again_with_its_tombstones() -> None:
    """The first reading may not have asked for them (docs/protocol.md#msg-snapshot-deleted)."""
    c = behind(cursor=None)
    outputs = c.step(snapshot(43, epoch=OTHER), 0.0)
    assert messages(outputs) == [{"type": "sync_required", "reason": "epoch", "epoch": OTHER, "rev": 43}]
    assert outputs[-1] == ReadState(ANNA, c.state.peer.device, with_deleted=True)
    assert kinds(c.step(snapshot(43, (), ["b"], OTHER), 0.0)) == ["snapshot", "synced"]
    assert c.state.peer.epoch == OTHER


def test_a_late_snapshot_of_the_old_epoch_does_not_bring_it_back() -> None:
    """Two readings may be out when an epoch changes twice; whatever comes in which order, the last epoch wins."""
    c = behind(cursor=None)
    c.step(Resync(OTHER, Rev(40)), 0.0)
    c.step(snapshot(43, epoch=EPOCH), 0.0)
    c.step(snapshot(40, epoch=OTHER), 0.0)
    outputs = c.step(snapshot(40, epoch=OTHER), 0.0)
    assert kinds(outputs) == ["snapshot", "synced"]
    assert c.state.peer.epoch == OTHER


def test_a_late_snapshot_never_takes_the_client_back_inside_its_epoch() -> None:
    """docs/protocol.md#invariant-2."""
    c = live(60)
    c.step(Resync(EPOCH, Rev(60), "asked"), 0.0)
    assert c.step(snapshot(50), 0.0) == [Ignored("a snapshot older than what was sent")]
    assert kinds(c.step(snapshot(60), 0.0)) == ["snapshot", "synced"]


def test_an_ack_of_what_was_sent_before_a_snapshot_still_counts() -> None:
    """docs/protocol.md#msg-ack-unsent."""
    c = live(60)
    c.step(Resync(EPOCH, Rev(60), "asked"), 0.0)
    assert kinds(say(c, {"type": "ack", "epoch": EPOCH, "rev": 60})) == ["StoreAck"]


# --- a new epoch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [live, behind])
def test_a_new_epoch_is_told_and_followed_by_a_snapshot(make: Any) -> None:
    """docs/protocol.md#life-new-epoch, docs/protocol.md#msg-sync-required-snapshot."""
    c: ServerConnection = make()
    outputs = c.step(Resync(OTHER, Rev(30)), 0.0)
    assert kinds(outputs) == ["sync_required", "ReadState"]
    assert messages(outputs)[0] == {"type": "sync_required", "reason": "epoch", "epoch": OTHER, "rev": 30}
    assert kinds(c.step(snapshot(30, epoch=OTHER), 0.0)) == ["snapshot", "synced"]
    assert (c.state.sent, c.state.peer.epoch) == (30, OTHER)


def test_a_resync_to_the_epoch_in_force_is_no_reason_for_a_snapshot() -> None:
    assert live(41).step(Resync(EPOCH, Rev(41)), 0.0) == []


@pytest.mark.parametrize("make", [live, behind])
def test_server_side_code_may_ask_for_a_fresh_start(make: Any) -> None:
    """docs/protocol.md#msg-sync-required-reason."""
    outputs = make().step(Resync(EPOCH, Rev(41), "asked"), 0.0)
    assert kinds(outputs) == ["sync_required", "ReadState"]
    assert messages(outputs)[0]["reason"] == "asked"


# --- a peer that does not read -----------------------------------------------------------------------------------------


def test_events_wait_while_the_peer_does_not_read_and_leave_in_order() -> None:
    c = live(41)
    assert c.step(Blocked(), 0.0) == []
    assert c.step(published(42), 0.0) == []
    assert c.step(published(43), 0.0) == []
    assert c.state.sent == 41
    assert revs(c.step(Drained(), 1.0)) == [42, 43]
    assert (c.state.sent, c.state.held, c.state.held_bytes, c.state.blocked) == (43, (), 0, False)
    assert revs(c.step(published(44), 1.0)) == [44]


def test_held_events_count_as_sent_for_what_comes_next() -> None:
    c = live(41)
    c.step(Blocked(), 0.0)
    c.step(published(42), 0.0)
    assert kinds(c.step(published(42), 0.0)) == ["Ignored"]
    assert c.step(Resync(EPOCH, Rev(42)), 0.0) == []
    assert len(c.state.held) == 1


def test_more_than_the_held_events_lead_back_to_the_log_with_sent_kept() -> None:
    """docs/protocol.md#life-live-to-behind."""
    c = live(41, SMALL)
    c.step(Blocked(), 0.0)
    for rev in (42, 43, 44):
        assert c.step(published(rev), 0.0) == []
    assert isinstance(c.state, Live)
    assert c.step(published(45), 0.0) == []
    assert isinstance(c.state, Behind)
    assert (c.state.sent, c.state.goal, c.state.reading) == (41, 45, "nothing")
    outputs = serve(c, c.step(Drained(), 1.0), 45)
    assert revs(outputs) == [42, 43, 44, 45, 45]
    assert isinstance(c.state, Live)


@pytest.mark.parametrize(
    ("label", "kept"), [("x" * 100, True), ("x" * 101, False), ("ž" * 50, True), ("ž" * 51, False)]
)
def test_held_bytes_are_counted_as_they_travel(label: str, kept: bool) -> None:
    """docs/protocol.md#life-live-to-behind, docs/protocol.md#invariant-12."""
    room = len(published(42, "x" * 100).v1)
    c = live(41, Terms(limits=Limits(held_bytes=room)))
    c.step(Blocked(), 0.0)
    c.step(published(42, label), 0.0)
    assert isinstance(c.state, Live if kept else Behind)


def test_deflated_events_are_held_deflated() -> None:
    c = live(41, caps=["deflate"])
    c.step(Blocked(), 0.0)
    c.step(published(42, LONG), 0.0)
    (held,) = c.state.held
    assert isinstance(held, bytes)
    assert c.state.held_bytes == len(held)
    assert isinstance(unpack(held, Limits()), str)
    assert c.step(Drained(), 0.0) == [TransmitBinary(held)]


def test_a_gap_while_the_peer_does_not_read_waits_for_it() -> None:
    c = live(41)
    c.step(Blocked(), 0.0)
    assert c.step(published(44), 0.0) == []
    assert kinds(c.step(Drained(), 0.0)) == ["ReadPage"]


def test_a_replay_pauses_while_the_peer_does_not_read() -> None:
    """As the socket drains (docs/protocol.md#life-behind)."""
    c = behind(41, 45, SMALL)
    c.step(Blocked(), 0.0)
    assert kinds(c.step(page(41, 43, head=45), 0.0)) == ["alarm_updated", "alarm_updated"]
    assert (c.state.reading, c.state.blocked) == ("nothing", True)
    assert kinds(c.step(Tick(), 0.0)) == []
    assert c.step(Drained(), 1.0) == [ReadPage(ANNA, Rev(43), 2)]


def test_a_drain_while_the_store_is_asked_asks_nothing_twice() -> None:
    c = behind(41, 43)
    c.step(Blocked(), 0.0)
    assert c.step(Drained(), 0.0) == []
    assert not c.state.blocked


def test_a_replay_that_ends_while_blocked_is_live_and_holds() -> None:
    c = behind(41, 43)
    c.step(Blocked(), 0.0)
    assert kinds(c.step(page(41, 43), 0.0))[-1] == "synced"
    assert isinstance(c.state, Live)
    assert c.step(published(44), 0.0) == []
    assert revs(c.step(Drained(), 0.0)) == [44]


@pytest.mark.parametrize("make", [live, behind, classic])
def test_a_peer_that_does_not_read_for_ten_seconds_is_closed_with_4101(make: Any) -> None:
    """docs/protocol.md#life-unwritable."""
    c = make()
    c.step(Blocked(), 1.0)
    assert kinds(c.step(Blocked(), 5.0)) == ["Ignored"]
    assert c.step(Tick(), 10.9) == []
    assert CloseTransport(4101, "too slow a reader") in c.step(Tick(), 11.0)


@pytest.mark.parametrize("make", [live, behind, classic])
def test_a_peer_that_reads_again_is_kept(make: Any) -> None:
    c = make()
    c.step(Blocked(), 1.0)
    c.step(Drained(), 10.9)
    c.step(Tick(), 11.0)
    assert not isinstance(c.state, Draining)


def test_a_long_snapshot_gets_the_time_it_takes() -> None:
    c = behind(cursor=None)
    outputs = c.step(snapshot(43, [item(f"i{n}", "x" * 200) for n in range(2_000)]), 0.0)
    size = sum(len(frame) for frame in frames(outputs[:-1]))
    c.step(Blocked(), 0.0)
    assert c.deadline is not None
    assert (c.deadline.timer, c.deadline.at) == (ServerTimer.UNWRITABLE_DUE, 10 + size / 64 / 1_000)


def test_a_long_snapshot_to_a_peer_that_is_blocked_already_gets_its_time_too() -> None:
    c = behind(cursor=None)
    c.step(Blocked(), 0.0)
    c.step(snapshot(43, [item(f"i{n}", "x" * 200) for n in range(2_000)]), 9.0)
    assert c.deadline is not None
    assert c.deadline.at > 19.0


def test_patience_with_a_snapshot_ends_with_it() -> None:
    """docs/protocol.md#life-unwritable."""
    for rest in (lambda c: c.step(Tick(), 30.0), lambda c: (c.step(Blocked(), 0.0), c.step(Drained(), 30.0))):
        c = behind(cursor=None)
        c.step(snapshot(43, [item(f"i{n}", "x" * 200) for n in range(2_000)]), 0.0)
        rest(c)
        c.step(Blocked(), 30.0)
        assert (40.0, ServerTimer.UNWRITABLE_DUE) in c.machine.timers.pending


def test_patience_lasts_while_the_snapshot_is_on_its_way() -> None:
    c = behind(cursor=None, terms=Terms(timing=Timing(heartbeat_ms=1_000)))
    c.step(snapshot(43, [item(f"i{n}", "x" * 200) for n in range(2_000)]), 0.0)
    c.step(Blocked(), 0.0)
    c.step(Tick(), 1.0)
    assert c.machine.burst > 0


# --- heartbeats ------------------------------------------------------------------------------------------------------


def test_heads_are_compared_before_every_heartbeat() -> None:
    """docs/protocol.md#heartbeat-interval, docs/protocol.md#heartbeat-heals, docs/protocol.md#msg-heartbeat."""
    c = live(41)
    assert c.step(Tick(), 29.9) == []
    assert c.step(Tick(), 30.0) == [ReadHead(ANNA)]
    assert only(c.step(head(41), 30.1)) == {"type": "heartbeat", "n": 1, "t": WALL, "rev": 41}
    assert c.step(Tick(), 60.0) == [ReadHead(ANNA)]
    assert only(c.step(head(41), 60.1))["n"] == 2


def test_a_lost_nudge_heals_at_the_heartbeat() -> None:
    """docs/protocol.md#heartbeat-heals."""
    c = live(41)
    outputs = c.step(head(43), 30.0)
    assert kinds(outputs) == ["heartbeat", "ReadPage"]
    assert revs(serve(c, outputs, 43))[1:] == [42, 43, 43]


def test_a_heartbeat_raises_the_goal_of_a_replay() -> None:
    c = behind(41, 43)
    assert kinds(c.step(head(44), 30.0)) == ["heartbeat"]
    assert kinds(c.step(page(41, 43), 30.0))[-1] == "ReadPage"


@pytest.mark.parametrize("make", [live, behind])
def test_a_heartbeat_finds_a_new_epoch(make: Any) -> None:
    assert kinds(make().step(head(41, OTHER), 30.0)) == ["heartbeat", "sync_required", "ReadState"]


def test_a_heartbeat_goes_out_while_events_are_held() -> None:
    c = live(41)
    c.step(Blocked(), 0.0)
    c.step(published(42), 0.0)
    assert kinds(c.step(head(42), 5.0)) == ["heartbeat"]
    assert isinstance(c.state, Live)
