"""Every interleaving of a small world: two devices, a few mutations, a few accidents, until no new state is left.

`python -m tests.simulation.explorer [NAME ...]` explores the configs named, or all, and prints their sizes. What a
violation prints is the shortest way there, as moves that `replay` takes.
"""

import argparse
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from struct import Struct as Packed
from time import process_time

import msgspec
from msgspec import Struct

from .explorer_graph import in_a_circle
from .explorer_parts import NAMES, Budget, Config
from .explorer_scripts import FRESH, RUNNING, add, create, delete, dismiss, patch, snooze
from .explorer_world import Numbered, World


class Path(Struct, frozen=True):
    """How a violation is reached.

    Attributes:
        moves: their names, from the start.
    """

    moves: tuple[str, ...]
    violation: str


class Explored(Struct, frozen=True):
    """What an exploration met.

    Attributes:
        states, transitions: how many. deepest: moves on the longest of all shortest paths.
        terminal: states in which only the user or an accident could still do something.
        closed: every state was visited.
    """

    states: int
    transitions: int
    deepest: int
    terminal: int
    violation: Path | None
    closed: bool


Progress = Callable[[int, int, int], None]
"""Called for each layer with its depth, the states so far, and those still to be looked at."""

Ending = tuple[bytes, ...]
"""Both devices and the store, in their canonical encodings."""

MOST = 5_000_000
_PACKED = Packed("6I").pack
_ENCODE = msgspec.msgpack.Encoder(order="sorted").encode


def explore(config: Config, *, progress: Progress | None = None, most: int = MOST) -> Explored:
    """Visit every state of a world, or as many as `most`, or until something is broken."""
    return _Search(config).run(most, progress)


def endings(config: Config) -> frozenset[Ending]:
    """Every way a world can come to rest."""
    search = _Search(config)
    search.run(MOST, None)
    units, vaults = search.world.parts.units.values, search.world.parts.vaults.values
    return frozenset(
        (_ENCODE(units[state[0]]), _ENCODE(units[state[1]]), _ENCODE(vaults[state[4]])) for state in search.ends
    )


class _Search:
    """Breadth first, so that the first path to a violation is a shortest one.

    Attributes:
        seen: digests of states, and their numbers in the order of discovery.
        parents, names: the state that a state was discovered from, and by which move (a number in `words`).
        sources, targets: the moves that are progress.
        ends: states at rest.
    """

    def __init__(self, config: Config) -> None:
        self.world = World(config)
        self.seen: dict[bytes, int] = {}
        self.parents, self.names = array("L"), array("L")
        self.sources, self.targets = array("L"), array("L")
        self.words: dict[str, int] = {}
        self.ends: list[Numbered] = []
        self.transitions = self.depth = 0
        self.violation: Path | None = None

    def run(self, most: int, progress: Progress | None) -> Explored:
        """Layer by layer."""
        layer = [(self._number(self.world.start, 0, "")[0], self.world.start)]
        while layer and len(self.seen) < most:
            if progress is not None:
                progress(self.depth, len(self.seen), len(layer))
            layer = self._next(layer)
            self.depth += bool(layer)
        if not layer and self.violation is None:
            self._find_circle()
        closed = not layer and self.violation is None
        return Explored(len(self.seen), self.transitions, self.depth, len(self.ends), self.violation, closed)

    def _next(self, layer: list[tuple[int, Numbered]]) -> list[tuple[int, Numbered]]:
        found: list[tuple[int, Numbered]] = []
        for number, state in layer:
            try:
                found += self._expand(number, state)
            except Exception as error:  # noqa: BLE001 - whatever a machine raises is a finding
                self.violation = Path(self._path(number), f"{type(error).__name__}: {error}")
                return []
        return found

    def _expand(self, number: int, state: Numbered) -> Iterator[tuple[int, Numbered]]:
        self.world.check(state)
        at_rest = True
        for name, is_progress, after in self.world.steps(state):
            self.transitions += 1
            reached, is_new = self._number(after, number, name)
            if is_progress:
                at_rest = False
                self.sources.append(number)
                self.targets.append(reached)
            if is_new:
                yield reached, after
        if at_rest:
            self.ends.append(state)
            self.world.check_quiet(state)

    def _number(self, state: Numbered, parent: int, name: str) -> tuple[int, bool]:
        digest = blake2b(_PACKED(*state), digest_size=16).digest()
        fresh = len(self.seen)
        number = self.seen.setdefault(digest, fresh)
        if number != fresh:
            return number, False
        self.parents.append(parent)
        self.names.append(self.words.setdefault(name, len(self.words)))
        return number, True

    def _find_circle(self) -> None:
        """Whatever goes on by itself must come to rest, or it is a livelock (docs/protocol.md#invariant-10)."""
        number = in_a_circle(len(self.seen), self.sources, self.targets)
        if number is not None:
            self.violation = Path(self._path(number), "Violation: liveness: from here it may go round in a circle")

    def _path(self, number: int) -> tuple[str, ...]:
        words = list(self.words)
        names: list[str] = []
        while number:
            names.append(words[self.names[number]])
            number = self.parents[number]
        return tuple(reversed(names))


