"""The classic profile: a client that may never speak (docs/protocol.md#classic)."""

from typing import Any

import pytest

from protocol._events import classic_text
from protocol._settings import Limits, Timing
from protocol._types import Rev
from protocol.server import (
    Blocked,
    ClassicLive,
    CloseTransport,
    Drain,
    Drained,
    Draining,
    Evicted,
    HeadRead,
    Heard,
    Malformed,
    Overlong,
    PresenceIs,
    Publish,
    ReadHead,
    ReceivedBinary,
    Resync,
    ServerConnection,
    StoreFailed,
    Terms,
    Tick,
    Transmit,
)

from .sessions import (
    ANNA,
    EPOCH,
    OTHER,
    WALL,
    account,
    classic,
    hello,
    item,
    kinds,
    messages,
    mutate,
    only,
    published,
    row,
    say,
    verdict,
)


def timer_event(rev: int) -> Publish:
    return Publish(Rev(rev), "timer", "{}", f'{{"type":"timer_updated","rev":{rev}}}')


def head(rev: int, epoch: Any = EPOCH) -> HeadRead:
    return HeadRead(account(rev, epoch=epoch), WALL)


def test_an_event_carries_the_full_record_without_stamps() -> None:
    """docs/protocol.md#classic-full-record."""
    (sent,) = classic().step(published(42), 0.0)
    assert sent == Transmit(classic_text(row(42), item("a", "label 42", 42)))
    told = messages([sent])[0]
    assert (told["data"]["label"], told["data"]["time"], "stamps" in told["data"]) == ("label 42", "07:00", False)


def test_what_was_published_is_sent_once() -> None:
    c = classic(41)
    assert kinds(c.step(published(41), 0.0)) == ["Ignored"]
    assert kinds(c.step(published(42), 0.0)) == ["alarm_updated"]
    assert kinds(c.step(published(42), 0.0)) == ["Ignored"]


def test_a_gap_in_what_is_published_asks_for_a_reload() -> None:
    """Full records of the past are not in the log, so nothing could be sent afterwards."""
    c = classic(41)
    told = only(c.step(published(44), 0.0))
    assert told == {"type": "sync_required", "reason": "slow", "epoch": EPOCH, "rev": 44}
    assert kinds(c.step(published(45), 0.0)) == ["alarm_updated"]


# --- topics ----------------------------------------------------------------------------------------------------------


def test_both_topics_are_sent_until_the_first_subscribe_which_starts_an_explicit_set() -> None:
    """docs/protocol.md#classic-subscribe, docs/protocol.md#classic-subscribe-reply."""
    c = classic(41)
    assert kinds(c.step(timer_event(42), 0.0)) == ["timer_updated"]
    assert only(say(c, {"type": "subscribe", "topics": ["alarms"]})) == {"type": "subscribed", "topics": ["alarms"]}
    assert c.step(timer_event(43), 0.0) == []
    assert kinds(c.step(published(44), 0.0)) == ["alarm_updated"]
    assert only(say(c, {"type": "subscribe", "topics": ["timers"]}))["topics"] == ["alarms", "timers"]
    assert kinds(c.step(timer_event(45), 0.0)) == ["timer_updated"]


def test_unsubscribe_takes_from_the_set_in_force() -> None:
    """docs/protocol.md#classic-unsubscribe."""
    c = classic(41)
    assert only(say(c, {"type": "unsubscribe", "topics": ["alarms"]})) == {"type": "unsubscribed", "topics": ["timers"]}
    assert c.step(published(42), 0.0) == []
    assert only(say(c, {"type": "unsubscribe", "topics": ["timers"]}))["topics"] == []
    assert c.step(timer_event(43), 0.0) == []


@pytest.mark.parametrize("verb", ["subscribe", "unsubscribe"])
def test_another_topic_is_refused_and_changes_nothing(verb: str) -> None:
    """docs/protocol.md#classic-topics."""
    c = classic(41)
    told = only(say(c, {"type": verb, "topics": ["alarms", "lamps"]}))
    assert (told["type"], told["code"], told["field"]) == ("error", "invalid", "topics")
    assert c.state.topics is None


@pytest.mark.parametrize("verb", ["subscribe", "unsubscribe"])
def test_a_request_without_topics_is_refused_and_changes_nothing(verb: str) -> None:
    """docs/protocol.md#classic-subscribe-form. Taken for an empty set it would silence a client for a slip."""
    c = classic(41)
    told = only(say(c, {"type": verb}))
    assert (told["type"], told["code"], told["field"]) == ("error", "bad_message", "topics")
    assert c.state.topics is None


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", ["rubbish", "[]", hello(), mutate(1), '{"type":"auth","token":"h"}', '{"type":"ack","epoch":"e","rev":1}']
)
def test_a_bad_message_is_answered_and_ends_nothing(said: str) -> None:
    """docs/protocol.md#classic-bad-message."""
    c = classic()
    assert kinds(say(c, said)) == ["error"]
    assert isinstance(c.state, ClassicLive)


def test_a_binary_message_is_answered_and_ends_nothing() -> None:
    """docs/protocol.md#classic-bad-message."""
    c = classic()
    assert kinds(c.step(ReceivedBinary(b"\x01", WALL), 0.0)) == ["error"]
    assert isinstance(c.state, ClassicLive)


def test_ping_is_answered() -> None:
    assert only(say(classic(), {"type": "ping"})) == {"type": "pong", "t1": WALL, "t2": WALL}


