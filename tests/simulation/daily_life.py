"""Weeks: devices sleep at night, phones most of the day, an alarm rings each morning, and now and then something breaks."""

from .scenes import TROUBLE_SCENES, USER_SCENES
from .scenes_user import moving_in, new_alarm, react, tidy
from .sketch import DAY, HOUR, MINUTE, SECOND, Scene, Sketch, Spell


SETTLED = 15 * MINUTE
"""At first everything is switched on, until the user has set it up."""

ROLES = ((38, "desk"), (22, "laptop"), (16, "phone"), (19, "clock"), (5, "drawer"))
"""`clock` stands by the bed and never sleeps; what lies in the drawer is switched on every few days."""


def live(sketch: Sketch) -> None:
    """All days of all users."""
    for user in sketch.users:
        moving_in(sketch, user)
        morning = sketch.between(0, DAY - HOUR)
        for device in sketch.names(user):
            _habits(sketch, device, morning)
        rings_at = _wake_up_call(sketch, user)
        for day in range(sketch.length // DAY):
            _day(sketch, user, day * DAY, rings_at)


# --- sleeping and waking ----------------------------------------------------------------------------------------------


def _habits(sketch: Sketch, device: str, morning: int) -> None:
    role = sketch.weighted(ROLES)
    if role == "clock":
        return
    spells = [Spell(0, SETTLED)]
    for day in range(-1, sketch.length // DAY):
        for spell in _spells(sketch, role, day * DAY + morning):
            if spell.since > spells[-1].until + MINUTE:
                spells.append(spell)
    sketch.present[device] = spells
    by_power = role == "desk" and sketch.dice.hit(0.4)
    for spell in spells:
        sketch.act(spell.since, "boot" if by_power else "resume", device)
        sketch.act(spell.until, "switch_off" if by_power else "suspend", device)


def _spells(sketch: Sketch, role: str, morning: int) -> list[Spell]:
    """When a device of this role is in use on a day, in order."""
    if role == "desk":
        return _spread(sketch, morning, 1, (7 * HOUR, 15 * HOUR)) if sketch.dice.hit(0.85) else []
    if role == "laptop":
        return _spread(sketch, morning, sketch.between(1, 3), (20 * MINUTE, 4 * HOUR))
    if role == "drawer":
        return _spread(sketch, morning, 1, (5 * MINUTE, HOUR)) if sketch.dice.hit(0.3) else []
    return _spread(sketch, morning, sketch.between(2, 5), (MINUTE, 20 * MINUTE))


def _spread(sketch: Sketch, morning: int, times: int, lasts: tuple[int, int]) -> list[Spell]:
    starts = sorted(morning + sketch.between(0, 8 * HOUR if times == 1 else 16 * HOUR) for _ in range(times))
    return [Spell(start, start + sketch.between(*lasts)) for start in starts]


# --- days -------------------------------------------------------------------------------------------------------------


def _wake_up_call(sketch: Sketch, user: str) -> int:
    """An alarm for every day; returns when it rings on the first."""
    at, in_s = 2 * MINUTE, sketch.between(600, 86_000)
    new_alarm(sketch, at, sketch.one(user), in_s, "daily")
    return sketch.due(at, in_s)


def _day(sketch: Sketch, user: str, midnight: int, rings_at: int) -> None:
    """The alarm is answered on most days; a few scenes follow, all in one hour of the day or scattered."""
    before = len(sketch.acts)
    if sketch.dice.hit(0.6):
        react(sketch, midnight + rings_at, user)
    if sketch.dice.hit(0.4):
        tidy(sketch, midnight + sketch.between(HOUR, DAY - 1), user)
    busy = midnight + sketch.between(0, DAY - HOUR)
    enough = sketch.between(0, 8)
    while len(sketch.acts) - before < enough:
        at = busy + sketch.between(0, 20 * MINUTE) if sketch.dice.hit(0.6) else midnight + sketch.between(0, DAY)
        _scene(sketch)(sketch, max(at, SETTLED + SECOND), user)


def _scene(sketch: Sketch) -> Scene:
    return sketch.weighted(TROUBLE_SCENES if sketch.dice.hit(0.4) else USER_SCENES)
