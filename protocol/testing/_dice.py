"""Chance for worlds that must repeat themselves: the core's own stream behind methods that move it on."""

from collections.abc import Sequence
from typing import TypeVar

from .._chance import Chance


T = TypeVar("T")


class Dice:
    """A stream of random numbers; the same seed gives the same ones on every Python.

    Args:
        seed: any integer.
    """

    def __init__(self, seed: int) -> None:
        self._chance = Chance(seed)

    def __repr__(self) -> str:
        return f"<Dice at {self._chance.state:#x}>"

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        drawn, self._chance = self._chance.uniform(low, high)
        return drawn

    def below(self, n: int) -> int:
        """A whole number in 0 … n - 1."""
        bits, self._chance = self._chance.bits()
        return bits % n

    def hit(self, probability: float) -> bool:
        """True in this share of calls."""
        return self.uniform(0.0, 1.0) < probability

    def pick(self, choices: Sequence[T]) -> T:
        """One of them."""
        return choices[self.below(len(choices))]

    def fork(self) -> "Dice":
        """Another stream: what is drawn from it later moves nothing here."""
        bits, self._chance = self._chance.bits()
        return Dice(bits)
