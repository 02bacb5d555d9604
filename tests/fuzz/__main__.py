"""`./dev fuzz`: look for what breaks a promise, for a while; show each finding, keep it, and say how to see it again."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import edges
from .engine import CORPUS, CRASHES, Fuzzer, broken, programs_in, save
from .program import read, write
from .targets import TARGETS


SLICE = 100
"""Runs between two looks at the clock."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status is 1 where something was found, 2 for what cannot be understood, 130 after Ctrl-C."""
    parser = _parser()
    wish = parser.parse_args(arguments)
    try:
        return _replay(parser, wish.target, wish.replay) if wish.replay else _campaigns(wish)
    except KeyboardInterrupt:
        print("ended by Ctrl-C")
        return 130


def _campaigns(wish: argparse.Namespace) -> int:
    names = [wish.target] if wish.target else list(TARGETS)
    found = [_campaign(name, wish, wish.seconds / len(names)) for name in names]
    return int(any(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("--target", choices=TARGETS, help="one target; else all, one after the other")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long in all (60)")
    parser.add_argument(
        "--runs", type=int, help="stop each target after so many runs: the same seed then does the same"
    )
    parser.add_argument("--seed", type=int, help="of chance; else one is drawn and shown")
    parser.add_argument("--replay", type=Path, help="play one file and show what it breaks")
    parser.add_argument("--keep", type=Path, help="a folder to write programs to that went where none had been")
    return parser


def _campaign(name: str, wish: argparse.Namespace, seconds: float) -> bool:
    """Whether one target broke."""
    seed = wish.seed if wish.seed is not None else time.time_ns() % 1_000_000
    with edges.opened() as eyes:
        fuzzer = Fuzzer(TARGETS[name], eyes, seed)
        fuzzer.learn(programs_in(CORPUS / name))
        print(f"{name}: seed {seed}, {len(fuzzer.corpus)} programs to begin with")
        _go(fuzzer, wish.runs, seconds)
    if wish.keep:
        wish.keep.mkdir(parents=True, exist_ok=True)
        for number, program in enumerate(fuzzer.kept):
            (wish.keep / f"{name}-{number:05}.txt").write_text(write(program), encoding="ascii")
    for crash in fuzzer.crashes.values():
        path = save(CRASHES / name, crash)
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        print(f"\n{crash.report}\n{write(crash.program)[:2_000]}")
        print(f"{name} BROKE: {crash.key}\n    see it again: ./dev fuzz --target {name} --replay {shown}")
    return bool(fuzzer.crashes)


def _go(fuzzer: Fuzzer, runs: int | None, seconds: float) -> None:
    begin = told = time.monotonic()
    first = fuzzer.runs
    while True:
        done, now = fuzzer.runs - first, time.monotonic()
        over = done >= runs if runs is not None else now - begin >= seconds
        if over or now - told >= 5:
            told = now
            _tell(fuzzer, done, now - begin)
        if over:
            return
        fuzzer.go(SLICE if runs is None else min(SLICE, runs - done))


def _tell(fuzzer: Fuzzer, done: int, seconds: float) -> None:
    print(
        f"{fuzzer.target.name}: {seconds:4.0f} s, {done} runs, {done / max(seconds, 0.001):.0f}/s, {fuzzer.edges} edges, "
        f"{len(fuzzer.places)} places, {len(fuzzer.corpus)} programs, {len(fuzzer.crashes)} broken",
        flush=True,
    )


def _replay(parser: argparse.ArgumentParser, name: str | None, path: Path) -> int:
    chosen = TARGETS.get(name or path.resolve().parent.name)
    if chosen is None:
        parser.error(f"--replay: {path} lies in no folder of a target; name one with --target")
    try:
        program = read(path.read_text(encoding="ascii"))
    except (OSError, ValueError, LookupError) as error:
        parser.error(f"--replay: {path} is no program: {error}")
    found = broken(chosen, program)
    if found is None:
        print(f"{path}: {chosen.name} keeps every promise")
        return 0
    print(f"{found[1]}\n{path}: {chosen.name} BROKE: {found[0]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
