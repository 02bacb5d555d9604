"""What a v1 client may say from welcome on: mutations, acks, renewals, presence, and how much of it."""

import json
import zlib
from typing import Any

import pytest

from protocol._errors import Fault
from protocol._messages import DevicePresence, Result
from protocol._settings import Limits
from protocol._types import DeviceId, Handle, Mid, Rev, UserId, Wall
from protocol.server import (
    Answered,
    Apply,
    Blocked,
    Declined,
    Drain,
    Draining,
    Heard,
    Ignored,
    PresenceIs,
    ReceivedBinary,
    ServerConnection,
    StoreAck,
    StoreFailed,
    Terms,
    Tick,
    TokenAccepted,
    TokenRejected,
    VerifyToken,
)

from .sessions import (
    ANNA,
    EPOCH,
    EXPIRES,
    HANDLE,
    OTHER,
    SESSION,
    WALL,
    behind,
    hello,
    kinds,
    live,
    messages,
    mutate,
    only,
    published,
    say,
    verdict,
)


BOTH = [live, behind]


def answer(mid: int) -> Answered:
    return Answered(Result(mid=Mid(mid), status="applied", rev=Rev(41 + mid)))


def declined(mid: int, want: int | None = None) -> Declined:
    code: Any = "epoch" if want is None else "out_of_order"
    return Declined(Mid(mid), Fault(code, "Not now.", retryable=True, want=want))


def deflated(message: str, tag: bytes = b"\x01") -> ReceivedBinary:
    squeeze = zlib.compressobj(wbits=-15)
    return ReceivedBinary(tag + squeeze.compress(message.encode()) + squeeze.flush(), WALL)


# --- any message -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_ping_is_answered_with_both_clocks(make: Any) -> None:
    """docs/protocol.md#msg-pong."""
    c = make()
    assert only(say(c, {"type": "ping", "t0": 5.25})) == {"type": "pong", "t0": 5.25, "t1": WALL, "t2": WALL}
    assert only(say(c, {"type": "ping"})) == {"type": "pong", "t1": WALL, "t2": WALL}


@pytest.mark.parametrize("make", BOTH)
def test_an_unknown_type_is_ignored_and_counted(make: Any) -> None:
    """docs/protocol.md#msg-unknown."""
    c = make()
    assert say(c, {"type": "news", "token": 1}) == [Ignored("unknown type 'news'")]
    assert c.statistics()["unknown"] == 1


def test_topics_mean_nothing_on_v1() -> None:
    """docs/protocol.md#classic-topics."""
    assert kinds(say(live(), {"type": "subscribe", "topics": ["alarms"]})) == ["Ignored"]
    assert kinds(say(live(), {"type": "unsubscribe", "topics": ["alarms"]})) == ["Ignored"]


