"""Trouble with cables, proxies and slow or false connections, in the moment that something depends on them."""

from .scenes_user import edit, edits
from .sketch import AT_ONCE, HOUR, IN_FLIGHT, MINUTE, SECOND, SOON, Scene, Sketch


NOTICED = ("both", "both", "client", "server", "nobody")
REFUSALS = (
    (502, ""), (503, "busy"), (503, ""), (500, ""), (404, ""), (429, "rate_limited"), (401, ""), (403, ""), (426, ""),
    (302, ""), (401, "token_expired"),
)  # fmt: skip
"""What servers, proxies and captive portals say in place of a socket; none of it may stop a client for good."""


BUSY_MOST = 30 * MINUTE
"""How long a device may be kept trying in vain, as fast as it may: minutes of that say all that hours would."""


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
    latency_ms = sketch.of_bands((100, 1_000), (1_000, 4_000), (4_000, 12_000))
    sketch.act(at, "spike", one, latency_ms=latency_ms, jitter_ms=sketch.between(0, 2 * latency_ms))
    edits(sketch, at + sketch.between(0, 10) * SECOND, one)
    edits(sketch, at + sketch.between(0, 10) * SECOND, other)
    sketch.act(at + sketch.hold(BUSY_MOST), "settle", one)


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
    sketch.act(at + sketch.hold(BUSY_MOST), "let_pass", device)


def _only_http(sketch: Sketch, at: int, user: str) -> None:
    """A proxy lets no socket through; polling must do, and rings come all the same."""
    device = sketch.one(user)
    sketch.here(at, device)
    sketch.act(at, "no_sockets", device)
    sketch.act(at + sketch.moment(), "lose", device, noticed="both")
    edits(sketch, at + sketch.between(1, 60) * SECOND, device)
    edits(sketch, at + sketch.between(1, 60) * SECOND, sketch.one(user))
    sketch.act(at + sketch.hold(6 * HOUR), "sockets", device)


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


LINK_SCENES: tuple[tuple[int, Scene], ...] = (
    (8, _cut_on_edit), (4, _half_open), (4, _late_frames), (3, _twice), (2, _deaf), (3, _spike), (4, _eat),
    (4, _refuse), (3, _slow_connect), (3, _only_http), (3, _flap), (4, _away), (5, _offline_stop),
)  # fmt: skip
