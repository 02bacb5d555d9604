"""A plan while it is drawn: chance, who lives in the world, and the acts so far. Whole milliseconds until the end."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from msgspec import Struct

from protocol.testing import Dice

from .plan import Act, DevicePlan, Pace, Plan


T = TypeVar("T")

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Band = tuple[int, int]

AT_ONCE: Band = (0, 5)
IN_FLIGHT: Band = (5, 120)
SOON: Band = (120, 3 * SECOND)

HOLDS: dict[Pace, tuple[Band, ...]] = {
    "brisk": ((SECOND, 10 * SECOND), (10 * SECOND, 90 * SECOND), (90 * SECOND, 10 * MINUTE), (10 * MINUTE, HOUR)),
    "calm": ((5 * SECOND, MINUTE), (MINUTE, 30 * MINUTE), (30 * MINUTE, 12 * HOUR), (12 * HOUR, 4 * DAY)),
}
"""How long trouble lasts: shorter and longer than each of the protocol's own patiences."""


class Spell(Struct, frozen=True):
    """From when to when a device is in use, in ms."""

    since: int
    until: int


class Sketch:
    """What is drawn so far.

    Args:
        seed: of everything that is drawn.
        pace: of its time.
        start_ms, zones: the true time at second 0, and the zones that its users live in.
        length: how long trouble lasts, ms.

    Attributes:
        dice: where chance comes from. devices, processes, token_s, tight: as in `Plan`. acts: in the order they came to mind.
        present: by device when it is in use, where it has a daily life; what it has not is in use all the time.
    """

    def __init__(self, seed: int, dice: Dice, pace: Pace, start_ms: int, zones: Sequence[str], length: int) -> None:
        self.seed = seed
        self.dice = dice
        self.pace = pace
        self.start_ms = start_ms
        self.zones = zones
        self.length = length
        self.devices: list[DevicePlan] = []
        self.processes: tuple[str, ...] = ("p0",)
        self.token_s = 86_400.0
        self.tight = False
        self.acts: list[Act] = []
        self.present: dict[str, list[Spell]] = {}

    # --- chance ---

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.dice.below(high - low + 1)

    def of_bands(self, *bands: Band) -> int:
        """First one of the bands, then a number in it: as many short times as long ones."""
        return self.between(*self.dice.pick(bands))

    def hold(self, most: int = 40 * DAY) -> int:
        """How long some trouble lasts, ms."""
        return min(most, self.of_bands(*HOLDS[self.pace]))

    def moment(self) -> int:
        """The little time between two things that belong together, ms: none, a frame's journey, a human's."""
        return self.of_bands(AT_ONCE, IN_FLIGHT, IN_FLIGHT, SOON)

    def weighted(self, choices: Sequence[tuple[int, T]]) -> T:
        """One of them, each as often as its weight says."""
        left = self.dice.below(sum(weight for weight, _ in choices))
        for weight, choice in choices:
            if left < weight:
                return choice
            left -= weight
        raise AssertionError("weights are positive")

    # --- who ---

    @property
    def users(self) -> list[str]:
        """Everybody."""
        return list(dict.fromkeys(device.user for device in self.devices))

    def names(self, user: str) -> list[str]:
        """A user's devices."""
        return [device.name for device in self.devices if device.user == user]

    def one(self, user: str) -> str:
        """One of a user's devices."""
        return self.dice.pick(self.names(user))

    def two(self, user: str) -> tuple[str, str]:
        """Two different ones."""
        names = self.names(user)
        first = names.pop(self.dice.below(len(names)))
        return first, self.dice.pick(names)

    def latency_ms(self, device: str) -> int:
        """About how long a device's frames are on their way."""
        return next(round(plan.latency * 1000) for plan in self.devices if plan.name == device)

    def process(self) -> str:
        """One of the server processes."""
        return self.dice.pick(self.processes)

    # --- what happens ---

    def act(self, at: int, what: str, who: str = "", **args: int | str) -> None:
        """Something happens at `at` ms."""
        self.acts.append(Act(at / 1000, what, who, args))

    def here(self, at: int, *devices: str) -> None:
        """These devices are in use at this moment, for some minutes, whatever their day looks like."""
        for device in devices:
            if not self.in_use(device, at):
                self.act(max(0, at - self.between(2, 20) * SECOND), "resume", device)
                self.act(at + self.between(2, 15) * MINUTE, "suspend", device)

    def in_use(self, device: str, at: int) -> bool:
        """Whether a device is in use by its daily life."""
        spells = self.present.get(device)
        return spells is None or any(spell.since <= at < spell.until for spell in spells)

    def due(self, at: int, in_s: int) -> int:
        """When an alarm rings that is set at `at` for `in_s` seconds later: on the next full minute, in ms from 0."""
        true = self.start_ms + at + in_s * SECOND
        return -(-true // MINUTE) * MINUTE - self.start_ms

    def plan(self) -> Plan:
        """All of it, in order; what came to mind for later than the end stays out."""
        seconds = self.length / 1000
        acts = sorted((act for act in self.acts if act.at < seconds), key=_when)
        assert all(a.at <= b.at for a, b in pairwise(acts))
        return Plan(
            seed=self.seed,
            seconds=seconds,
            start_ms=self.start_ms,
            devices=tuple(self.devices),
            acts=tuple(acts),
            pace=self.pace,
            processes=len(self.processes),
            token_s=self.token_s,
            tight=self.tight,
        )


Scene = Callable[[Sketch, int, str], None]
"""Things that belong together: from a moment on, among one user's devices."""


def _when(act: Act) -> float:
    return act.at
