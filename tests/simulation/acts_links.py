"""What goes wrong between a device and the servers, and what ends it."""

from typing import TYPE_CHECKING

from protocol import Generation, client, server

from .network import Noticed, Refusal
from .performing import Performer, awake, number, on_any
from .plan import Act


if TYPE_CHECKING:
    from .device import SimDevice
    from .player import Sim


def _noticed(act: Act, default: Noticed = "both") -> Noticed:
    known: dict[str, Noticed] = {"both": "both", "client": "client", "server": "server", "nobody": "nobody"}
    return known.get(str(act.args.get("noticed", default)), default)


def _cut(_: "Sim", device: "SimDevice", act: Act) -> bool:
    was_up = device.link.up
    device.cut(deliver=False, noticed=_noticed(act))
    return was_up


def _cut_after_delivery(_: "Sim", device: "SimDevice", act: Act) -> bool:
    was_up = device.link.up
    device.cut(deliver=True, noticed=_noticed(act))
    return was_up


def _half_open(_: "Sim", device: "SimDevice", __: Act) -> bool:
    had = _has_transport(device)
    device.cut(noticed="nobody")
    return had


def _lose(_: "Sim", device: "SimDevice", act: Act) -> bool:
    had = _has_transport(device)
    device.lose(noticed=_noticed(act))
    return had


def _late_frames(_: "Sim", device: "SimDevice", act: Act) -> bool:
    had = _has_transport(device)
    device.lose(deliver=True, noticed=_noticed(act))
    return had


def _has_transport(device: "SimDevice") -> bool:
    return device.transport is not None and device.transport.broken_at is None


def _heal(_: "Sim", device: "SimDevice", __: Act) -> bool:
    was_up = device.link.up
    device.heal()
    return not was_up


def _ghosts(sim: "Sim", device: "SimDevice", _: Act) -> bool:
    """What an earlier connection still had to say: a frame, its end, a refusal."""
    # Requests have generations of their own, so the newest but one may still be that of the attempt in hand.
    machine = device.client.machine
    out = (device.client.gen, getattr(machine.polled, "gen", 0), getattr(machine.pushed, "gen", 0))
    old = Generation(min(gen for gen in (*out, machine.gen) if gen) - 1) if machine.gen else Generation(-1)
    rows = sim.world.storage.of(device.user).rows
    if old < 0 or not device.awake:
        return False
    if rows:
        late = server.publication(rows[-1], None, sim.world.terms.limits)
        device.feed(client.Received(old, late.v1))
    device.feed(client.Opened(old, "tocsin.v1"))
    device.feed(client.Lost(old, 4003, "an earlier connection"))
    device.feed(client.Refused(old, 403, "forbidden"))
    return True


def _double(_: "Sim", device: "SimDevice", act: Act) -> bool:
    device.link.double["client"] += number(act, "client")
    device.link.double["server"] += number(act, "server")
    return True


def _eat(_: "Sim", device: "SimDevice", act: Act) -> bool:
    device.link.eat["client"] += number(act, "client")
    device.link.eat["server"] += number(act, "server")
    return True


def _spike(_: "Sim", device: "SimDevice", act: Act) -> bool:
    device.link.latency = number(act, "latency_ms") / 1000
    device.link.jitter = number(act, "jitter_ms") / 1000
    return True


def _settle(_: "Sim", device: "SimDevice", __: Act) -> bool:
    device.link.latency, device.link.jitter = device.plan.latency, device.plan.jitter
    return True


def _refuse(_: "Sim", device: "SimDevice", act: Act) -> bool:
    wait_ms = number(act, "retry_after_ms", -1)
    refusal = Refusal(
        number(act, "status", 502), str(act.args.get("code", "")) or None, wait_ms if wait_ms >= 0 else None
    )
    device.link.refusals += [refusal] * number(act, "times", 1)
    return True


def _slow_connect(_: "Sim", device: "SimDevice", act: Act) -> bool:
    device.link.slow_connect = number(act, "ms") / 1000
    return True


def _let_pass(_: "Sim", device: "SimDevice", __: Act) -> bool:
    link = device.link
    link.refusals.clear()
    link.slow_connect = 0.0
    for counts in (link.eat, link.double):
        counts["client"] = counts["server"] = 0
    return True


def _no_sockets(_: "Sim", device: "SimDevice", __: Act) -> bool:
    had, device.link.sockets = device.link.sockets, False
    return had


def _sockets(_: "Sim", device: "SimDevice", __: Act) -> bool:
    device.link.sockets = device.plan.sockets
    return device.plan.sockets


def _stall(_: "Sim", device: "SimDevice", __: Act) -> bool:
    device.stall()
    return _has_transport(device)


def _read_on(_: "Sim", device: "SimDevice", __: Act) -> bool:
    was_stalled = device.link.stalled
    device.read_on()
    return was_stalled


LINK_TROUBLE: dict[str, Performer] = {
    "cut": on_any(_cut),
    "cut_after_delivery": on_any(_cut_after_delivery),
    "half_open": on_any(_half_open),
    "lose": on_any(_lose),
    "late_frames": on_any(_late_frames),
    "ghosts": on_any(_ghosts),
    "double": on_any(_double),
    "eat": on_any(_eat),
    "spike": on_any(_spike),
    "refuse": on_any(_refuse),
    "slow_connect": on_any(_slow_connect),
    "no_sockets": on_any(_no_sockets),
    "stall": awake(_stall),
}

LINK_MENDING: dict[str, Performer] = {
    "heal": on_any(_heal),
    "settle": on_any(_settle),
    "let_pass": on_any(_let_pass),
    "sockets": on_any(_sockets),
    "read_on": on_any(_read_on),
}
