"""When to try again (docs/protocol.md#backoff-delay)."""

from hypothesis import given
from hypothesis import strategies as st

from protocol._chance import Chance
from protocol._close_codes import (
    CLOSE_CODES,
    UNREACHABLE,
    BackOff,
    Decision,
    PollOnly,
    RefreshThenRetry,
    Spread,
    StopFor,
)
from protocol._messages import Goodbye
from protocol._reconnect import (
    LONGEST_ASKED_MS,
    History,
    backoff,
    believed,
    in_step,
    settle,
    stable,
    window,
)
from protocol._settings import Timing
from protocol._types import Monotonic


def end(
    history: History, code: int, now: float, *, lasted_ms: float | None = None, synced: bool = False
) -> tuple[Decision, History]:
    return settle(history, CLOSE_CODES[code], Monotonic(now), lasted_ms=lasted_ms, synced=synced)


def decisions(code: int, *moments: float, lasted_ms: float | None = None) -> list[Decision]:
    history, found = History(), []
    for moment in moments:
        decision, history = end(history, code, moment, lasted_ms=lasted_ms)
        found.append(decision)
    return found


# --- delays -----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**64 - 1), delays=st.integers(0, 10_000))
def test_a_delay_is_drawn_between_the_floor_and_the_doubled_base(seed: int, delays: int) -> None:
    delay, _ = backoff(Chance(seed), delays, Timing())
    assert 100 <= delay <= min(60_000, 1_000 * 2 ** min(delays, 16))


@given(seed=st.integers(0, 2**64 - 1), least=st.integers(0, 10**18))
def test_what_was_asked_for_is_waited_before_the_draw(seed: int, least: int) -> None:
    delay, _ = backoff(Chance(seed), 0, Timing(), least)
    assert believed(least) + 100 <= delay <= believed(least) + 1_000


def test_a_floor_above_the_base_is_no_range_upside_down() -> None:
    delay, _ = backoff(Chance(1), 0, Timing(backoff_floor_ms=5_000, backoff_base_ms=10, backoff_cap_ms=20))
    assert delay == 5_000


def test_dropped_clients_spread_over_the_whole_range() -> None:
    """Invariant 10: a hundred clients in ten equal slots leave none empty."""
    drawn = [backoff(Chance(seed), 3, Timing())[0] for seed in range(100)]
    slots = {int((delay - 100) / 790) for delay in drawn}
    assert slots == set(range(10))


def test_nobody_is_believed_who_asks_for_a_year() -> None:
    assert believed(10**300) == LONGEST_ASKED_MS
    assert believed(-5) == 0


# --- windows ----------------------------------------------------------------------------------------------------------


def goodbye(min_ms: int, max_ms: int, code: int = 4200) -> Goodbye:
    return Goodbye(code=code, reason="", min_ms=min_ms, max_ms=max_ms)


def test_a_goodbye_names_the_window() -> None:
    assert window(Spread(), goodbye(500, 9_000)) == (500, 9_000)


def test_a_server_that_only_goes_away_names_its_end() -> None:
    assert window(Spread(announced="end"), goodbye(500, 9_000)) == (0, 9_000)


def test_a_window_that_is_not_to_be_named_stays() -> None:
    assert window(Spread(0, 1_000, announced="nothing"), goodbye(500, 9_000)) == (0, 1_000)


def test_without_goodbye_or_with_an_empty_window_the_default_holds() -> None:
    """A drain that names no time must not make its clients come back in a tight loop."""
    assert window(Spread(), None) == (0, 5_000)
    assert window(Spread(), goodbye(0, 0)) == (0, 5_000)


def test_a_window_upside_down_is_a_moment() -> None:
    assert window(Spread(), goodbye(9_000, 500)) == (500, 500)


# --- repetitions ------------------------------------------------------------------------------------------------------


def test_the_third_bad_message_in_five_minutes_stops() -> None:
    assert decisions(4000, 0, 100, 300) == [BackOff(), BackOff(), StopFor("not understood")]


def test_bad_messages_further_apart_do_not_add_up() -> None:
    assert decisions(4000, 0, 200, 400, 601) == [BackOff()] * 4


def test_the_third_framing_fault_without_synced_leaves_polling_only() -> None:
    assert decisions(1002, 0, 1_000, 2_000) == [BackOff(), BackOff(), PollOnly()]


