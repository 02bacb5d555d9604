"""Walking through a recorded session, forward and back: the pure half of `python -m protocol trace.jsonl`."""

from collections.abc import Callable
from typing import Any

from . import trace


HELP = """\
Enter or n [K]   K steps forward          p [K]   K steps back          g N   go to step N
s                the state and what it accepts     o   the outputs of this step, one a line
/ TEXT           forward to the next step that mentions TEXT           l [K]   list K steps from here
e                to the end               d       forward to the first difference       h   this help     q   quit"""


class Stepper:
    """A recording and a connection that follows it.

    Attributes:
        at: how many steps have been taken.
    """

    def __init__(self, recording: trace.Trace) -> None:
        self.recording = recording
        self.connection = trace.build(recording.header)
        self.at = 0

    def __repr__(self) -> str:
        return f"<Stepper at {self.at} of {len(self.recording.steps)}: {self.connection!r}>"

    # --- moving ---

    def forward(self) -> str:
        """Take one step; returns it on one line, with the difference where there is one."""
        if self.at == len(self.recording.steps):
            return f"end: {self.connection!r}"
        now, stimulus = self.recording.steps[self.at]
        expected = self.recording.lines[self.at]
        outputs = self.connection.step(stimulus, now)
        line = _line(self.at, now, stimulus, outputs)
        self.at += 1
        actual = trace.text(outputs)
        if actual != expected:
            line = "\n".join((line, *trace.beside(expected, actual)))
        return f"{line}\n      {self.connection!r}"

    def back(self) -> str:
        """Take the last step back."""
        if self.at == 0:
            return f"start: {self.connection!r}"
        self.connection.undo()
        self.at -= 1
        return f"back to before step {self.at}: {self.connection!r}"

    def go(self, target: int) -> str:
        """To just before a step."""
        target = max(0, min(target, len(self.recording.steps)))
        while self.at > target:
            self.back()
        said = f"at step {self.at}: {self.connection!r}"
        while self.at < target:
            said = self.forward()
        return said

    def find(self, text: str) -> str:
        """Forward to the next step that mentions a text."""
        return self._until(lambda line: text in line, f"no later step mentions {text!r}")

    def difference(self) -> str:
        """Forward to the first difference from the recording."""
        return self._until(lambda line: "\n  expected " in line, "no difference: the replay gave the same outputs")

    def _until(self, wanted: Callable[[str], bool], otherwise: str) -> str:
        while self.at < len(self.recording.steps):
            if wanted(line := self.forward()):
                return line
        return otherwise

    # --- looking ---

    def listing(self, count: int) -> str:
        """The inputs of the next steps."""
        chosen = self.recording.steps[self.at : self.at + count]
        return "\n".join(f"{n:4} {now:9.3f}  {stimulus!r}" for n, (now, stimulus) in enumerate(chosen, self.at))

    def standing(self) -> str:
        """Where the connection is and what it takes."""
        return f"{self.connection!r}\naccepts {', '.join(self.connection.accepts)}"

    def outputs(self) -> str:
        """The outputs of the step just taken, one a line."""
        steps = self.connection.trace
        return "\n".join(map(repr, steps[-1].outputs)) if steps else "no step was taken"

    # --- commands ---

    def command(self, line: str) -> str:
        """Obey one line; returns what to print."""
        word, _, rest = line.strip().partition(" ")
        if word.startswith("/"):
            return self.find(f"{word[1:]} {rest}".strip())
        count = int(rest) if rest.isdigit() else None
        obey = self._commands(count).get(word)
        return obey() if obey is not None else f"{line.strip()!r} is no command\n{HELP}"

    def _commands(self, count: int | None) -> dict[str, Callable[[], str]]:
        times = range(1 if count is None else count)
        commands: dict[str, Callable[[], str]] = {
            "": lambda: "\n".join(self.forward() for _ in times),
            "n": lambda: "\n".join(self.forward() for _ in times),
            "p": lambda: "\n".join(self.back() for _ in times),
            "e": lambda: self.go(len(self.recording.steps)),
            "l": lambda: self.listing(10 if count is None else count),
            "s": self.standing,
            "o": self.outputs,
            "d": self.difference,
            "h": lambda: HELP,
        }
        return commands if count is None else {**commands, "g": lambda: self.go(count)}


def _line(index: int, now: float, stimulus: Any, outputs: list[Any]) -> str:
    said = ", ".join(map(repr, outputs)) or "nothing"
    return f"{index:4} {now:9.3f}  {stimulus!r} -> {said}"
