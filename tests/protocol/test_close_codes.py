"""Every way to end has one decision (docs/protocol.md#close-decision)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._close_codes import (
    CLOSE_CODES,
    RENAMED,
    WOKEN,
    BackOff,
    PollOnly,
    RefreshThenRetry,
    Spread,
    StopFor,
    decide,
    decide_http,
    explain,
    row_for,
    row_for_http,
)


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1005, 1006, 1007, 1009, 1011, 4100, 4101, 4102, 4103, 4300])
def test_what_may_pass_by_itself_is_backed_off_from(code: int) -> None:
    assert decide(code) == BackOff()


@pytest.mark.parametrize(("code", "least"), [(1013, 5_000), (4104, 60_000)])
def test_a_full_server_is_left_alone_for_a_least_time(code: int, least: int) -> None:
    assert decide(code) == BackOff(at_least_ms=least)


@pytest.mark.parametrize("code", [1008, 4001, 4002, 4003, 4004, 4005])
def test_what_no_repetition_mends_stops(code: int) -> None:
    assert isinstance(decide(code), StopFor)


@pytest.mark.parametrize("code", [1008, 4001, 4005])
def test_where_the_account_is_fine_no_sign_in_is_asked_for(code: int) -> None:
    decision = decide(code)
    assert isinstance(decision, StopFor)
    assert not decision.sign_in
    assert not decision.drop_cursor


@pytest.mark.parametrize("code", [4002, 4003, 4004])
def test_a_lost_account_asks_for_a_sign_in(code: int) -> None:
    decision = decide(code)
    assert isinstance(decision, StopFor)
    assert decision.sign_in
    assert decision.drop_cursor == (code == 4004)


@pytest.mark.parametrize("code", [1001, 1012])
def test_a_server_that_goes_away_names_only_the_end_of_the_window(code: int) -> None:
    assert decide(code) == Spread(0, 5_000, announced="end")


def test_a_drain_names_its_window() -> None:
    assert decide(4200) == Spread(announced="both")


@pytest.mark.parametrize("code", [4201, 4202])
def test_a_gap_and_a_silence_are_mended_within_a_second(code: int) -> None:
    assert decide(code) == Spread(0, 1_000, announced="nothing")
    repeat = row_for(code).repeat
    assert repeat is not None
    assert (repeat.count, repeat.within_ms, repeat.then) == (2, 60_000, BackOff(failed=True))


@pytest.mark.parametrize("code", [4301, 4302])
def test_a_refused_token_is_mended_first(code: int) -> None:
    assert decide(code) == RefreshThenRetry(patient=code == 4301)
    assert row_for(code).mends


@pytest.mark.parametrize(("low", "kind"), [(4000, StopFor), (4100, BackOff), (4200, Spread), (4300, RefreshThenRetry)])
def test_unknown_codes_of_ours_are_decided_by_their_hundred(low: int, kind: type[Any]) -> None:
    unknown = [code for code in range(low, low + 100) if code not in CLOSE_CODES]
    assert unknown
    assert all(isinstance(decide(code), kind) for code in unknown)


@given(st.integers())
def test_any_number_has_exactly_one_decision(code: int) -> None:
    known = 1000 <= code < 4400
    assert decide(code) == decide(code)
    if not known:
        assert decide(code) == BackOff()


def test_every_code_of_the_specification_has_a_row() -> None:
    framing = {1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013}
    ours = {*range(4000, 4006), *range(4100, 4105), *range(4200, 4203), *range(4300, 4303)}
    assert set(CLOSE_CODES) == framing | ours
    assert all(row.code == code and row.meaning for code, row in CLOSE_CODES.items())


def test_rows_that_are_counted_belong_to_a_family() -> None:
    assert all(row.family for row in CLOSE_CODES.values() if row.repeat is not None)


@pytest.mark.parametrize(
    ("status", "code", "like"),
    [(401, "token_expired", 4301), (401, "token_invalid", 4302), (403, "forbidden", 4002), (426, "version", 4001)],
)
def test_http_answers_of_ours_decide_like_close_codes(status: int, code: str | None, like: int) -> None:
    assert row_for_http(status, code) is CLOSE_CODES[like]
    assert decide_http(status, code) == decide(like)


@pytest.mark.parametrize("status", [401, 403, 426])
def test_captive_portals_decide_nothing(status: int) -> None:
    assert decide_http(status, None) == BackOff()


@given(st.integers(), st.none() | st.text())
def test_any_http_answer_has_a_decision(status: int, code: str | None) -> None:
    decision = decide_http(status, code)
    assert isinstance(decision, BackOff) or (code is not None and status in {401, 403, 426})


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (1000, "back off"),
        (1001, "retry within 0 to `max_ms` (without one 0 to 5 s)"),
        (1002, "back off; number 3 without `synced` between them: poll only, and report"),
        (1006, "back off; after 2 sessions in a row under 10 s: back off, start polling"),
        (1013, "back off, not before 5 s"),
        (4000, "back off; number 3 within 300 s: stop (not understood)"),
        (4004, "stop (device revoked), keep the outbox, ask for a sign-in, drop the cursor"),
        (4200, "retry within `min_ms` to `max_ms` (without them 0 to 5 s)"),
        (4202, "retry within 0 to 1 s; number 2 within 60 s: back off, as after a failed attempt"),
    ],
)
def test_a_row_says_its_decision_as_the_specification_does(code: int, sentence: str) -> None:
    assert explain(CLOSE_CODES[code]) == sentence


def test_every_row_can_be_explained() -> None:
    assert all(explain(row) for row in (*CLOSE_CODES.values(), RENAMED))
    assert explain(WOKEN) == "retry at once"
    assert "same token again" in explain(CLOSE_CODES[4301])
    assert explain(CLOSE_CODES[4302]).startswith("refresh the token, then retry at once; number 2 within 60 s: stop")
    assert PollOnly() in [row.repeat.then for row in CLOSE_CODES.values() if row.repeat is not None]
