"""What an edit does to a record, the same on both sides; what it changed; and how a replica takes that over.

All three are pure and total: the server's order decides, every client repeats it, and whatever a peer sent, neither
side may fail where the other goes on (docs/protocol.md#mutation-apply-pure).
"""

from typing import Any, assert_never

import msgspec
from msgspec import UNSET, ValidationError, convert, to_builtins
from msgspec.structs import replace

from ._countdown import command
from ._edits import Add, Create, Delete, Dismiss, Mutation, Patch, Pause, Reset, Resume, Snooze, Start
from ._fields import REQUIRED, is_list, read_fitting, same
from ._messages import (
    AlarmCreated,
    AlarmDeleted,
    AlarmUpdated,
    ItemEvent,
    TimerCreated,
    TimerDeleted,
    TimerUpdated,
)
from ._records import DEFINITION, TRANSITION, Alarm, Record, Timer
from ._registers import dismiss, snooze
from ._types import NEVER, Kind, Stamp


# --- an edit ----------------------------------------------------------------------------------------------------------


def apply(record: Record | None, mutation: Mutation) -> Record | None:
    """The record after a mutation; the same object where nothing changes, None where there is no record.

    Ill-typed and unknown `fields` are ignored, an edit of another kind does nothing, on no record only a create acts.
    `rev`, `created_at`, `updated_at` and `updated_by` are not its business.
    """
    edit = mutation.edit
    if record is None:
        return _create(edit, mutation.stamp) if isinstance(edit, Create) else None
    if edit.kind != record.kind:
        return record
    match edit:
        case Create() | Patch():
            return _patch(record, edit.fields, mutation.stamp)
        case Delete():
            return None
        case Dismiss():
            return dismiss(record, edit)
        case Snooze():
            return snooze(record, edit)
        case Start() | Pause() | Resume() | Add() | Reset():
            return command(record, edit, mutation.stamp) if isinstance(record, Timer) else record
        case _:
            assert_never(edit)


def _create(edit: Create, stamp: Stamp) -> Record | None:
    values = read_fitting(edit.kind, edit.fields)
    if REQUIRED[edit.kind] not in values:
        return None
    stamps = dict.fromkeys(DEFINITION[edit.kind], stamp)
    return _CLASSES[edit.kind](id=edit.id, stamps=stamps, **values)


def _patch(record: Record, fields: dict[str, Any], stamp: Stamp) -> Record:
    """The greater stamp wins a field; an equal value keeps its older stamp, since nobody meant to change it."""
    won = {
        name: value
        for name, value in read_fitting(record.kind, fields).items()
        if stamp > record.stamps.get(name, NEVER) and not same(value, getattr(record, name))
    }
    return replace(record, **won, stamps=record.stamps | dict.fromkeys(won, stamp)) if won else record


# --- what it changed --------------------------------------------------------------------------------------------------


def changed(before: Record | None, after: Record | None) -> dict[str, Any]:
    """What an event carries, as JSON: the fields whose value or stamp changed; of a new record all but its stamps.

    `rev`, `created_at`, `updated_at` and `updated_by` are listed for a new record only, `stamps` never.
    """
    if after is None or after is before:
        return {}
    if before is None:
        return {name: _json(getattr(after, name)) for name in ("kind", *_TYPES[after.kind])}
    names = [name for name, stamp in after.stamps.items() if before.stamps.get(name) != stamp]
    names += [name for name in _UNSTAMPED[after.kind] if getattr(before, name) != getattr(after, name)]
    return {name: _json(getattr(after, name)) for name in names}


def _json(value: Any) -> Any:
    """As a decoder of JSON would give it, so that a row read back equals the row written."""
    return list(value) if is_list(value) else to_builtins(value)


# --- an event ---------------------------------------------------------------------------------------------------------


def assign(record: Record | None, event: ItemEvent) -> Record | None:
    """A replica's record after an item event: what changed is assigned, never merged.

    Fields that are not of their type are ignored; an event that cannot be meant for this record returns it unchanged.
    After every event of a log the replica equals the server's record, stamps included.
    """
    match event:
        case AlarmCreated():
            return _adopt("alarm", event) or record
        case TimerCreated():
            return _adopt("timer", event) or record
        case AlarmUpdated():
            return _update(record, event) if isinstance(record, Alarm) else record
        case TimerUpdated():
            return _update(record, event) if isinstance(record, Timer) else record
        case AlarmDeleted() | TimerDeleted():
            return None
        case _:
            assert_never(event)


def _adopt(kind: Kind, event: AlarmCreated | TimerCreated) -> Record | None:
    values = _typed(kind, event.data)
    if "id" not in values or REQUIRED[kind] not in values:
        return None
    moved = TRANSITION if values.get("run") is not None else ()
    stamps = dict.fromkeys((*DEFINITION[kind], *moved), _event_stamp(event))
    made: dict[str, Any] = {
        "rev": event.rev,
        "updated_at": event.timestamp,
        "updated_by": event.origin,
        "stamps": stamps,
    }
    return _CLASSES[kind](**(values | made))


def _update(record: Record, event: AlarmUpdated | TimerUpdated) -> Record:
    sent = {} if event.changed is UNSET else event.changed
    values = _typed(record.kind, {name: value for name, value in sent.items() if name in _TRACKED[record.kind]})
    stamped = [name for name in values if name in _STAMPED[record.kind]]
    stamps = record.stamps | dict.fromkeys(stamped, _event_stamp(event))
    return replace(record, **values, rev=event.rev, updated_at=event.timestamp, updated_by=event.origin, stamps=stamps)


def _event_stamp(event: ItemEvent) -> Stamp:
    if event.origin is None:
        return Stamp(event.at, "", 0)
    return Stamp(event.at, event.origin.device_id, event.origin.mid)


def _typed(kind: Kind, values: dict[str, Any]) -> dict[str, Any]:
    read = {name: _typed_value(kind, name, value) for name, value in values.items() if name in _TYPES[kind]}
    return {name: value for name, value in read.items() if value is not UNSET}


def _typed_value(kind: Kind, name: str, value: Any) -> Any:
    try:
        kept = convert(value, _TYPES[kind][name])
    except (ValidationError, RecursionError):
        return UNSET
    if name == "snooze" and kept is not None and not isinstance(kept.occ, _OCCURRENCE[kind]):
        return UNSET
    return kept


_CLASSES: dict[Kind, type[Alarm] | type[Timer]] = {"alarm": Alarm, "timer": Timer}
_OCCURRENCE: dict[Kind, type[int] | type[str]] = {"alarm": int, "timer": str}
_UNSTAMPED: dict[Kind, tuple[str, ...]] = {
    "alarm": ("acked", "snooze"),
    "timer": ("started_at", "ends_at", "remaining_ms", "acked", "snooze"),
}
_STAMPED: dict[Kind, frozenset[str]] = {
    "alarm": frozenset(DEFINITION["alarm"]),
    "timer": frozenset((*DEFINITION["timer"], *TRANSITION)),
}
_TRACKED: dict[Kind, frozenset[str]] = {kind: _STAMPED[kind].union(_UNSTAMPED[kind]) for kind in _STAMPED}
_TYPES: dict[Kind, dict[str, Any]] = {
    kind: {field.name: field.type for field in msgspec.structs.fields(made) if field.name != "stamps"}
    for kind, made in _CLASSES.items()
}
