"""What people do with alarms and timers, alone and with two hands at once."""

from collections.abc import Callable

from .sketch import AT_ONCE, IN_FLIGHT, MINUTE, SECOND, SOON, Scene, Sketch


RING_S = ((5, 60), (60, 600), (600, 1800))
SNOOZE_S = ((0, 0), (30, 120), (120, 900))
DAYS = ((4, "daily"), (3, "once"), (2, "today"), (2, "weekdays"), (1, "weekends"))
NIGHTLY = ("02:30", "02:00", "01:30", "01:45", "03:00", "00:00", "00:01", "00:30", "02:15")
"""Times that a night of changing clocks skips or repeats somewhere."""


# --- one thing --------------------------------------------------------------------------------------------------------


def new_alarm(sketch: Sketch, at: int, device: str, in_s: int, days: str | None = None) -> None:
    """An alarm that is due soon."""
    ring_s, snooze_s = sketch.of_bands(*RING_S), sketch.of_bands(*SNOOZE_S)
    sketch.act(
        at, "create_alarm", device, in_s=in_s, days=days or sketch.weighted(DAYS), tz=sketch.dice.pick(sketch.zones),
        ring_s=ring_s, snooze_s=snooze_s, auto_snooze=_auto_snooze(sketch, snooze_s),
    )  # fmt: skip


def new_timer(sketch: Sketch, at: int, device: str, duration_s: int, *, start: bool) -> None:
    """A timer, running at once or not."""
    ring_s, snooze_s = sketch.of_bands(*RING_S), sketch.of_bands(*SNOOZE_S)
    sketch.act(
        at, "create_timer", device, duration_s=duration_s, start=int(start),
        ring_s=ring_s, snooze_s=snooze_s, auto_snooze=_auto_snooze(sketch, snooze_s),
    )  # fmt: skip


def _auto_snooze(sketch: Sketch, snooze_s: int) -> int:
    return sketch.between(0, 3) if snooze_s and sketch.dice.hit(0.4) else 0


def duration_s(sketch: Sketch) -> int:
    """How long a timer runs."""
    return sketch.of_bands((5, 60), (60, 600), (600, 7_200))


def edit(sketch: Sketch, at: int, device: str, item: int | None = None) -> None:
    """Somebody changes something."""
    what = sketch.weighted(_EDITS)
    which = sketch.dice.below(8) if item is None else item
    match what:
        case "create_alarm":
            new_alarm(sketch, at, device, sketch.of_bands((5, 120), (120, 3_600)))
        case "create_timer":
            new_timer(sketch, at, device, duration_s(sketch), start=sketch.dice.hit(0.6))
        case "move":
            sketch.act(at, what, device, item=which, in_s=sketch.of_bands((5, 120), (120, 3_600)))
        case "days":
            sketch.act(at, what, device, item=which, days=sketch.weighted(DAYS))
        case "tune":
            snooze_s = sketch.of_bands(*SNOOZE_S)
            again = _auto_snooze(sketch, snooze_s)
            sketch.act(
                at, what, device, item=which, ring_s=sketch.of_bands(*RING_S), snooze_s=snooze_s, auto_snooze=again
            )
        case "duration":
            sketch.act(at, what, device, item=which, duration_s=duration_s(sketch))
        case "add":
            sketch.act(at, what, device, item=which, seconds=sketch.of_bands((1, 60), (60, 600)))
        case "travel":
            sketch.act(at, what, device, tz=sketch.dice.pick(sketch.zones))
        case "label" | "extra":
            sketch.act(at, what, device, item=which, number=sketch.dice.below(1_000))
        case _:
            sketch.act(at, what, device, item=which)


_EDITS = (
    (10, "label"), (8, "move"), (6, "create_alarm"), (5, "create_timer"), (5, "toggle"), (4, "tune"), (4, "start"),
    (4, "pause"), (4, "go_on"), (4, "add"), (4, "reset"), (3, "days"), (3, "duration"), (4, "delete"), (4, "skip"),
    (3, "unskip"), (2, "extra"), (2, "travel"),
)  # fmt: skip


def edits(sketch: Sketch, at: int, device: str, most: int = 4) -> None:
    """A few changes in a row."""
    for _ in range(sketch.between(1, most)):
        edit(sketch, at, device)
        at += sketch.moment()


# --- what rings -------------------------------------------------------------------------------------------------------


def react(sketch: Sketch, at: int, user: str) -> None:
    """Something rings; somebody does something about it, or two at once, or nobody."""
    one, other = sketch.two(user)
    at += sketch.of_bands(AT_ONCE, SOON, (3 * SECOND, 40 * SECOND))
    sketch.weighted(_REACTIONS)(sketch, at, one, other)


def _one_stops(sketch: Sketch, at: int, one: str, _: str) -> None:
    sketch.here(at, one)
    if sketch.dice.hit(0.7):
        sketch.act(at, "stop", one)
    else:
        sketch.act(at, "stop", one, item=sketch.dice.below(4))


def _both_stop(sketch: Sketch, at: int, one: str, other: str) -> None:
    sketch.here(at, one, other)
    sketch.act(at, "stop", one)
    sketch.act(at + _apart(sketch), "stop", other)


