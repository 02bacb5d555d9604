"""What is on its way: a queue ordered by virtual time, and the link that may delay, eat or cut."""

import heapq
from collections.abc import Callable

from .._types import Monotonic


Action = Callable[[], None]


class Queue:
    """Actions in the order of their times; equal times keep the order they were put in."""

    def __init__(self) -> None:
        self._heap: list[tuple[Monotonic, int, Action]] = []
        self._count = 0

    def put(self, at: float, action: Action) -> None:
        """Let `action` happen at `at`."""
        self._count += 1
        heapq.heappush(self._heap, (Monotonic(at), self._count, action))

    @property
    def next_at(self) -> Monotonic | None:
        """When the next one happens."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> Action:
        """The next one."""
        return heapq.heappop(self._heap)[2]

    def __len__(self) -> int:
        return len(self._heap)


class Link:
    """The way between one device and the server.

    Attributes:
        up: whether anything passes. latency: seconds one way. jitter is left to the caller: set `latency` between steps.
        eat: this many of the next frames towards the device, then the server, vanish without a trace of their loss.
    """

    def __init__(self, latency: float) -> None:
        self.up = True
        self.latency = latency
        self.eat_to_client = 0
        self.eat_to_server = 0

    def eats(self, towards: str) -> bool:
        """Whether the next frame vanishes."""
        name = f"eat_to_{towards}"
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return left > 0
