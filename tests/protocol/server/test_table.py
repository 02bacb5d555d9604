"""The table is the specification: every state is fed every input and every timer (docs/protocol.md#life-server)."""

from typing import Any, get_args

import pytest

from protocol._errors import Fault, LocalProtocolError
from protocol._messages import Result
from protocol._timers import ServerTimer, Timers
from protocol._types import Mid, Monotonic, Rev
from protocol.server import (
    SERVER,
    Answered,
    Behind,
    Blocked,
    ClassicLive,
    Closed,
    Declined,
    Drain,
    Drained,
    Evicted,
    HeadRead,
    Heard,
    Joined,
    Live,
    Malformed,
    Overlong,
    PresenceIs,
    ReceivedBinary,
    Requested,
    Resync,
    ServerConnection,
    ServerInput,
    ServerState,
    StoreFailed,
    Tick,
    TokenRejected,
)

from .sessions import (
    EPOCH,
    HANDLE,
    STATES,
    WALL,
    account,
    awaiting_hello,
    behind,
    classic,
    classic_joining,
    handshake,
    hello,
    join,
    joining,
    live,
    page,
    published,
    snapshot,
    text,
    verdict,
)


INPUTS: tuple[Any, ...] = (
    Requested("v1"), verdict(), TokenRejected(HANDLE, "invalid"), text(hello()), text("{}"), text({"type": "bye"}),
    ReceivedBinary(b"\x01x", WALL), Overlong(70_000), Malformed(1002, "framing"), Joined(account(41), Mid(0), WALL),
    Evicted(4005, "replaced", 8), Answered(Result(mid=Mid(1), status="applied", rev=Rev(42))),
    Declined(Mid(1), Fault("epoch", "other")), page(41, 43), snapshot(43), HeadRead(account(41), WALL),
    StoreFailed("apply", Mid(1)), StoreFailed("page"), published(42), Resync(EPOCH, Rev(41)), PresenceIs(()), Heard(),
    Blocked(), Drained(), Drain(3), Closed(1006), Tick(),
)  # fmt: skip
"""At least one of every class of input."""

LEGAL = [(name, i) for name in STATES for i in INPUTS if type(i).__name__ in STATES[name]().accepts]
ILLEGAL = [(name, i) for name in STATES for i in INPUTS if type(i).__name__ not in STATES[name]().accepts]
TIMED = sorted({(state.__name__, timer.name) for state, timer in SERVER if isinstance(timer, ServerTimer)})


def test_every_class_of_input_is_fed() -> None:
    assert {type(i) for i in INPUTS} == set(get_args(ServerInput))


def test_every_state_has_a_representative() -> None:
    assert set(STATES) == {state.__name__ for state in get_args(ServerState)}
    assert {name: type(make().state).__name__ for name, make in STATES.items()} == {name: name for name in STATES}


@pytest.mark.parametrize(("name", "i"), LEGAL, ids=repr)
def test_a_legal_input_lands_where_the_table_declares(name: str, i: Any) -> None:
    c = STATES[name]()
    before = type(c.state)
    c.step(i, 0.0)
    allowed = (before,) if isinstance(i, Tick) else SERVER[before, type(i)].to
    assert type(c.state) in allowed


@pytest.mark.parametrize(("name", "i"), ILLEGAL, ids=repr)
def test_an_illegal_input_raises_and_changes_nothing(name: str, i: Any) -> None:
    c = STATES[name]()
    machine, deadline, trace = c.machine, c.deadline, list(c.trace or [])
    with pytest.raises(LocalProtocolError, match=f"{type(i).__name__} is illegal in {name}; legal: .*Tick"):
        c.step(i, 5.0)
    assert (c.machine, c.deadline, c.trace) == (machine, deadline, trace)
    # Nor has its clock moved: a later step may still be earlier than the refused one.
    assert c.step(Tick(), 1.0) == []


