"""Trouble where it hurts: the cable goes in the moment of an edit, the power in the moment of a commit.

Noise that is spread evenly finds little. So each scene puts its fault beside what the fault could spoil, milliseconds
apart, and most of them end it again later: perhaps only after the end of the plan.
"""

from .scenes_user import alarm_rings, edit, edits, new_alarm, react, timer_rings
from .sketch import AT_ONCE, IN_FLIGHT, MINUTE, SECOND, SOON, Scene, Sketch


NOTICED = ("both", "both", "client", "server", "nobody")
REFUSALS = (
    (502, ""), (503, "busy"), (503, ""), (500, ""), (404, ""), (429, "rate_limited"), (401, ""), (403, ""), (426, ""),
    (302, ""), (401, "token_expired"),
)  # fmt: skip
"""What servers, proxies and captive portals say in place of a socket; none of it may stop a client for good."""


DRAINED = 5_010
"""A process that drains is gone after five seconds; only then can another take its place."""


# --- links ------------------------------------------------------------------------------------------------------------


def break_link(sketch: Sketch, at: int, device: str) -> None:
    """The link goes, in one of its ways, and comes back later."""
    what = sketch.dice.pick(("cut", "cut", "cut_after_delivery", "half_open", "lose", "lose"))
    if what != "half_open":
        sketch.act(at, what, device, noticed=sketch.dice.pick(NOTICED))
    else:
        sketch.act(at, what, device)
    if what != "lose":
        sketch.act(at + sketch.hold(), "heal", device)


def _cut_on_edit(sketch: Sketch, at: int, user: str) -> None:
    """The answer of an edit never comes, or the edit never arrives, or both did."""
    device = sketch.one(user)
    sketch.here(at, device)
    for _ in range(sketch.between(1, 3)):
        edit(sketch, at, device)
        break_link(sketch, at + sketch.of_bands(AT_ONCE, IN_FLIGHT), device)
        at += sketch.of_bands(SOON, (3 * SECOND, 60 * SECOND))


def _half_open(sketch: Sketch, at: int, user: str) -> None:
    """Nobody notices, for minutes, and both sides go on."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    sketch.act(at, "half_open", one)
    lasts = sketch.of_bands((5 * SECOND, 40 * SECOND), (40 * SECOND, 6 * MINUTE))
    for device in (one, other):
        edits(sketch, at + sketch.between(0, lasts), device, 2)
    sketch.act(at + lasts, "heal", one)


def _late_frames(sketch: Sketch, at: int, user: str) -> None:
    """A slow link breaks under frames that still arrive, while the next connection opens; some of them twice."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    sketch.act(
        at, "spike", one, latency_ms=sketch.of_bands((300, 2_000), (2_000, 6_000)), jitter_ms=sketch.between(0, 2_000)
    )
    sketch.act(at + sketch.between(0, 20) * SECOND, "settle", one)
    at += sketch.of_bands(SOON, (SECOND, 20 * SECOND))
    edits(sketch, at, other, 3)
    edits(sketch, at, one, 3)
    at += sketch.of_bands(IN_FLIGHT, SOON)
    sketch.act(at, "late_frames", one, noticed=sketch.dice.pick(("client", "both", "server")))
    sketch.act(at + sketch.of_bands(IN_FLIGHT, SOON, (SECOND, 20 * SECOND)), "ghosts", one)


def _twice(sketch: Sketch, at: int, user: str) -> None:
    """Frames arrive twice, and the connection breaks, and what it left behind comes late."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    sketch.act(at, "double", one, client=sketch.between(0, 6), server=sketch.between(0, 6))
    edits(sketch, at + sketch.moment(), other, 2)
    edits(sketch, at + sketch.moment(), one, 2)
    sketch.act(at + sketch.moment(), "lose", one, noticed=sketch.dice.pick(NOTICED))
    sketch.act(at + sketch.of_bands(SOON, (SECOND, 30 * SECOND)), "ghosts", one)


def _deaf(sketch: Sketch, at: int, user: str) -> None:
    """A device does not read its socket for a while, and much is said to it."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    sketch.act(at, "stall", one)
    edits(sketch, at + sketch.moment(), other, 6)
    edits(sketch, at + sketch.moment(), one, 2)
    sketch.act(at + sketch.of_bands(SOON, (3 * SECOND, 12 * SECOND), (12 * SECOND, 90 * SECOND)), "read_on", one)


