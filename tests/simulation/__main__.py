"""Plays many devices, the server and a hostile world in virtual time, and checks every promise after every event.

Without arguments: random worlds for a minute. A violation is told with the seed that plays it again.
"""

import argparse
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from . import mutation, report, single
from .campaign import Source, Until, run_campaign
from .crew import WorkerGone
from .marks import MUST_HIT
from .plan import Plan, load
from .progress import Progress
from .worker import planting
from .worlds import FOUND, kept, numbers, world


EPILOG = """\
exit status:
  0    everything held (with --planted: every fault was caught)
  1    a violation, a planted fault that survived, or a campaign in which a wanted situation never arose
  2    arguments that cannot be understood, or a worker process that crashed
  130  ended by Ctrl-C; the report says how far it came
"""

MARKS_AFTER_HOURS = 50_000.0
"""A campaign of this length or more fails when a wanted situation never arose in it."""

MINUTE = 60.0
SHRINK_S = 240.0


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        prog="./dev sim", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = made.add_mutually_exclusive_group()
    action.add_argument(
        "--seed", type=int, metavar="N", help="one world, told as a story; twice, to compare; below 0 one of those kept"
    )
    action.add_argument("--plan", type=Path, metavar="FILE", help="the same, from a plan in tests/simulation/found/")
    action.add_argument(
        "--hours",
        type=float,
        metavar="H",
        help="worlds kept for what they showed, then seeds S, S+1, … until H virtual device-hours are played",
    )
    action.add_argument(
        "--planted", nargs="*", metavar="NAME", help="plant faults (all, or these) and see each one caught"
    )
    action.add_argument("--shrink", metavar="SEED|FILE", help="make a failing world small; writes it to found/")
    action.add_argument("--write-digests", action="store_true", help="write tests/simulation/digests.json again")
    made.add_argument("--with-fault", metavar="NAME", help="play --seed, --plan or --shrink with this fault planted")
    made.add_argument("--steps", action="store_true", help="print every step of --seed or --plan, unexplained")
    made.add_argument("--first-seed", type=int, default=1, metavar="S", help="of --hours and --planted; else 1")
    made.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="processes; else 2; with 1, both plays of a world are in it"
    )
    made.add_argument("--worlds", type=int, default=400, metavar="N", help="for each planted fault, at most; else 400")
    made.add_argument(
        "--seconds", type=float, metavar="T", help="for random worlds and each fault, else 60; for --shrink, else 240"
    )
    made.add_argument("--keep-going", action="store_true", help="do not end at the first violation")
    made.add_argument(
        "--report", type=Path, metavar="FILE", help="write the report of --hours or --planted as Markdown"
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked; returns the exit status."""
    made = parser()
    chosen = made.parse_args(arguments)
    if chosen.jobs < 1:
        made.error("--jobs: at least 1")
    if chosen.with_fault not in {None, *mutation.EVERY}:
        made.error(f"--with-fault: no such fault; there are: {', '.join(mutation.EVERY)}")
    _refuse_nonsense(made, chosen)
    try:
        return _action(chosen)(chosen)
    except KeyboardInterrupt:
        return 130
    except (WorkerGone, _Unreadable) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _refuse_nonsense(made: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    """What would otherwise be ignored in silence, or end in a traceback."""
    is_one = chosen.seed is not None or chosen.plan is not None
    if chosen.with_fault is not None and not is_one and chosen.shrink is None:
        made.error("--with-fault: needs --seed, --plan or --shrink; a campaign against it is --planted NAME")
    if chosen.steps and not is_one:
        made.error("--steps: needs --seed or --plan")
    for name in ("hours", "seconds"):
        value = getattr(chosen, name)
        if value is not None and not value > 0:
            made.error(f"--{name}: above 0")
    for name, seed in (("seed", chosen.seed), ("shrink", _seed(chosen.shrink))):
        if seed is not None and seed < -len(kept()):
            made.error(f"--{name}: below 0 are the worlds kept, -1 to -{len(kept())}")


def _seed(text: str | None) -> int | None:
    """A number, if it is one."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _action(chosen: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    if chosen.seed is not None or chosen.plan is not None:
        return _one
    if chosen.shrink is not None:
        return _shrink
    if chosen.write_digests:
        return _digests
    return _planted if chosen.planted is not None else _campaign


class _Unreadable(Exception):
    """A file that holds no plan."""


def _read(path: Path) -> Plan:
    try:
        return load(path)[0]
    except (OSError, msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        raise _Unreadable(f"{path} holds no plan: {error}") from None


def _one(chosen: argparse.Namespace) -> int:
    plan = world(chosen.seed) if chosen.plan is None else _read(chosen.plan)
    again = ["--seed", str(chosen.seed)] if chosen.plan is None else ["--plan", str(chosen.plan)]
    if chosen.with_fault is not None:
        again += ["--with-fault", chosen.with_fault]
    with planting(chosen.with_fault):
        return single.print_steps(plan) if chosen.steps else single.play_one(plan, again)


def _shrink(chosen: argparse.Namespace) -> int:
    seed = _seed(chosen.shrink)
    plan = world(seed) if seed is not None else _read(Path(chosen.shrink))
    # What only a planted fault breaks is nothing that was found.
    folder = FOUND if chosen.with_fault is None else Path(tempfile.gettempdir())
    with planting(chosen.with_fault):
        return single.shrink_one(plan, chosen.seconds or SHRINK_S, folder, chosen.with_fault)


def _digests(_: argparse.Namespace) -> int:
    return single.write_digests()


def _campaign(chosen: argparse.Namespace) -> int:
    hours = float("inf") if chosen.hours is None else chosen.hours
    seconds = (chosen.seconds or MINUTE) if chosen.hours is None else float("inf")
    seeds = _random_seeds() if chosen.hours is None else numbers(chosen.first_seed)
    progress = Progress(hours, seconds)
    until = Until(hours=hours, seconds=seconds, violation=not chosen.keep_going)
    came = run_campaign(Source(seeds), until, jobs=chosen.jobs, watch=progress.show)
    progress.end()
    sys.stdout.writelines(f"{line}\n" for line in report.told(came, MUST_HIT))
    if chosen.report is not None:
        report.write(chosen.report, "campaign", report.markdown(came, MUST_HIT))
    missed = came.missed(MUST_HIT) if came.hours >= MARKS_AFTER_HOURS else []
    return 130 if came.interrupted else int(bool(came.violations or missed))


def _random_seeds() -> Iterator[int]:
    while True:
        yield secrets.randbelow(1 << 32)


def _planted(chosen: argparse.Namespace) -> int:
    names = chosen.planted or mutation.EVERY
    if unknown := sorted(set(names) - set(mutation.EVERY)):
        sys.stderr.write(f"no such fault: {', '.join(unknown)}; there are: {', '.join(mutation.EVERY)}\n")
        return 2
    hunts: list[mutation.Hunt] = []
    seconds = chosen.seconds or MINUTE
    for one in mutation.hunt(
        names, first_seed=chosen.first_seed, worlds=chosen.worlds, seconds=seconds, jobs=chosen.jobs
    ):
        if one.report.interrupted:
            return 130
        hunts.append(one)
        sys.stdout.write(f"{one.line()}\n")
        sys.stdout.flush()
    wrong = [one.name for one in hunts if not one.is_right]
    sys.stdout.write(f"{len(hunts) - len(wrong)} of {len(hunts)} as they should be{': not ' if wrong else ''}")
    sys.stdout.write(f"{', '.join(wrong)}\n")
    if chosen.report is not None:
        report.write(chosen.report, "planted", mutation.markdown(hunts))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