# --- reading a path ---------------------------------------------------------------------------------------------------


def replay(config: Config, moves: Sequence[str]) -> Iterator[str]:
    """Take these moves again, one readable line for each; a violation is raised where it was found.

    Raises:
        LookupError: there is no such move there.
    """
    world = World(config)
    state = world.start
    yield f"{'at rest':60} {_where(world, state)}"
    for number, move in enumerate(moves, 1):
        world.check(state)
        ways = {name: after for name, _, after in world.steps(state)}
        if move not in ways:
            raise LookupError(f"move {number} cannot be {move!r}; possible: {', '.join(ways)}")
        state = ways[move]
        yield f"{number:3} {move:56} {_where(world, state)}"
    world.check(state)
    if not any(is_progress for _, is_progress, _ in world.steps(state)):
        world.check_quiet(state)


def _where(world: World, state: Numbered) -> str:
    units = (world.parts.units.values[unit] for unit in state[:2])
    said = [
        f"{name} {type(unit.machine.state).__name__} at {unit.replica.cursor.rev if unit.replica.cursor else '-'}"
        f"{f', {len(unit.replica.entries)} waiting' if unit.replica.entries else ''}"
        for name, unit in zip(NAMES, units, strict=True)
    ]
    account = world.parts.vaults.values[state[4]].account
    return " | ".join((*said, f"log {account.epoch} at {account.rev}"))


# --- the worlds -------------------------------------------------------------------------------------------------------

_LABELS = {"A": (patch(label="a"),), "B": (patch(label="b"),)}
_EDITED = {"A": (patch(label="a"), delete()), "B": (dismiss(),)}
_THREE = {"A": (patch(label="a"), patch(label="c")), "B": (patch(label="b"),)}
_APART = frozenset({"read", "publish"})