BAD = {
    "not JSON": ("{", "bad_json"),
    "no object": ("[]", "bad_json"),
    "no type": ('{"mid":1}', "bad_message"),
    "a type that is no string": ('{"type":1}', "bad_message"),
    "a second hello": (hello(), "bad_message"),
    "an ack without rev": ('{"type":"ack","epoch":"k3v9"}', "bad_message"),
    "no readable mid": ('{"type":"mutate","mid":"1"}', "bad_message"),
    "no mid": ('{"type":"mutate"}', "bad_message"),
    "mid 0": (mutate(0), "bad_message"),
    "a mid that no store can keep": (mutate(1 << 53), "bad_message"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("make", BOTH)
def test_a_bad_message_is_explained_and_closed_with_4000(make: Any, what: str) -> None:
    """docs/protocol.md#frame-bad, docs/protocol.md#frame-hello-first, docs/protocol.md#mutation-order."""
    c = make()
    said, code = BAD[what]
    outputs = say(c, said)
    assert kinds(outputs) == ["error", "goodbye", "CloseTransport", "Leave"]
    assert [m["code"] for m in messages(outputs)] == [code, 4000]


def test_more_than_64_kib_is_closed_with_1009() -> None:
    """docs/protocol.md#limit-frame."""
    assert kinds(say(live(), '{"type":"ping"}'.ljust(65_536))) == ["pong"]
    assert [m["code"] for m in messages(say(live(), '{"type":"ping"}'.ljust(65_537)))] == ["too_big", 1009]


def test_bye_ends_the_session_cleanly() -> None:
    """docs/protocol.md#msg-bye."""
    assert only(say(live(), {"type": "bye", "reason": "gap"}))["code"] == 1000


# --- deflated messages -------------------------------------------------------------------------------------------------


def test_a_deflated_message_is_obeyed_where_that_was_agreed() -> None:
    """docs/protocol.md#frame-deflate-form."""
    c = live(caps=["deflate"])
    assert kinds(c.step(deflated('{"type":"ping"}'), 0.0)) == ["pong"]
    assert [m["code"] for m in messages(live().step(deflated('{"type":"ping"}'), 0.0))] == ["bad_message", 4000]


@pytest.mark.parametrize(
    ("i", "code"),
    [
        (deflated('{"type":"ping"}', b"\x02"), 4000),
        (ReceivedBinary(b"\x01\xff\xff", WALL), 4000),
        (ReceivedBinary(b"", WALL), 4000),
        (deflated("x" * 70_000), 1009),
        (deflated("x" * 300_000), 1009),
        (deflated(mutate(0)), 4000),
    ],
)
def test_a_deflated_message_is_held_to_the_same_rules(i: ReceivedBinary, code: int) -> None:
    """Inflating is bounded before it happens (docs/protocol.md#frame-inflate-bound, docs/protocol.md#limit-frame)."""
    assert messages(live(caps=["deflate"]).step(i, 0.0))[-1]["code"] == code


def test_a_deflated_token_is_a_bad_message_and_goes_no_further() -> None:
    """No driver could have hidden it (docs/protocol.md#frame-deflate-token, docs/protocol.md#invariant-16)."""
    c = live(caps=["deflate"])
    for said in ('{"type":"auth","token":"secret"}', hello(token="secret")):
        outputs = c.copy().step(deflated(said), 0.0)
        assert [m["code"] for m in messages(outputs)] == ["bad_message", 4000]
        assert "secret" not in repr(outputs)


# --- how much a client may say -----------------------------------------------------------------------------------------


def test_forty_at_once_and_two_a_second_are_allowed() -> None:
    """docs/protocol.md#limit-rate."""
    c = live()
    assert [kinds(say(c, {"type": "ping"}))[0] for _ in range(41)] == ["pong"] * 40 + ["error"]
    assert [kinds(say(c, {"type": "ping"}, 0.5))[0] for _ in range(2)] == ["pong", "error"]


def test_one_too_many_is_told_when_to_come_again_and_is_not_consumed() -> None:
    """docs/protocol.md#limit-rate, docs/protocol.md#limit-rate-pacing."""
    c = live()
    for _ in range(40):
        say(c, {"type": "ping"})
    refused = only(say(c, mutate(9)))
    assert (refused["code"], refused["ref"], refused["retryable"]) == ("rate_limited", 9, True)
    assert c.state.peer.unanswered == 0
    wait = refused["retry_after_ms"] / 1_000
    assert kinds(say(c.copy(), mutate(9), wait - 0.01)) == ["error"]
    assert kinds(say(c, mutate(9), wait)) == ["Apply"]
    assert "ref" not in only(say(c, {"type": "ping"}, wait))


def test_what_cannot_be_read_ends_the_session_whatever_the_rate() -> None:
    """It comes first in the order of judging (docs/protocol.md#mutation-order)."""
    c = live()
    for _ in range(45):
        say(c, {"type": "ping"})
    assert messages(say(c, "{"))[-1]["code"] == 4000


def test_only_above_four_times_the_rate_does_the_session_end() -> None:
    """docs/protocol.md#limit-rate-close."""
    c = live()
    for _ in range(160):
        assert kinds(say(c, {"type": "ping"})) in (["pong"], ["error"])
    assert only(say(c, {"type": "ping"}))["code"] == 4102
    assert c.state == Draining(4102)


def test_a_refilled_allowance_is_no_more_than_a_burst() -> None:
    c = live()
    say(c, {"type": "ping"})
    assert [kinds(say(c, {"type": "ping"}, 70.0))[0] for _ in range(41)] == ["pong"] * 40 + ["error"]


# --- mutations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_a_mutation_goes_to_the_store_in_every_stretch_of_the_session(make: Any) -> None:
    """Uploads never wait for downloads (docs/protocol.md#outbox-independent)."""
    c = make()
    (asked,) = say(c, mutate(8))
    assert isinstance(asked, Apply)
    assert (asked.user, asked.device, asked.submission.mid, asked.submission.epoch) == (ANNA, "desk", 8, EPOCH)
    assert only(c.step(answer(8), 0.0)) == {"type": "result", "mid": 8, "status": "applied", "rev": 49}
    assert c.state.peer.unanswered == 0


def test_a_mutation_of_another_epoch_is_the_store_s_to_refuse() -> None:
    """Only the store knows the epoch under its lock (docs/protocol.md#outbox-other-epoch)."""
    c = live()
    assert kinds(say(c, mutate(8, epoch=OTHER))) == ["Apply"]
    told = only(c.step(declined(8), 0.0))
    assert (told["type"], told["code"], told["ref"]) == ("error", "epoch", 8)
    assert c.state.peer.unanswered == 0


def test_a_mutation_with_a_readable_mid_is_never_a_bad_message() -> None:
    """docs/protocol.md#mutation-never-bad."""
    for said in (mutate(8, op=7), mutate(8, kind=None), mutate(8, at="now"), '{"type":"mutate","mid":8}'):
        assert kinds(say(live(), said)) == ["Apply"]


def test_sixteen_may_wait_for_their_answers() -> None:
    """docs/protocol.md#limit-window."""
    c = live()
    assert [kinds(say(c, mutate(mid)))[0] for mid in range(1, 17)] == ["Apply"] * 16
    refused = only(say(c, mutate(17)))
    assert (refused["code"], refused["ref"], refused["retry_after_ms"]) == ("rate_limited", 17, 1_000)
    c.step(answer(1), 0.0)
    assert kinds(say(c, mutate(17))) == ["Apply"]


def test_after_out_of_order_later_numbers_are_ignored_until_the_one_wanted_comes() -> None:
    """docs/protocol.md#outbox-out-of-order, docs/protocol.md#outbox-order."""
    c = live()
    say(c, mutate(10))
    told = only(c.step(declined(10, want=8), 0.0))
    assert (told["code"], told["ref"], told["want"]) == ("out_of_order", 10, 8)
    assert say(c, mutate(11)) == [Ignored("mid 11 before 8")]
    assert kinds(say(c, mutate(7))) == ["Apply"]
    assert kinds(say(c, mutate(9))) == ["Ignored"]
    assert kinds(say(c, mutate(8))) == ["Apply"]
    assert kinds(say(c, mutate(9))) == ["Apply"]


def test_waiting_for_a_number_ends_when_the_store_has_taken_it() -> None:
    """It may have been sent again before the refusal of a later one came: the outbox must not stick
    (docs/protocol.md#invariant-4).
    """
    c = live()
    for mid in (5, 6):
        say(c, mutate(mid))
    c.step(StoreFailed("apply", Mid(5)), 0.0)
    for mid in (5, 6):
        assert kinds(say(c, mutate(mid))) == ["Apply"]
    c.step(declined(6, want=5), 0.0)
    assert kinds(say(c, mutate(7))) == ["Ignored"]
    c.step(answer(5), 0.0)
    assert kinds(say(c, mutate(7))) == ["Apply"]


def test_an_answer_to_an_earlier_number_does_not_end_the_wait() -> None:
    c = live()
    say(c, mutate(7))
    say(c, mutate(10))
    c.step(declined(10, want=8), 0.0)
    c.step(answer(7), 0.0)
    assert c.state.peer.expecting == 8
    assert repr(c.state.peer) == "anna/desk expecting 8"


def test_a_busy_store_consumes_nothing_and_the_number_comes_again() -> None:
    """docs/protocol.md#mutation-busy."""
    c = live()
    for mid in (5, 6):
        say(c, mutate(mid))
    assert repr(c.state.peer) == "anna/desk 2 unanswered"
    told = only(c.step(StoreFailed("apply", Mid(5), 700), 0.0))
    assert (told["code"], told["ref"], told["retry_after_ms"], told["retryable"]) == ("busy", 5, 700, True)
    c.step(StoreFailed("apply", Mid(6)), 0.0)
    assert (c.state.peer.expecting, c.state.peer.unanswered) == (5, 0)
    assert kinds(say(c, mutate(6))) == ["Ignored"]
    assert kinds(say(c, mutate(5))) == ["Apply"]


def test_a_failure_that_names_no_mutation_waits_for_none() -> None:
    c = live()
    c.step(StoreFailed("apply"), 0.0)
    assert c.state.peer.expecting is None


@pytest.mark.parametrize("i", [answer(1), declined(1), StoreFailed("apply", Mid(1))])
def test_an_answer_too_many_does_not_widen_the_window(i: Any) -> None:
    c = live()
    c.step(i, 0.0)
    assert c.state.peer.unanswered == 0


def test_a_mutation_after_goodbye_is_not_applied() -> None:
    """docs/protocol.md#life-goodbye-ends."""
    c = live()
    c.step(Drain(1), 0.0)
    assert say(c, mutate(1)) == [Ignored("Received after the end")]


# --- ack -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rev", [0, 41])
def test_an_ack_of_what_was_sent_is_stored(rev: int) -> None:
    """docs/protocol.md#msg-ack."""
    stored = StoreAck(ANNA, DeviceId("desk"), EPOCH, Rev(rev))
    assert say(live(41), {"type": "ack", "epoch": EPOCH, "rev": rev}) == [stored]


@pytest.mark.parametrize(("epoch", "rev"), [(EPOCH, 42), (EPOCH, -1), (OTHER, 41)])
def test_any_other_ack_is_ignored(epoch: str, rev: int) -> None:
    """docs/protocol.md#msg-ack-unsent, docs/protocol.md#outbox-ack-other-epoch."""
    assert kinds(say(live(41), {"type": "ack", "epoch": epoch, "rev": rev})) == ["Ignored"]


def test_what_is_held_is_not_sent() -> None:
    c = live(41)
    c.step(Blocked(), 0.0)
    c.step(published(42), 0.0)
    assert kinds(say(c, {"type": "ack", "epoch": EPOCH, "rev": 42})) == ["Ignored"]


# --- life ------------------------------------------------------------------------------------------------------------


def test_a_v1_peer_silent_for_75_seconds_is_closed_with_4201() -> None:
    """Heartbeats that it was sent are no sign of its life (docs/protocol.md#heartbeat-liveness)."""
    c = live()
    for at in (30.0, 60.0, 74.9):
        c.step(Tick(), at)
    assert not isinstance(c.state, Draining)
    assert only(c.step(Tick(), 75.0))["code"] == 4201


@pytest.mark.parametrize("sign", [Heard(), "text", "binary"])
def test_any_bytes_are_a_sign_of_life(sign: Any) -> None:
    """docs/protocol.md#heartbeat-any-bytes."""
    c = live(caps=["deflate"])
    if sign == "text":
        say(c, {"type": "ping"}, 70.0)
    elif sign == "binary":
        c.step(deflated('{"type":"ping"}'), 70.0)
    else:
        assert c.step(sign, 70.0) == []
    c.step(Tick(), 75.0)
    c.step(Tick(), 144.9)
    assert not isinstance(c.state, Draining)
    c.step(Tick(), 145.0)
    assert c.state == Draining(4201)


# --- renewal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_a_renewal_in_place_moves_the_expiry(make: Any) -> None:
    """docs/protocol.md#auth-renewal, docs/protocol.md#msg-auth-ok."""
    c: ServerConnection = make()
    assert say(c, {"type": "auth", "token": "h-2"}) == [VerifyToken(Handle("h-2"))]
    told = only(c.step(verdict(expires=EXPIRES + 5_000, handle=Handle("h-2")), 0.0))
    assert told == {"type": "auth_ok", "auth_exp": EXPIRES + 5_000}
    assert c.state.peer.login.expires_at == EXPIRES + 5_000
    assert [at for at, timer in c.machine.timers.pending if timer.name == "TOKEN_DUE"] == [3_635.0]


@pytest.mark.parametrize("make", BOTH)
def test_a_renewal_for_another_user_is_closed_with_4003(make: Any) -> None:
    """docs/protocol.md#auth-renew-user."""
    assert only(make().step(verdict(user="bob"), 0.0))["code"] == 4003


@pytest.mark.parametrize(("why", "code"), [("expired", "token_expired"), ("invalid", "token_invalid")])
def test_a_rejected_renewal_leaves_the_old_token_in_force(why: Any, code: str) -> None:
    """docs/protocol.md#auth-renew-rejected."""
    c = live()
    before = c.machine
    told = only(c.step(TokenRejected(HANDLE, why), 0.0))
    assert (told["type"], told["code"], told["field"]) == ("error", code, "token")
    assert c.machine == before


@pytest.mark.parametrize(("why", "code"), [("revoked", 4003), ("forbidden", 4002)])
def test_a_session_that_was_ended_elsewhere_ends_here(why: Any, code: int) -> None:
    """docs/protocol.md#auth-sign-out, docs/protocol.md#auth-forbidden."""
    assert only(live().step(TokenRejected(HANDLE, why), 0.0))["code"] == code


def test_a_token_holds_for_30_seconds_past_its_expiry_and_no_longer() -> None:
    """docs/protocol.md#auth-expiry."""
    c = live()
    c.step(TokenAccepted(HANDLE, UserId(ANNA), SESSION, Wall(WALL + 10_000), WALL), 0.0)
    c.step(Tick(), 30.0)
    c.step(Tick(), 39.9)
    assert not isinstance(c.state, Draining)
    outputs = c.step(Tick(), 40.0)
    assert kinds(outputs) == ["goodbye", "CloseTransport", "Leave"]
    assert only(outputs)["code"] == 4301


# --- presence --------------------------------------------------------------------------------------------------------


def devices(n: int) -> PresenceIs:
    return PresenceIs((DevicePresence(DeviceId(f"d{n}"), "Desk", True, EPOCH, Rev(41), WALL),))


def test_presence_is_sent_to_those_who_asked_for_it_only() -> None:
    """docs/protocol.md#presence-cap, docs/protocol.md#msg-presence."""
    assert kinds(live().step(devices(1), 0.0)) == ["Ignored"]
    assert only(live(caps=["presence"]).step(devices(1), 0.0)) == {
        "type": "presence",
        "devices": [
            {
                "device_id": "d1",
                "name": "Desk",
                "online": True,
                "acked_epoch": EPOCH,
                "acked_rev": 41,
                "last_seen": WALL,
            }
        ],
    }


def test_at_most_one_presence_in_five_seconds_and_the_newest_wins() -> None:
    """docs/protocol.md#presence-rate."""
    c = live(caps=["presence"])
    assert kinds(c.step(devices(1), 0.0)) == ["presence"]
    assert c.step(devices(2), 1.0) == []
    assert c.step(devices(3), 4.9) == []
    assert c.step(Tick(), 4.99) == []
    assert only(c.step(Tick(), 5.0))["devices"][0]["device_id"] == "d3"
    assert c.step(devices(4), 9.9) == []
    assert kinds(c.step(Tick(), 10.0)) == ["presence"]
    assert kinds(c.step(devices(5), 15.0)) == ["presence"]


def test_a_newer_presence_takes_the_place_of_one_that_is_due_before_the_tick_has_come() -> None:
    """docs/protocol.md#presence-rate."""
    c = live(caps=["presence"])
    c.step(devices(1), 0.0)
    assert c.step(devices(2), 1.0) == []
    assert only(c.step(devices(3), 5.1))["devices"][0]["device_id"] == "d3"
    assert c.step(Tick(), 5.2) == []


def test_the_first_presence_does_not_wait_for_the_clock_to_pass_zero() -> None:
    """Only differences of a monotonic clock mean anything."""
    c = live(caps=["presence"])
    c._now = type(c._now)(-100.0)
    assert kinds(c.step(devices(1), -99.0)) == ["presence"]


def test_a_window_of_a_server_may_be_smaller() -> None:
    c = live(terms=Terms(limits=Limits(window=1)))
    assert [kinds(say(c, mutate(mid)))[0] for mid in (1, 2)] == ["Apply", "error"]
    assert json.loads(mutate(1))["mid"] == 1
