"""A trace is a file, and a file can hold anything."""

import re
from collections.abc import Hashable, Iterator
from typing import Final

from protocol import trace

from . import promises
from .program import Program, Step


LONGEST: Final = 200_000


class Trace:
    """One file, a line to a step; `raw` goes on in the same line."""

    name = "trace"
    verbs = ("line", "raw")
    openings: tuple[Step, ...] = ()

    def run(self, program: Program, *, thorough: bool = True) -> Iterator[Hashable]:
        """Read it; where it can be read, build its connection."""
        text = ""
        for step in program:
            for _ in range(step.times if step.verb in self.verbs else 0):
                text += step.text + ("\n" if step.verb == "line" else "")
        try:
            loaded = trace.load(text[:LONGEST])
        except trace.TraceError as error:
            yield "unreadable", _kind(error)
            return
        yield "read", loaded.header.side, min(len(loaded.steps), 9)
        assert len(loaded.steps) == len(loaded.lines)
        yield from {type(stimulus).__name__ for _, stimulus in loaded.steps}
        repr(loaded)
        try:
            connection = trace.build(loaded.header)
        except trace.TraceError as error:
            yield "no setup", _kind(error)
            return
        yield "built", loaded.header.side
        promises.replays(connection)


def _kind(error: trace.TraceError) -> str:
    """Its sentence without what is different each time: numbers, and words in quotes."""
    return re.sub(r"(?s)\d+|[`'\"].*", "", str(error))[:40]
