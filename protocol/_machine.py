"""The engine under both connections: one table, one way in, one way out.

    step(input, now) -> list of outputs

A table maps (state, input) to a rule and the states it may land in. An absent pair is the illegal transition: it raises
`LocalProtocolError` and changes nothing. `Tick` is looked up by the name of the timer that is due, so a table also says
what every deadline does. Nothing is left inside to be drained.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

from ._errors import LocalProtocolError
from ._timers import Deadline, Timers
from ._types import Monotonic, Value


class Tick(Value, frozen=True):
    """Time has passed. Early or repeated ticks do nothing."""


class Machine(Protocol):
    """What the engine must know of a machine: an immutable value with a state and timers."""

    @property
    def state(self) -> Value:
        """Where it stands."""
        ...

    @property
    def timers(self) -> Timers[Any]:
        """What is due when."""
        ...


M = TypeVar("M", bound=Machine)
Out = TypeVar("Out", bound=Value)

RuleFunction = Callable[[Any, Any, Monotonic], tuple[M, list[Out]]]


class Rule(NamedTuple):
    """A rule function and the states it may land in."""

    function: RuleFunction[Any, Any]
    to: tuple[type[Value], ...]


Stimulus = type[Value] | Enum
Table = Mapping[tuple[type[Value], Stimulus], Rule]


def rows(states: tuple[type[Value], ...], rules: Mapping[Stimulus, Rule]) -> dict[tuple[type[Value], Stimulus], Rule]:
    """The same rows for several states."""
    return {(state, stimulus): rule for state in states for stimulus, rule in rules.items()}


def same(states: tuple[type[Value], ...], stimuli: tuple[Stimulus, ...], function: RuleFunction[Any, Any]) -> Table:
    """One rule that lands where it started, for several states and stimuli."""
    return {(state, stimulus): Rule(function, (state,)) for state in states for stimulus in stimuli}


class Record(NamedTuple):
    """One step of a session: the unit of traces, bug reports, replays and conformance cases."""

    now: Monotonic
    input: Value
    outputs: list[Value]


class Connection(Generic[M, Out]):
    """A machine with its clock, its table and, where asked for, its history.

    Attributes:
        machine: the whole of it as one immutable value; only `step` and `undo` put another in its place.
        trace: the steps so far, for `protocol.trace`; None where recording is off.
    """

    __slots__ = ("_now", "_past", "machine", "trace")
    table: ClassVar[Table] = {}
    _by_state: ClassVar[Mapping[type[Value], Mapping[object, Rule]]] = {}

    def __init_subclass__(cls) -> None:
        by_state: dict[type[Value], dict[object, Rule]] = {}
        for (state, stimulus), rule in cls.table.items():
            by_state.setdefault(state, {})[stimulus] = rule
        cls._by_state = by_state

    def __init__(self, machine: M, *, record: bool) -> None:
        self.machine = machine
        self._now = Monotonic(float("-inf"))
        self._past: list[tuple[M, Monotonic]] | None = [] if record else None
        self.trace: list[Record] | None = [] if record else None

    def step(self, input: Value, now: float) -> list[Out]:
        """Take one input at one moment; returns everything to be done about it.

        Args:
            input: one of `accepts`.
            now: seconds of a clock that never steps; an earlier value than before counts as the same moment.

        Raises:
            LocalProtocolError: the input is illegal in this state; nothing has changed.
        """
        moment = Monotonic(now) if now > self._now else self._now
        stimulus = type(input)
        if stimulus is Tick:
            machine, outputs = self._tick(moment)
        else:
            machine, outputs = self._take(self.machine, stimulus, input, moment)
        if self.trace is not None and self._past is not None:
            self._past.append((self.machine, self._now))
            self.trace.append(Record(moment, input, list(outputs)))
        self.machine = machine
        self._now = moment
        return outputs

    def _take(self, machine: M, stimulus: object, input: Value, now: Monotonic) -> tuple[M, list[Out]]:
        state = type(machine.state)
        rule = self._by_state[state].get(stimulus) if state in self._by_state else None
        if rule is None:
            legal = ", ".join(self.accepts)
            raise LocalProtocolError(f"{type(input).__name__} is illegal in {state.__name__}; legal: {legal}")
        after, outputs = rule.function(machine, input, now)
        assert type(after.state) in rule.to, f"{rule.function.__name__} may not land in {after.state!r}"
        return after, outputs

    def _tick(self, now: Monotonic) -> tuple[M, list[Out]]:
        """Fire what is due, one timer at a time: each may change what the next one means."""
        machine, outputs = self.machine, list[Out]()
        while (timer := machine.timers.due(now)) is not None:
            machine, more = self._take(machine, timer, Tick(), now)
            outputs += more
            # Another timers object is not enough: one that is still due would fire for ever.
            assert not machine.timers.is_due(timer, now), f"{timer.name} must be cleared or moved by its rule"
        return machine, outputs

    @property
    def state(self) -> Any:
        """Where it stands."""
        return self.machine.state

    @property
    def deadline(self) -> Deadline[Any] | None:
        """The next wake-up: call `step(Tick(), now)` at `deadline.at`."""
        return self.machine.timers.next

    @property
    def accepts(self) -> list[str]:
        """Names of the inputs that are legal now; `Tick` always is."""
        legal = self._by_state.get(type(self.machine.state), {})
        return sorted({"Tick", *(key.__name__ for key in legal if isinstance(key, type))})

    def setup(self) -> Mapping[str, Any]:
        """The arguments it was built with, for the header of a trace."""
        return {}

    def copy(self) -> Self:
        """A fork: step it to see "what if"; this one does not move."""
        fork = object.__new__(type(self))
        fork.machine, fork._now = self.machine, self._now
        fork._past = None if self._past is None else list(self._past)
        fork.trace = None if self.trace is None else list(self.trace)
        return fork

    def undo(self) -> None:
        """Take the last step back.

        Raises:
            LocalProtocolError: there is none, or recording is off.
        """
        if not self._past or self.trace is None:
            raise LocalProtocolError("nothing to undo: no step was recorded")
        self.machine, self._now = self._past.pop()
        self.trace.pop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._facts()}>"

    def _facts(self) -> str:
        return f"{self.state!r}, {self.deadline or 'no timer'}"
