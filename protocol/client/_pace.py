"""How much may be said: the server's token bucket as its client keeps it (docs/protocol.md#limit-rate-pacing)."""

from msgspec import Struct

from .._settings import Limits
from .._types import Monotonic


class Allowance(Struct, frozen=True):
    """Messages that may still be sent at one moment; below zero after small talk that could not wait."""

    left: float
    at: Monotonic

    def spend(self, now: Monotonic, limits: Limits) -> "Allowance":
        """Count one message."""
        return Allowance(self._left(now, limits) - 1, now)

    def wait_ms(self, now: Monotonic, limits: Limits) -> float:
        """How long a mutation has to wait; 0: not at all.

        A few messages are left for those that cannot wait: a burst of pings, an ack, a bye.
        """
        lacking = 1 + limits.burst // 8 - self._left(now, limits)
        return 0.0 if lacking <= 0 else max(1.0, lacking * 60_000 / limits.messages_per_minute)

    def _left(self, now: Monotonic, limits: Limits) -> float:
        gained = (now - self.at) * limits.messages_per_minute / 60
        return min(float(limits.burst), self.left + gained)
