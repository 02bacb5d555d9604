"""From the wish to be connected to hello (docs/protocol.md#life-client)."""

import pytest

from protocol._facts import Dialled
from protocol._messages import App
from protocol._settings import Timing
from protocol._timers import ClientTimer as T
from protocol._types import Generation, Handle
from protocol.client import (
    CloseTransport,
    GetToken,
    LinkChanged,
    Opened,
    OpenTransport,
    Received,
    Refused,
    Start,
    Stopped,
    TokenFailed,
    TokenReady,
    Unreachable,
)

from .desk import (
    Desk,
    backoff,
    connecting,
    cursor,
    facts,
    live,
    one,
    opening,
    reasons,
    said,
    sent,
    some,
)


# --- start ------------------------------------------------------------------------------------------------------------


def test_start_asks_for_a_token_first() -> None:
    desk = Desk()
    assert desk.step(Start()) == [GetToken(Generation(1), fresh=False), LinkChanged("connecting")]
    assert desk.state == "Refreshing"


def test_a_token_opens_a_transport_and_the_attempt_is_counted_on_disk_before() -> None:
    desk = Desk(conn=12)
    desk.step(Start())
    outputs = desk.token("t1")
    assert [type(output).__name__ for output in outputs] == ["Store", "OpenTransport", "LinkChanged"]
    assert facts(outputs) == [Dialled(13)]
    assert one(outputs, OpenTransport) == OpenTransport(Generation(1), Handle("t1"))


def test_the_counter_grows_with_every_attempt() -> None:
    desk = backoff(conn=12)
    assert facts(desk.again()) == [Dialled(14)]


def test_a_token_in_hand_serves_the_next_attempt_too() -> None:
    desk = backoff()
    outputs = desk.again()
    assert not some(outputs, GetToken)
    assert one(outputs, OpenTransport).handle == Handle("token")


def test_no_token_in_time_is_a_failed_attempt() -> None:
    desk = Desk()
    desk.step(Start())
    outputs = desk.until(T.REFRESH_DUE)
    assert desk.now == 10
    assert desk.state == "Backoff"
    assert some(outputs, LinkChanged)[-1].why == "no token in time"


def test_a_token_that_cannot_be_had_now_is_a_failed_attempt() -> None:
    desk = Desk()
    desk.step(Start())
    desk.step(TokenFailed(desk.gen, rejected=False, why="offline"))
    assert desk.state == "Backoff"
    assert desk.c.machine.history.failed == 1


def test_a_refused_sign_in_stops_and_asks_for_one() -> None:
    desk = Desk()
    desk.step(Start())
    outputs = desk.step(TokenFailed(desk.gen, rejected=True, why="the refresh token was revoked"))
    assert one(outputs, LinkChanged) == LinkChanged("stopped", "the refresh token was revoked", sign_in=True)
    assert desk.c.state == Stopped("signed out", sign_in=True)


# --- hello ------------------------------------------------------------------------------------------------------------


def test_hello_names_device_counter_app_cursor_and_caps() -> None:
    desk = connecting(name="Desk", conn=12, cursor=cursor(41), app=App("tocsin-qt", "1.0.0"))
    (hello,) = sent(desk.open())
    assert hello == {
        "type": "hello",
        "device": {"id": "desk", "name": "Desk"},
        "conn": 13,
        "app": {"name": "tocsin-qt", "version": "1.0.0"},
        "cursor": {"epoch": "e1", "rev": 41},
        "caps": ["deflate", "presence"],
    }


def test_without_a_cursor_hello_asks_for_a_snapshot() -> None:
    (hello,) = sent(connecting().open())
    assert hello["cursor"] is None


def test_hello_names_only_what_is_on_disk() -> None:
    """The server takes the cursor of hello for acknowledged, so it must survive a crash."""
    desk = live()
    desk.disk = False
    desk.event(42)
    desk.says("goodbye", code=4200, reason="", min_ms=0, max_ms=0, conn=None)
    desk.until(T.SILENCE_DUE)
    desk.again()
    (hello,) = sent(desk.open(), "hello")
    assert desk.c.machine.cursor == cursor(42)
    assert hello["cursor"] == {"epoch": "e1", "rev": 41}


@pytest.mark.parametrize("subprotocol", [None, "graphql-ws"])
def test_a_server_that_does_not_agree_to_our_subprotocol_is_backed_off_from(subprotocol: str | None) -> None:
    desk = connecting()
    outputs = desk.step(Opened(desk.gen, subprotocol))
    assert one(outputs, CloseTransport).code == 1002
    assert not sent(outputs)
    assert desk.state == "Backoff"


