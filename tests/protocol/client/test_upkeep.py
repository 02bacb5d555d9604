"""What a session does by itself (docs/protocol.md#heartbeat-ping)."""

from typing import Any

import pytest

from protocol._timers import ClientTimer as T
from protocol._types import Generation, Handle
from protocol.client import (
    ClientOutput,
    ClockSampled,
    CloseTransport,
    GetToken,
    Heard,
    LinkChanged,
    Poll,
    Stored,
    SyncNow,
    TokenFailed,
    Transmit,
)

from .desk import (
    LIFE_MS,
    SERVER_TIME,
    Desk,
    Make,
    cursor,
    deleted,
    live,
    one,
    opening,
    polling,
    reasons,
    sent,
    some,
    syncing,
)


# --- signs of life ----------------------------------------------------------------------------------------------------


def test_silence_closes_and_decides_as_for_4201() -> None:
    desk = live()
    outputs = desk.until(T.SILENCE_DUE)
    assert desk.now == 45
    assert one(outputs, CloseTransport).code == 4201
    assert sent(outputs, "bye") == [{"type": "bye", "reason": "silence"}]
    delay = desk.due_in(T.RECONNECT_DUE)
    assert delay is not None
    assert 0 <= delay <= 1


def test_any_message_is_a_sign_of_life() -> None:
    desk = live()
    desk.wait(44)
    desk.says("confetti")
    assert desk.due_in(T.SILENCE_DUE) == 45


@pytest.mark.parametrize("make", [syncing, live])
def test_part_of_a_message_is_a_sign_of_life(make: Make) -> None:
    desk = make()
    desk.wait(44)
    assert desk.step(Heard(desk.gen)) == []
    assert desk.due_in(T.SILENCE_DUE) == 45


def test_part_of_a_message_before_welcome_buys_no_time() -> None:
    desk = opening()
    desk.step(Heard(desk.gen), after=5)
    assert desk.due_in(T.OPENING_DUE) == 5
    assert desk.due_in(T.SILENCE_DUE) is None


def test_bytes_of_an_old_transport_are_no_sign_of_life() -> None:
    desk = live()
    assert reasons(desk.step(Heard(Generation(0))))


def test_after_a_goodbye_bytes_buy_no_time() -> None:
    desk = live()
    desk.says("goodbye", code=4200, reason="", min_ms=0, max_ms=900, conn=None)
    desk.step(Heard(desk.gen), after=1)
    assert desk.due_in(T.SILENCE_DUE) == 1


# --- the clock --------------------------------------------------------------------------------------------------------


def test_five_pings_follow_synced() -> None:
    desk = syncing()
    desk.now = 12.5
    assert sent(desk.synced(41), "ping") == [{"type": "ping", "t0": 12_500.0}] * 5


def test_then_one_every_thirty_seconds() -> None:
    desk = live()
    moments = []
    for _ in range(3):
        outputs = desk.until(T.PING_DUE)
        moments.append(desk.now)
        assert len(sent(outputs, "ping")) == 1
        desk.says("heartbeat", n=1, t=SERVER_TIME, rev=41)
    assert moments == [30, 60, 90]


def test_a_pong_is_a_sample() -> None:
    desk = live()
    desk.now += 0.1
    outputs = desk.says("pong", t0=0.0, t1=SERVER_TIME + 50, t2=SERVER_TIME + 50)
    assert one(outputs, ClockSampled).round_trip_ms == 100


@pytest.mark.parametrize("fields", [{}, {"t0": 123.0}, {"t0": 10**300}])
def test_a_pong_without_its_ping_is_no_sample(fields: dict[str, Any]) -> None:
    desk = live()
    before = desk.c.machine.clock
    assert reasons(desk.says("pong", t1=SERVER_TIME, t2=SERVER_TIME, **fields)) == ["a pong without its ping"]
    assert desk.c.machine.clock is before


def test_each_ping_has_one_pong() -> None:
    desk = live()
    answers = [reasons(desk.says("pong", t0=0.0, t1=SERVER_TIME, t2=SERVER_TIME)) for _ in range(6)]
    assert answers == [[]] * 5 + [["a pong without its ping"]]


def test_a_pong_that_cannot_be_true_is_refused() -> None:
    desk = live()
    assert reasons(desk.says("pong", t0=0.0, t1=SERVER_TIME, t2=SERVER_TIME + 9)) == [
        "a clock sample that cannot be true"
    ]


