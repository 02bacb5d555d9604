"""What both connections promise, whatever comes, as checks after each step (docs/protocol.md#invariant-12, -13)."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

import msgspec

from protocol import trace
from protocol._errors import LocalProtocolError
from protocol._machine import Connection, Tick


LONGEST_WAIT_S: Final = (1 << 53) / 1000
"""No deadline is further away: beyond, milliseconds are no exact numbers any more."""

_ENCODE = msgspec.json.Encoder().encode


def step(connection: Connection[Any, Any], stimulus: Any, now: float) -> list[Any]:
    """One input. Where it is illegal it must be refused and change nothing; else it must not raise."""
    before, legal = connection.machine, type(stimulus).__name__ in connection.accepts
    try:
        outputs = connection.step(stimulus, now)
    except LocalProtocolError:
        if legal and not _may_be_refused(stimulus):
            raise
        assert connection.machine is before, "a refused input changes nothing"
        return []
    assert legal, f"{type(stimulus).__name__} was taken, though `accepts` does not name it"
    return outputs


def _may_be_refused(stimulus: Any) -> bool:
    # The one input with conditions of its own: an entry must be numbered, and sendable.
    return type(stimulus).__name__ == "Submit"


def closed(outputs: Sequence[Any], union: frozenset[type]) -> None:
    """Every output is a member of the closed union, and can be written into a trace."""
    for output in outputs:
        assert type(output) in union, f"{type(output).__name__} is no output"
    trace.text(outputs)


def timers(connection: Connection[Any, Any], now: float) -> None:
    """Deadlines are finite, each timer is set once, and each has a row in the table."""
    pending = connection.machine.timers.pending
    state = type(connection.machine.state)
    assert len({timer for _, timer in pending}) == len(pending)
    for at, timer in pending:
        assert isfinite(at), f"{timer.name} at {at}"
        assert at <= now + LONGEST_WAIT_S, f"{timer.name} at {at}, now {now}"
        assert (state, timer) in connection.table, (
            f"{timer.name} may come due in {state.__name__}, which has no row for it"
        )


def tick(connection: Connection[Any, Any], now: float) -> list[Any]:
    """A tick; afterwards no deadline is due, or a driver would turn in circles."""
    outputs = step(connection, Tick(), now)
    deadline = connection.deadline
    assert deadline is None or deadline.at > now, f"{deadline} is still due at {now}"
    return outputs


def size(value: Any) -> int:
    """How much a machine holds: bytes of it as JSON."""
    return len(_ENCODE(value))


def replays(connection: Connection[Any, Any]) -> None:
    """The recording of a session can be read again, and does the same again (docs/protocol.md#invariant-17)."""
    assert connection.trace is not None
    loaded = trace.load(trace.dump(connection))
    assert len(loaded.steps) == len(connection.trace)
    for difference in trace.replay(loaded):
        raise AssertionError(str(difference))