def test_no_transport_in_time_is_a_failed_attempt() -> None:
    desk = connecting()
    outputs = desk.until(T.CONNECT_DUE)
    assert desk.now == 10
    assert one(outputs, CloseTransport) == CloseTransport(Generation(1), 1000, "no transport in time")
    assert desk.state == "Backoff"


def test_no_welcome_in_time_is_a_failed_attempt() -> None:
    desk = opening()
    outputs = desk.until(T.OPENING_DUE)
    assert desk.now == 10
    assert one(outputs, CloseTransport).reason == "no welcome in time"
    assert not sent(outputs), "before welcome nothing but hello may be said"
    assert desk.c.machine.history.failed == 1


def test_configured_times_are_used() -> None:
    desk = Desk(timing=Timing(refresh_ms=500))
    desk.step(Start())
    assert desk.due_in(T.REFRESH_DUE) == 0.5


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_retry_after_is_waited_before_the_draw() -> None:
    desk = connecting()
    desk.step(Refused(desk.gen, 503, "busy", retry_after_ms=20_000))
    delay = desk.due_in(T.RECONNECT_DUE)
    assert delay is not None
    assert 20.1 <= delay <= 21


def test_an_expired_token_is_refreshed_at_once() -> None:
    desk = connecting()
    outputs = desk.step(Refused(desk.gen, 401, "token_expired"))
    assert one(outputs, GetToken).fresh
    assert one(desk.token("t2"), OpenTransport).handle == Handle("t2")


@pytest.mark.parametrize(("handle", "fresh"), [("t1", False), ("token", True), ("token", False)])
def test_the_same_token_again_backs_off_and_shows_the_sign_in(handle: str, fresh: bool) -> None:
    """Whether the driver says so or brings the handle that was refused; t1 stands for a new name of an old token."""
    desk = connecting()
    desk.step(Refused(desk.gen, 401, "token_expired"))
    outputs = desk.token(handle, fresh=fresh)
    assert not some(outputs, OpenTransport)
    assert one(outputs, LinkChanged).sign_in
    assert desk.state == "Backoff"


def test_after_the_same_token_it_keeps_trying_with_what_it_gets() -> None:
    """Expiry is never terminal: the server's clock may have been the one that was wrong."""
    desk = connecting()
    desk.step(Refused(desk.gen, 401, "token_expired"))
    desk.token()
    assert one(desk.again(), GetToken).fresh
    outputs = desk.token(fresh=False)
    assert some(outputs, OpenTransport)
    assert one(outputs, LinkChanged).sign_in, "until a session begins"


def test_the_sign_in_is_no_longer_shown_once_a_session_begins() -> None:
    desk = connecting()
    desk.step(Refused(desk.gen, 401, "token_expired"))
    desk.token()
    desk.again()
    desk.token(fresh=False)
    desk.open()
    assert not one(desk.welcome(), LinkChanged).sign_in


def test_a_401_of_a_captive_portal_is_backed_off_from() -> None:
    desk = connecting()
    desk.step(Refused(desk.gen, 401, None))
    assert desk.state == "Backoff"
    assert not desk.c.machine.refused


@pytest.mark.parametrize(("status", "code", "reason"), [(403, "forbidden", "forbidden"), (426, "version", "upgrade")])
def test_refusals_of_ours_stop(status: int, code: str, reason: str) -> None:
    desk = connecting()
    desk.step(Refused(desk.gen, status, code))
    assert desk.state == "Stopped"
    assert reason in desk.c.state.reason


# --- generations ------------------------------------------------------------------------------------------------------


def test_an_answer_to_an_earlier_attempt_does_nothing() -> None:
    desk = connecting()
    old = desk.gen
    desk.step(Unreachable(old, "no route"))
    desk.again()
    before = desk.c.machine
    assert reasons(desk.step(Opened(old, "tocsin.v1"))) == ["Opened of generation 1, which is over"]
    assert desk.c.machine == before


def test_a_token_for_an_earlier_attempt_does_nothing() -> None:
    desk = connecting()
    desk.step(Refused(desk.gen, 401, "token_expired"))
    outputs = desk.step(TokenReady(Generation(1), Handle("late")))
    assert desk.state == "Refreshing"
    assert reasons(outputs)


def test_no_message_is_heard_from_a_transport_that_is_over() -> None:
    desk = backoff()
    assert reasons(desk.step(Received(Generation(1), said("heartbeat", n=1, t=1, rev=1))))