def due(name: str, timer: ServerTimer) -> ServerConnection:
    """A connection in a state with one timer set, due at 1.0, whatever else is set."""
    c = STATES[name]()
    if timer is ServerTimer.PRESENCE_DUE:
        c = live(caps=["presence"]) if name == "Live" else behind(caps=["presence"])
        c.step(PresenceIs(()), 0.0)
        c.step(PresenceIs(()), 0.0)
    c.machine = type(c.machine)(
        **{
            **{f: getattr(c.machine, f) for f in c.machine.__struct_fields__},
            "timers": Timers[ServerTimer]().set(timer, 1.0),
        }
    )
    return c


@pytest.mark.parametrize(("name", "timer"), TIMED)
def test_a_timer_lands_where_the_table_declares_and_is_cleared_or_moved(name: str, timer: str) -> None:
    c = due(name, ServerTimer[timer])
    before = type(c.state)
    assert c.step(Tick(), 0.999) == []
    c.step(Tick(), 1.0)
    assert type(c.state) in SERVER[before, ServerTimer[timer]].to
    assert not c.machine.timers.is_due(ServerTimer[timer], 1.0)


@pytest.mark.parametrize("name", STATES)
def test_a_timer_without_a_row_cannot_be_set_by_any_input(name: str) -> None:
    """Otherwise the tick that a driver owes would raise."""
    for i in INPUTS:
        c = STATES[name]()
        if type(i).__name__ in c.accepts:
            c.step(i, 0.0)
        for _, timer in c.machine.timers.pending:
            assert (type(c.state), timer) in SERVER


def test_every_declared_landing_state_is_a_state() -> None:
    states = set(get_args(ServerState))
    assert all(set(rule.to) <= states and state in states for (state, _), rule in SERVER.items())


@pytest.mark.parametrize("name", [name for name in STATES if name not in {"New", "Gone"}])
def test_no_state_waits_without_a_deadline(name: str) -> None:
    """Whatever does not come, a driver, a store or a peer: something is due (docs/protocol.md#invariant-12)."""
    assert STATES[name]().deadline is not None


def test_no_state_between_two_others_waits_without_a_deadline() -> None:
    waiting = [joining(), classic_joining(), behind(), behind(cursor=None), live(), classic()]
    assert all(c.deadline is not None and c.deadline.at < 76 for c in waiting)


def test_a_connection_that_waits_for_the_store_ends_by_itself() -> None:
    for c in (joining(), classic_joining(), behind(), behind(cursor=None)):
        ended = 0.0
        while "Closed" in c.accepts and c.deadline is not None and type(c.state).__name__ != "Draining":
            ended = c.deadline.at
            c.step(Heard(), ended - 0.001)
            c.step(Tick(), ended)
        assert ended <= 60


def test_statistics_and_repr_answer_the_next_question() -> None:
    c = live(rev=41)
    c.step(text({"type": "news"}), 0.0)
    c.step(HeadRead(account(41), WALL), 0.0)
    assert c.statistics() == {"beats": 1, "unknown": 1}
    assert repr(c) == ("<ServerConnection Live(peer=anna/desk, sent=41), HEARTBEAT_DUE at 30.0>")
    assert repr(ServerConnection()) == "<ServerConnection New(), no timer>"
    assert repr(handshake()).startswith("<ServerConnection Handshake(")
    assert "login=anna" in repr(awaiting_hello())


def test_a_setup_builds_the_same_connection_again() -> None:
    c = ServerConnection()
    assert ServerConnection.from_setup(c.setup()).machine == c.machine
    assert ServerConnection.from_setup({}).machine == c.machine


@pytest.mark.parametrize("make", [live, behind, classic])
def test_a_session_begins_with_a_heartbeat_due(make: Any) -> None:
    c = make()
    assert isinstance(c.state, (Live, Behind, ClassicLive))
    assert (Monotonic(30.0), ServerTimer.HEARTBEAT_DUE) in c.machine.timers.pending


def test_joining_twice_does_not_extend_its_deadline() -> None:
    """A cursor above the head asks for a new epoch; the store gets no more time for two answers than for one."""
    c = joining(cursor={"epoch": EPOCH, "rev": 50})
    join(c, 41, now=9.0)
    assert c.deadline is not None
    assert c.deadline.at == 10.0
