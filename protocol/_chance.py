"""Chance as a value: the same seed gives the same numbers on every Python, and a machine that holds it stays immutable.

SplitMix64 (Steele, Lea, Flood 2014): one addition and three mixing steps a draw; enough for jitter and identifiers that
need to be distinct, not secret. The driver seeds it from the operating system.
"""

from uuid import UUID

from msgspec import Struct


_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


class Chance(Struct, frozen=True):
    """A point in a stream of random numbers."""

    state: int = 0

    def bits(self) -> "tuple[int, Chance]":
        """64 random bits, and the stream after them."""
        state = (self.state + _GAMMA) & _MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31), Chance(state)

    def uniform(self, low: float, high: float) -> "tuple[float, Chance]":
        """A number in [low, high)."""
        bits, rest = self.bits()
        return low + (high - low) * ((bits >> 11) / (1 << 53)), rest

    def identifier(self) -> "tuple[str, Chance]":
        """A version 4 UUID (RFC 9562)."""
        high, rest = self.bits()
        low, rest = rest.bits()
        return str(UUID(int=(high << 64) | low, version=4)), rest
