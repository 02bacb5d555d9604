"""Does the simulator see anything? Known faults are planted in the core, one at a time; each must be caught."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from .campaign import Source, Until, run_campaign
from .planted import CONTROLS, PLANTED, named
from .report import Report, Row, table
from .worker import Finding
from .worlds import numbers


INERT = "control-inert"
"""The planted fault that is none: catching it would mean that everything is called a fault."""

EVERY = (*CONTROLS, *PLANTED)


class Hunt(Struct, frozen=True):
    """What became of one planted fault.

    Attributes:
        name, rule: of the fault, and what it breaks. report: of the campaign against it.
    """

    name: str
    rule: str
    report: Report

    @property
    def finding(self) -> Finding | None:
        """What gave it away, None where it survived."""
        return self.report.violations[0][1] if self.report.violations else None

    @property
    def is_right(self) -> bool:
        """Caught; the inert one, not caught."""
        return (self.finding is None) == (self.name == INERT)

    def row(self) -> Row:
        """It as a row of a table."""
        report = self.report
        by = "survived" if self.finding is None else self.finding.rule
        said = by if self.is_right else f"**{by}**"
        link = f"[{self.rule}](protocol.md#{self.rule})"
        return (self.name, link, said, f"{report.worlds}", f"{report.hours:,.0f}", f"{report.wall:.1f}")

    def line(self) -> str:
        """It as a line of text."""
        report = self.report
        cost = f"{report.worlds:>3} worlds, {report.hours:>6,.0f} device-hours, {report.wall:>4.1f} s"
        mark = "  " if self.is_right else "! "
        if self.finding is None:
            return f"{mark}{self.name:<32} survived       {cost}"
        return f"{mark}{self.name:<32} {self.finding.rule:<14} {cost}  seed {report.violations[0][0]}"


def hunt(names: Iterable[str], *, first_seed: int, worlds: int, seconds: float, jobs: int) -> Iterator[Hunt]:
    """Plant each fault and play worlds until it is seen, or the budget is spent.

    Args:
        names: of faults and controls.
        first_seed: of the first world against each.
        worlds, seconds: what each may cost before it counts as not seen.
        jobs: processes.

    Raises:
        LookupError: there is no such fault.
    """
    for name in names:
        # Survival proves nothing more after a few worlds; a fault deserves them all.
        until = Until(seconds=seconds, worlds=min(worlds, 10) if name == INERT else worlds)
        # Each world once: that two plays agree is for the campaign without faults.
        report = run_campaign(Source(numbers(first_seed), plant=name), until, jobs=jobs, plays=1)
        yield Hunt(name, named(name).rule, report)


def markdown(hunts: Iterable[Hunt]) -> str:
    """The table for docs/reliability.md."""
    head = ("planted fault", "breaks", "caught by", "worlds", "device-hours", "seconds")
    return table(head, [one.row() for one in hunts])