CONFIGS: Mapping[str, Config] = {
    "small": Config(
        about="two edits of one field; a cut, with what the store does taken apart",
        scripts=_LABELS, budget=Budget(cuts=1), apart=_APART,
    ),
    "edited": Config(
        about="an edit, a deletion, a dismissal; two cuts, the editor crashes",
        scripts=_EDITED, budget=Budget(cuts=2, crashes=1),
    ),
    "dismissed": Config(
        about="the same; two cuts, the one who dismisses crashes",
        scripts=_EDITED, budget=Budget(cuts=2, crashes=1), frail="B",
    ),
    "seams": Config(
        about="two edits of one field; two cuts, with what the store does taken apart",
        scripts=_LABELS, budget=Budget(cuts=2), apart=_APART,
    ),
    "server": Config(
        about="three edits; a cut, the server crashes with what was not committed",
        scripts=_THREE, budget=Budget(cuts=1, deaths=1),
    ),
    "server-seams": Config(
        about="two edits; a cut, the server crashes, what the store does taken apart",
        scripts=_LABELS, budget=Budget(cuts=1, deaths=1), apart=_APART,
    ),
    "restored": Config(
        about="two edits and a dismissal; a cut, the server gets a backup and a new epoch",
        scripts={"A": (patch(label="a"), patch(label="c")), "B": (dismiss(),)}, budget=Budget(cuts=1, restores=1),
    ),
    "restored-cold": Config(
        about="two edits; a device that was never connected, a backup and a new epoch, what the store does taken apart",
        scripts=_LABELS, budget=Budget(restores=1), cold=frozenset({"B"}), apart=_APART,
    ),
    "set-back": Config(
        about="three times more time for a running timer; a cut, the device gets its first disk back",
        scripts={"A": (add(60_000), add(61_000), add(62_000))}, budget=Budget(cuts=1, reverts=1), seeds=RUNNING,
    ),
    "trimmed": Config(
        about="three edits; a cut, the whole log is trimmed",
        scripts=_THREE, budget=Budget(cuts=1, trims=1),
    ),
    "trimmed-seams": Config(
        about="two edits; a cut, the log is trimmed, what the store does taken apart",
        scripts=_LABELS, budget=Budget(cuts=1, trims=1), apart=_APART,
    ),
    "repeated": Config(
        about="an edit, a deletion, an edit; a cut, an answer that takes too long",
        scripts={"A": (patch(label="a"), delete()), "B": (patch(label="b"),)}, budget=Budget(cuts=1, repeats=1),
    ),
    "created": Config(
        about="a creation and its edit, a deletion; a cut, a crash",
        scripts={"A": (create(), patch(FRESH, label="f")), "B": (delete(),)}, budget=Budget(cuts=1, crashes=1),
    ),
    "snoozed": Config(
        about="two snoozes and a dismissal of one ring; two cuts",
        scripts={"A": (snooze(), dismiss()), "B": (snooze(length_ms=60_000),)}, budget=Budget(cuts=2),
    ),
    "added": Config(
        about="three times more time for a running timer; a cut, a crash",
        scripts={"A": (add(60_000), add(61_000)), "B": (add(62_000),)}, budget=Budget(cuts=1, crashes=1), seeds=RUNNING,
    ),
    "ahead": Config(
        about="three edits, one by a device whose clock is an hour ahead; a cut, a crash",
        scripts={"A": (patch(label="a"), patch(label="c")), "B": (patch(skew_ms=3_600_000, label="b"),)},
        budget=Budget(cuts=1, crashes=1),
    ),
    "cold": Config(
        about="two edits; a device that was never connected, a cut, what the store does taken apart",
        scripts=_LABELS, budget=Budget(cuts=1), cold=frozenset({"B"}), apart=_APART,
    ),
    "half-open": Config(
        about="two edits; a cut and a crash that the server notices when it likes",
        scripts=_LABELS, budget=Budget(cuts=1, crashes=1), apart=frozenset({"end"}),
    ),
    "ghosts": Config(
        about="no edit; two cuts and a crash that the server notices when it likes: a counter behind its own connection",
        scripts={}, budget=Budget(cuts=2, crashes=1), apart=frozenset({"end"}),
    ),
    "ghosts-edited": Config(
        about="the same with two edits",
        scripts=_LABELS, budget=Budget(cuts=2, crashes=1), apart=frozenset({"end"}),
    ),
}  # fmt: skip


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore and print a table; 1 if something was found, or a world did not close."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.explorer", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of a world: {', '.join(CONFIGS)}; all by default")
    parser.add_argument("--most", type=int, default=MOST, help="give up after so many states")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in CONFIGS]:
        parser.error(f"no world is called {unknown[0]!r}; there are {', '.join(CONFIGS)}")
    print(f"{'world':14} {'states':>9} {'moves':>10} {'deep':>5} {'ends':>6} {'cpu':>8}")
    return max(_report(name, asked.most) for name in asked.names or CONFIGS)


def _report(name: str, most: int) -> int:
    began = process_time()
    explored = explore(CONFIGS[name], progress=_show if sys.stderr.isatty() else None, most=most)
    sizes = f"{explored.states:>9,} {explored.transitions:>10,} {explored.deepest:>5} {explored.terminal:>6,}"
    verdict = CONFIGS[name].about if explored.closed else "NOT CLOSED"
    print(f"{name:14} {sizes} {process_time() - began:6.1f} s  {verdict}", flush=True)
    if explored.violation is not None:
        print("\n".join(tell(CONFIGS[name], explored.violation)))
    return 0 if explored.closed else 1


def tell(config: Config, path: Path) -> Iterator[str]:
    """A violation for people: what happened, and the moves as a list to replay."""
    lines = replay(config, path.moves)
    while True:
        try:
            yield next(lines)
        except StopIteration:
            break
        except Exception:  # noqa: BLE001 - it is what the path leads to, and is said in its own words below
            break
    yield path.violation
    yield f"replay(CONFIGS[...], {list(path.moves)!r})"


def _show(depth: int, states: int, waiting: int) -> None:
    print(f"\r{depth} moves deep, {states:,} states, {waiting:,} open  ", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
