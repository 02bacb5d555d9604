"""Trouble with power, disks, lids, clocks and sign-ins, in the moment that something depends on them."""

from .scenes_links import break_link
from .scenes_user import alarm_rings, edit, edits, timer_rings
from .sketch import AT_ONCE, IN_FLIGHT, MINUTE, SECOND, SOON, Scene, Sketch


def _trouble_at_ring(sketch: Sketch, at: int, user: str) -> None:
    """Something breaks around the moment of a ring: before it, in it, or as it is stopped."""
    due = alarm_rings(sketch, at, user) if sketch.dice.hit(0.6) else timer_rings(sketch, at, user)
    for _ in range(sketch.between(1, 3)):
        device = sketch.one(user)
        then = max(at, due + sketch.of_bands((-20_000, 0), (-50, 50), (0, 5_000), (0, 60_000)))
        match sketch.weighted(((4, "link"), (2, "power"), (2, "lid"), (1, "clock"))):
            case "link":
                break_link(sketch, then, device)
            case "power":
                _power(sketch, then, device)
            case "lid":
                sketch.act(then, "suspend", device)
                sketch.act(then + sketch.of_bands(SOON, (SECOND, 60 * SECOND), (MINUTE, 20 * MINUTE)), "resume", device)
            case _:
                sketch.act(then, "clock_jump", device, ms=_wrong(sketch))


# --- power and disks --------------------------------------------------------------------------------------------------


def _power(sketch: Sketch, at: int, device: str) -> None:
    sketch.act(at, "crash", device)
    sketch.act(at + sketch.hold(), "boot", device)


def _crash_in_commit(sketch: Sketch, at: int, user: str) -> None:
    """The power goes within the transaction of a device's own edit, or of somebody's else, or of its answer."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    edits(sketch, at, sketch.dice.pick((one, one, other)), 3)
    _power(sketch, at + sketch.of_bands(AT_ONCE, (0, 40), IN_FLIGHT, SOON), one)


def _crash_again(sketch: Sketch, at: int, user: str) -> None:
    """It boots and crashes, and boots and crashes."""
    device = sketch.one(user)
    sketch.here(at, device)
    for _ in range(sketch.between(2, 4)):
        edit(sketch, at, device)
        sketch.act(at + sketch.of_bands(AT_ONCE, IN_FLIGHT), "crash", device)
        at += sketch.of_bands(SOON, (SECOND, 20 * SECOND))
        sketch.act(at, "boot", device)
        at += sketch.of_bands(AT_ONCE, IN_FLIGHT, SOON)


def _dark(sketch: Sketch, at: int, user: str) -> None:
    """The whole house without power."""
    edits(sketch, at, sketch.one(user), 2)
    for device in sketch.names(user):
        _power(sketch, at + sketch.between(0, 100), device)


def _clone(sketch: Sketch, at: int, user: str) -> None:
    """A backup of one device is restored on another while the first runs on: two with one name."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    edits(sketch, at, one, 3)
    sketch.act(at + sketch.moment(), "clone", other, source=one)
    for device in (one, other):
        edits(sketch, at + sketch.moment(), device, 3)
    if sketch.dice.hit(0.5):
        sketch.act(at + sketch.hold(), "take_over", sketch.dice.pick((one, other)))


def _old_disk(sketch: Sketch, at: int, user: str) -> None:
    """A device gets its own disk of earlier back, and repeats numbers that it has used."""
    device = sketch.one(user)
    sketch.here(at, device)
    edits(sketch, at, device, 2)
    sketch.act(at + sketch.moment(), "backup", device)
    edits(sketch, at + 4 * SECOND, device, 4)
    then = at + 4 * SECOND + sketch.hold()
    sketch.here(then, device)
    sketch.act(then, "restore", device)
    edits(sketch, then + sketch.moment(), device, 3)


# --- lids and clocks --------------------------------------------------------------------------------------------------


