"""A failing plan made small: what is left is what the failure needs.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002), over the parts that
a plan has: seconds, users, devices, acts, processes, and the numbers in all of them. Every pass offers smaller plans in
a fixed order and keeps what still fails; passes repeat until none finds anything.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec
from msgspec.structs import replace

from .plan import Act, DevicePlan, Plan


Fails = Callable[[Plan], bool]
Try = Callable[[Plan], Plan | None]
"""Gives back the plan, or the same with another seed, where that fails."""

Pass = Callable[[Plan, Try], Plan]

SEEDS = (1, 2, 3)
"""Of what is drawn while a plan is played: leaving an act out shifts all of it, and a failure that hangs on one frame's
journey is lost by that alone."""

SIMPLEST = DevicePlan("", "")
"""What a device is unless its plan says otherwise."""


def shrink(plan: Plan, fails: Fails, budget_s: float, clock: Callable[[], float] = time.monotonic) -> Plan:
    """The smallest plan found that fails as well.

    Args:
        plan: one that fails.
        fails: whether a plan fails in the same way.
        budget_s: give back the best so far after this long.
        clock: tells seconds; in tests, another one.
    """
    once = _once_each(fails, clock() + budget_s, clock)
    for seeds in ((), SEEDS):
        before: Plan | None = None
        while plan != before:
            before = plan
            for smaller in PASSES:
                plan = smaller(plan, partial(_tried, once, seeds))
    return plan


def _tried(fails: Fails, seeds: tuple[int, ...], plan: Plan) -> Plan | None:
    return next((one for seed in (plan.seed, *seeds) if fails(one := replace(plan, seed=seed))), None)


def _once_each(fails: Fails, end: float, clock: Callable[[], float]) -> Fails:
    known: dict[bytes, bool] = {}

    def still_fails(plan: Plan) -> bool:
        key = msgspec.json.encode(plan)
        if key not in known:
            if clock() >= end:
                return False
            known[key] = fails(plan)
        return known[key]

    return still_fails


def _settled(plan: Plan, tried: Try, smaller: Callable[[Plan], Iterable[Plan]]) -> Plan:
    """The first that still fails, and the first made from that one, until there is none."""
    found: Plan | None = plan
    while found is not None:
        plan = found
        kept = (tried(candidate) for candidate in smaller(plan) if candidate != plan)
        found = next((one for one in kept if one is not None), None)
    return plan


# --- what is left out -------------------------------------------------------------------------------------------------


def shorter(plan: Plan, tried: Try) -> Plan:
    """End earlier, or right after the last act."""
    return _settled(plan, tried, _shorter)


def _shorter(plan: Plan) -> Iterator[Plan]:
    ends = [plan.seconds * part for part in (0.25, 0.5, 0.75, 0.9)]
    if plan.acts:
        ends.append(plan.acts[-1].at + 1)
    for end in ends:
        whole = float(max(1, round(end)))
        if whole < plan.seconds:
            yield replace(plan, seconds=whole, acts=tuple(act for act in plan.acts if act.at < whole))


def fewer_users(plan: Plan, tried: Try) -> Plan:
    """Without a user and all their devices."""
    users = {user: {device.name for device in plan.devices if device.user == user} for user in plan.users}
    return _settled(plan, tried, lambda now: (_without(now, users[user] | {user}) for user in reversed(now.users)))


def fewer_devices(plan: Plan, tried: Try) -> Plan:
    """Without a device."""
    return _settled(plan, tried, lambda now: (_without(now, {device.name}) for device in reversed(now.devices)))


def _without(plan: Plan, gone: set[str]) -> Plan:
    devices = tuple(device for device in plan.devices if device.name not in gone)
    left = {device.user for device in devices}
    return replace(plan, devices=devices or plan.devices, acts=_acts_without(plan, gone | (set(plan.users) - left)))


def fewer_processes(plan: Plan, tried: Try) -> Plan:
    """Without the last process of the server."""
    return _settled(plan, tried, _fewer_processes)


def _fewer_processes(plan: Plan) -> Iterator[Plan]:
    if plan.processes > 1:
        left = plan.processes - 1
        yield replace(plan, processes=left, acts=_acts_without(plan, {f"p{left}"}))


def _acts_without(plan: Plan, gone: set[str]) -> tuple[Act, ...]:
    return tuple(act for act in plan.acts if act.who not in gone and not gone & set(act.args.values()))


def fewer_acts(plan: Plan, tried: Try) -> Plan:
    """Without halves of the acts, quarters, … single acts, from the end: the later ones are needed least."""
    size = (len(plan.acts) + 1) // 2
    while size:
        start = len(plan.acts)
        while start > 0:
            start, end = max(0, start - size), start
            candidate = replace(plan, acts=plan.acts[:start] + plan.acts[end:])
            plan = tried(candidate) or plan
        size //= 2
    return plan


# --- what is made plain -----------------------------------------------------------------------------------------------


def plainer_world(plan: Plan, tried: Try) -> Plan:
    """Tokens that last; the pace stays, for a calm world is shorter to read."""
    candidate = replace(plan, token_s=86_400.0)
    return (tried(candidate) if candidate != plan else None) or plan


def plainer_devices(plan: Plan, tried: Try) -> Plan:
    """The defaults of a device, all at once or one by one."""
    for index in range(len(plan.devices)):
        for name in (None, *DevicePlan.__struct_fields__[2:]):
            candidate = _plainer_device(plan, index, name)
            plan = (tried(candidate) if candidate != plan else None) or plan
    return plan


def _plainer_device(plan: Plan, index: int, name: str | None) -> Plan:
    device = plan.devices[index]
    plain = replace(SIMPLEST, name=device.name, user=device.user)
    changed = plain if name is None else replace(device, **{name: getattr(plain, name)})
    return replace(plan, devices=(*plan.devices[:index], changed, *plan.devices[index + 1 :]))


def plainer_acts(plan: Plan, tried: Try) -> Plan:
    """Smaller numbers in the acts, round moments for them."""
    for index in range(len(plan.acts)):
        for make in (_rounder, _smaller_args):
            plan = _settled(plan, tried, partial(_changed, index, make))
    return plan


def _changed(index: int, make: Callable[[Plan, int], Iterable[Act]], plan: Plan) -> Iterator[Plan]:
    for act in make(plan, index):
        yield replace(plan, acts=(*plan.acts[:index], act, *plan.acts[index + 1 :]))


def _rounder(plan: Plan, index: int) -> Iterator[Act]:
    """Never past a neighbour: the order of acts is part of what fails."""
    act = plan.acts[index]
    low = plan.acts[index - 1].at if index else 0.0
    high = plan.acts[index + 1].at if index + 1 < len(plan.acts) else plan.seconds
    for at in (round(act.at, digits) for digits in (-1, 0, 1)):
        if low <= at <= high and len(repr(at)) < len(repr(act.at)):
            yield replace(act, at=at)


def _smaller_args(plan: Plan, index: int) -> Iterator[Act]:
    act = plan.acts[index]
    for name, value in act.args.items():
        for simpler in _smaller(value):
            yield replace(act, args={**act.args, name: simpler})


def _smaller(value: float | str) -> Iterator[float | str]:
    match value:
        case str():
            return
        case int():
            yield from (small for small in (0, 1, value // 10, value // 2) if abs(small) < abs(value))
        case float():
            yield from (small for small in (0.0, 1.0, float(round(value))) if abs(small) < abs(value))


PASSES: tuple[Pass, ...] = (
    shorter,
    fewer_users,
    fewer_devices,
    fewer_acts,
    fewer_processes,
    plainer_world,
    plainer_devices,
    plainer_acts,
)
