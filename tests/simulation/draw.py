"""From a seed to a plan. Pure, and in whole numbers until the last line, so that every Python draws the same.

Two kinds of world. A brisk one lasts some hours in which hardly a minute is quiet. A calm one lasts days or weeks in
which devices sleep at night and phones most of the day; it is cheap to play, so most of a campaign's hours are its.
"""

from protocol.testing import Dice

from .daily_life import live
from .plan import DevicePlan, Pace, Plan
from .scenes import TROUBLE_SCENES, USER_SCENES
from .scenes_user import moving_in
from .sketch import DAY, HOUR, MINUTE, SECOND, Sketch


NIGHTS: tuple[tuple[str, int], ...] = (
    ("Europe/Berlin", 1_774_746_000_000),
    ("Europe/Berlin", 1_792_890_000_000),
    ("America/New_York", 1_772_953_200_000),
    ("America/New_York", 1_793_512_800_000),
    ("Australia/Lord_Howe", 1_775_314_800_000),
    ("Australia/Lord_Howe", 1_791_041_400_000),
    ("America/St_Johns", 1_772_947_800_000),
    ("America/St_Johns", 1_793_507_400_000),
    ("America/St_Johns", 1_268_537_460_000),
    ("America/St_Johns", 1_289_097_060_000),
    ("America/Sao_Paulo", 1_541_300_400_000),
    ("America/Sao_Paulo", 1_518_919_200_000),
    ("Pacific/Apia", 1_325_239_200_000),
)
"""Zones, and instants at which their clocks jump: by an hour, by half an hour, at midnight, by a day."""

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu")
YEAR_2026 = 1_767_225_600_000


def draw(seed: int) -> Plan:
    """The world of a seed."""
    dice = Dice(seed)
    pace: Pace = "calm" if dice.hit(1 / 2) else "brisk"
    sketch = _calm(seed, dice) if pace == "calm" else _brisk(seed, dice)
    _people(sketch)
    if pace == "calm":
        live(sketch)
    else:
        _hours(sketch)
    return sketch.plan()


# --- when -------------------------------------------------------------------------------------------------------------


def _brisk(seed: int, dice: Dice) -> Sketch:
    # Short ones mostly: an hour of these costs fifty times what a calm one does.
    shortest, longest = dice.pick(((30, 60), (30, 60), (40, 90), (60, 120), (120, 360)))
    length = (shortest + dice.below(longest - shortest + 1)) * MINUTE
    return _world(seed, dice, "brisk", length)


def _calm(seed: int, dice: Dice) -> Sketch:
    shortest, longest = dice.pick(((3, 6), (3, 6), (5, 12), (10, 40)))
    return _world(seed, dice, "calm", (shortest + dice.below(longest - shortest + 1)) * DAY)


def _world(seed: int, dice: Dice, pace: Pace, length: int) -> Sketch:
    """One in four holds a night in which clocks change."""
    if not dice.hit(0.25):
        start = YEAR_2026 + dice.below(365 * DAY)
        home = dice.pick(ZONES)
        return Sketch(seed, dice, pace, start, (home, home, dice.pick(ZONES), dice.pick(ZONES)), length)
    zone, jump = dice.pick(NIGHTS)
    before = min(length - length // 10, 3 * DAY)
    return Sketch(seed, dice, pace, jump - 1 - dice.below(before), (zone, zone, zone, dice.pick(ZONES)), length)


# --- who --------------------------------------------------------------------------------------------------------------


def _people(sketch: Sketch) -> None:
    users = sketch.weighted(((75, 1), (18, 2), (7, 3)))
    for user in range(users):
        for number in range(sketch.weighted(((30, 2), (35, 3), (20, 4), (15, 5)))):
            sketch.devices.append(_device(sketch, f"u{user}d{number}", f"u{user}"))
    sketch.processes = tuple(f"p{number}" for number in range(sketch.weighted(((50, 1), (35, 2), (15, 3)))))
    sketch.token_s = _token_ms(sketch) / 1000
    sketch.tight = sketch.dice.hit(1 / 3)


def _device(sketch: Sketch, name: str, user: str) -> DevicePlan:
    latency = sketch.of_bands((1, 30), (1, 30), (30, 150), (150, 900))
    jitter = 0 if sketch.dice.hit(0.4) else sketch.between(0, 2 * latency)
    return DevicePlan(
        name=name,
        user=user,
        latency=latency / 1000,
        jitter=jitter / 1000,
        offset_ms=_offset_ms(sketch),
        drift_ppm=sketch.between(-50, 50) if sketch.dice.hit(0.9) else sketch.between(-300, 300),
        # Weeks behind such a proxy are a knock on a shut door each minute, and nothing else.
        sockets=sketch.pace == "calm" or not sketch.dice.hit(0.06),
    )


def _offset_ms(sketch: Sketch) -> int:
    """Most clocks are right, some wrong by minutes, few by more than anybody should believe."""
    low, high = sketch.weighted(((50, (0, 200)), (25, (200, 5_000)), (17, (5_000, 295_000)), (8, (295_000, 5_400_000))))
    ms = sketch.between(low, high)
    return ms if sketch.dice.hit(0.5) else -ms


def _token_ms(sketch: Sketch) -> int:
    if sketch.pace == "calm":
        return sketch.of_bands((6 * HOUR, DAY), (DAY, 7 * DAY))
    return sketch.of_bands((3 * MINUTE, 20 * MINUTE), (20 * MINUTE, 2 * HOUR), (DAY, DAY))


# --- what happens in dense hours --------------------------------------------------------------------------------------


def _hours(sketch: Sketch) -> None:
    """Scenes on top of each other, then a while without any, until there are enough."""
    for user in sketch.users:
        moving_in(sketch, user)
    enough = sketch.between(20, 120)
    at = MINUTE
    while len(sketch.acts) < enough:
        at = _next(sketch, at)
        user = sketch.dice.pick(sketch.users)
        scenes = TROUBLE_SCENES if sketch.dice.hit(0.55) else USER_SCENES
        sketch.weighted(scenes)(sketch, at, user)


def _next(sketch: Sketch, at: int) -> int:
    """Close to the last scene every other time, so that troubles meet; else anywhere."""
    if sketch.dice.hit(0.5):
        return min(at + sketch.of_bands((0, 2 * SECOND), (2 * SECOND, 90 * SECOND)), sketch.length - SECOND)
    return sketch.between(30 * SECOND, sketch.length - sketch.length // 20)
