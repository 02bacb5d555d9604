"""Many worlds, one after the other, each played twice by processes that agree on nothing but the seed.

[spec: invariant-17] holds when both plays of every world give the same bytes.
"""

import time
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from .crew import HASH_SEEDS, Crew, Worker
from .plan import Plan
from .report import Report
from .worker import Finding, Played, Task


AHEAD = 64
"""How many worlds one side may be ahead of what is counted."""

OWED = 2
"""Tasks that a worker has at once: one to play, and one so that it need not wait for the next."""

PATIENCE_S = 300.0
"""How long no world may end before a worker counts as hanging."""

Watch = Callable[[Report, Played, Finding | None], None]


class Until(Struct, frozen=True):
    """When a campaign has had enough: whichever comes first.

    Attributes:
        hours: virtual device-hours. seconds: of a real clock. worlds: how many.
        violation: the first one ends it.
    """

    hours: float = float("inf")
    seconds: float = float("inf")
    worlds: int | None = None
    violation: bool = True

    def reached(self, report: Report) -> bool:
        """Whether that is so."""
        return (
            report.hours >= self.hours
            or report.wall >= self.seconds
            or report.worlds == self.worlds
            or (self.violation and bool(report.violations))
        )


class Source(Struct, frozen=True):
    """What worlds are made of.

    Attributes:
        seeds: one for each. plan: played instead of what a seed would give. plant: name of a fault planted first.
    """

    seeds: Iterable[int]
    plan: Plan | None = None
    plant: str | None = None


class Campaign:
    """Which world comes next for whom, and which are finished.

    Worlds are counted in their order, whoever was faster, so a campaign over the same seeds has the same report.

    Args:
        source: of worlds.
        sides: how often each is played.
    """

    def __init__(self, source: Source, sides: int) -> None:
        self._source = source
        self._fresh = iter(source.seeds)
        self._seeds: list[int] = []
        self._next = [0] * sides
        self._answers: dict[int, dict[int, Played]] = {}
        self._counted = 0
        self.sides = sides

    def task(self, sides: Iterable[int]) -> Task | None:
        """The next play for somebody who takes these sides; None while there is nothing to do."""
        side = min(sides, key=self._next.__getitem__)
        number = self._next[side]
        if number >= self._counted + AHEAD or not self._has(number):
            return None
        self._next[side] += 1
        # Looking costs time; each side looks at every other world, so both take equally long.
        check = self.sides == 1 or number % self.sides == side
        source = self._source
        return Task(number, side, self._seeds[number], check, source.plan, source.plant)

    def _has(self, number: int) -> bool:
        for seed in self._fresh if number == len(self._seeds) else ():
            self._seeds.append(seed)
            break
        return number < len(self._seeds)

    @property
    def is_over(self) -> bool:
        """No seed is left, and every world is counted."""
        return self._counted == len(self._seeds) and not self._has(self._counted)

    def add(self, played: Played) -> Iterator[tuple[Played, Finding | None]]:
        """Take an answer; yields the worlds that can be counted now, in order, with what is wrong with them."""
        self._answers.setdefault(played.task.number, {})[played.task.side] = played
        while len(plays := self._answers.get(self._counted, {})) == self.sides:
            del self._answers[self._counted]
            self._counted += 1
            ordered = [plays[side] for side in range(self.sides)]
            yield next(play for play in ordered if play.task.check), judge(ordered)


def judge(plays: list[Played]) -> Finding | None:
    """What is wrong with a world: what its checks found, or else that its plays differ."""
    for play in plays:
        if play.finding is not None:
            return play.finding
    digests = [play.digest for play in plays]
    if len(set(digests)) == 1:
        return None
    return Finding(
        "invariant-17",
        "world",
        0.0,
        f"the same bytes from processes with PYTHONHASHSEED {HASH_SEEDS[0]} and {HASH_SEEDS[1]}",
        f"their digests are {' and '.join(digests)}",
    )


def run_campaign(source: Source, until: Until, *, jobs: int = 2, plays: int = 2, watch: Watch | None = None) -> Report:
    """Play until it is enough, or until Ctrl-C; the report says which.

    Args:
        source: of worlds.
        until: when it is enough.
        jobs: processes.
        plays: 2: each world is played twice and compared; 1: once.
        watch: called after every world, with the report so far, its checked play, and what is wrong.

    Raises:
        WorkerGone: a process crashed or hung; the message names the seeds it had.
    """
    report = Report(jobs=jobs, plays=plays)
    campaign = Campaign(source, plays)
    start = time.perf_counter()
    try:
        with Crew(jobs, plays) as crew:
            for played, finding in _finished(campaign, crew, until, start):
                report.wall = time.perf_counter() - start
                report.count(played, finding)
                if watch is not None:
                    watch(report, played, finding)
                if until.reached(report):
                    break
    except KeyboardInterrupt:
        report.interrupted = True
    report.wall = time.perf_counter() - start
    return report


def _finished(campaign: Campaign, crew: Crew, until: Until, start: float) -> Iterator[tuple[Played, Finding | None]]:
    _hand_out(campaign, crew.workers)
    while not campaign.is_over and time.perf_counter() - start < until.seconds:
        played = crew.answer(PATIENCE_S)
        yield from campaign.add(played)
        _hand_out(campaign, crew.workers)


def _hand_out(campaign: Campaign, workers: Iterable[Worker]) -> None:
    for worker in workers:
        while len(worker.owed) < OWED and (task := campaign.task(worker.sides)) is not None:
            worker.ask(task)
