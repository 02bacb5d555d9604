"""From a program that was worth keeping to one that nobody has tried: by steps, by characters, and by the JSON in them."""

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from .program import Program, Step, tame
from .words import NUMBERS, PIECES, VALUES, WORDS


T = TypeVar("T")

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MEMBER = re.compile(r'"[a-z_]+":')


class Mutator:
    """Makes variants; the same random source and corpus make the same ones."""

    def __init__(self, random: Random, verbs: Sequence[str], openings: Sequence[Step]) -> None:
        self._random = random
        self._verbs = verbs
        self._openings = openings
        self._of_programs: tuple[Callable[[list[Step], Sequence[Program]], None], ...] = (
            self._drop, self._double, self._swap, self._stutter, self._stutter, self._invent, self._splice, self._splice, self._reopen,
        )  # fmt: skip
        self._of_texts: tuple[Callable[[str], str], ...] = (
            self._flip, self._cut, self._repeat, self._piece, self._renumber, self._renumber, self._reword, self._twice,
            self._revalue, self._revalue, self._revalue, self._remember,
        )  # fmt: skip

    def variant(self, parent: Program, corpus: Sequence[Program]) -> Program:
        """A program a few changes away from its parent."""
        steps = list(parent) or [self._any_step(corpus)]
        for _ in range(self._random.choice((1, 1, 1, 2, 2, 3, 5))):
            if self._random.random() < 0.45:
                self._pick(self._of_programs)(steps, corpus)
            else:
                self._retext(steps, corpus)
            steps = steps or [self._any_step(corpus)]
        return tame(tuple(steps))

    def _pick(self, things: Sequence[T]) -> T:
        return things[self._random.randrange(len(things))]

    def _place(self, things: Sequence[object]) -> int:
        # The end is where the state is that nobody has seen yet.
        return max(self._random.randrange(len(things)), self._random.randrange(len(things)))

    # --- steps --------------------------------------------------------------------------------------------------------

    def _drop(self, steps: list[Step], _: Sequence[Program]) -> None:
        del steps[self._place(steps)]

    def _double(self, steps: list[Step], _: Sequence[Program]) -> None:
        at = self._place(steps)
        steps.insert(self._random.randrange(len(steps) + 1), steps[at])

    def _swap(self, steps: list[Step], _: Sequence[Program]) -> None:
        a, b = self._place(steps), self._place(steps)
        steps[a], steps[b] = steps[b], steps[a]

    def _stutter(self, steps: list[Step], _: Sequence[Program]) -> None:
        at = self._place(steps)
        steps[at] = steps[at]._replace(times=self._pick((1, 2, 3, 5, 9, 17, 33, 65, 96)))

    def _invent(self, steps: list[Step], corpus: Sequence[Program]) -> None:
        steps.insert(self._random.randrange(len(steps) + 1), self._any_step(corpus))

    def _any_step(self, corpus: Sequence[Program]) -> Step:
        verb = self._pick(self._verbs)
        known = [step for step in self._pick(corpus) if step.verb == verb] if corpus else []
        return self._pick(known) if known else Step(verb, self._pick((*NUMBERS[:12], "", *WORDS)))

    def _splice(self, steps: list[Step], corpus: Sequence[Program]) -> None:
        other = self._pick(corpus) if corpus else ()
        if other:
            begin = self._random.randrange(len(other))
            at = self._random.randrange(len(steps) + 1)
            steps[at:at] = other[begin : begin + self._random.randrange(1, 9)]

    def _reopen(self, steps: list[Step], _: Sequence[Program]) -> None:
        if self._openings:
            opening = self._pick(self._openings)
            steps[:1] = [opening] if steps[:1] and steps[0].verb == opening.verb else [opening, *steps[:1]]

    # --- texts --------------------------------------------------------------------------------------------------------

    def _retext(self, steps: list[Step], corpus: Sequence[Program]) -> None:
        at = self._place(steps)
        step = steps[at]
        if self._random.random() < 0.1 and corpus:
            other = self._pick(self._pick(corpus)).text
            cut = self._random.randrange(len(step.text) + 1)
            steps[at] = step._replace(text=step.text[:cut] + other[self._random.randrange(len(other) + 1) :])
        else:
            steps[at] = step._replace(text=self._pick(self._of_texts)(step.text))

    def _flip(self, text: str) -> str:
        if not text:
            return "\x01"
        at = self._random.randrange(len(text))
        return text[:at] + chr((ord(text[at]) ^ (1 << self._random.randrange(8))) & 0x10FFFF) + text[at + 1 :]

    def _cut(self, text: str) -> str:
        if not text:
            return text
        begin = self._random.randrange(len(text))
        return text[:begin] + text[begin + self._pick((1, 1, 2, 4, 16, 1 << 17)) :]

    def _repeat(self, text: str) -> str:
        if not text:
            return text
        begin = self._random.randrange(len(text))
        part = text[begin : begin + self._pick((1, 2, 8, 64))]
        return text[:begin] + part * self._pick((2, 3, 9, 200)) + text[begin:]

    def _piece(self, text: str) -> str:
        at = self._pick((0, len(text), self._random.randrange(len(text) + 1)))
        return text[:at] + self._pick(PIECES) + text[at:]

    def _renumber(self, text: str) -> str:
        return self._instead(_NUMBER, text, self._near)

    def _near(self, old: str) -> str:
        if self._random.random() < 0.5 and len(old) < 20 and "." not in old:
            return str(int(old) + self._pick((-1, 1, 1, 2, -2, 10)))
        return str(self._pick(NUMBERS))

    def _reword(self, text: str) -> str:
        return self._instead(re.compile(r"[a-z_]{2,}"), text, lambda _: self._pick(WORDS))

    def _twice(self, text: str) -> str:
        """A member said twice: which of the two counts is where readers differ."""
        return self._instead(_MEMBER, text, lambda name: f"{name}{self._pick(VALUES)},{name}")

    def _instead(self, pattern: re.Pattern[str], text: str, make: Callable[[str], str]) -> str:
        # In the beginning, where what matters stands: a long text is mostly padding.
        found = list(pattern.finditer(text, 0, 4_000))
        if not found:
            return text
        match = self._pick(found)
        return text[: match.start()] + make(match.group()) + text[match.end() :]

    def _revalue(self, text: str) -> str:
        """Another value, or none, or another name, for one member of the JSON in a text."""
        try:
            whole = json.loads(text) if len(text) < 8_000 else None
        except (ValueError, RecursionError):
            return self._piece(text)
        places = _places(whole)
        if not places:
            return str(self._pick(VALUES))
        owner, key = self._pick(places)
        marks: dict[str, str] = {}
        match self._random.randrange(8):
            case 0:
                del owner[key]
            case 1 if isinstance(owner, dict):
                owner[self._pick(WORDS)] = owner.pop(key)
            case 2 if isinstance(owner, dict):
                owner[self._pick(WORDS)] = self._mark(marks)
            case 3:
                owner[key] = [owner[key]] * self._pick((1, 2, 30))
            case 4:
                owner[key] = self._pick(WORDS)
            case _:
                owner[key] = self._mark(marks)
        return _marked(json.dumps(whole, separators=(",", ":")), marks)

    def _mark(self, marks: dict[str, str]) -> str:
        # Values may be no JSON at all, so they come in only after the rest has been written.
        marks['"@here@"'] = self._pick(VALUES)
        return "@here@"

    def _remember(self, text: str) -> str:
        """A message as short as its type: everything else is missing."""
        return (
            json.dumps({"type": self._pick(WORDS), self._pick(WORDS): self._pick((0, 1, "a", None, []))})
            if text
            else text
        )


def _marked(text: str, marks: dict[str, str]) -> str:
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text


def _places(whole: Any) -> list[tuple[Any, Any]]:
    """Every member and item: its owner and its key; breadth first, not all of a huge one."""
    places: list[tuple[Any, Any]] = []
    owners = [whole]
    while owners and len(places) < 200:
        owner = owners.pop(0)
        keys: Sequence[Any] = (
            list(owner) if isinstance(owner, dict) else range(len(owner)) if isinstance(owner, list) else ()
        )
        places += [(owner, key) for key in keys]
        owners += [owner[key] for key in keys]
    return places
