"""One line that says how far a campaign is; on a terminal it is written over, elsewhere a new one comes now and then."""

import sys
import time
from collections.abc import Iterable
from typing import TextIO

from .report import Report, clock, violation_lines
from .worker import Finding, Played


TERMINAL_S = 0.2
ELSEWHERE_S = 10.0
"""Seconds between two lines."""


class Progress:
    """Shows a campaign while it lasts.

    Args:
        hours, seconds: what it is on the way to; one of them is infinite.
    """

    def __init__(self, hours: float, seconds: float, stream: TextIO = sys.stderr) -> None:
        self._hours = hours
        self._seconds = seconds
        self._stream = stream
        self._over = stream.isatty()
        self._shown = float("-inf")

    def show(self, report: Report, played: Played, finding: Finding | None) -> None:
        """After every world; most calls show nothing."""
        if finding is not None:
            self._lasting(violation_lines(played.task.seed, finding))
        now = time.monotonic()
        if now - self._shown >= (TERMINAL_S if self._over else ELSEWHERE_S):
            self._shown = now
            self._write(self.line(report, played, finding))

    def line(self, report: Report, played: Played, finding: Finding | None) -> str:
        """How far it is."""
        said = "ok" if finding is None else finding.rule
        return (
            f"{self._way(report)}  {report.pace:,.0f} h/s  {report.worlds:,} worlds  {report.faults.total():,} faults"
            f"  seed {played.task.seed}: {played.device_hours:,.0f} h {said}"
        )

    def _way(self, report: Report) -> str:
        if self._hours == float("inf"):
            return f"{report.wall:.0f} of {self._seconds:.0f} s  {report.hours:,.0f} device-hours"
        left = (self._hours - report.hours) / report.pace if report.pace else 0.0
        return f"{report.hours:,.0f} of {self._hours:,.0f} device-hours  ETA {clock(max(0.0, left))}"

    def end(self) -> None:
        """The line is done with."""
        self._write("")

    def _lasting(self, lines: Iterable[str]) -> None:
        self._write("")
        self._stream.writelines(f"{line}\n" for line in lines)

    def _write(self, line: str) -> None:
        if self._over:
            self._stream.write(f"\r\x1b[K{line}")
        elif line:
            self._stream.write(f"{line}\n")
        self._stream.flush()