def test_pings_without_pongs_are_forgotten() -> None:
    desk = live()
    for _ in range(40):
        desk.step(SyncNow(), after=1)
    assert len(desk.c.state.session.pings) == 16


def test_impatience_is_no_reason_to_say_more_than_is_allowed() -> None:
    desk = live()
    outputs = [output for _ in range(60) for output in desk.step(SyncNow())]
    assert len(sent(outputs, "ping")) == 29
    assert reasons(outputs)[0] == "that was asked often enough"


@pytest.mark.parametrize("make", [syncing, live])
def test_sync_now_shows_whether_the_line_carries_anything(make: Make) -> None:
    assert len(sent(make().step(SyncNow()), "ping")) == 1


# --- acks -------------------------------------------------------------------------------------------------------------


def test_what_is_stored_is_acknowledged_at_once_after_a_quiet_time() -> None:
    desk = live()
    assert sent(desk.event(42), "ack") == [{"type": "ack", "epoch": "e1", "rev": 42}]


def test_what_is_not_on_disk_is_not_acknowledged() -> None:
    desk = live(disk=False)
    assert not sent(desk.event(42), "ack")
    assert not sent(desk.wait(20), "ack")
    assert sent(desk.step(Stored(desk.c.machine.seq)), "ack")


def test_acks_are_five_seconds_apart() -> None:
    desk = live()
    desk.event(42)
    assert not sent(desk.event(43), "ack")
    assert not sent(desk.wait(4.9), "ack")
    assert sent(desk.wait(0.2), "ack") == [{"type": "ack", "epoch": "e1", "rev": 43}]
    assert not sent(desk.wait(20), "ack"), "nothing new"


def test_fifty_events_do_not_wait() -> None:
    desk = live()
    outputs = [message["rev"] for rev in range(42, 142) for message in sent(desk.event(rev), "ack")]
    assert outputs == [42, 92]


def test_nothing_is_acknowledged_that_hello_has_said() -> None:
    assert not sent(syncing().synced(41), "ack")


def test_a_session_without_cursor_acknowledges_its_snapshot() -> None:
    desk = opening()
    desk.welcome()
    desk.says("sync_required", reason="epoch", epoch="e1", rev=7)
    assert sent(desk.snapshot(7), "ack") == [{"type": "ack", "epoch": "e1", "rev": 7}]


def test_what_came_by_another_transport_is_acknowledged_when_the_socket_has_caught_up() -> None:
    """The server believes no ack above what it has sent on this connection."""
    desk, poll = polling()
    desk.again()
    desk.open()
    desk.welcome()
    outputs = desk.answers(poll, rev=43, last_mid=0, events=[deleted(42), deleted(43)])
    assert not sent(outputs, "ack")
    assert sent(desk.event(42), "ack") == []
    assert desk.c.machine.stored == cursor(43)
    assert sent(desk.synced(43), "ack") == [{"type": "ack", "epoch": "e1", "rev": 43}]


def test_a_new_epoch_that_a_poll_brought_is_acknowledged_when_the_socket_has_it_too() -> None:
    desk, poll = polling()
    desk.again()
    desk.open()
    desk.welcome()
    desk.event(42)
    desk.says("sync_required", reason="epoch", epoch="e2", rev=5)
    outputs = desk.answers(poll, epoch="e2", rev=5, last_mid=0, events=[])
    outputs = desk.answers(one(outputs, Poll), epoch="e2", rev=5, last_mid=0, items=[])
    assert desk.c.machine.stored == cursor(5, "e2")
    assert not sent(outputs + desk.wait(5), "ack")
    assert sent(desk.snapshot(5, "e2"), "ack") == [{"type": "ack", "epoch": "e2", "rev": 5}]


def test_a_new_epoch_is_acknowledged_from_the_beginning() -> None:
    desk = live()
    desk.says("sync_required", reason="epoch", epoch="e2", rev=3)
    desk.wait(1)
    outputs = desk.snapshot(3, "e2")
    assert sent(outputs, "ack") == [{"type": "ack", "epoch": "e2", "rev": 3}]


# --- the token --------------------------------------------------------------------------------------------------------


def renewing(**welcome: object) -> tuple[Desk, list[ClientOutput]]:
    desk = opening(cursor=cursor(41))
    desk.welcome(timers={"silence_ms": 80_000_000}, **welcome)
    desk.synced(41)
    return desk, desk.until(T.RENEW_DUE)