def _all_stop(sketch: Sketch, at: int, one: str, other: str) -> None:
    sketch.here(at, one, other)
    sketch.act(at, "stop_everywhere", user_of(one))


def _one_snoozes(sketch: Sketch, at: int, one: str, _: str) -> None:
    sketch.here(at, one)
    _snooze(sketch, at, one)


def _snoozes_then_stops(sketch: Sketch, at: int, one: str, other: str) -> None:
    sketch.here(at, one)
    then = at + _snooze(sketch, at, one) * SECOND + sketch.moment()
    stopper = sketch.dice.pick((one, other))
    sketch.here(then, stopper)
    sketch.act(then, "stop", stopper)


def _one_snoozes_one_stops(sketch: Sketch, at: int, one: str, other: str) -> None:
    sketch.here(at, one, other)
    _snooze(sketch, at, one)
    sketch.act(at + _apart(sketch), "stop", other)


def _both_snooze(sketch: Sketch, at: int, one: str, other: str) -> None:
    sketch.here(at, one, other)
    _snooze(sketch, at, one)
    _snooze(sketch, at + _apart(sketch), other)


def _one_is_quiet(sketch: Sketch, at: int, one: str, _: str) -> None:
    sketch.here(at, one)
    sketch.act(at, "quiet", one)


def _one_edits(sketch: Sketch, at: int, one: str, _: str) -> None:
    sketch.here(at, one)
    edit(sketch, at, one)


def _nobody(sketch: Sketch, at: int, one: str, _: str) -> None:
    sketch.here(at, one)


Reaction = Callable[[Sketch, int, str, str], None]
_REACTIONS: tuple[tuple[int, Reaction], ...] = (
    (8, _one_stops), (5, _both_stop), (3, _all_stop), (5, _one_snoozes), (4, _snoozes_then_stops),
    (4, _one_snoozes_one_stops), (3, _both_snooze), (1, _one_is_quiet), (2, _one_edits), (3, _nobody),
)  # fmt: skip


def user_of(device: str) -> str:
    """Whose device."""
    return device.partition("d")[0]


def _apart(sketch: Sketch) -> int:
    """Between two hands that act at once, ms."""
    return sketch.of_bands(AT_ONCE, (5, 50), IN_FLIGHT, SOON)


def _snooze(sketch: Sketch, at: int, device: str) -> int:
    length_s = sketch.of_bands((1, 10), (10, 120), (120, 1_200))
    sketch.act(at, "snooze", device, length_s=0 if sketch.dice.hit(0.2) else length_s)
    return length_s


def alarm_rings(sketch: Sketch, at: int, user: str) -> int:
    """An alarm is set, and rings; returns when."""
    device, in_s = sketch.one(user), sketch.of_bands((1, 60), (60, 600))
    sketch.here(at, device)
    new_alarm(sketch, at, device, in_s)
    due = sketch.due(at, in_s)
    react(sketch, due, user)
    return due


def timer_rings(sketch: Sketch, at: int, user: str) -> int:
    """A timer is started, perhaps held and lengthened, and rings; returns when."""
    one, other = sketch.two(user)
    sketch.here(at, one)
    lasts = duration_s(sketch)
    new_timer(sketch, at, one, lasts, start=True)
    due = at + lasts * SECOND
    if sketch.dice.hit(0.3):
        sketch.act(at + sketch.between(1, lasts) * SECOND, "add", other, item=sketch.dice.below(4), seconds=30)
    if sketch.dice.hit(0.3):
        sketch.act(at + sketch.between(1, lasts) * SECOND, "pause", other, item=sketch.dice.below(4))
    react(sketch, due, user)
    return due


# --- scenes -----------------------------------------------------------------------------------------------------------


def _alone(sketch: Sketch, at: int, user: str) -> None:
    device = sketch.one(user)
    sketch.here(at, device)
    edits(sketch, at, device, 6)


def _together(sketch: Sketch, at: int, user: str) -> None:
    """Two devices change one thing."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    item = sketch.dice.below(8)
    for _ in range(sketch.between(1, 3)):
        edit(sketch, at, one, item)
        edit(sketch, at + sketch.moment(), other, item)
        at += sketch.moment()


def _delete_against_edit(sketch: Sketch, at: int, user: str) -> None:
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    item = sketch.dice.below(8)
    sketch.act(at, "delete", one, item=item)
    edit(sketch, at + sketch.moment(), other, item)


def _skip(sketch: Sketch, at: int, user: str) -> None:
    """The next time is left out, and somebody wants it back, perhaps in the moment that it is due."""
    one, other = sketch.two(user)
    in_s = sketch.of_bands((60, 300), (300, 3_600))
    sketch.here(at, one)
    new_alarm(sketch, at, one, in_s, "daily")
    due, item = sketch.due(at, in_s), sketch.dice.below(4)
    sketch.act(at + sketch.moment(), "skip", one, item=item)
    undone = due - sketch.of_bands((0, 200), (1_000, 50_000)) if sketch.dice.hit(0.5) else at + 4_000
    sketch.act(undone, "unskip", other, item=item)
    react(sketch, due, user)


def _longer_run(sketch: Sketch, at: int, user: str) -> None:
    """One stops a timer that the other lengthens, or starts anew."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    new_timer(sketch, at, one, 5, start=True)
    due, item = at + 5 * SECOND, sketch.dice.below(4)
    sketch.act(due + sketch.moment(), "stop", one)
    sketch.act(due + sketch.moment(), sketch.dice.pick(("add", "start", "reset")), other, item=item, seconds=60)


