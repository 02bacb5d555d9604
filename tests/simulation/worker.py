"""One process that plays worlds for a campaign: tasks come as JSON lines on stdin, what came of them goes to stdout.

A process of its own, because two of them have different PYTHONHASHSEED: a run that hangs on the order of a set differs
between them. A planted fault, too, stays inside the process it was planted in.
"""

import gc
import sys
import time
import traceback
from contextlib import AbstractContextManager, nullcontext

import msgspec
from msgspec import Struct, field

from .livelock import NoLivelock
from .plan import Plan
from .planted import named
from .player import play
from .run import Run, Violation
from .worlds import world


class Task(Struct, frozen=True, omit_defaults=True):
    """One world to play.

    Attributes:
        number: of the world in its campaign. side: which of its two plays this is.
        seed: to draw the plan from, or below 0 the number of a world kept; `plan` wins over it.
        check: whether to look for violations. plant: name of the fault to plant first.
    """

    number: int
    side: int
    seed: int
    check: bool = True
    plan: Plan | None = None
    plant: str | None = None


class Finding(Struct, frozen=True):
    """A `Violation` that can travel."""

    rule: str
    who: str
    at: float
    expected: str
    happened: str


class Played(Struct, frozen=True):
    """What came of a task. `took`: seconds of a real clock."""

    task: Task
    finding: Finding | None = None
    digest: str = ""
    steps: int = 0
    device_hours: float = 0.0
    online_hours: float = 0.0
    faults: dict[str, int] = field(default_factory=dict[str, int])
    marks: dict[str, int] = field(default_factory=dict[str, int])
    rings: int = 0
    took: float = 0.0


def finding_of(violation: Violation) -> Finding:
    """The same, as data."""
    return Finding(violation.rule, violation.who, violation.at, violation.expected, violation.happened)


def perform(task: Task) -> Played:
    """Play one world."""
    start = time.perf_counter()
    with planting(task.plant):
        try:
            run = play(task.plan or world(task.seed), check=task.check, watch=(NoLivelock(),))
        except Exception as error:  # noqa: BLE001 - whatever a world raises is what the campaign is looking for
            run = Run(violation=_broken(error))
    return _played(task, run, time.perf_counter() - start)


def planting(name: str | None) -> AbstractContextManager[None]:
    """A context in which a fault is planted, or none.

    Raises:
        LookupError: there is no such fault.
    """
    if name is None:
        return nullcontext()
    return named(name).plant()


def _broken(error: Exception) -> Violation:
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rpartition('/')[2]}, line {last.lineno}, in {last.name}"
    return Violation(
        "no-exception", "simulator", 0.0, "the world to be played", f"{type(error).__name__}: {error} ({where})"
    )


def _played(task: Task, run: Run, took: float) -> Played:
    return Played(
        msgspec.structs.replace(task, plan=None),
        None if run.violation is None else finding_of(run.violation),
        run.digest, run.steps, run.device_hours, run.online_hours, dict(run.faults), dict(run.marks), run.rings, took,
    )  # fmt: skip


def main() -> None:
    """Until stdin ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    tasks = msgspec.json.Decoder(Task)
    for line in sys.stdin:
        # A world is one web of references that dies whole: collected once at its end, never while it lives.
        gc.disable()
        played = perform(tasks.decode(line))
        answers.write(msgspec.json.encode(played).decode() + "\n")
        answers.flush()
        gc.collect()
        gc.freeze()


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
