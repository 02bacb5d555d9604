"""What a fuzzer feeds: a short program, one step to a line, that a person can read, edit and keep in a repository.

    to Live
    text {"type":"ping","t0":1}
    text*40 {"type":"bye"}
    binary \\x01\\xff

A step is a verb of its target, how often it happens, and a text. What would break a line or is not ASCII is escaped as in a
Python string; bytes are texts of the characters below 256.
"""

from typing import NamedTuple


class Step(NamedTuple):
    """One thing that happens, `times` times."""

    verb: str
    text: str = ""
    times: int = 1


Program = tuple[Step, ...]

MOST_STEPS = 48
MOST_TIMES = 200
LONGEST_TEXT = 70_000
"""What a program may be made of: enough for every limit of the protocol to be passed, little enough to be quick."""


def write(program: Program) -> str:
    """A program as the text of a file."""
    return "".join(f"{_line(step)}\n" for step in program)


def _line(step: Step) -> str:
    times = f"*{step.times}" if step.times != 1 else ""
    text = step.text.encode("unicode_escape").decode()
    return f"{step.verb}{times} {text}" if text else f"{step.verb}{times}"


def read(text: str) -> Program:
    """A program out of the text of a file; lines that begin with `#` are for people."""
    lines = (line for line in text.split("\n") if line and not line.startswith("#"))
    return tuple(_step(line) for line in lines)


def _step(line: str) -> Step:
    head, _, text = line.partition(" ")
    verb, _, times = head.partition("*")
    return Step(verb, text.encode().decode("unicode_escape"), int(times or 1))


def tame(program: Program) -> Program:
    """The program within its bounds."""
    left, tamed = MOST_TIMES, list[Step]()
    for step in program[:MOST_STEPS]:
        times = max(1, min(step.times, left))
        tamed.append(Step(step.verb, step.text[:LONGEST_TEXT], times))
        left -= times - 1
    return tuple(tamed)


def cost(program: Program) -> int:
    """About how long it takes to play."""
    return sum(step.times * (50 + len(step.text)) for step in program)


def as_bytes(text: str) -> bytes:
    """The bytes that a text of small characters stands for."""
    return text.encode("latin-1", errors="replace")


def unicode(text: str) -> str:
    """The text as a driver could have it: without lone surrogates."""
    return text.encode(errors="replace").decode()


def number(text: str, otherwise: int = 0) -> int:
    """A whole number out of any text."""
    try:
        return int(text.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return otherwise


def word(text: str, *words: str) -> str:
    """One of the words: the one that is said, or one that any other text stands for."""
    first = text.split(maxsplit=1)[0] if text.split() else ""
    return first if first in words else words[sum(map(ord, text[:8])) % len(words)]
