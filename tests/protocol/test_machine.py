"""The engine under both connections, driven by a machine of three states."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

import pytest
from msgspec import Struct

from protocol._errors import LocalProtocolError
from protocol._machine import Connection, Record, Rule, Stimulus, Table, Tick, rows, same
from protocol._timers import Timers
from protocol._types import Monotonic, Value


class Bell(Enum):
    RING_DUE = "ring"
    TIRED_DUE = "tired"


class Idle(Value, frozen=True):
    pass


class Ringing(Value, frozen=True):
    times: int = 0


class Broken(Value, frozen=True):
    pass


class Push(Value, frozen=True):
    pass


class Wreck(Value, frozen=True):
    pass


class Poke(Value, frozen=True):
    pass


class Rang(Value, frozen=True):
    times: int


class Machine(Struct, frozen=True):
    state: Value
    timers: Timers[Bell]


Step = tuple[Machine, list[Value]]


def push(m: Machine, _: Push, now: Monotonic) -> Step:
    return Machine(Ringing(), m.timers.set(Bell.RING_DUE, now + 1).set(Bell.TIRED_DUE, now + 3)), []


def ring(m: Machine, _: object, now: Monotonic) -> Step:
    assert isinstance(m.state, Ringing)
    times = m.state.times + 1
    return Machine(Ringing(times), m.timers.set(Bell.RING_DUE, now + 1)), [Rang(times)]


def tired(_: Machine, __: object, ___: Monotonic) -> Step:
    return Machine(Idle(), Timers()), []


def poke(m: Machine, _: Poke, __: Monotonic) -> Step:
    return m, [Rang(0)]


def wreck(m: Machine, _: Wreck, __: Monotonic) -> Step:
    return Machine(Broken(), m.timers), []


RULES: Mapping[Stimulus, Rule] = {Wreck: Rule(wreck, to=(Idle,))}


class Doorbell(Connection[Machine, Value]):
    __slots__ = ()
    table: ClassVar[Table] = {
        (Idle, Push): Rule(push, to=(Ringing,)),
        (Ringing, Bell.RING_DUE): Rule(ring, to=(Ringing,)),
        (Ringing, Bell.TIRED_DUE): Rule(tired, to=(Idle,)),
        **same((Idle, Ringing), (Poke,), poke),
        **rows((Idle,), RULES),
    }


def bell(*, record: bool = True) -> Doorbell:
    return Doorbell(Machine(Idle(), Timers()), record=record)


def ringing() -> Doorbell:
    c = bell()
    c.step(Push(), 0.0)
    return c


def test_a_legal_input_moves_the_machine_and_gives_its_outputs() -> None:
    c = bell()
    assert c.step(Poke(), 0.0) == [Rang(0)]
    assert c.state == Idle()
    assert c.step(Push(), 0.0) == []
    assert c.state == Ringing()


def test_an_illegal_input_names_what_is_legal_and_changes_nothing() -> None:
    c = ringing()
    machine, trace = c.machine, list(c.trace or [])
    with pytest.raises(LocalProtocolError, match=r"^Push is illegal in Ringing; legal: Poke, Tick$"):
        c.step(Push(), 9.0)
    assert (c.machine, c.trace) == (machine, trace)
    assert c.step(Tick(), 0.5) == []


def test_a_state_without_any_row_still_says_what_is_legal() -> None:
    c = Doorbell(Machine(Broken(), Timers()), record=True)
    with pytest.raises(LocalProtocolError, match="legal: Tick"):
        c.step(Poke(), 0.0)
    assert c.accepts == ["Tick"]
    assert c.step(Tick(), 1.0) == []


def test_a_rule_that_lands_elsewhere_is_caught() -> None:
    c = bell()
    with pytest.raises(AssertionError, match=r"wreck may not land in Broken\(\)"):
        c.step(Wreck(), 0.0)
    assert c.state == Idle()


def test_an_early_or_repeated_tick_does_nothing() -> None:
    c = ringing()
    assert c.step(Tick(), 0.999) == []
    assert c.step(Tick(), 1.0) == [Rang(1)]
    assert c.step(Tick(), 1.0) == []


def test_a_late_tick_fires_what_is_due_one_timer_at_a_time_earliest_first() -> None:
    """Ringing at 1 moves the next ring to 6; being tired at 3 then ends it."""
    c = ringing()
    assert c.step(Tick(), 5.0) == [Rang(1)]
    assert (c.state, c.deadline) == (Idle(), None)


def test_a_timer_whose_rule_leaves_it_due_is_caught_instead_of_firing_for_ever() -> None:
    def stuck(m: Machine, _: object, now: Monotonic) -> Step:
        return Machine(m.state, m.timers.set(Bell.RING_DUE, now)), []

    class Stuck(Doorbell):
        __slots__ = ()
        table: ClassVar[Table] = {**Doorbell.table, (Ringing, Bell.RING_DUE): Rule(stuck, to=(Ringing,))}

    c = Stuck(Machine(Ringing(), Timers[Bell]().set(Bell.RING_DUE, 1.0)), record=True)
    with pytest.raises(AssertionError, match="RING_DUE must be cleared or moved by its rule"):
        c.step(Tick(), 1.0)


def test_a_clock_that_goes_back_counts_as_the_same_moment() -> None:
    c = ringing()
    c.step(Tick(), 1.0)
    c.step(Tick(), 0.0)
    c.step(Poke(), float("nan"))
    assert c.trace is not None
    assert [record.now for record in c.trace] == [0.0, 1.0, 1.0, 1.0]


def test_the_deadline_is_named() -> None:
    c = ringing()
    assert c.deadline is not None
    assert (c.deadline.at, c.deadline.timer, repr(c.deadline)) == (1.0, Bell.RING_DUE, "RING_DUE at 1.0")
    assert bell().deadline is None


def test_accepts_lists_the_legal_inputs_without_the_timers() -> None:
    assert bell().accepts == ["Poke", "Push", "Tick", "Wreck"]
    assert ringing().accepts == ["Poke", "Tick"]


def test_the_trace_is_the_list_of_steps() -> None:
    c = bell()
    outputs = c.step(Poke(), 2.0)
    outputs.append(Rang(99))
    assert c.trace == [Record(Monotonic(2.0), Poke(), [Rang(0)])]


def test_undo_takes_the_last_step_back_clock_included() -> None:
    c = ringing()
    c.step(Tick(), 1.5)
    c.undo()
    assert (c.state, len(c.trace or [])) == (Ringing(), 1)
    assert c.step(Tick(), 1.2) == [Rang(1)]
    c.undo()
    c.undo()
    assert c.state == Idle()
    with pytest.raises(LocalProtocolError, match="nothing to undo"):
        c.undo()


def test_a_fork_moves_alone() -> None:
    c = ringing()
    fork = c.copy()
    assert isinstance(fork, Doorbell)
    fork.step(Tick(), 1.0)
    assert (c.state, fork.state) == (Ringing(), Ringing(1))
    assert (len(c.trace or []), len(fork.trace or [])) == (1, 2)
    fork.undo()
    fork.undo()
    assert fork.state == Idle()
    assert c.state == Ringing()


def test_without_recording_there_is_no_history() -> None:
    c = bell(record=False)
    c.step(Push(), 0.0)
    fork = c.copy()
    fork.step(Tick(), 1.0)
    assert (c.trace, fork.trace, fork.state) == (None, None, Ringing(1))
    with pytest.raises(LocalProtocolError, match="nothing to undo"):
        c.undo()


def test_repr_shows_the_state_and_the_next_deadline() -> None:
    assert repr(bell()) == "<Doorbell Idle(), no timer>"
    assert repr(ringing()) == "<Doorbell Ringing(), RING_DUE at 1.0>"


def test_what_it_was_built_with_is_told_to_the_header_of_its_trace() -> None:
    assert bell().setup() == {}


def test_same_inputs_give_the_same_trace() -> None:
    """docs/protocol.md#invariant-17."""
    inputs: list[tuple[Any, float]] = [(Push(), 0.0), (Tick(), 1.0), (Poke(), 1.1), (Tick(), 9.0)]

    def run() -> list[Record] | None:
        c = bell()
        for i, now in inputs:
            c.step(i, now)
        return c.trace

    assert run() == run()
