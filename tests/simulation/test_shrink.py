"""What shrinking leaves of a plan is what the failure needs, whatever the failure is."""

from collections.abc import Callable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from .plan import Act, DevicePlan, Plan
from .shrink import shrink


Fails = Callable[[Plan], bool]

DEVICES = tuple(
    DevicePlan(f"u{user}d{number}", f"u{user}", latency=0.3, jitter=0.1, offset_ms=4_321, drift_ppm=40, sockets=False)
    for user in range(3)
    for number in range(3)
)


def big(acts: int = 60) -> Plan:
    """Three users with three devices each, three processes, and much that happens."""
    names = [device.name for device in DEVICES] + ["p0", "p1", "p2", ""]
    return Plan(
        seed=5,
        seconds=7_200.0,
        start_ms=1_790_000_000_000,
        devices=DEVICES,
        acts=tuple(
            Act(12.345 + 100 * n, f"act{n}", names[n % len(names)], {"ms": 987 + n, "part": 0.5}) for n in range(acts)
        ),
        pace="calm",
        processes=3,
        token_s=777.0,
    )


def has(plan: Plan, *names: str) -> bool:
    """Whether these acts are in it, in this order."""
    order = [act.what for act in plan.acts]
    places = [order.index(name) for name in names if name in order]
    return len(places) == len(names) and places == sorted(places)


def small(fails: Fails) -> Plan:
    """The big plan, shrunk."""
    return shrink(big(), fails, budget_s=1e9, clock=lambda: 0.0)


def test_only_the_acts_that_matter_are_left() -> None:
    assert [act.what for act in small(lambda plan: has(plan, "act3", "act17", "act40")).acts] == [
        "act3",
        "act17",
        "act40",
    ]


@given(st.sets(st.integers(0, 59), max_size=6))
def test_exactly_the_acts_needed_are_left_whichever_they_are(needed: set[int]) -> None:
    names = [f"act{n}" for n in sorted(needed)]
    assert [act.what for act in small(lambda plan: has(plan, *names)).acts] == names


def test_users_and_devices_without_a_part_in_it_go_with_their_acts() -> None:
    left = small(lambda plan: any(device.name == "u1d2" for device in plan.devices))
    assert [device.name for device in left.devices] == ["u1d2"]
    assert left.acts == ()


def test_what_names_a_device_that_went_goes_with_it() -> None:
    plan = replace(big(0), acts=(Act(1.0, "copy", "u0d0", {"other": "u2d2"}), Act(2.0, "cut", "u0d1")))
    left = shrink(plan, lambda now: has(now, "cut"), 1e9, lambda: 0.0)
    assert [act.what for act in left.acts] == ["cut"]


def test_a_world_is_plain_where_nothing_else_is_needed() -> None:
    left = small(lambda plan: True)
    assert (left.processes, left.token_s, left.seconds) == (1, 86_400.0, 1.0)
    assert left.devices == (DevicePlan("u0d0", "u0"),)


def test_what_the_failure_needs_of_a_device_stays() -> None:
    left = small(lambda plan: any(device.offset_ms > 1_000 and not device.sockets for device in plan.devices))
    assert left.devices == (DevicePlan("u0d0", "u0", offset_ms=4_321, sockets=False),)


def test_processes_that_are_needed_stay() -> None:
    assert small(lambda plan: plan.processes >= 2).processes == 2


def test_numbers_become_small_and_moments_round() -> None:
    left = small(lambda plan: any(act.what == "act5" and int(act.args["ms"]) >= 100 for act in plan.acts))
    (act,) = left.acts
    assert act.args["part"] == 0.0
    assert 100 <= int(act.args["ms"]) < 200
    assert act.at == 510.0
    assert left.seconds == 511.0


def test_acts_keep_their_order() -> None:
    plan = replace(big(0), acts=(Act(14.9, "first", "u0d0"), Act(15.1, "second", "u0d0")))
    left = shrink(plan, lambda now: has(now, "first", "second"), 1e9, lambda: 0.0)
    moments = [act.at for act in left.acts]
    assert moments == sorted(moments)


def test_the_same_plan_shrinks_to_the_same_plan() -> None:
    def fails(plan: Plan) -> bool:
        return len(plan.acts) % 7 == 4

    assert small(fails) == small(fails)


def test_when_time_is_up_the_best_so_far_is_given_back() -> None:
    tried: list[Plan] = []

    def fails(plan: Plan) -> bool:
        tried.append(plan)
        return has(plan, "act40")

    ticking = count()
    left = shrink(big(), fails, budget_s=10, clock=lambda: float(next(ticking)))
    assert len(tried) <= 10
    assert len(left.acts) < 60
    assert has(left, "act40")


def test_no_plan_is_tried_twice() -> None:
    """Playing a plan is what costs."""
    tried: list[str] = []

    def fails(plan: Plan) -> bool:
        tried.append(repr(plan))
        return has(plan, "act3", "act30")

    small(fails)
    assert len(tried) == len(set(tried))


def test_another_seed_may_fail_where_the_first_one_does_no_more() -> None:
    """Leaving anything out shifts all that is drawn while the rest is played."""

    def fails(plan: Plan) -> bool:
        return has(plan, "act3") and (len(plan.acts) == 60 or plan.seed == 2)

    left = small(fails)
    assert [act.what for act in left.acts] == ["act3"]
    assert left.seed == 2
