"""Which worlds a campaign plays: those written or kept for what they once showed, then whatever seeds give."""

import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .draw import draw
from .plan import Plan, load
from .planted_worlds import RARE


FOUND = Path(__file__).resolve().parent / "found"


def world(number: int) -> Plan:
    """The world of a seed; below 0, one of those kept.

    Raises:
        LookupError: there are not so many.
    """
    return draw(number) if number >= 0 else kept()[-number - 1]


@cache
def kept() -> tuple[Plan, ...]:
    """Small worlds that are worth a visit each time: written for what chance seldom brings, or found by it once."""
    return (*RARE.values(), *(load(path)[0] for path in sorted(FOUND.glob("*.jsonl"))))


def numbers(first_seed: int) -> Iterator[int]:
    """All of them, those kept first."""
    return itertools.chain(range(-len(kept()), 0), itertools.count(first_seed))
