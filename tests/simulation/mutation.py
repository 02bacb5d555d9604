"""Does the simulator see anything? Known faults are planted in the core, one at a time; each must be caught."""

import itertools
from collections.abc import Iterable, Iterator

from msgspec import Struct

from .campaign import Source, Until, run_campaign
from .planted import PLANTED
from .report import Report, Row, table
from .worker import Finding


WORLDS = 400
SECONDS = 60.0
"""What a planted fault may cost before it counts as not seen."""


class Caught(Struct, frozen=True):
    """What became of one planted fault.

    Attributes:
        rule: that it breaks. report: of the campaign against it.
    """

    name: str
    rule: str
    report: Report

    @property
    def finding(self) -> Finding | None:
        """What gave it away, None where it survived."""
        return self.report.violations[0][1] if self.report.violations else None

    @property
    def seed(self) -> int | None:
        """Of the world in which it was seen."""
        return self.report.violations[0][0] if self.report.violations else None

    def row(self) -> Row:
        """It as a row of a table."""
        report = self.report
        by = "**survived**" if self.finding is None else self.finding.rule
        return (self.name, self.rule, by, f"{report.worlds}", f"{report.hours:,.0f}", f"{report.wall:.1f}")

    def line(self) -> str:
        """It as a line of text."""
        report = self.report
        cost = f"{report.worlds} worlds, {report.hours:,.0f} device-hours, {report.wall:.1f} s"
        if self.finding is None:
            return f"{self.name:<34} SURVIVED {cost}; it should break {self.rule}"
        other = "" if self.finding.rule == self.rule else f" (expected {self.rule})"
        return f"{self.name:<34} {self.finding.rule:<13} seed {self.seed}, after {cost}{other}"


def hunt(names: Iterable[str], *, first_seed: int, jobs: int) -> Iterator[Caught]:
    """Plant each fault and play worlds until it is seen, or the budget is spent.

    Raises:
        KeyError: there is no such fault.
    """
    for name in names:
        rule = PLANTED[name].rule
        # Only determinism needs two plays to be seen.
        plays = 2 if rule == "invariant-17" else 1
        source = Source(itertools.count(first_seed), plant=name)
        yield Caught(name, rule, run_campaign(source, Until(seconds=SECONDS, worlds=WORLDS), jobs=jobs, plays=plays))


def markdown(caught: Iterable[Caught]) -> str:
    """The table for docs/reliability.md."""
    return table(
        ("planted fault", "breaks", "caught by", "worlds", "device-hours", "seconds"), [one.row() for one in caught]
    )
