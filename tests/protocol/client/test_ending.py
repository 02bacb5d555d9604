"""How sessions end, and what follows (docs/protocol.md#close-decision)."""

import pytest

from protocol._close_codes import CLOSE_CODES
from protocol._facts import CursorDropped
from protocol._timers import ClientTimer as T
from protocol._types import Generation
from protocol.client import (
    ClientOutput,
    CloseTransport,
    Faulted,
    GetToken,
    LinkChanged,
    Live,
    Lost,
    NetworkChanged,
    OpenTransport,
    Poll,
    Stopped,
    Stored,
)

from .desk import (
    Desk,
    Make,
    backoff,
    connecting,
    cursor,
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


def lose(desk: Desk, code: int, reason: str = "") -> list[ClientOutput]:
    return desk.step(Lost(desk.gen, code, reason))


def goodbye(desk: Desk, code: int, **more: object) -> list[ClientOutput]:
    return desk.says("goodbye", code=code, **{"reason": "", "min_ms": 0, "max_ms": 0, "conn": None, **more})


def delays(code: int, seeds: int = 60, **more: object) -> list[float]:
    """Seconds until the next attempt, by seed."""
    found = []
    for seed in range(seeds):
        desk = live(seed=seed)
        if more:
            goodbye(desk, code, **more)
        lose(desk, code)
        delay = desk.due_in(T.RECONNECT_DUE)
        assert delay is not None
        found.append(delay)
    return found


# --- close codes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(CLOSE_CODES))
def test_every_code_leads_where_its_row_says(code: int) -> None:
    desk = live()
    lose(desk, code)
    stops = code in {1008, 4001, 4002, 4003, 4004, 4005}
    mends = code in {4301, 4302}
    assert desk.state == ("Stopped" if stops else "Refreshing" if mends else "Backoff")


def test_a_first_loss_is_backed_off_from_for_less_than_a_second() -> None:
    found = delays(1006)
    assert all(0.1 <= delay <= 1 for delay in found)
    assert max(found) - min(found) > 0.5


@pytest.mark.parametrize(("code", "least"), [(1013, 5), (4104, 60)])
def test_a_least_time_is_waited_before_the_draw(code: int, least: int) -> None:
    assert all(least + 0.1 <= delay <= least + 1 for delay in delays(code))


def test_a_goodbye_may_name_a_least_time() -> None:
    assert all(7.1 <= delay <= 8 for delay in delays(4100, min_ms=7_000, max_ms=9_000))


def test_a_drain_spreads_clients_over_its_window() -> None:
    found = delays(4200, min_ms=2_000, max_ms=12_000)
    assert all(2 <= delay <= 12 for delay in found)
    assert {int((delay - 2) / 2) for delay in found} == {0, 1, 2, 3, 4}


def test_a_server_that_goes_away_is_given_five_seconds() -> None:
    assert all(0 <= delay <= 5 for delay in delays(1001))


def test_no_one_stays_away_for_a_year() -> None:
    assert all(delay <= 601 for delay in delays(4100, seeds=5, min_ms=10**300, max_ms=10**300))


def test_each_further_failure_may_wait_twice_as_long() -> None:
    desk = connecting(seed=3)
    longest = []
    for n in range(9):
        desk.fail()
        delay = desk.due_in(T.RECONNECT_DUE)
        assert delay is not None
        assert 0.1 <= delay <= min(60, 2**n)
        longest.append(delay)
        desk.again()
    assert max(longest) > 8


# --- goodbye ----------------------------------------------------------------------------------------------------------


def test_goodbye_wins_over_the_close_code() -> None:
    desk = live()
    goodbye(desk, 4003, reason="signed out")
    outputs = lose(desk, 1006)
    assert desk.c.state == Stopped("signed out", sign_in=True)
    assert one(outputs, LinkChanged).why == "signed out"


def test_goodbye_wins_over_our_own_close() -> None:
    desk = live()
    goodbye(desk, 4002)
    desk.event(99)
    assert desk.c.state.reason == "forbidden"


def test_goodbye_before_welcome_wins_too() -> None:
    desk = opening()
    goodbye(desk, 4004, reason="revoked")
    lose(desk, 1006)
    assert desk.c.state.reason == "device revoked"


@pytest.mark.parametrize("make", [opening, syncing, live])
def test_after_a_goodbye_the_close_is_waited_for_two_seconds(make: Make) -> None:
    desk = make()
    goodbye(desk, 4002)
    outputs = desk.wait(2)
    assert some(outputs, CloseTransport)
    assert desk.state == "Stopped"


def test_results_may_still_come_after_a_goodbye() -> None:
    desk = live(outbox=entries(1))
    goodbye(desk, 4200, max_ms=900)
    assert facts(desk.says("result", mid=1, status="applied", rev=42))


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_a_revoked_device_drops_its_cursor_and_keeps_its_outbox() -> None:
    desk = live(outbox=entries(1))
    outputs = lose(desk, 4004)
    assert facts(outputs) == [CursorDropped()]
    assert desk.c.machine.cursor is None
    assert len(desk.c.machine.outbox) == 1
    assert one(outputs, LinkChanged).sign_in


def test_a_late_answer_of_the_disk_does_not_bring_the_dropped_cursor_back() -> None:
    desk = live(disk=False)
    desk.event(42)
    seq = desk.c.machine.seq
    lose(desk, 4004)
    desk.step(Stored(seq))
    assert desk.c.machine.stored is None


@pytest.mark.parametrize("code", [4001, 4002, 4003, 4005])
def test_the_others_keep_their_cursor(code: int) -> None:
    desk = live()
    assert not facts(lose(desk, code))
    assert desk.c.machine.cursor == cursor(41)


def test_nothing_happens_in_stopped_whatever_time_passes() -> None:
    desk = live()
    lose(desk, 4005)
    assert desk.c.deadline is None
    assert desk.wait(10_000) == []


# --- repetitions ------------------------------------------------------------------------------------------------------


def again(desk: Desk, code: int) -> list[ClientOutput]:
    """One more session, ended by this code."""
    desk.again()
    desk.open()
    desk.welcome()
    return lose(desk, code)


def test_two_short_sessions_start_polling() -> None:
    desk = live()
    assert not some(lose(desk, 1006), Poll)
    desk.again()
    desk.open()
    desk.welcome()
    desk.synced(41)
    outputs = lose(desk, 1006)
    assert some(outputs, Poll)
    assert links(outputs) == ["polling"]


def test_longer_sessions_do_not() -> None:
    desk = live()
    lose(desk, 1006)
    desk.again()
    desk.open()
    desk.welcome()
    desk.synced(41)
    desk.wait(10)
    assert not some(lose(desk, 1006), Poll)


def test_the_third_framing_fault_in_a_row_leaves_polling_only_and_is_reported() -> None:
    desk = syncing()
    lose(desk, 1002)
    again(desk, 1007)
    outputs = again(desk, 1003)
    assert "polling until" in one(outputs, Faulted).fault.message
    assert links(outputs)[-1] == "polling"
    assert desk.due_in(T.RECONNECT_DUE) is None
    assert "Backoff(" in repr(desk.c)
    assert "polling" in repr(desk.c)


def test_a_changed_network_ends_polling_only() -> None:
    desk = syncing()
    lose(desk, 1002)
    again(desk, 1007)
    again(desk, 1003)
    assert some(desk.step(NetworkChanged()), OpenTransport)


def test_an_expired_token_is_refreshed_and_tried_at_once() -> None:
    desk = live()
    outputs = lose(desk, 4301)
    assert one(outputs, GetToken).fresh
    assert some(desk.token("t2"), OpenTransport)


def test_tokens_that_are_born_expired_end_in_a_backoff() -> None:
    desk = live()
    for n in range(2):
        lose(desk, 4301)
        desk.token(f"t{n}")
        desk.open()
        desk.welcome()
    lose(desk, 4301)
    assert desk.state == "Backoff"
    assert one(desk.again(), GetToken).fresh


def test_an_invalid_token_is_refreshed_once() -> None:
    desk = live()
    assert one(lose(desk, 4302), GetToken).fresh
    desk.token("t2")
    desk.open()
    lose(desk, 4302)
    assert desk.c.state == Stopped("signed out", sign_in=True)


def test_after_4302_the_same_token_is_tried_all_the_same() -> None:
    """Twice in 60 s stops; what the server says to it decides."""
    desk = live()
    lose(desk, 4302)
    assert some(desk.token("token"), OpenTransport)


# --- losses elsewhere -------------------------------------------------------------------------------------------------


def test_a_loss_while_connecting_is_a_failed_attempt() -> None:
    desk = connecting()
    lose(desk, 1006)
    assert desk.state == "Backoff"
    assert desk.c.machine.history.failed == 1


def test_a_loss_of_an_old_transport_is_no_loss() -> None:
    desk = live()
    assert reasons(desk.step(Lost(Generation(0), 1006)))
    assert isinstance(desk.c.state, Live)


@pytest.mark.parametrize("make", [Desk, backoff])
def test_a_loss_where_there_is_no_transport_is_ignored(make: Make) -> None:
    assert reasons(make().step(Lost(Generation(1), 1006))) == ["Lost of generation 1 has no place here"]


def test_every_session_is_left_with_a_bye() -> None:
    desk = live()
    assert sent(desk.event(99)) == [{"type": "bye", "reason": "gap"}]


def test_a_reason_of_a_server_is_cut_short() -> None:
    desk = live()
    outputs = lose(desk, 1006, "x" * 10_000)
    assert len(one(outputs, LinkChanged).why) == 200


def test_failed_attempts_end_in_polling() -> None:
    desk, poll = polling()
    assert poll.method == "GET"
    assert desk.c.machine.history.failed == 2