def _spike(sketch: Sketch, at: int, user: str) -> None:
    """Everything takes long, and not equally long."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    latency_ms = sketch.of_bands((100, 1_000), (1_000, 12_000))
    sketch.act(at, "spike", one, latency_ms=latency_ms, jitter_ms=sketch.between(0, 2 * latency_ms))
    edits(sketch, at + sketch.between(0, 10) * SECOND, one)
    edits(sketch, at + sketch.between(0, 10) * SECOND, other)
    sketch.act(at + sketch.hold(), "settle", one)


def _eat(sketch: Sketch, at: int, user: str) -> None:
    """A proxy eats frames and keeps the connection."""
    one, other = sketch.two(user)
    sketch.here(at, one, other)
    towards = sketch.weighted(((3, "client"), (3, "server"), (2, "both")))
    sketch.act(
        at, "eat", one,
        client=sketch.between(1, 5) if towards != "server" else 0,
        server=sketch.between(1, 5) if towards != "client" else 0,
    )  # fmt: skip
    edits(sketch, at + sketch.moment(), other, 3)
    edits(sketch, at + sketch.moment(), one, 3)


def _refuse(sketch: Sketch, at: int, user: str) -> None:
    """No socket: HTTP says no, for some attempts."""
    devices = sketch.names(user) if sketch.dice.hit(0.3) else [sketch.one(user)]
    for device in devices:
        sketch.here(at, device)
        status, code = sketch.dice.pick(REFUSALS)
        wait_ms = sketch.between(1, 40) * SECOND if status in (429, 503) and sketch.dice.hit(0.5) else -1
        sketch.act(at, "refuse", device, times=sketch.between(1, 4), status=status, code=code, retry_after_ms=wait_ms)
        sketch.act(at + sketch.moment(), "lose", device, noticed="both")
        edits(sketch, at + sketch.moment(), device, 2)
    sketch.act(at + sketch.hold(), "let_pass", devices[0])


def _slow_connect(sketch: Sketch, at: int, user: str) -> None:
    """Connecting takes about as long as anybody waits for it."""
    device = sketch.one(user)
    sketch.here(at, device)
    sketch.act(at, "slow_connect", device, ms=sketch.of_bands((500, 8_000), (8_000, 12_000), (12_000, 40_000)))
    sketch.act(at + 1, "lose", device, noticed="both")
    edits(sketch, at + sketch.moment(), device, 3)
    sketch.act(at + sketch.hold(), "let_pass", device)


def _only_http(sketch: Sketch, at: int, user: str) -> None:
    """A proxy lets no socket through; polling must do, and rings come all the same."""
    device = sketch.one(user)
    sketch.here(at, device)
    sketch.act(at, "no_sockets", device)
    sketch.act(at + sketch.moment(), "lose", device, noticed="both")
    edits(sketch, at + sketch.between(1, 60) * SECOND, device)
    edits(sketch, at + sketch.between(1, 60) * SECOND, sketch.one(user))
    sketch.act(at + sketch.hold(), "sockets", device)


def _flap(sketch: Sketch, at: int, user: str) -> None:
    """A loose plug."""
    device = sketch.one(user)
    sketch.here(at, device)
    for _ in range(sketch.between(2, 6)):
        sketch.act(at, "cut", device, noticed=sketch.dice.pick(NOTICED))
        at += sketch.of_bands(IN_FLIGHT, SOON, (SECOND, 15 * SECOND))
        sketch.act(at, "heal", device)
        if sketch.dice.hit(0.4):
            edit(sketch, at + sketch.between(0, 50), device)
        at += sketch.of_bands(IN_FLIGHT, SOON, (SECOND, 15 * SECOND))


def _away(sketch: Sketch, at: int, user: str) -> None:
    """Offline for long; life goes on, on both sides."""
    device = sketch.one(user)
    away = sketch.hold()
    sketch.act(at, "cut", device, noticed=sketch.dice.pick(NOTICED))
    for _ in range(sketch.between(1, 4)):
        then = at + sketch.between(0, away)
        whose = sketch.one(user) if sketch.dice.hit(0.5) else device
        sketch.here(then, whose)
        edits(sketch, then, whose, 2)
    sketch.act(at + away, "heal", device)


# --- rings in trouble -------------------------------------------------------------------------------------------------


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


def _offline_stop(sketch: Sketch, at: int, user: str) -> None:
    """Stopped on a device without network, and elsewhere, or not; healed later."""
    one, other = sketch.two(user)
    in_s = sketch.of_bands((5, 60), (60, 300))
    sketch.here(at, one, other)
    sketch.act(
        at, "create_alarm", one, in_s=in_s, days="daily", tz=sketch.dice.pick(sketch.zones),
        ring_s=sketch.between(60, 600), snooze_s=60, auto_snooze=sketch.between(0, 1),
    )  # fmt: skip
    due = sketch.due(at, in_s)
    sketch.here(due, one, other)
    sketch.act(due - sketch.of_bands((0, 500), (500, 4_000)), "cut", one, noticed=sketch.dice.pick(NOTICED))
    pressed = due + sketch.between(0, 30) * SECOND + sketch.moment()
    sketch.act(pressed, sketch.dice.pick(("stop", "stop", "snooze")), one, length_s=sketch.between(1, 120))
    if sketch.dice.hit(0.6):
        sketch.act(
            pressed + sketch.moment(), sketch.dice.pick(("stop", "snooze")), other, length_s=sketch.between(1, 120)
        )
    sketch.act(pressed + sketch.of_bands(AT_ONCE, SOON, (SECOND, 5 * MINUTE)), "heal", one)


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


# --- servers ----------------------------------------------------------------------------------------------------------


def _crowd(sketch: Sketch, at: int, user: str) -> None:
    """Everybody is busy at once."""
    for device in sketch.names(user):
        if sketch.dice.hit(0.7):
            edits(sketch, at + sketch.between(0, 80), device, 4)


def _process_crash(sketch: Sketch, at: int, user: str) -> None:
    """A server process goes while edits are being committed; its store keeps the last of them, or does not."""
    sketch.here(at, *sketch.two(user))
    _crowd(sketch, at, user)
    processes = sketch.processes if sketch.dice.hit(0.3) else (sketch.process(),)
    then = at + sketch.of_bands(AT_ONCE, IN_FLIGHT, IN_FLIGHT, SOON)
    for process in processes:
        sketch.act(then, "process_crash", process, keep_tail=int(sketch.dice.hit(0.5)))
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


TROUBLE_SCENES: tuple[tuple[int, Scene], ...] = (
    (8, _cut_on_edit), (4, _half_open), (4, _late_frames), (3, _twice), (2, _deaf), (3, _spike), (4, _eat), (4, _refuse),
    (3, _slow_connect), (3, _only_http), (3, _flap), (4, _away), (7, _trouble_at_ring), (5, _offline_stop),
    (7, _crash_in_commit), (3, _crash_again), (1, _dark), (3, _clone), (3, _old_disk), (5, _lid), (3, _edit_and_close),
    (4, _clock), (3, _sign_out_in_replay), (2, _sign_out_in_edit), (3, _expiry), (6, _process_crash), (4, _drain),
    (4, _trim_behind), (3, _new_epoch), (2, _server_restore), (5, _bus), (2, _rings_through_it),
)  # fmt: skip
