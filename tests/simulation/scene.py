"""A quiet world of three devices under watch, for tests that break it on purpose, from outside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from client_qt.commands import CreateItem, StartTimer
from protocol import ItemId, client
from protocol._facts import EventsHeard
from protocol.testing import Event

from .checks import Checks
from .device import SimDevice
from .plan import DevicePlan, Plan
from .player import Sim
from .run import Violation


START = 1_790_000_000_000
"""2026-09-21 14:13:20 UTC, a Monday."""


class Scene:
    """A world of two devices of one user and one of another, all live, under watch."""

    def __init__(self) -> None:
        devices = tuple(DevicePlan(name, name[:2]) for name in ("u0d0", "u0d1", "u1d0"))
        self.sim = Sim(Plan(7, 0.0, START, devices))
        self.checks = Checks(self.sim)
        self.sim.world.watchers.append(self.checks.after)
        for device in self.sim.devices.values():
            device.looked = self.checks.look
        self.sim.begin()
        self.run(2)

    @property
    def one(self) -> SimDevice:
        return self.sim.devices["u0d0"]

    @property
    def other(self) -> SimDevice:
        return self.sim.devices["u0d1"]

    @property
    def store(self) -> Any:
        return self.sim.world.storage.of(self.one.user)

    def run(self, seconds: float) -> None:
        self.sim.world.run(self.sim.world.now + seconds)

    def alarm(self, in_minutes: int = 2, **fields: Any) -> ItemId:
        """Created on the first device; due in so many minutes, on the minute."""
        minute = (14 * 60 + 13 + in_minutes) % (24 * 60)
        made = {"time": f"{minute // 60:02}:{minute % 60:02}", "days": ["mo"], "tz": "UTC", **fields}
        before = set(self.one.copy.records)
        assert self.one.command(CreateItem("alarm", made))
        self.run(1)
        (item,) = set(self.one.copy.records) - before
        return item

    def timer(self, ms: int = 60_000) -> ItemId:
        before = set(self.one.copy.records)
        assert self.one.command(CreateItem("timer", {"duration_ms": ms}))
        (item,) = set(self.one.copy.records) - before
        assert self.one.command(StartTimer(item))
        self.run(1)
        return item

    def step(self, *outputs: Any, stimulus: Any = None, who: str = "u0d0") -> None:
        """A step that the first device's machine would never make."""
        self.checks.after(Event(self.sim.world.now, who, stimulus or client.Heard(self.one.client.gen), outputs))


@contextmanager
def broken(rule: str, *words: str) -> Iterator[None]:
    with pytest.raises(Violation) as caught:
        yield
    assert caught.value.rule == rule, caught.value
    for word in words:
        assert word in str(caught.value)


def stores_of(scene: Scene, action: Callable[[], object]) -> list[Any]:
    """What the first device stores of events meanwhile."""
    found: list[Any] = []
    seen = lambda event: found.extend(  # noqa: E731 - a watcher of three lines
        o
        for o in event.outputs
        if isinstance(o, client.Store) and isinstance(o.fact, EventsHeard) and event.who == "u0d0"
    )
    scene.sim.world.watchers.append(seen)
    action()
    return found
