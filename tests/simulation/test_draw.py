"""A seed is a world: the same one everywhere, with everything in it that can go wrong."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec
import pytest

from protocol.zones import system_zones
from tests.simulation.acts import ACTS, TROUBLE
from tests.simulation.draw import NIGHTS, draw
from tests.simulation.plan import Plan, load, save
from tests.simulation.scenes_user import NIGHTLY


MANY = 200

DIGESTS = {
    0: "06baea8ffe2802df",
    1: "ce79ca99bcbfd0a3",
    7: "7ae51705f7d2f765",
    123_456_789: "31a2623cd97d1d28",
    (1 << 63) + 5: "dd145006d2617636",
}
"""What these seeds gave when they were first drawn, on any Python. Whoever changes the drawing writes new ones."""


@cache
def plans() -> tuple[Plan, ...]:
    return tuple(draw(seed) for seed in range(MANY))


def digest(plan: Plan) -> str:
    return blake2b(msgspec.json.encode(plan), digest_size=8).hexdigest()


# --- a seed is a plan -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 3, 11])
def test_a_seed_gives_the_same_plan_again(seed: int) -> None:
    assert draw(seed) == draw(seed)


@pytest.mark.parametrize("seed", DIGESTS)
def test_a_seed_gives_the_same_plan_on_every_python(seed: int) -> None:
    assert digest(draw(seed)) == DIGESTS[seed]


def test_different_seeds_give_different_plans() -> None:
    assert len({digest(plan) for plan in plans()}) == MANY


def test_a_plan_that_was_saved_is_loaded_as_it_was(tmp_path: Path) -> None:
    for plan in plans()[:20]:
        save(plan, tmp_path / "plan.jsonl", "it was drawn")
        assert load(tmp_path / "plan.jsonl") == (plan, "it was drawn")


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_acts_come_in_the_order_of_time_and_before_the_end() -> None:
    for plan in plans():
        moments = [act.at for act in plan.acts]
        assert moments == sorted(moments)
        assert all(0 <= at < plan.seconds for at in moments)


def test_every_act_is_drawn_often_and_every_drawn_act_exists() -> None:
    drawn = Counter(act.what for plan in plans() for act in plan.acts)
    assert drawn.keys() == ACTS.keys()
    assert {what: count for what, count in drawn.items() if count < 5} == {}


def test_acts_concern_somebody_who_is_there() -> None:
    for plan in plans():
        devices = {device.name for device in plan.devices}
        known = {*devices, *plan.users, *(f"p{n}" for n in range(plan.processes)), ""}
        assert {act.who for act in plan.acts} <= known
        assert {act.args["source"] for act in plan.acts if act.what == "clone"} <= devices


def test_a_user_has_two_to_five_devices_and_mostly_lives_alone() -> None:
    households = [Counter(device.user for device in plan.devices) for plan in plans()]
    assert {count for household in households for count in household.values()} == {2, 3, 4, 5}
    assert {len(household) for household in households} == {1, 2, 3}
    assert sum(len(household) == 1 for household in households) > MANY / 2
    assert {plan.processes for plan in plans()} == {1, 2, 3}


def test_every_world_holds_trouble() -> None:
    assert all(any(act.what in TROUBLE for act in plan.acts) for plan in plans())


# --- how much of it ---------------------------------------------------------------------------------------------------


def hours(plan: Plan) -> float:
    return plan.seconds / 3600 * len(plan.devices)


def test_one_world_in_three_is_calm_and_the_calm_ones_hold_nearly_all_hours() -> None:
    """Calm hours are cheap: a campaign of a million of them ends only because of that."""
    calm = [plan for plan in plans() if plan.pace == "calm"]
    assert 0.4 < len(calm) / MANY < 0.6
    assert 0.97 < sum(map(hours, calm)) / sum(map(hours, plans())) < 0.995
    assert 0.25 < sum(plan.tight for plan in plans()) / MANY < 0.42


def test_brisk_worlds_last_hours_and_calm_ones_days() -> None:
    for plan in plans():
        shortest, longest = (0.5, 6) if plan.pace == "brisk" else (3 * 24, 40 * 24)
        assert shortest <= plan.seconds / 3600 <= longest


def test_brisk_worlds_are_dense_and_bounded() -> None:
    counts = [len(plan.acts) for plan in plans() if plan.pace == "brisk"]
    assert min(counts) >= 15
    assert max(counts) <= 150
    assert len(set(counts)) > 30


def test_users_of_calm_worlds_do_a_handful_of_things_a_day_beside_sleeping() -> None:
    daily_life = {"suspend", "resume", "boot", "switch_off"}
    rates = [
        sum(act.what not in daily_life for act in plan.acts) / (plan.seconds / 86_400) / len(plan.users)
        for plan in plans()
        if plan.pace == "calm"
    ]
    assert 3 < sum(rates) / len(rates) < 9
    assert max(rates) < 16


def test_devices_of_calm_worlds_are_off_most_of_the_time() -> None:
    """Each hour awake costs dozens of steps: heartbeats, pings, acks."""
    shares = [share_in_use(plan) for plan in plans() if plan.pace == "calm"]
    assert 0.3 < sum(shares) / len(shares) < 0.6


def share_in_use(plan: Plan) -> float:
    awake = 0.0
    for device in plan.devices:
        since: float | None = 0.0
        for act in plan.acts:
            if act.who != device.name:
                continue
            if act.what in {"suspend", "switch_off", "crash"} and since is not None:
                awake, since = awake + act.at - since, None
            elif act.what in {"resume", "boot"} and since is None:
                since = act.at
        awake += 0.0 if since is None else plan.seconds - since
    return awake / plan.seconds / len(plan.devices)


# --- nights on which clocks change ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("zone", "jump"), NIGHTS)
def test_the_nights_are_those_of_the_zones(zone: str, jump: int) -> None:
    tz = system_zones(zone)
    instant = datetime.fromtimestamp(jump / 1000, UTC)
    assert tz is not None
    before = (instant - timedelta(milliseconds=1)).astimezone(tz).utcoffset()
    assert before != instant.astimezone(tz).utcoffset()


def test_one_world_in_four_holds_a_night_on_which_clocks_change_and_an_alarm_for_it() -> None:
    nights = [
        plan
        for plan in plans()
        if any(plan.start_ms <= jump < plan.start_ms + plan.seconds * 1000 for _, jump in NIGHTS)
    ]
    assert 0.18 < len(nights) / MANY < 0.45
    assert sum(any(act.args.get("time") in NIGHTLY for act in plan.acts) for plan in nights) > len(nights) / 2
