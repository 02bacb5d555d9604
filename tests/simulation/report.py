"""What a campaign comes to: counted world by world, told as text and as Markdown."""

import os
import platform
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct, field

from .story_words import readable
from .worker import Finding, Played


Row = tuple[str, ...]

SEEDS = 8
"""So many of the worlds that break a rule are named."""

MARKED = re.compile(r"(?P<start><!-- measured: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end measured -->)", re.DOTALL)


class Report(Struct):
    """A campaign so far.

    Attributes:
        jobs: processes. plays: how often each world was played.
        wall: seconds of a real clock. hours, online_hours: virtual device-hours.
        violations: seed and what was found. interrupted: by Ctrl-C.
    """

    jobs: int = 1
    plays: int = 1
    worlds: int = 0
    wall: float = 0.0
    hours: float = 0.0
    online_hours: float = 0.0
    steps: int = 0
    rings: int = 0
    faults: Counter[str] = field(default_factory=Counter[str])
    marks: Counter[str] = field(default_factory=Counter[str])
    violations: list[tuple[int, Finding]] = field(default_factory=list[tuple[int, Finding]])
    interrupted: bool = False

    def count(self, played: Played, finding: Finding | None) -> None:
        """One more world."""
        self.worlds += 1
        self.hours += played.device_hours
        self.online_hours += played.online_hours
        self.steps += played.steps
        self.rings += played.rings
        self.faults.update(played.faults)
        self.marks.update(played.marks)
        if finding is not None:
            self.violations.append((played.task.seed, finding))

    @property
    def pace(self) -> float:
        """Virtual device-hours per second."""
        return self.hours / self.wall if self.wall else 0.0

    def missed(self, wanted: Iterable[str]) -> list[str]:
        """Which of these situations never arose."""
        return sorted(set(wanted) - {name for name, count in self.marks.items() if count})


def clock(seconds: float) -> str:
    """A length of time as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


def figures(report: Report) -> list[Row]:
    """The numbers of a campaign, named."""
    online = 100 * report.online_hours / report.hours if report.hours else 0.0
    return [
        ("virtual device-hours", f"{report.hours:,.0f} ({online:.0f} % of them online)"),
        ("worlds, each played", f"{report.worlds:,}, {'twice' if report.plays == 2 else 'once'}"),
        ("wall time, processes", f"{clock(report.wall)}, {report.jobs}"),
        ("device-hours per second", f"{report.pace:,.0f}"),
        ("steps of connections", f"{report.steps:,}"),
        ("faults injected", f"{report.faults.total():,} of {len(report.faults)} kinds"),
        ("rings begun", f"{report.rings:,}"),
        ("violations", f"{len(report.violations)}"),
    ]


def told(report: Report, must_hit: Iterable[str]) -> Iterator[str]:
    """The report for a terminal."""
    yield "interrupted: what follows is as far as it came" if report.interrupted else "done"
    yield from (f"  {name:<26} {value}" for name, value in figures(report))
    yield from _counts("faults injected, by kind", report.faults)
    yield from _counts("situations that arose", report.marks)
    missed = report.missed(must_hit)
    yield f"situations that never arose: {', '.join(missed) or 'none of those wanted'}"
    yield from _violations(report)


def _violations(report: Report) -> Iterator[str]:
    """The first against each rule in full, the others by their seeds."""
    seeds: dict[str, list[int]] = {}
    for seed, finding in report.violations:
        if finding.rule not in seeds:
            yield from violation_lines(seed, finding)
        seeds.setdefault(finding.rule, []).append(seed)
    for rule, found in seeds.items():
        more = ", …" if len(found) > SEEDS else ""
        yield f"{rule}: {len(found)} worlds, seeds {', '.join(map(str, found[:SEEDS]))}{more}"


def _counts(title: str, counts: Counter[str]) -> Iterator[str]:
    yield f"{title}:"
    cells = [f"{name} {count:,}" for name, count in ranked(counts)]
    width = max(map(len, cells), default=0) + 2
    columns = max(1, 116 // width) if width else 1
    for start in range(0, len(cells), columns):
        yield "  " + "".join(f"{cell:<{width}}" for cell in cells[start : start + columns]).rstrip()


def ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """Most frequent first; equals by name, so that a report is the same each time."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def violation_lines(seed: int, finding: Finding) -> Iterator[str]:
    """One violation in short."""
    yield f"VIOLATION of {finding.rule} at {finding.at:.3f} s, {finding.who} (seed {seed})"
    yield f"  expected  {readable(finding.expected)}"
    yield f"  happened  {readable(finding.happened)}"
    yield f"  read it   ./dev sim --seed {seed}"


# --- Markdown ---------------------------------------------------------------------------------------------------------


def table(head: Row, rows: Iterable[Row]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, tuple("---" for _ in head), *rows))


def markdown(report: Report, must_hit: Iterable[str]) -> str:
    """The report for docs/reliability.md."""
    cores = f"{os.cpu_count()} cores"
    wanted = set(must_hit)
    marks = [(name, f"{count:,}", "yes" if name in wanted else "") for name, count in ranked(report.marks)]
    missed = [(name, "**0**", "yes") for name in report.missed(wanted)]
    return "\n\n".join(
        (
            f"Python {platform.python_version()}, {cores}, {time.strftime('%Y-%m-%d')}.",
            table(("figure", "value"), figures(report)),
            table(("fault", "times"), [(name, f"{count:,}") for name, count in ranked(report.faults)]),
            table(("situation", "times", "must arise"), [*marks, *missed]),
        )
    )


def write(path: Path, name: str, text: str) -> None:
    """Put a part of a page where its markers are; a page without them becomes that part."""
    page = path.read_text("utf-8") if path.exists() else ""
    marks = [match["name"] for match in MARKED.finditer(page)]
    if name in marks:
        page = MARKED.sub(lambda m: f"{m['start']}{text}\n\n{m['end']}" if m["name"] == name else m[0], page)
    else:
        page = text + "\n"
    path.write_text(page, "utf-8")