def test_a_fresh_token_is_asked_for_a_minute_before_the_end() -> None:
    desk, outputs = renewing()
    assert desk.now == LIFE_MS / 1000 - 60
    assert one(outputs, GetToken) == GetToken(desk.gen, fresh=True)


def test_of_a_short_life_half_is_left() -> None:
    desk, _ = renewing(auth_exp=SERVER_TIME + 40_000)
    assert desk.now == 20


@pytest.mark.parametrize("auth_exp", [SERVER_TIME, 0, -(10**300)])
def test_a_token_that_is_over_already_is_renewed_but_not_in_a_tight_loop(auth_exp: int) -> None:
    desk, _ = renewing(auth_exp=auth_exp)
    assert desk.now == 0.1


def test_an_expiry_beyond_all_times_never_comes() -> None:
    desk = opening(cursor=cursor(41))
    desk.welcome(auth_exp=10**300)
    assert desk.due_in(T.RENEW_DUE)


def test_the_renewal_carries_the_handle_where_the_token_belongs() -> None:
    desk, _ = renewing()
    outputs = desk.token("t2")
    assert sent(outputs) == [{"type": "auth", "token": "t2"}]
    assert one(outputs, Transmit).handle == Handle("t2")
    assert desk.state == "Live"


def test_the_next_renewal_is_planned_by_auth_ok() -> None:
    desk, _ = renewing()
    desk.token("t2")
    now = desk.c.server_time(desk.now)
    assert now is not None
    desk.says("auth_ok", auth_exp=now + LIFE_MS)
    assert desk.due_in(T.RENEW_DUE) == LIFE_MS / 1000 - 60


def test_a_renewed_token_makes_up_for_one_that_a_poll_saw_refused() -> None:
    desk, poll = polling()
    desk.again()
    desk.open()
    desk.welcome()
    desk.refuses(poll, 401, "token_expired")
    assert desk.c.machine.refused
    desk.token("t2")
    assert not desk.c.machine.refused


def test_the_renewed_token_serves_the_next_attempt() -> None:
    desk, _ = renewing()
    desk.token("t2")
    assert desk.c.machine.token == "t2"


def test_without_an_answer_a_token_is_asked_for_again() -> None:
    desk, _ = renewing()
    desk.token("t2")
    outputs = desk.until(T.RENEW_DUE)
    assert desk.now == LIFE_MS / 1000 - 60 + 10
    assert some(outputs, GetToken)


@pytest.mark.parametrize("code", ["token_expired", "token_invalid"])
def test_a_rejected_renewal_leaves_the_session_and_is_tried_again(code: str) -> None:
    desk, _ = renewing()
    desk.token("t2")
    desk.now += 3
    desk.says("error", code=code, message="No.", retryable=False)
    assert desk.state == "Live"
    assert desk.due_in(T.RENEW_DUE) == 10


def test_the_same_token_again_renews_nothing_and_asks_for_a_sign_in() -> None:
    desk, _ = renewing()
    outputs = desk.token("token")
    assert not sent(outputs)
    assert one(outputs, LinkChanged).sign_in
    assert one(outputs, LinkChanged).state == "live"


def test_a_refused_sign_in_leaves_the_session_in_force() -> None:
    desk, _ = renewing()
    outputs = desk.step(TokenFailed(desk.gen, rejected=True, why="revoked"))
    assert one(outputs, LinkChanged).sign_in
    assert desk.state == "Live"


def test_a_token_that_cannot_be_had_now_is_asked_for_again() -> None:
    desk, _ = renewing()
    assert reasons(desk.step(TokenFailed(desk.gen, rejected=False, why="offline"))) == ["no token yet: offline"]
    assert desk.due_in(T.RENEW_DUE) == 10


def test_auth_ok_without_a_known_clock_plans_nothing() -> None:
    desk = opening(cursor=cursor(41))
    desk.welcome(server_time=-5)
    assert desk.c.server_time(0) is None
    assert reasons(desk.says("auth_ok", auth_exp=SERVER_TIME))


# --- stability --------------------------------------------------------------------------------------------------------


def test_a_minute_in_live_forgets_earlier_delays() -> None:
    desk = opening(cursor=cursor(41))
    desk.until(T.OPENING_DUE)
    desk.again()
    desk.open()
    desk.welcome(timers={"silence_ms": 100_000})
    assert desk.c.machine.history.failed == 1
    desk.synced(41)
    assert (desk.c.machine.history.failed, desk.c.machine.history.delays) == (0, 1)
    desk.until(T.STABLE_DUE)
    assert desk.c.machine.history.delays == 0
