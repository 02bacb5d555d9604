"""Every interleaving of a small world: two devices, a few mutations, a few accidents, until no new state is left."""

import sys
from array import array
from collections.abc import Callable, Mapping
from hashlib import blake2b
from struct import Struct as Packed
from time import perf_counter

from msgspec import Struct

from .explorer_scripts import create, delete, dismiss, patch, snooze
from .explorer_world import Budget, Config, Numbered, World
from .run import Violation


class Path(Struct, frozen=True):
    """How a violation is reached.

    Attributes:
        moves: their names, from the start; `replay` takes them.
    """

    moves: tuple[str, ...]
    violation: str


class Explored(Struct, frozen=True):
    """What an exploration met.

    Attributes:
        deepest: moves on the longest of all shortest paths. terminal: states in which only the user or an accident
            could still do something. closed: every state was visited.
    """

    states: int
    transitions: int
    deepest: int
    terminal: int
    violation: Path | None
    closed: bool


Progress = Callable[[int, int, int], None]
"""Called after each layer with its depth, the states so far, and those still to be looked at."""

_PACKED = Packed("6I").pack


class _Search:
    """Breadth first, so that the first path to a violation is a shortest one."""

    def __init__(self, config: Config) -> None:
        self.world = World(config)
        self.seen: set[bytes] = set()
        self.parents, self.names = array("L"), array("L")
        self.words: dict[str, int] = {}
        self.transitions = self.terminal = self.depth = 0
        self.violation: Path | None = None

    def run(self, most: int, progress: Progress | None) -> Explored:
        self._add(self.world.start, 0, "")
        layer = [(0, self.world.start)]
        while layer and self.violation is None and len(self.seen) < most:
            if progress is not None:
                progress(self.depth, len(self.seen), len(layer))
            layer = self._next(layer)
            self.depth += bool(layer)
        closed = not layer and self.violation is None
        return Explored(len(self.seen), self.transitions, self.depth, self.terminal, self.violation, closed)

    def _next(self, layer: list[tuple[int, Numbered]]) -> list[tuple[int, Numbered]]:
        found: list[tuple[int, Numbered]] = []
        for number, state in layer:
            try:
                self._expand(number, state, found)
            except Exception as error:  # noqa: BLE001 - whatever a machine raises is a finding
                self.violation = Path(self._path(number), f"{type(error).__name__}: {error}")
                return []
        return found

    def _expand(self, number: int, state: Numbered, found: list[tuple[int, Numbered]]) -> None:
        world, seen = self.world, self.seen
        world.check(state)
        quiet = True
        for name, is_progress, after in world.steps(state):
            self.transitions += 1
            if is_progress:
                quiet = False
            digest = blake2b(_PACKED(*after), digest_size=16).digest()
            if digest not in seen:
                seen.add(digest)
                self._note(number, name)
                found.append((len(seen) - 1, after))
        if quiet:
            self.terminal += 1
            world.check_quiet(state)

    def _add(self, state: Numbered, parent: int, name: str) -> None:
        self.seen.add(blake2b(_PACKED(*state), digest_size=16).digest())
        self._note(parent, name)

    def _note(self, parent: int, name: str) -> None:
        self.parents.append(parent)
        self.names.append(self.words.setdefault(name, len(self.words)))

    def _path(self, number: int) -> tuple[str, ...]:
        words = list(self.words)
        names: list[str] = []
        while number:
            names.append(words[self.names[number]])
            number = self.parents[number]
        return tuple(reversed(names))


def explore(config: Config, *, progress: Progress | None = None, most: int = 5_000_000) -> Explored:
    """Visit every state of a world, or as many as `most`, or until something is broken."""
    return _Search(config).run(most, progress)


CONFIGS: Mapping[str, Config] = {
    "small": Config(
        about="two mutations of one field, a cut",
        scripts={"A": (patch(label="a"),), "B": (patch(label="b"),)},
        budget=Budget(cuts=1),
    ),
    "dismissed": Config(
        about="an edit, a dismissal and a deletion; two cuts, a crash",
        scripts={"A": (patch(label="a"), delete()), "B": (dismiss(),)},
        budget=Budget(cuts=2, crashes=1),
    ),
}


def main(names: list[str]) -> int:
    """Explore and print a table."""
    began = perf_counter()

    def progress(depth: int, states: int, open_: int) -> None:
        print(
            f"\r{depth:4} moves deep, {states:,} states, {open_:,} open, {perf_counter() - began:.0f} s ",
            end="",
            file=sys.stderr,
        )

    for name in names or CONFIGS:
        began = perf_counter()
        explored = explore(CONFIGS[name], progress=progress)
        print(
            f"\r{name:12} {explored.states:>10,} {explored.transitions:>10,} {explored.deepest:>5} {explored.terminal:>8,} {perf_counter() - began:6.1f} s closed={explored.closed}"
        )
        if explored.violation:
            print("\n".join(explored.violation.moves))
            print(explored.violation.violation)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