def test_framing_faults_of_different_codes_count_together() -> None:
    history = History()
    for code in (1002, 1003):
        _, history = end(history, code, 0)
    assert end(history, 1007, 0)[0] == PollOnly()


def test_synced_between_framing_faults_starts_the_count_again() -> None:
    _, history = end(History(), 1002, 0)
    _, history = end(history, 1002, 1)
    assert end(in_step(history), 1002, 2)[0] == BackOff()


def test_two_short_sessions_in_a_row_start_polling() -> None:
    assert decisions(1006, 0, 20, lasted_ms=9_999) == [BackOff(), BackOff(poll=True)]


def test_codes_1005_and_1006_are_the_same_loss() -> None:
    _, history = end(History(), 1005, 0, lasted_ms=10)
    assert end(history, 1006, 1, lasted_ms=10)[0] == BackOff(poll=True)


def test_a_longer_session_between_them_starts_the_count_again() -> None:
    _, history = end(History(), 1006, 0, lasted_ms=500)
    _, history = end(history, 1006, 100, lasted_ms=10_000)
    assert end(history, 1006, 101, lasted_ms=500)[0] == BackOff()


def test_a_session_that_ended_otherwise_starts_the_count_again() -> None:
    _, history = end(History(), 1006, 0, lasted_ms=500)
    _, history = end(history, 4200, 1, lasted_ms=500)
    assert end(history, 1006, 2, lasted_ms=500)[0] == BackOff()


def test_an_attempt_that_never_opened_is_no_session_and_breaks_no_row() -> None:
    _, history = end(History(), 1006, 0, lasted_ms=500)
    _, history = settle(history, UNREACHABLE, Monotonic(1), lasted_ms=None, synced=False)
    assert end(history, 1006, 2, lasted_ms=500)[0] == BackOff(poll=True)


def test_a_second_gap_within_a_minute_counts_as_a_failed_attempt() -> None:
    _, history = end(History(), 4202, 0, synced=True)
    assert history.failed == 0
    decision, history = end(history, 4201, 60, synced=True)
    assert decision == BackOff(failed=True)
    assert history.failed == 1


def test_a_gap_a_minute_later_is_a_first_one() -> None:
    _, history = end(History(), 4202, 0)
    assert end(history, 4202, 60.5)[0] == Spread(0, 1_000, announced="nothing")


def test_an_invalid_token_twice_in_a_minute_stops() -> None:
    first, second = decisions(4302, 0, 59)
    assert first == RefreshThenRetry(patient=False)
    assert isinstance(second, StopFor)
    assert second.sign_in


def test_an_invalid_token_a_minute_later_is_a_first_one() -> None:
    assert decisions(4302, 0, 60.5) == [RefreshThenRetry(patient=False)] * 2


def test_tokens_that_are_born_expired_are_not_asked_for_in_a_tight_loop() -> None:
    assert decisions(4301, 0, 1, 2) == [RefreshThenRetry(), RefreshThenRetry(), BackOff(failed=True)]


def test_families_are_counted_apart_and_few_endings_are_remembered() -> None:
    history = History()
    for n in range(100):
        for code in (4000, 4201, 4301, 4302):
            _, history = end(history, code, n / 100)
    assert len(history.marks) <= 16
    assert {mark.family for mark in history.marks} == {"bad message", "again", "expired", "invalid"}


# --- counts -----------------------------------------------------------------------------------------------------------


def test_each_backoff_counts_and_a_stable_session_forgets_them() -> None:
    history = History()
    for n in range(3):
        _, history = end(history, 1006, n)
    assert (history.delays, history.failed) == (3, 3)
    assert stable(history).delays == 0
    assert stable(history).failed == 3


def test_being_in_step_ends_the_row_of_failed_attempts_but_not_the_backoff() -> None:
    """A server that lets everybody in and drops them at once must still be left alone longer each time."""
    _, history = end(History(), 1006, 0)
    history = in_step(history)
    assert (history.delays, history.failed) == (1, 0)


def test_losing_a_session_that_was_in_step_is_no_failed_attempt() -> None:
    _, history = end(History(), 1006, 0, lasted_ms=30_000, synced=True)
    assert (history.delays, history.failed) == (1, 0)


def test_a_spread_return_is_no_backoff() -> None:
    _, history = end(History(), 4200, 0)
    assert (history.delays, history.failed) == (0, 0)
