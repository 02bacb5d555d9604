"""A world that is so busy that it would never end (docs/protocol.md#invariant-10): found by counting, and not by waiting."""

from protocol.testing import Event

from .player import Sim
from .run import Violation


STEPS = 50_000
SECONDS = 600.0
"""So many steps of connections in so short a virtual time are no work: the busiest of honest worlds makes a tenth."""


class NoLivelock:
    """A watcher of one run.

    Raises:
        Violation: connections do nothing but turn in a circle.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._since = 0.0

    def __repr__(self) -> str:
        return f"<NoLivelock, {self._steps} steps since {self._since:.3f}>"

    def __call__(self, sim: Sim, event: Event) -> None:
        """After every step."""
        self._steps += 1
        if self._steps < STEPS:
            return
        took, self._steps, self._since = event.now - self._since, 0, event.now
        if took < SECONDS:
            happened = f"{STEPS:,} steps took {took:.1f} s, and {event.who} goes on"
            raise Violation("invariant-10", event.who.removesuffix("'s"), event.now, "the world to calm down", happened)
