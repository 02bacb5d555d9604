"""What the user and the system want of a client: hints, sleep, stop, taking over (docs/protocol.md#life-stopped)."""

from typing import Any

import pytest

from protocol._errors import LocalProtocolError
from protocol._facts import Dialled
from protocol._timers import ClientTimer as T
from protocol._types import Monotonic
from protocol.client import (
    ClientOutput,
    CloseTransport,
    GetToken,
    LinkChanged,
    Lost,
    NetworkChanged,
    OpenTransport,
    Poll,
    Refused,
    Start,
    Stop,
    Stopped,
    SyncNow,
    TakeOver,
    Woke,
)

from .desk import (
    Desk,
    Make,
    backoff,
    connecting,
    entries,
    facts,
    links,
    live,
    one,
    opening,
    polling,
    reasons,
    sent,
    some,
    syncing,
)


# --- hints ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hint", [NetworkChanged(), SyncNow()])
def test_a_hint_brings_the_next_attempt_forward(hint: Any) -> None:
    desk = backoff()
    assert some(desk.step(hint), OpenTransport)


@pytest.mark.parametrize("hint", [NetworkChanged(), SyncNow()])
def test_no_hint_overrules_what_the_server_asked_for(hint: Any) -> None:
    desk = connecting()
    desk.step(Refused(desk.gen, 503, "busy", retry_after_ms=20_000))
    outputs = desk.step(hint, after=5)
    assert not some(outputs, OpenTransport)
    assert desk.due_in(T.RECONNECT_DUE) == 15, "but the draw on top of it is skipped"
    assert one(outputs, LinkChanged).retry_at == Monotonic(20)


@pytest.mark.parametrize("hint", [NetworkChanged(), SyncNow()])
def test_a_hint_while_an_attempt_is_under_way_changes_nothing(hint: Any) -> None:
    for desk in (connecting(), opening()):
        before = desk.c.machine
        assert reasons(desk.step(hint))
        assert desk.c.machine == before


def test_a_hint_polls_at_once_too() -> None:
    desk, poll = polling()
    desk.refuses(poll, 0)
    assert some(desk.step(NetworkChanged()), Poll)


# --- sleep ------------------------------------------------------------------------------------------------------------


def test_waking_takes_the_session_as_lost_and_tries_at_once() -> None:
    desk = live()
    old = desk.gen
    outputs = desk.step(Woke(), after=5)
    assert sent(outputs) == [{"type": "bye", "reason": "suspend"}]
    assert one(outputs, CloseTransport) == CloseTransport(old, 1000, "suspend")
    assert one(outputs, OpenTransport).gen > old
    assert desk.c.machine.history.failed == 0


def test_waking_forgets_the_server_clock() -> None:
    desk = live()
    assert desk.c.server_time(desk.now) is not None
    desk.step(Woke())
    assert desk.c.server_time(desk.now) is None


@pytest.mark.parametrize("make", [connecting, opening, syncing, backoff])
def test_waking_begins_a_new_attempt_from_anywhere(make: Make) -> None:
    desk = make()
    outputs = desk.step(Woke())
    assert desk.state == "Connecting"
    assert some(outputs, OpenTransport)


def test_waking_in_stopped_wakes_nothing() -> None:
    desk = backoff()
    desk.step(Stop())
    assert reasons(desk.step(Woke())) == ["nobody wants to be connected"]
    assert desk.state == "Stopped"


def test_a_goodbye_heard_before_the_sleep_still_decides() -> None:
    desk = live()
    desk.says("goodbye", code=4003, reason="signed out", min_ms=0, max_ms=0, conn=None)
    desk.step(Woke())
    assert desk.state == "Stopped"


def test_a_hint_polls_no_sooner_than_the_server_asked_for() -> None:
    desk, poll = polling()
    desk.refuses(poll, 503, "busy", 40_000)
    assert not some(desk.step(NetworkChanged(), after=1), Poll)
    assert desk.due_in(T.POLL_DUE) == 39


def test_a_poll_that_was_hurried_is_not_due_a_second_time() -> None:
    desk, poll = polling()
    desk.refuses(poll, 0)
    desk.step(NetworkChanged())
    assert desk.due_in(T.POLL_DUE) is None


@pytest.mark.parametrize("hint", [NetworkChanged(), Woke()])
def test_another_network_may_let_long_polls_through(hint: Any) -> None:
    desk, poll = polling()
    desk.now += 5
    desk.refuses(poll, 504)
    assert desk.c.machine.cuts == 1
    desk.step(hint)
    assert desk.c.machine.cuts == 0


