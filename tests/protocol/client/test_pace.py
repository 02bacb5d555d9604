"""The token bucket of the server, as its client keeps it (docs/protocol.md#limit-rate-pacing)."""

from hypothesis import given
from hypothesis import strategies as st

from protocol._settings import Limits
from protocol._types import Monotonic
from protocol.client._pace import Allowance


LIMITS = Limits()


def full(now: float = 0.0) -> Allowance:
    return Allowance(float(LIMITS.burst), Monotonic(now))


def test_a_few_messages_are_left_for_what_cannot_wait() -> None:
    allowance, sent = full(), 0
    while allowance.wait_ms(Monotonic(0.0), LIMITS) == 0:
        allowance = allowance.spend(Monotonic(0.0), LIMITS)
        sent += 1
    assert sent == 35


def test_after_the_wait_one_more_may_be_sent() -> None:
    allowance = full()
    for _ in range(40):
        allowance = allowance.spend(Monotonic(0.0), LIMITS)
    wait = allowance.wait_ms(Monotonic(0.0), LIMITS)
    assert wait == 3_000
    assert allowance.wait_ms(Monotonic(wait / 1000), LIMITS) == 0


def test_a_long_silence_saves_up_no_more_than_the_burst() -> None:
    allowance = full().spend(Monotonic(1e6), LIMITS)
    assert allowance.left == LIMITS.burst - 1


@given(st.lists(st.floats(0, 10), max_size=300), st.integers(1, 200), st.integers(1, 1_000))
def test_never_more_is_sent_than_the_server_allows(gaps: list[float], burst: int, rate: int) -> None:
    """What waits as told stays within a bucket of the announced size, whatever the rhythm."""
    limits = Limits(burst=burst, messages_per_minute=rate)
    mine = Allowance(float(burst), Monotonic(0.0))
    left, now = float(burst), 0.0
    for gap in gaps:
        now += gap
        left = min(float(burst), left + gap * rate / 60)
        if mine.wait_ms(Monotonic(now), limits) == 0:
            mine = mine.spend(Monotonic(now), limits)
            left -= 1
        assert left > -0.001
