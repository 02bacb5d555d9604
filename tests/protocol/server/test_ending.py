"""How sessions end: one goodbye on v1 before every close (docs/protocol.md#close-goodbye)."""

from typing import Any

import pytest

from protocol._settings import Timing
from protocol.server import (
    AbortTransport,
    Blocked,
    Closed,
    CloseTransport,
    Drain,
    Draining,
    Evicted,
    Gone,
    Ignored,
    Leave,
    Malformed,
    Overlong,
    Terms,
    Tick,
)

from .sessions import STATES, V1_OPEN, behind, draining, kinds, live, messages, only, published, say, text, verdict
from .test_table import INPUTS


JOINED = ("Joining", "Behind", "Live")


@pytest.mark.parametrize("name", V1_OPEN)
@pytest.mark.parametrize("i", [Drain(1), Overlong(70_000), Malformed(1007, "not UTF-8")])
def test_every_close_of_v1_says_goodbye_first_with_the_same_code(name: str, i: Any) -> None:
    """docs/protocol.md#msg-goodbye, docs/protocol.md#close-goodbye."""
    c = STATES[name]()
    outputs = c.step(i, 1.0)
    assert kinds(outputs) == ["goodbye", "CloseTransport", *(["Leave"] if name in JOINED else [])]
    closing = outputs[1]
    assert isinstance(closing, CloseTransport)
    assert only(outputs) == {
        "type": "goodbye", "code": closing.code, "reason": closing.reason, "min_ms": 0, "max_ms": only(outputs)["max_ms"],
        "conn": None,
    }  # fmt: skip
    assert c.state == Draining(closing.code)


def test_every_way_out_of_v1_says_goodbye() -> None:
    """Whatever input ends a session, its goodbye stands before its close frame and nothing comes after both."""
    for name in V1_OPEN:
        for i in INPUTS:
            c = STATES[name]()
            outputs = c.step(i, 0.0) if type(i).__name__ in c.accepts else []
            words = kinds(outputs)
            assert ("goodbye" in words) == ("CloseTransport" in words)
            if "goodbye" in words:
                assert words[words.index("goodbye") :] in (
                    ["goodbye", "CloseTransport"],
                    ["goodbye", "CloseTransport", "Leave"],
                )


@pytest.mark.parametrize(
    ("sockets", "widest"), [(1, 1_000), (50, 1_000), (51, 1_020), (1_500, 30_000), (10**6, 30_000)]
)
def test_a_drain_spreads_the_return_over_a_window(sockets: int, widest: int) -> None:
    """docs/protocol.md#life-drain."""
    goodbye = only(live().step(Drain(sockets), 0.0))
    assert (goodbye["code"], goodbye["min_ms"], goodbye["max_ms"]) == (4200, 0, widest)


@pytest.mark.parametrize("make", [live, behind])
def test_the_replaced_one_hears_who_won(make: Any) -> None:
    """docs/protocol.md#life-replaced."""
    goodbye = only(make().step(Evicted(4005, "replaced", 9), 0.0))
    assert (goodbye["code"], goodbye["conn"], goodbye["reason"]) == (4005, 9, "replaced")


def test_one_socket_too_many_stays_away_for_a_minute() -> None:
    """docs/protocol.md#limit-sockets-wait."""
    assert only(live().step(Evicted(4104, "too many"), 0.0))["min_ms"] == 60_000
    assert only(live().step(Evicted(4004, "revoked"), 0.0))["min_ms"] == 0


def test_a_peer_that_does_not_close_in_time_is_aborted() -> None:
    """docs/protocol.md#life-close-wait."""
    c = draining()
    assert c.step(Tick(), 1.999) == []
    assert c.step(Tick(), 2.0) == [AbortTransport()]
    assert (c.state, c.deadline) == (Gone(4200), None)


def test_the_time_to_close_is_the_announced_one() -> None:
    c = draining(Terms(timing=Timing(close_ms=100)))
    assert c.step(Tick(), 0.1) == [AbortTransport()]


def test_no_other_timer_survives_the_goodbye() -> None:
    c = live()
    c.step(Blocked(), 0.0)
    c.step(Drain(1), 0.0)
    assert [timer.name for _, timer in c.machine.timers.pending] == ["CLOSE_DUE"]


def test_a_transport_that_ends_in_time_is_left_alone() -> None:
    c = draining()
    assert c.step(Closed(4200), 0.5) == []
    assert (c.state, c.deadline) == (Gone(4200), None)
    assert c.step(Closed(4200), 0.6) == [Ignored("Closed after the end")]


def test_leaving_is_told_once() -> None:
    c = live()
    assert Leave() in c.step(Drain(1), 0.0)
    assert Leave() not in c.step(Closed(4200), 0.0)


@pytest.mark.parametrize("name", ["Draining", "Gone"])
def test_whatever_arrives_after_the_end_has_no_effect(name: str) -> None:
    """docs/protocol.md#life-goodbye-ends, docs/protocol.md#invariant-11."""
    for i in INPUTS:
        c = STATES[name]()
        if type(i).__name__ not in c.accepts or isinstance(i, Closed | Tick):
            continue
        before = c.machine
        assert c.step(i, 0.0) == [Ignored(f"{type(i).__name__} after the end")]
        assert c.machine == before


def test_an_end_in_the_middle_of_a_tick_stops_what_was_due_after_it() -> None:
    """Heartbeat and liveness are both overdue; whichever ends the session ends the tick."""
    c = live()
    words = kinds(c.step(Tick(), 500.0))
    assert words == ["ReadHead", "goodbye", "CloseTransport", "Leave"]
    assert c.deadline is not None
    assert c.deadline.at == 502.0


def test_late_facts_after_a_bad_message_do_not_reach_the_store() -> None:
    c = live()
    say(c, "{")
    assert messages(c.step(published(42), 0.0)) == []
    assert kinds(c.step(verdict(), 0.0)) == ["Ignored"]
    assert kinds(c.step(text("{}"), 0.0)) == ["Ignored"]