def _lid(sketch: Sketch, at: int, user: str) -> None:
    """It sleeps through edits and a ring, perhaps wakes inside it, perhaps flaps."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    sketch.act(at, "suspend", one)
    due = alarm_rings(sketch, at + sketch.moment(), user)
    edits(sketch, at + sketch.moment(), other, 2)
    wakes = due + sketch.of_bands((-60_000, 0), (-500, 500), (0, 60_000), (0, 3_600_000))
    sketch.act(max(at + 1, wakes), "resume", one)
    if sketch.dice.hit(0.4):
        sketch.act(max(at, wakes) + sketch.of_bands(AT_ONCE, IN_FLIGHT, SOON), "suspend", one)
        sketch.act(max(at, wakes) + sketch.of_bands(SOON, (3 * SECOND, 90 * SECOND)), "resume", one)


def _edit_and_close(sketch: Sketch, at: int, user: str) -> None:
    """Changed, and the lid shut on it."""
    device = sketch.one(user)
    sketch.here(at, device)
    edits(sketch, at, device, 3)
    sketch.act(at + sketch.of_bands(AT_ONCE, IN_FLIGHT), "suspend", device)
    sketch.act(at + 4 * SECOND + sketch.hold(), "resume", device)


def _clock(sketch: Sketch, at: int, user: str) -> None:
    """A clock jumps, far or so little that nobody notices, and then something rings or is changed."""
    device = sketch.one(user)
    sketch.here(at, device)
    ms = _wrong(sketch)
    sketch.act(at, "clock_jump", device, ms=ms)
    if sketch.dice.hit(0.5):
        sketch.act(at + sketch.hold(), "clock_jump", device, ms=-ms)
    edits(sketch, at + sketch.moment(), device, 2)
    alarm_rings(sketch, at + sketch.moment(), user)


def _wrong(sketch: Sketch) -> int:
    ms = sketch.of_bands((100, 3_000), (3_000, 290_000), (290_000, 310_000), (310_000, 5_400_000))
    return ms if sketch.dice.hit(0.5) else -ms


# --- tokens -----------------------------------------------------------------------------------------------------------


def _sign_out_in_replay(sketch: Sketch, at: int, user: str) -> None:
    """The token goes while the device is catching up."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    sketch.act(at, "cut", one, noticed="both")
    edits(sketch, at + sketch.moment(), other, 6)
    at += sketch.of_bands((5 * SECOND, 90 * SECOND))
    sketch.act(at, "heal", one)
    sketch.act(at + sketch.moment(), "sync_now", one)
    _sign_out(sketch, at + sketch.of_bands(IN_FLIGHT, SOON, (SECOND, 40 * SECOND)), one)


def _sign_out_in_edit(sketch: Sketch, at: int, user: str) -> None:
    device = sketch.one(user)
    sketch.here(at, device)
    edits(sketch, at, device)
    _sign_out(sketch, at + sketch.moment(), device)
    edits(sketch, at + 4 * SECOND, device, 2)


def _sign_out(sketch: Sketch, at: int, device: str) -> None:
    sketch.act(at, sketch.dice.pick(("revoke", "revoke", "forbid", "distrust")), device)
    sketch.act(at + sketch.hold(), "sign_in", device)


def _expiry(sketch: Sketch, at: int, user: str) -> None:
    """The token in use is worth nothing from one moment to the next; a fresh one can be had, perhaps only later."""
    device = sketch.one(user)
    sketch.here(at, device)
    edits(sketch, at, device, 2)
    sketch.act(at + sketch.moment(), "expire", device, refreshes=int(sketch.dice.hit(0.6)))
    sketch.act(at + sketch.moment(), "lose", device, noticed="both")
    edits(sketch, at + 4 * SECOND, device, 2)
    sketch.act(at + sketch.hold(), "sign_in", device)


DEVICE_SCENES: tuple[tuple[int, Scene], ...] = (
    (7, _trouble_at_ring), (7, _crash_in_commit), (3, _crash_again), (1, _dark), (3, _clone), (3, _old_disk),
    (5, _lid), (3, _edit_and_close), (4, _clock), (3, _sign_out_in_replay), (2, _sign_out_in_edit), (3, _expiry),
)  # fmt: skip
