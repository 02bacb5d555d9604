"""One world at a time: told, compared with itself, or made small. And the digests that every Python must give."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from protocol.testing import Event

from . import report
from .campaign import Source, Until, run_campaign
from .crew import HASH_SEEDS, ROOT
from .draw import draw
from .livelock import NoLivelock
from .plan import Plan, save
from .player import Sim, play
from .shrink import shrink
from .story import Story
from .worker import Finding, finding_of
from .worlds import FOUND


HERE = Path(__file__).resolve().parent
DIGESTS = HERE / "digests.json"
DIGEST_SEEDS = range(1, 13)


def play_one(plan: Plan, again: list[str]) -> int:
    """Tell a world, and see that another process plays it alike; returns the exit status.

    Args:
        plan: of the world.
        again: the arguments that asked for it.
    """
    story = Story(plan, " ".join(("./dev", "sim", *again)))
    sys.stdout.writelines(f"{line}\n" for line in story.lines())
    if story.run.violation is not None:
        return 1
    finding = compare(plan)
    if finding is None:
        return 0
    sys.stdout.writelines(f"{line}\n" for line in report.violation_lines(plan.seed, finding))
    sys.stdout.writelines(f"{line}\n" for line in difference(again))
    return 1


def compare(plan: Plan) -> Finding | None:
    """What two processes with different hash seeds find wrong with a world."""
    came = run_campaign(Source([plan.seed], plan=plan), Until())
    return came.violations[0][1] if came.violations else None


# --- the first difference between two plays ---------------------------------------------------------------------------


def difference(again: list[str]) -> list[str]:
    """Where two plays part, with the steps before it; nothing where they do not."""
    plays = [_steps(again, hash_seed) for hash_seed in HASH_SEEDS]
    try:
        first, second = (play.stdout for play in plays)
        assert first is not None
        assert second is not None
        return list(parting(first, second))
    finally:
        for one in plays:
            one.kill()
            one.communicate()


def parting(first: Iterable[str], second: Iterable[str], before: int = 5) -> Iterator[str]:
    """The first lines that differ, after the last ones that do not."""
    same: list[str] = []
    for one, other in itertools.zip_longest(first, second, fillvalue="(nothing more)"):
        if one != other:
            yield from same
            yield f"PYTHONHASHSEED {HASH_SEEDS[0]}: {one.rstrip()}"
            yield f"PYTHONHASHSEED {HASH_SEEDS[1]}: {other.rstrip()}"
            return
        same = [*same, one.rstrip()][-before:]


def _steps(again: list[str], hash_seed: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation", "--steps", *again],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        stdout=subprocess.PIPE,
        text=True,
    )


def print_steps(plan: Plan) -> int:
    """Every step of every connection, one to a line."""
    play(plan, check=False, watch=(_print_step,))
    return 0


def _print_step(_: Sim, event: Event) -> None:
    sys.stdout.write(f"{event!r}\n")


# --- making one small -------------------------------------------------------------------------------------------------


def shrink_one(plan: Plan, budget_s: float, folder: Path = FOUND, fault: str | None = None) -> int:
    """Make a failing world small and keep it; returns the exit status.

    Args:
        plan: of the world.
        budget_s: how long it may take.
        folder: to keep it in. fault: the one that is planted, without which the world breaks nothing.
    """
    finding = _finding(plan)
    if finding is None:
        sys.stdout.write(f"seed {plan.seed} breaks nothing: there is nothing to shrink\n")
        return 0
    sys.stdout.write(f"{finding.rule} with {_size(plan)}; shrinking for at most {budget_s:.0f} s\n")
    small = shrink(plan, lambda smaller: _is_same(_finding(smaller), finding), budget_s)
    folder.mkdir(exist_ok=True)
    path = folder / f"{finding.rule}-{plan.seed}.jsonl"
    kept = _finding(small) or finding
    save(small, path, f"{kept.rule}, {kept.who}: expected {kept.expected}; but {kept.happened}")
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    again = f"./dev sim --plan {where}{f' --with-fault {fault}' if fault is not None else ''}"
    sys.stdout.write(f"{_size(small)} are left; read it: {again}\n")
    return 1


def _finding(plan: Plan) -> Finding | None:
    violation = play(plan, watch=(NoLivelock(),)).violation
    return None if violation is None else finding_of(violation)


def _is_same(found: Finding | None, wanted: Finding) -> bool:
    """The same promise broken; and for exceptions, by the same one in the same place."""
    if found is None or found.rule != wanted.rule:
        return False
    if found.rule != "no-exception":
        return True
    return _exception(found) == _exception(wanted)


def _exception(finding: Finding) -> tuple[str, str]:
    return finding.happened.partition(":")[0], finding.happened.rpartition("(")[2]


def _size(plan: Plan) -> str:
    return f"{len(plan.acts)} acts, {len(plan.devices)} devices, {plan.seconds:.0f} s"


# --- digests ----------------------------------------------------------------------------------------------------------


def digests() -> dict[str, str]:
    """Of each of the seeds that are kept."""
    return {str(seed): play(draw(seed), check=False).digest for seed in DIGEST_SEEDS}


def write_digests() -> int:
    """Keep what this version of the code gives."""
    DIGESTS.write_bytes(msgspec.json.format(msgspec.json.encode(digests()), indent=2) + b"\n")
    sys.stdout.write(f"{DIGESTS.relative_to(ROOT)} is written\n")
    return 0
