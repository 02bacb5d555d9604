"""How much a client may say (docs/protocol.md#limit-rate)."""

from hypothesis import example, given
from hypothesis import strategies as st

from protocol._settings import Limits
from protocol._types import Monotonic
from protocol.server._meter import ABUSE, full


LIMITS = Limits(messages_per_minute=120, burst=40)
TIGHT = Limits(messages_per_minute=120, burst=2)
"""So small a burst that every history meets its end."""

moments = st.lists(st.floats(0, 3, allow_nan=False), max_size=250)


def test_a_burst_then_two_a_second() -> None:
    meter, verdicts = full(Monotonic(0.0), LIMITS), []
    for _ in range(41):
        meter, verdict = meter.spend(Monotonic(0.0), LIMITS)
        verdicts.append(verdict)
    assert verdicts == ["fine"] * 40 + ["over"]
    assert meter.wait_ms(LIMITS) == 500


@given(moments)
@example([0.0, 1.5, *[0.0] * 7, 2.0, 1.0])  # the smaller bucket is nearly full again, the larger one nearly empty
def test_who_waits_as_long_as_told_is_let_through(waits: list[float]) -> None:
    now, meter = 0.0, full(Monotonic(0.0), TIGHT)
    for wait in waits:
        now += wait / 10
        meter, verdict = meter.spend(Monotonic(now), TIGHT)
        if verdict == "over":
            later = Monotonic(now + meter.wait_ms(TIGHT) / 1_000)
            assert meter.spend(later, TIGHT)[1] == "fine"
        if verdict == "abuse":
            return


@given(moments)
def test_no_stretch_of_time_lets_more_through_than_the_burst_and_the_rate(waits: list[float]) -> None:
    now, meter, fine = 0.0, full(Monotonic(0.0), LIMITS), 0
    for wait in waits:
        now += wait
        meter, verdict = meter.spend(Monotonic(now), LIMITS)
        fine += verdict == "fine"
        assert fine <= LIMITS.burst + 2 * now + 1e-3
        assert meter.soft <= LIMITS.burst
        assert meter.hard <= ABUSE * LIMITS.burst


@given(moments)
def test_four_times_the_rate_is_never_abuse(waits: list[float]) -> None:
    """docs/protocol.md#limit-rate-close."""
    now, meter = 0.0, full(Monotonic(0.0), LIMITS)
    for wait in waits:
        now += 1 / 8 + wait
        meter, verdict = meter.spend(Monotonic(now), LIMITS)
        assert verdict != "abuse"


def test_abuse_begins_above_four_bursts_at_once() -> None:
    """docs/protocol.md#limit-rate-close."""
    meter, verdicts = full(Monotonic(0.0), LIMITS), []
    for _ in range(4 * 40 + 1):
        meter, verdict = meter.spend(Monotonic(0.0), LIMITS)
        verdicts.append(verdict)
    assert verdicts[-2:] == ["over", "abuse"]


def test_the_wait_is_never_nothing() -> None:
    assert full(Monotonic(0.0), LIMITS).wait_ms(LIMITS) == 1
