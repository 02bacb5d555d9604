"""What the users of the explorer's devices do: mutations chosen because they get in each other's way."""

from collections.abc import Callable
from typing import Any

from protocol import (
    Add,
    Create,
    Delete,
    Dismiss,
    Edit,
    ItemId,
    Patch,
    Replica,
    RunId,
    Snooze,
    Start,
    Wall,
    next_at,
    shown,
)

from .explorer_store import NOON


ALARM, TIMER, FRESH = ItemId("alarm"), ItemId("timer"), ItemId("fresh")
RUN = RunId("r1")
OCC = NOON - 60_000
"""The occurrence that rings."""

Doing = Callable[[Replica], Edit | None]

ALARMED: tuple[Edit, ...] = (
    Create(kind="alarm", id=ALARM, at=0, fields={"time": "07:00", "days": ["mo"], "label": "up"}),
)
"""An alarm."""

RUNNING: tuple[Edit, ...] = (
    Create(kind="timer", id=TIMER, at=0, fields={"duration_ms": 300_000}),
    Start(kind="timer", id=TIMER, at=0, run=RUN, moment=NOON),
)
"""A timer that runs."""


def _doing(make: type[Any], item: ItemId, skew_ms: int = 0, **members: Any) -> Doing:
    """An edit of a record, where the device shows it; `skew_ms` is how far its clock is ahead."""

    def do(replica: Replica) -> Edit | None:
        record = shown(replica, item)
        if record is None:
            return None
        at = next_at(replica, item, Wall(NOON + skew_ms))
        edit: Edit = make(kind=record.kind, id=item, at=at, **members)
        return edit

    return do


def patch(item: ItemId = ALARM, skew_ms: int = 0, **fields: Any) -> Doing:
    """Set fields of a record."""
    return _doing(Patch, item, skew_ms, fields=fields)


def delete(item: ItemId = ALARM) -> Doing:
    """Remove a record."""
    return _doing(Delete, item)


def dismiss(item: ItemId = ALARM, occ: int = OCC) -> Doing:
    """Stop the ring."""
    return _doing(Dismiss, item, occ=occ)


def snooze(item: ItemId = ALARM, occ: int = OCC, length_ms: int = 540_000) -> Doing:
    """Postpone the ring."""
    return _doing(Snooze, item, occ=occ, n=1, length_ms=length_ms, moment=NOON)


def create(item: ItemId = FRESH, **fields: Any) -> Doing:
    """Make an alarm."""

    def do(replica: Replica) -> Edit | None:
        at = next_at(replica, item, NOON)
        return Create(kind="alarm", id=item, at=at, fields={"time": "08:00", "days": ["tu"], **fields})

    return do


def add(ms: int, item: ItemId = TIMER) -> Doing:
    """Lengthen its run."""
    return _doing(Add, item, run=RUN, moment=NOON, ms=ms)