def test_an_unknown_type_is_counted() -> None:
    c = classic()
    assert kinds(say(c, {"type": "news"})) == ["Ignored"]
    assert c.statistics()["unknown"] == 1


def test_bye_ends_it_without_goodbye() -> None:
    """docs/protocol.md#classic-no-goodbye."""
    assert kinds(say(classic(), {"type": "bye"})) == ["CloseTransport", "Leave"]


def test_it_is_metered_like_everybody() -> None:
    """docs/protocol.md#limit-rate."""
    c = classic()
    answers = [kinds(say(c, {"type": "ping"}))[0] for _ in range(161)]
    assert answers == ["pong"] * 40 + ["error"] * 120 + ["CloseTransport"]
    assert c.state == Draining(4102)


# --- silence, slowness, epochs -------------------------------------------------------------------------------------------


def test_it_is_never_closed_for_silence() -> None:
    """docs/protocol.md#classic-silent."""
    c = classic(terms=Terms(timing=Timing(leeway_ms=10**9)))
    for beat in range(1, 100):
        assert c.step(Tick(), 30.0 * beat) == [ReadHead(ANNA)]
        assert kinds(c.step(head(41), 30.0 * beat)) == ["heartbeat"]
    assert isinstance(c.state, ClassicLive)


def test_a_lost_nudge_is_told_at_the_heartbeat() -> None:
    """docs/protocol.md#heartbeat-heals."""
    outputs = classic(41).step(head(43), 30.0)
    assert kinds(outputs) == ["heartbeat", "sync_required"]
    assert messages(outputs)[1]["reason"] == "slow"


@pytest.mark.parametrize("i", [Resync(OTHER, Rev(41)), head(41, OTHER)])
def test_a_new_epoch_is_told(i: Any) -> None:
    """docs/protocol.md#life-new-epoch."""
    told = messages(classic(41).step(i, 0.0))[-1]
    assert told == {"type": "sync_required", "reason": "epoch", "epoch": OTHER, "rev": 41}


def test_a_resync_to_what_it_has_says_nothing_unless_somebody_asks_for_it() -> None:
    """docs/protocol.md#msg-sync-required-reason."""
    assert classic(41).step(Resync(EPOCH, Rev(41)), 0.0) == []
    assert only(classic(41).step(Resync(EPOCH, Rev(41), "asked"), 0.0))["reason"] == "asked"


def test_events_wait_while_it_does_not_read() -> None:
    c = classic(41)
    c.step(Blocked(), 0.0)
    assert c.step(published(42), 0.0) == []
    assert c.step(published(43), 0.0) == []
    assert [m["rev"] for m in messages(c.step(Drained(), 1.0))] == [42, 43]
    assert (c.state.held, c.state.held_bytes, c.state.blocked) == ((), 0, False)


@pytest.mark.parametrize("limits", [Limits(held_events=2), Limits(held_bytes=2 * len(published(42).classic.encode()))])
def test_too_slow_a_reader_loses_its_queue_and_is_told(limits: Limits) -> None:
    """docs/protocol.md#classic-too-slow, docs/protocol.md#invariant-12."""
    c = classic(41, Terms(limits=limits))
    c.step(Blocked(), 0.0)
    for rev in (42, 43):
        c.step(published(rev), 0.0)
    assert len(c.state.held) == 2
    for rev in (44, 45):
        c.step(published(rev), 0.0)
        assert (c.state.held, c.state.held_bytes, c.state.missed) == ((), 0, "slow")
    assert only(c.step(Drained(), 1.0)) == {"type": "sync_required", "reason": "slow", "epoch": EPOCH, "rev": 45}
    assert kinds(c.step(published(46), 1.0)) == ["alarm_updated"]


def test_what_it_should_load_again_waits_until_it_reads() -> None:
    c = classic(41)
    c.step(Blocked(), 0.0)
    c.step(published(42), 0.0)
    assert c.step(Resync(OTHER, Rev(40)), 0.0) == []
    c.step(published(41), 0.0)
    assert only(c.step(Drained(), 1.0)) == {"type": "sync_required", "reason": "epoch", "epoch": OTHER, "rev": 41}


# --- the end ---------------------------------------------------------------------------------------------------------


def test_an_expired_token_is_told_and_closed_with_4301() -> None:
    """docs/protocol.md#classic-no-renewal."""
    outputs = classic().step(Tick(), 3_630.0)
    assert kinds(outputs) == ["ReadHead", "error", "CloseTransport", "Leave"]
    assert (only(outputs)["code"], outputs[-2]) == ("token_expired", CloseTransport(4301, "token expired"))


@pytest.mark.parametrize(
    ("i", "code"),
    [(Drain(9), 1012), (Evicted(4003, "signed out"), 4003), (Overlong(70_000), 1009), (Malformed(1002, "x"), 1002)],
)
def test_it_is_closed_without_goodbye(i: Any, code: int) -> None:
    """docs/protocol.md#classic-no-goodbye."""
    c = classic()
    outputs = c.step(i, 0.0)
    assert kinds(outputs) == ["CloseTransport", "Leave"]
    assert c.state == Draining(code)


@pytest.mark.parametrize("i", [Heard(), verdict(), PresenceIs(()), StoreFailed("head")])
def test_what_concerns_v1_alone_is_ignored(i: Any) -> None:
    c: ServerConnection = classic()
    assert kinds(c.step(i, 0.0)) == ["Ignored"]