def test_waking_asks_again_what_was_asked_before_the_sleep() -> None:
    desk = backoff(outbox=entries(1))
    desk.again()
    before = some(desk.fail(), Poll)
    after = some(desk.step(Woke()), Poll)
    assert [poll.path for poll in after] == [poll.path for poll in before]
    assert [poll.body for poll in after] == [poll.body for poll in before]
    assert all(reasons(desk.refuses(poll, 0)) for poll in before), "nobody waits for the old ones"


def test_waking_polls_at_once_where_a_poll_was_waited_for() -> None:
    desk, poll = polling()
    desk.refuses(poll, 0)
    assert some(desk.step(Woke()), Poll)


# --- stop -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Desk, connecting, opening, syncing, live, backoff])
def test_the_user_can_stop_in_every_state(make: Make) -> None:
    desk = make()
    talking = desk.state in {"Syncing", "Live"}
    open_ = desk.state in {"Connecting", "Opening", "Syncing", "Live"}
    outputs = desk.step(Stop("shutdown"))
    assert desk.c.state == Stopped("shutdown")
    assert sent(outputs) == ([{"type": "bye", "reason": "user"}] if talking else [])
    assert [output.code for output in some(outputs, CloseTransport)] == ([1000] if open_ else [])
    assert links(outputs) == ["stopped"]
    assert desk.c.deadline is None


def test_stopping_twice_is_no_misuse() -> None:
    desk = backoff()
    desk.step(Stop())
    assert reasons(desk.step(Stop())) == ["stopped already"]


def test_stopped_is_left_by_start_and_everything_begins_anew() -> None:
    desk = backoff()
    desk.step(Stop())
    outputs = desk.step(Start())
    assert some(outputs, GetToken), "another user may have signed in meanwhile"
    assert desk.c.machine.history.delays == 0


def test_start_after_a_sign_in_was_asked_for_wants_a_fresh_token() -> None:
    desk = connecting()
    desk.step(Refused(desk.gen, 403, "forbidden"))
    assert one(desk.step(Start()), GetToken).fresh


@pytest.mark.parametrize("hint", [SyncNow(), TakeOver()])
def test_what_makes_no_sense_raises_and_changes_nothing(hint: Any) -> None:
    desk = Desk()
    before = desk.c.machine
    with pytest.raises(LocalProtocolError, match="is illegal in Idle; legal: "):
        desk.step(hint)
    assert desk.c.machine is before


# --- taking over ------------------------------------------------------------------------------------------------------


def replaced(winner: int | None) -> Desk:
    desk = live(conn=12)
    desk.says("goodbye", code=4005, reason="replaced", min_ms=0, max_ms=0, conn=winner)
    desk.until(T.SILENCE_DUE)
    assert desk.c.state == Stopped("replaced", winner=winner)
    return desk


def test_a_user_who_takes_over_is_sent_with_the_counter_of_the_winner_plus_one() -> None:
    desk = replaced(20)
    assert facts(desk.step(TakeOver())) == [Dialled(21)]


def test_taking_over_forgets_what_went_wrong_before() -> None:
    desk = backoff()
    desk.again()
    desk.open()
    desk.says("goodbye", code=4005, reason="", min_ms=0, max_ms=0, conn=1)
    desk.until(T.OPENING_DUE)
    assert desk.c.machine.history.delays == 1
    desk.step(TakeOver())
    assert desk.c.machine.history.delays == 0


@pytest.mark.parametrize("winner", [None, 3])
def test_the_counter_never_goes_back(winner: int | None) -> None:
    assert facts(replaced(winner).step(TakeOver())) == [Dialled(14)]


def test_a_winner_beyond_all_numbers_is_not_believed() -> None:
    assert facts(replaced(10**30).step(TakeOver())) == [Dialled((1 << 53) - 1)]


# --- a counter that was lost ------------------------------------------------------------------------------------------


def refused(desk: Desk, winner: int) -> list[ClientOutput]:
    """The server still holds a connection with this counter, and says so before any welcome."""
    desk.open()
    desk.says("goodbye", code=4005, reason="replaced", min_ms=0, max_ms=0, conn=winner)
    return desk.step(Lost(desk.gen, 4005))


def test_a_device_that_lost_count_goes_on_from_its_own_ghost() -> None:
    """After a power cut or with an older disk it would wait for ever for a user who knows of nothing."""
    desk = connecting(conn=1)
    assert facts(refused(desk, 7)) == [Dialled(8)]
    assert desk.state == "Connecting"


def test_two_running_copies_do_not_chase_each_other() -> None:
    desk = connecting(conn=1)
    refused(desk, 7)
    refused(desk, 12)
    assert desk.c.state == Stopped("replaced", winner=12)


def test_a_counter_that_is_not_behind_has_been_replaced() -> None:
    desk = connecting(conn=6)
    refused(desk, 7)
    assert desk.c.state == Stopped("replaced", winner=7)
