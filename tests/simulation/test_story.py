"""A story is read by people: it says who, when and what, fits a terminal, and ends with what was broken."""

from collections.abc import Iterator

import pytest

from .draw import draw
from .plan import Act, DevicePlan, Plan
from .story import Story, promise, second, span, tell
from .story_words import readable


START_MS = 1_790_000_000_000
"""2026-09-21 14:13:20 UTC."""


def plan(*acts: Act, seconds: float = 600.0) -> Plan:
    """Two devices, one of which has a wrong clock and no sockets."""
    devices = (
        DevicePlan("u0d0", "u0"),
        DevicePlan("u0d1", "u0", latency=0.3, jitter=0.1, offset_ms=61_000, drift_ppm=-20, sockets=False),
    )
    return Plan(7, seconds, START_MS, devices, acts, processes=2)


TIMER = Act(5.0, "create_timer", "u0d0", {"duration_s": 60, "start": 1, "ring_s": 30, "snooze_s": 0, "auto_snooze": 0})


def lines(*acts: Act) -> list[str]:
    """The story of that plan."""
    return list(tell(plan(*acts)))


def among(found: list[str], *words: str) -> list[str]:
    """Lines with all these words."""
    return [line for line in found if all(word in line for word in words)]


def test_the_head_says_who_there_is_and_what_is_wrong_with_them() -> None:
    head = lines()[:8]
    assert "Seed 7: 10 min of trouble" in head[0]
    assert "p0, p1" in head[1]
    assert among(head, "u0d0", "link 20 ms", "clock +0.000 s")
    assert among(head, "u0d1", "300 ms + up to 100 ms", "+61.000 s", "-20 ppm", "no sockets: polls only")


def test_what_the_plan_does_stands_beside_what_follows_from_it() -> None:
    told = lines(TIMER)
    assert among(told, "0d 00:00:05.000", "14:13:25", "u0d0", "* create timer duration_s=60")
    assert among(told, "u0d0's end", "is applied at rev 1")
    assert among(told, "u0d1", "takes rev 1: timer created")


def test_rings_begin_and_end_with_a_reason() -> None:
    told = lines(TIMER)
    assert among(told, "0d 00:01:05", "u0d0", "RINGS: u0d0-1, due 09-21T14:14:25")
    assert among(told, "u0d0", "is silent: u0d0-1, window")


def test_heartbeats_and_their_like_are_counted_and_not_told() -> None:
    told = lines(TIMER)
    assert not among(told, "takes heartbeat")
    assert among(told, "… ", "heartbeats", "pings")


def test_a_device_that_tries_again_and_again_is_told_once() -> None:
    told = lines(Act(10.0, "cut", "u0d0", {"noticed": "both"}))
    assert len(among(told, "u0d0", "a poll fails: no answer")) == 1
    assert len(among(told, "u0d1", "its socket is refused")) == 1
    assert among(told, "more attempts of u0d0")


def test_a_crash_and_a_restart_are_told() -> None:
    told = lines(
        Act(10.0, "process_crash", "p0", {"keep_tail": 1}), Act(20.0, "crash", "u0d0"), Act(30.0, "boot", "u0d0")
    )
    assert among(told, "p0", "crashes")
    assert among(told, "u0d0", "* crash", "crashes")
    assert among(told, "u0d0", "* boot", "starts")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_line_is_wider_than_a_terminal(seed: int) -> None:
    assert [line for line in tell(draw(seed)) if len(line) > 120] == []


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken() -> list[str]:
    """The story of a plan that cannot be played: an act that nobody knows."""
    return list(Story(plan(TIMER, Act(30.0, "levitate", "u0d0")), "./dev sim --plan it.jsonl").lines())


def _after(found: list[str], start: str) -> Iterator[str]:
    seen = False
    for line in found:
        seen = seen or line.startswith(start)
        if seen:
            yield line


def test_a_violation_ends_the_story_with_promise_expectation_and_how_to_see_it_again(broken: list[str]) -> None:
    end = list(_after(broken, "=== VIOLATION"))
    assert "no-exception at 0d 00:00:30.000" in end[0]
    assert among(end, "promise", "docs/protocol.md#invariant-13: Totality.")
    assert among(end, "expected", "no exception")
    assert among(end, "happened", "KeyError: 'levitate'")
    assert among(end, "again", "./dev sim --plan it.jsonl")
    assert end[-1] == "KeyError: 'levitate'"


def test_a_story_without_violation_says_so() -> None:
    assert "Everything held" in lines()[-1]


@pytest.mark.parametrize("number", range(1, 18))
def test_every_invariant_is_quoted_from_the_specification(number: int) -> None:
    said = promise(f"invariant-{number}")
    assert said.partition("#")[2].startswith(f"invariant-{number}: ")
    assert "MUST" in said
    assert "<a id" not in said


@pytest.mark.parametrize("rule", ["liveness", "no-exception", "determinism"])
def test_a_rule_of_the_simulator_alone_is_quoted_by_the_invariant_behind_it(rule: str) -> None:
    assert "MUST" in promise(rule)


def test_instants_in_a_sentence_are_dates() -> None:
    assert readable("due 1790000000123, 5 of 17") == "due 2026-09-21 14:13:20.123, 5 of 17"


def test_times_and_spans_are_for_people() -> None:
    assert second(93_784.0426) == "1d 02:03:04.043"
    assert [span(0.2), span(61), span(7_200), span(93_784)] == ["0 s", "1 min 1 s", "2 h", "1 d 2 h"]
