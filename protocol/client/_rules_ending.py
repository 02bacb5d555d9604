"""Facts about connections that are over (docs/protocol.md#life-loss)."""

from typing import Any

from .._timers import ClientTimer as T
from ._ending import SILENCE, close, over
from ._inputs import Lost
from ._turn import Turn, current, due, rule


@current
def lost(turn: Turn, input: Lost) -> None:
    """The transport is over."""
    over(turn, input.code, input.reason[:200] or f"connection lost ({input.code})")


@due(T.SILENCE_DUE)
def silent(turn: Turn) -> None:
    """Nothing was heard for too long, or the close that a goodbye announced did not come."""
    close(turn, SILENCE, "silence")


@due(T.STALLED_DUE)
def stalled(turn: Turn) -> None:
    """The server lives, but what it began does not go on (docs/protocol.md#life-stalled)."""
    close(turn, SILENCE, "stalled")


@rule
def stale(turn: Turn, input: Any) -> None:
    """A fact that has no place here: its connection or request is over, or nobody asked for it."""
    turn.ignore(f"{type(input).__name__} of generation {input.gen} has no place here")
