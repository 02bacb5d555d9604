"""Step the protocol by hand.

    python -m protocol               a REPL with a `Pair` ready: a device, its server, one virtual clock
    python -m protocol trace.jsonl   walk through a recorded session, forward and back
    python -m protocol --replay trace.jsonl …

The last replays without stepping; it exits with 1, and shows the difference, where there is one.
"""

import argparse
import code
import sys
from pathlib import Path
from typing import Any

from . import client, server, trace
from ._stepper import HELP, Stepper
from .testing import Household, Pair
from .zones import system_zones


BANNER = """\
Tocsin protocol. `pair` is a device and its server under one virtual clock; nothing here waits or leaves this process.
  pair.connect()          until nothing is in flight      pair.step()       the next thing that happens
  pair.run(30)            let 30 seconds pass             pair.cut(), pair.heal()
  pair.device.create("alarm", "a1", time="07:00", days=["mo"], tz="Europe/Warsaw")
  pair.client, pair.server, pair.replica, pair.store      pair.log[-5:]     what was said
  c = pair.client.copy()  a fork for "what if"            c.accepts, c.deadline, c.undo()
  Household("desk", "phone")  several devices             trace.dump(pair.client)
"""


def names() -> dict[str, Any]:
    """What the REPL starts with."""
    pair = Pair(zones=system_zones)
    return {"pair": pair, "Pair": Pair, "Household": Household, "client": client, "server": server, "trace": trace}


def repl() -> int:
    """Open the REPL."""
    code.interact(banner=BANNER, local=names(), exitmsg="")
    return 0


def read(path: Path) -> trace.Trace:
    """Read a trace file; ends the program with a sentence where it cannot."""
    try:
        return trace.load(path.read_text("utf-8"))
    except (OSError, trace.TraceError) as error:
        raise SystemExit(f"{path}: {error}") from None


def walk(path: Path) -> int:
    """Step through a recording."""
    stepper = Stepper(read(path))
    sys.stdout.write(f"{stepper!r}\n{HELP}\n")
    while True:
        try:
            line = input("> ")
        except EOFError:
            return 0
        if line.strip() == "q":
            return 0
        sys.stdout.write(stepper.command(line) + "\n")


def check(paths: list[Path]) -> int:
    """Replay; the exit status says whether all gave what they once gave."""
    status = 0
    for path in paths:
        recording = read(path)
        difference = next(trace.replay(recording), None)
        sys.stdout.write(f"{path.name}: {'the same' if difference is None else difference}\n")
        status |= difference is not None
    return status


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m protocol", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trace", nargs="*", type=Path, help="a recorded session, JSON Lines")
    parser.add_argument("--replay", action="store_true", help="replay without stepping")
    chosen = parser.parse_args(arguments)
    if chosen.replay:
        return check(chosen.trace)
    return walk(chosen.trace[0]) if chosen.trace else repl()


if __name__ == "__main__":
    sys.exit(main())
