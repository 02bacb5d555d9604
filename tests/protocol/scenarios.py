"""A household in trouble: drawn lists of what its user and its network do, and an interpreter for them."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from protocol import Epoch, Missed, Quiet, Rev, Ringing
from protocol import client as client_side
from protocol.testing import Device, Household
from protocol.zones import system_zones


DEVICES = ("desk", "lap", "phone")
ALARMS = ("a1", "a2")
TIMERS = ("t1",)
CALM = 400.0
"""Seconds in which a household without trouble must be in step: above the longest backoff, poll and silence together."""


@dataclass(frozen=True)
class Act:
    """One thing that happens."""

    what: str
    device: str = ""
    item: str = ""
    number: int = 0

    def __repr__(self) -> str:
        return f"{self.what}({', '.join(str(x) for x in (self.device, self.item, self.number) if x != '')})"


_EVERY = (*ALARMS, *TIMERS)
USER = [
    *(("create", item) for item in _EVERY),
    *(("label", item) for item in _EVERY),
    *((what, item) for what in ("move", "toggle", "stop", "snooze") for item in ALARMS),
    *(("start", item) for item in TIMERS * 3),
    *(("delete", item) for item in _EVERY),
    *(("wait", ""),) * 3,
]
TROUBLE = [(what, "") for what in ("cut", "heal", "heal", "lose", "eat", "restart", "server crash", "trim")]


def _acts(kinds: list[tuple[str, str]]) -> st.SearchStrategy[list[Act]]:
    # One flat choice: nested ones were drawn so unevenly that most scenarios changed nothing.
    every = [Act(what, device, item) for what, item in kinds for device in DEVICES]
    act = st.tuples(st.sampled_from(every), st.integers(0, 59)).map(lambda drawn: replace(drawn[0], number=drawn[1]))
    return st.lists(act, min_size=1, max_size=25)


ACTS = _acts(USER + TROUBLE)
HISTORIES = _acts([*USER, *TROUBLE, ("epoch", "")])


def empty_household(seed: int = 7, latency: float = 0.02) -> Household:
    """Three devices, live."""
    home = Household(*DEVICES, zones=system_zones, seed=seed, latency=latency)
    for device in home.devices.values():
        device.start()
    home.run(1)
    return home


def household(seed: int = 7, latency: float = 0.02) -> Household:
    """Three devices, live, with an alarm and a timer."""
    home = empty_household(seed, latency)
    home["desk"].create("alarm", "a1", time="14:20", days=["mo"])
    home["lap"].create("timer", "t1", duration_ms=5_000)
    home.run(1)
    return home


def perform(home: Household, act: Act) -> None:
    """Let it happen."""
    device = home[act.device] if act.device else None
    if act.what == "wait" or device is None:
        home.run(act.number * act.number / 40)
    elif act.what in _TROUBLE:
        _TROUBLE[act.what](home, device, act)
    elif act.what == "create" or _has(device, act.item):
        _EDITS[act.what](home, device, act)
    # Sometimes the next thing happens while this one is on its way, sometimes long after it arrived.
    home.run(act.number / 200)


def _has(device: Device, item: str) -> bool:
    return item in device.view


def _create(_: Household, device: Device, act: Act) -> None:
    if act.item in TIMERS:
        device.create("timer", act.item, duration_ms=5_000 + 1_000 * act.number)
    else:
        device.create("alarm", act.item, time=f"14:{act.number:02}", days=["mo", "tu", "we", "th", "fr", "sa", "su"])


def _stop(home: Household, device: Device, act: Act) -> None:
    state = device.ring(act.item)
    if isinstance(state, Ringing):
        device.dismiss(act.item, int(state.ring.occ))


def _snooze(home: Household, device: Device, act: Act) -> None:
    state = device.ring(act.item)
    if isinstance(state, Ringing):
        device.snooze(act.item, int(state.ring.occ), state.ring.n + 1, 60_000)


_EDITS: dict[str, Any] = {
    "create": _create,
    "label": lambda _, d, a: d.patch(a.item, label=f"{d.name} {a.number}"),
    "move": lambda _, d, a: d.patch(a.item, time=f"14:{a.number:02}"),
    "toggle": lambda _, d, a: d.patch(a.item, enabled=bool(a.number % 2)),
    "delete": lambda _, d, a: d.delete(a.item),
    "stop": _stop,
    "snooze": _snooze,
    "start": lambda h, d, a: d.start_timer(a.item, f"{d.name}-{h.wall}"),
}


def _eat(_: Household, device: Device, act: Act) -> None:
    device.link.eat_to_client = act.number % 3
    device.link.eat_to_server = act.number % 2


def _server_crash(home: Household, _: Device, __: Act) -> None:
    for device in home.devices.values():
        device.lose()


_TROUBLE: dict[str, Any] = {
    "cut": lambda _, d, __: d.cut(),
    "heal": lambda _, d, __: d.heal(),
    "lose": lambda _, d, __: d.lose(),
    "eat": _eat,
    "restart": lambda _, d, __: _restart(d),
    "server crash": _server_crash,
    "trim": lambda h, _, a: h.store.trim(Rev(h.store.account.rev - a.number % 4)),
    "epoch": lambda h, _, __: h.store.renew(Epoch(h.store.account.epoch + "'")),
}


def _restart(device: Device) -> None:
    device.restart()
    device.start()


def calm(home: Household) -> None:
    """No more trouble: links work, nothing is eaten, and time passes."""
    for device in home.devices.values():
        device.heal()
        device.link.eat_to_client = device.link.eat_to_server = 0
        if isinstance(device.client.state, client_side.Stopped):
            device.start()
    home.run(CALM)


RING_STATES = (Missed, Quiet, Ringing)
