"""The table is the specification: every state is fed every input and every timer (docs/protocol.md#life-client)."""

from collections.abc import Callable
from enum import Enum
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from protocol._errors import LocalProtocolError
from protocol._machine import Tick
from protocol._timers import ClientTimer as T
from protocol._timers import Timers
from protocol._types import Generation, Handle, Monotonic
from protocol.client import (
    CLIENT,
    POLLING,
    ClientConnection,
    ClientInput,
    Heard,
    Ignored,
    Lost,
    NetworkChanged,
    Opened,
    PollAnswered,
    PollFailed,
    Received,
    ReceivedBinary,
    Refused,
    Start,
    Stop,
    Stored,
    Submit,
    SyncNow,
    TakeOver,
    TokenFailed,
    TokenReady,
    Unreachable,
    Woke,
)
from protocol.client._states import Link, Polled

from .desk import Desk, backoff, connecting, entry, live, opening, polling, said, some, syncing


def refreshing() -> Desk:
    desk = Desk()
    desk.step(Start())
    return desk


def stopped() -> Desk:
    desk = backoff()
    desk.step(Stop())
    return desk


MAKE: dict[str, Callable[[], Desk]] = {
    "Idle": Desk,
    "Refreshing": refreshing,
    "Connecting": connecting,
    "Opening": opening,
    "Syncing": syncing,
    "Live": live,
    "Backoff": backoff,
    "Stopped": stopped,
}

OLD = Generation(77)
HANDLE = Handle("t")

FACTS: dict[type[Any], Callable[[Generation], Any]] = {
    TokenReady: lambda gen: TokenReady(gen, HANDLE),
    TokenFailed: lambda gen: TokenFailed(gen, rejected=False, why="offline"),
    Opened: lambda gen: Opened(gen, "tocsin.v1"),
    Refused: lambda gen: Refused(gen, 503, "busy"),
    Unreachable: lambda gen: Unreachable(gen, "no route"),
    Received: lambda gen: Received(gen, said("confetti")),
    ReceivedBinary: lambda gen: ReceivedBinary(gen, b"\x01"),
    Heard: Heard,
    Lost: lambda gen: Lost(gen, 1006),
    PollAnswered: lambda gen: PollAnswered(gen, "{}"),
    PollFailed: lambda gen: PollFailed(gen, 0),
}
"""Inputs that belong to one connection or one request."""

WISHES: dict[type[Any], Callable[[], Any]] = {
    Start: Start,
    Stop: Stop,
    Submit: lambda: Submit(entry(9)),
    Stored: lambda: Stored(1),
    Woke: Woke,
    NetworkChanged: NetworkChanged,
    SyncNow: SyncNow,
    TakeOver: TakeOver,
}

STATES: tuple[type[Any], ...] = get_args(Link)
STIMULI: set[type[Any]] = {kind for kind in get_args(ClientInput) if kind is not Tick}

ILLEGAL = (
    {(name, "Start") for name in MAKE if name not in {"Idle", "Stopped"}}
    | {(name, "TakeOver") for name in MAKE if name != "Stopped"}
    | {(name, "SyncNow") for name in ("Idle", "Stopped")}
)


def test_every_input_and_every_state_is_known_here() -> None:
    assert {state.__name__ for state in STATES} == set(MAKE)
    assert {*FACTS, *WISHES} == STIMULI


@pytest.mark.parametrize("name", MAKE)
def test_states_are_what_they_are_called(name: str) -> None:
    assert MAKE[name]().state == name


