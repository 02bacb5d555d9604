"""The fuzzer: keeps the programs that went where none had been, changes them a little, and looks where those go."""

import traceback
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol
from zlib import crc32

from .edges import Eyes
from .mutate import Mutator
from .program import Program, Step, cost, read, tame, write


HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
CRASHES = HERE / "crashes"

THOROUGH = 8
"""One run in so many also looks at what takes long."""


class Target(Protocol):
    """What is fuzzed.

    Attributes:
        name: also the folder of its corpus.
        verbs: what steps of its programs can be. openings: steps that lead to a state, for the beginning of a program.
    """

    @property
    def name(self) -> str:
        """As said above."""
        ...

    @property
    def verbs(self) -> Sequence[str]:
        """As said above."""
        ...

    @property
    def openings(self) -> Sequence[Step]:
        """As said above."""
        ...

    def run(self, program: Program, *, thorough: bool = True) -> Iterable[Hashable]:
        """Play a program; returns where it was, in words of the target's own.

        `thorough`: look also at what takes long.

        Raises:
            Exception: any at all: a promise is broken.
        """
        ...


class Crash(NamedTuple):
    """A broken promise: the shortest program known for it."""

    key: str
    program: Program
    report: str

    @property
    def file(self) -> str:
        """Its name as a file: the same for the same program."""
        return f"{crc32(write(self.program).encode()):08x}.txt"


class Fuzzer:
    """One campaign against one target; the same seed, corpus and number of runs do the same.

    Attributes:
        corpus: programs worth changing. kept: those of them that this campaign found.
        runs: so far. places: the states and steps met, in the target's words. crashes: by what broke.
    """

    def __init__(self, target: Target, eyes: Eyes, seed: int) -> None:
        self.target = target
        self.corpus: list[Program] = []
        self.kept: list[Program] = []
        self.runs = 0
        self.places: set[Hashable] = set()
        self.crashes: dict[str, Crash] = {}
        self._eyes = eyes
        self._random = Random(seed)
        self._mutator = Mutator(self._random, target.verbs, target.openings)

    @property
    def edges(self) -> int:
        """Edges of the code met."""
        return len(self._eyes.found)

    def learn(self, programs: Iterable[Program]) -> None:
        """Begin with these, wherever they go."""
        for program in programs:
            self._play(program, thorough=True)
            self.corpus.append(program)

    def go(self, runs: int) -> None:
        """So many more."""
        for _ in range(runs):
            program = self._mutator.variant(self._parent(), self.corpus)
            if self._play(program, thorough=self.runs % THOROUGH == 0):
                self.corpus.append(program)
                self.kept.append(program)

    def _parent(self) -> Program:
        if not self.corpus:
            return ()
        # What was found lately has been changed least often; of two, the cheaper one is played sooner.
        recent = len(self.corpus) // 8 + 8
        first = max(0, len(self.corpus) - recent) if self._random.random() < 0.4 else 0
        return min((self.corpus[self._random.randrange(first, len(self.corpus))] for _ in range(2)), key=cost)

    def _play(self, program: Program, *, thorough: bool) -> bool:
        """Whether it went where none had been. One that breaks a promise is kept aside, made short."""
        self.runs += 1
        edges, places = len(self._eyes.found), len(self.places)
        try:
            with self._eyes.watch():
                self.places.update(self.target.run(program, thorough=thorough))
        except Exception as error:  # noqa: BLE001 - any exception at all is a finding: that is what is looked for
            key = where(error)
            if key not in self.crashes:
                self.crashes[key] = shortest(self.target, program, key)
            return False
        return len(self._eyes.found) > edges or len(self.places) > places


def where(error: BaseException) -> str:
    """What broke, so that the same fault found twice is known again: the exception's class and its innermost own line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.endswith(".py") and "site-packages" not in frame.filename]
    last = own[-1] if own else frames[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.name}: {last.line}"


def broken(target: Target, program: Program) -> tuple[str, str] | None:
    """What a program breaks, and the traceback; None when every promise is kept."""
    try:
        for _ in target.run(program):
            pass
    except Exception as error:  # noqa: BLE001 - as above: whatever it is, it is what is looked for
        return where(error), "".join(traceback.format_exception(error))
    return None


def shortest(target: Target, program: Program, key: str, tries: int = 600) -> Crash:
    """A program that breaks the same promise with less: without steps, without repetitions, with shorter texts."""
    left = tries

    def still(candidate: Program) -> bool:
        nonlocal left
        left -= 1
        found = broken(target, candidate) if left > 0 else None
        return found is not None and found[0] == key

    smaller = _fewer(tame(program), still)
    smaller = tuple(_shorter_step(smaller, at, still) for at in range(len(smaller)))
    found = (
        broken(target, smaller) or broken(target, program) or (key, "it does not happen again: the target remembers")
    )
    return Crash(key, smaller if broken(target, smaller) else program, found[1])


def _fewer(program: Program, still: Callable[[Program], bool]) -> Program:
    size = max(1, len(program) // 2)
    while size:
        at = 0
        while at < len(program):
            candidate = program[:at] + program[at + size :]
            if candidate and still(candidate):
                program = candidate
            else:
                at += size
        size //= 2
    return program


def _shorter_step(program: Program, at: int, still: Callable[[Program], bool]) -> Step:
    def holds(step: Step) -> bool:
        return still((*program[:at], step, *program[at + 1 :]))

    step = program[at]
    while step.times > 1 and holds(step._replace(times=step.times // 2)):
        step = step._replace(times=step.times // 2)
    size = len(step.text)
    while size := size // 2:
        begin = 0
        while begin < len(step.text):
            candidate = step._replace(text=step.text[:begin] + step.text[begin + size :])
            if holds(candidate):
                step = candidate
            else:
                begin += size
    return step


# --- files ------------------------------------------------------------------------------------------------------------


def programs_in(folder: Path, names: str = "*.txt") -> list[Program]:
    """Every program of a folder, by name; none where there is no folder."""
    return [read(path.read_text(encoding="ascii")) for path in sorted(folder.glob(names))]


def save(folder: Path, crash: Crash) -> Path:
    """Keep a crash: it is played again by every test run until somebody takes it out."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / crash.file
    path.write_text(f"# {crash.key}\n".encode("ascii", "replace").decode() + write(crash.program), encoding="ascii")
    return path