def _press_all(sketch: Sketch, at: int, user: str) -> None:
    """Every button of one timer, from two devices."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    item = sketch.dice.below(3)
    for _ in range(sketch.between(3, 7)):
        what = sketch.dice.pick(("start", "pause", "go_on", "add", "reset", "start"))
        sketch.act(at, what, sketch.dice.pick((one, other)), item=item, seconds=sketch.between(1, 90))
        at += sketch.moment()


def _held(sketch: Sketch, at: int, user: str) -> None:
    """A timer is held on one device and goes on from another, longer than it was."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    lasts, item = sketch.of_bands((10, 60), (60, 300)), sketch.dice.below(4)
    new_timer(sketch, at, one, lasts, start=True)
    paused = at + sketch.between(1, lasts) * SECOND - sketch.between(0, 999)
    sketch.act(paused, "pause", one, item=item)
    if sketch.dice.hit(0.4):
        sketch.act(paused + sketch.moment(), "add", other, item=item, seconds=sketch.between(1, 90))
    goes_on = paused + sketch.of_bands(AT_ONCE, IN_FLIGHT, SOON, (3 * SECOND, 3 * MINUTE))
    sketch.act(goes_on, "go_on", other, item=item)
    react(sketch, goes_on + lasts * SECOND, user)


def _burst(sketch: Sketch, at: int, user: str) -> None:
    """More changes at once than may be under way."""
    device = sketch.one(user)
    sketch.here(at, device)
    sketch.act(at, "burst", device, count=sketch.of_bands((5, 20), (20, 60)))


def _mute(sketch: Sketch, at: int, user: str) -> None:
    """One device is told not to ring for an item, for a while."""
    device, item = sketch.one(user), sketch.dice.below(4)
    sketch.here(at, device)
    sketch.act(at, "mute", device, item=item)
    sketch.act(at + sketch.hold(), "unmute", device, item=item)


def _hurry(sketch: Sketch, at: int, user: str) -> None:
    """People press what promises to help."""
    device = sketch.one(user)
    sketch.here(at, device)
    for _ in range(sketch.between(1, 3)):
        sketch.act(at, sketch.dice.pick(("sync_now", "sync_now", "take_over", "forget_rejections")), device)
        at += sketch.moment()


def tidy(sketch: Sketch, at: int, user: str) -> None:
    """What has gathered is thrown away, all at once."""
    device = sketch.one(user)
    sketch.here(at, device)
    sketch.act(at, "tidy", device, keep=sketch.between(2, 8))


def _journey(sketch: Sketch, at: int, user: str) -> None:
    """Somebody lands in another zone, and every alarm goes with them."""
    device = sketch.one(user)
    sketch.here(at, device)
    sketch.act(at, "travel", device, tz=sketch.dice.pick(sketch.zones))
    new_alarm(sketch, at + sketch.moment(), device, sketch.between(1, 300))


def _night(sketch: Sketch, at: int, user: str) -> None:
    """An alarm for a time that tonight may lack or have twice."""
    device = sketch.one(user)
    sketch.here(at, device)
    sketch.act(
        at, "create_alarm", device, time=sketch.dice.pick(NIGHTLY), days="daily", tz=sketch.zones[0],
        ring_s=sketch.of_bands((60, 600)), snooze_s=60, auto_snooze=sketch.between(0, 2),
    )  # fmt: skip


def _alarm(sketch: Sketch, at: int, user: str) -> None:
    alarm_rings(sketch, at, user)


def _timer(sketch: Sketch, at: int, user: str) -> None:
    timer_rings(sketch, at, user)


def moving_in(sketch: Sketch, user: str) -> None:
    """What a user has from the start."""
    device, at = sketch.one(user), sketch.between(2, 20) * SECOND
    for _ in range(sketch.between(1, 3)):
        new_alarm(sketch, at, device, sketch.of_bands((60, 600), (600, 36_000)), "daily")
        at += sketch.moment()
    for _ in range(sketch.between(1, 2)):
        new_timer(sketch, at, device, duration_s(sketch), start=sketch.dice.hit(0.5))
        at += sketch.moment()
    if sketch.dice.hit(0.5):
        _night(sketch, at + MINUTE, user)


USER_SCENES: tuple[tuple[int, Scene], ...] = (
    (5, _alone), (6, _together), (2, _delete_against_edit), (3, _skip), (2, _longer_run), (2, _press_all), (3, _held), (1, _burst),
    (1, _mute), (2, _hurry), (1, tidy), (2, _journey), (2, _night), (9, _alarm), (6, _timer),
)  # fmt: skip
