"""A world that never ends is found by counting: no campaign waits for it."""

import pytest

from protocol import Monotonic, Tick
from protocol.testing import Event

from .livelock import SECONDS, STEPS, NoLivelock
from .plan import DevicePlan, Plan
from .player import Sim, play
from .run import Violation


PLAN = Plan(1, 600.0, 1_790_000_000_000, (DevicePlan("u0d0", "u0"),))


def steps(watcher: NoLivelock, since: float, until: float) -> None:
    """As many steps as are looked at together, evenly between two moments."""
    sim = Sim(PLAN)
    for number in range(1, STEPS + 1):
        at = Monotonic(since + (until - since) * number / STEPS)
        watcher(sim, Event(at, "u0d0's", Tick(), ()))


def test_so_many_steps_in_so_short_a_time_are_a_livelock() -> None:
    with pytest.raises(Violation, match=r"invariant-10 at 599\.000 s, u0d0: .*took 599\.0 s"):
        steps(NoLivelock(), 0.0, SECONDS - 1)


def test_the_same_steps_in_a_longer_time_are_work_each_time_they_are_counted() -> None:
    watcher = NoLivelock()
    steps(watcher, 0.0, SECONDS)
    steps(watcher, SECONDS, 2 * SECONDS)
    with pytest.raises(Violation):
        steps(watcher, 2 * SECONDS, 2.5 * SECONDS)


def test_an_honest_world_is_far_from_it() -> None:
    run = play(PLAN, watch=(NoLivelock(),))
    assert run.violation is None
    assert run.steps < STEPS / 100
