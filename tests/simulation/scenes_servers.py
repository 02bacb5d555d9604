"""Trouble with server processes, their store, its log and the bus between them, while edits are under way."""

from .scenes_links import break_link
from .scenes_user import alarm_rings, edits, new_alarm, react
from .sketch import AT_ONCE, IN_FLIGHT, MINUTE, SECOND, SOON, Scene, Sketch


DRAINED = 5_010
"""A process that drains is gone after five seconds; only then can another take its place."""


def _crowd(sketch: Sketch, at: int, user: str) -> None:
    """Everybody is busy at once."""
    for device in sketch.names(user):
        if sketch.dice.hit(0.7):
            edits(sketch, at + sketch.between(0, 80), device, 4)


def _process_crash(sketch: Sketch, at: int, user: str) -> None:
    """A server process goes while edits are being committed; its store keeps the last of them, or does not."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    _crowd(sketch, at, user)
    if sketch.dice.hit(0.5):
        sketch.act(at, "burst", one, count=sketch.between(12, 30))
    processes = sketch.processes if sketch.dice.hit(0.5) else (sketch.process(),)
    then = at + sketch.latency_ms(one) + sketch.of_bands(AT_ONCE, (0, 60), (0, 60), IN_FLIGHT, SOON)
    for process in processes:
        sketch.act(then, "process_crash", process, keep_tail=int(sketch.dice.hit(0.4)))
        sketch.act(then + _repair(sketch), "process_start", process)


def _drain(sketch: Sketch, at: int, user: str) -> None:
    """A process is told to finish, in the middle of edits, and a new one comes."""
    sketch.here(at, *sketch.two(user))
    for process in sketch.processes if sketch.dice.hit(0.3) else (sketch.process(),):
        _crowd(sketch, at, user)
        at += sketch.moment()
        sketch.act(at, "drain", process)
        at += sketch.of_bands((DRAINED, 2 * DRAINED), (DRAINED, 60 * SECOND))
        sketch.act(at, "process_start", process)
        at += sketch.of_bands(SOON, (SECOND, 60 * SECOND))


def _repair(sketch: Sketch) -> int:
    return sketch.of_bands(IN_FLIGHT, SOON, (3 * SECOND, 60 * SECOND), (MINUTE, 15 * MINUTE))


def _trim_behind(sketch: Sketch, at: int, user: str) -> None:
    """The log forgets what a device that is away has not read."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    how, back = sketch.weighted(((3, ("cut", "heal")), (2, ("suspend", "resume")), (2, ("crash", "boot"))))
    sketch.act(at, how, one)
    if how == "cut" and sketch.dice.hit(0.5):
        edits(sketch, at + sketch.moment(), one, 2)
    edits(sketch, at + sketch.moment(), other, 6)
    at += 10 * SECOND
    sketch.act(at, "trim", user, keep=sketch.of_bands((0, 0), (0, 3), (0, 20)))
    edits(sketch, at + sketch.moment(), other, 2)
    at += sketch.hold()
    sketch.act(at, back, one)
    if sketch.dice.hit(0.4):
        sketch.act(at + sketch.of_bands(IN_FLIGHT, SOON), "trim", user, keep=0)


def _new_epoch(sketch: Sketch, at: int, user: str) -> None:
    """The log starts anew while one edits, and one is away."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    if sketch.dice.hit(0.5):
        break_link(sketch, at, one)
    edits(sketch, at + sketch.moment(), one, 3)
    sketch.act(at + sketch.moment(), "epoch", user, told=int(sketch.dice.hit(0.7)))
    edits(sketch, at + sketch.moment(), other, 3)


def _server_restore(sketch: Sketch, at: int, user: str) -> None:
    """The servers' disks come back from a backup: what was said since is unsaid, and devices know more than they do."""
    maker = sketch.one(user)
    sketch.here(at, maker)
    sketch.act(at, "server_backup")
    new_alarm(sketch, at + sketch.moment(), maker, sketch.between(60, 3_600))
    _crowd(sketch, at + sketch.moment(), user)
    at += 4 * SECOND + sketch.hold() // 4
    sketch.here(at, *sketch.names(user))
    _crowd(sketch, at, user)
    if sketch.dice.hit(0.5):
        break_link(sketch, at + sketch.moment(), sketch.one(user))
    at += sketch.moment()
    sketch.act(at, "server_restore")
    _crowd(sketch, at + sketch.moment(), user)
    for _ in range(sketch.between(1, 3)):
        what = sketch.dice.pick(("restore_aside", "restore_aside", "discard_aside"))
        sketch.act(at + sketch.between(2, 90) * SECOND, what, sketch.one(user), item=sketch.dice.below(4))


def _bus(sketch: Sketch, at: int, user: str) -> None:
    """Nudges between processes get lost, come late, come twice; where there is one process, that one crashes."""
    if len(sketch.processes) == 1:
        _process_crash(sketch, at, user)
        return
    sketch.here(at, *sketch.two(user))
    sketch.act(at, sketch.dice.pick(("bus_lose", "bus_delay", "bus_repeat")), count=sketch.between(1, 6))
    _crowd(sketch, at + sketch.moment(), user)


def _rings_through_it(sketch: Sketch, at: int, user: str) -> None:
    """Nothing works, and it must ring."""
    due = alarm_rings(sketch, at, user)
    for process in sketch.processes:
        sketch.act(due - sketch.between(0, 3_000), "process_crash", process, keep_tail=1)
        sketch.act(due + _repair(sketch), "process_start", process)
    react(sketch, due, user)


SERVER_SCENES: tuple[tuple[int, Scene], ...] = (
    (6, _process_crash), (4, _drain), (4, _trim_behind), (3, _new_epoch), (2, _server_restore), (10, _bus),
    (2, _rings_through_it),
)  # fmt: skip
