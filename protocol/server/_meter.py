"""How much a client may say: a token bucket, and a second one four times as large that ends the session."""

from math import ceil
from typing import Literal

from msgspec import Struct

from .._settings import Limits
from .._types import Monotonic


ABUSE = 4
"""Above this many times the allowed rate the session ends with 4102 (docs/protocol.md#limit-rate)."""

_ROUNDING = 1e-6
"""Who waited exactly as long as it was told must not be refused for the last bit of a float."""


class Meter(Struct, frozen=True):
    """Messages left in each bucket at one moment."""

    soft: float
    hard: float
    at: Monotonic

    def spend(self, now: Monotonic, limits: Limits) -> "tuple[Meter, Literal['fine', 'over', 'abuse']]":
        """Count one message. One over the allowance costs nothing but the patience of the larger bucket."""
        gained = (now - self.at) * limits.messages_per_minute / 60
        soft = min(float(limits.burst), self.soft + gained)
        hard = min(float(ABUSE * limits.burst), self.hard + ABUSE * gained) - 1
        if hard < -_ROUNDING:
            return Meter(soft, hard, now), "abuse"
        if soft < 1 - _ROUNDING:
            return Meter(soft, hard, now), "over"
        return Meter(soft - 1, hard, now), "fine"

    def wait_ms(self, limits: Limits) -> int:
        """How long until one more message is allowed by both buckets: who obeys must not be ended for what came before."""
        missing = max(1 - self.soft, (1 - self.hard) / ABUSE)
        return max(1, ceil(missing * 60_000 / limits.messages_per_minute))


def full(now: Monotonic, limits: Limits) -> Meter:
    """Both buckets full."""
    return Meter(float(limits.burst), float(ABUSE * limits.burst), now)