@pytest.mark.parametrize("kind", sorted(STIMULI, key=str), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_state_takes_every_input_or_says_that_it_is_illegal(state: type[Any], kind: type[Any]) -> None:
    desk = MAKE[state.__name__]()
    stimulus = WISHES[kind]() if kind in WISHES else FACTS[kind](desk.gen)
    before = desk.c.machine
    if (state.__name__, kind.__name__) in ILLEGAL:
        assert (state, kind) not in CLIENT
        with pytest.raises(LocalProtocolError, match=f"^{kind.__name__} is illegal in {state.__name__}; legal: "):
            desk.step(stimulus)
        assert desk.c.machine is before
    else:
        desk.step(stimulus)
        assert type(desk.c.state) in CLIENT[state, kind].to


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_fact_of_another_generation_changes_nothing_in_any_state(state: type[Any], kind: type[Any]) -> None:
    """Invariant 11."""
    desk = MAKE[state.__name__]()
    before = desk.c.machine
    (output,) = desk.step(FACTS[kind](OLD))
    assert isinstance(output, Ignored)
    assert desk.c.machine == before


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_tick_that_comes_early_does_nothing(state: type[Any]) -> None:
    desk = MAKE[state.__name__]()
    before = desk.c.machine
    assert desk.step(Tick()) == []
    assert desk.c.machine is before


# --- timers -----------------------------------------------------------------------------------------------------------


def due(desk: Desk, timer: T) -> ClientConnection:
    """The same client with only this timer set, and due."""
    c = desk.c.copy()
    c.machine = replace(c.machine, timers=Timers(((Monotonic(desk.now), timer),)))
    assert isinstance(c, ClientConnection)
    return c


@pytest.mark.parametrize("timer", T)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_timer_that_a_state_may_have_lands_where_declared(state: type[Any], timer: T) -> None:
    desk = MAKE[state.__name__]()
    rule = CLIENT.get((state, timer))
    if rule is None:
        assert timer not in desk.c.machine.timers
        return
    if timer in {T.POLL_DUE, T.POLL_LATE_DUE}:
        desk, _ = polling()
        state = type(desk.c.state)
        rule = CLIENT[state, timer]
    c = due(desk, timer)
    c.step(Tick(), desk.now)
    assert type(c.state) in rule.to


def test_every_timer_has_a_meaning_somewhere() -> None:
    assert {stimulus for _, stimulus in CLIENT if isinstance(stimulus, Enum)} == set(T)


def test_no_timer_is_ever_set_where_the_table_does_not_know_it() -> None:
    """Walked through by the properties at random; here along the shortest ways."""
    for make in MAKE.values():
        desk = make()
        for _, timer in desk.c.machine.timers.pending:
            assert (type(desk.c.state), timer) in CLIENT


def test_idle_and_stopped_have_no_timer() -> None:
    assert not any(isinstance(stimulus, Enum) for state, stimulus in CLIENT if state.__name__ in {"Idle", "Stopped"})


# --- the region beside it ---------------------------------------------------------------------------------------------


def test_polling_has_three_states_and_each_way_has_a_reason() -> None:
    assert {state for way in POLLING for state in way} == set(get_args(Polled))
    assert all(POLLING.values())


# --- declared landings ------------------------------------------------------------------------------------------------


def test_nobody_leaves_stopped_but_the_user() -> None:
    leaving = {
        stimulus
        for (state, stimulus), rule in CLIENT.items()
        if state.__name__ == "Stopped"
        for to in rule.to
        if to is not state
    }
    assert leaving == {Start, TakeOver}


def test_idle_is_left_for_good() -> None:
    assert not [
        key
        for key, rule in CLIENT.items()
        if key[0].__name__ != "Idle" and any(to.__name__ == "Idle" for to in rule.to)
    ]


def test_live_is_reached_from_syncing_alone() -> None:
    sources = {state.__name__ for (state, _), rule in CLIENT.items() if any(to.__name__ == "Live" for to in rule.to)}
    assert sources == {"Syncing", "Live"}


def test_a_repeated_start_is_the_drivers_mistake() -> None:
    desk = live()
    with pytest.raises(LocalProtocolError, match="legal: Heard, Lost"):
        desk.step(Start())
    assert not some(desk.step(Tick()), Ignored)
