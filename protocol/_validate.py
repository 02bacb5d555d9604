"""The server's two looks at a mutation before it is applied: `complete` fills in, `validate` refuses.

`validate` stops at the first fault, in this order: kind, identifier, `at`, then the op's own members in the order of
the specification's tables, then the number of items and the size of the result (docs/protocol.md#mutation-order). A client asks it too, so that
it refuses at creation what the server would reject later.
"""

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec
from msgspec import structs

from ._apply import apply
from ._edits import Add, Create, Delete, Dismiss, Edit, Mutation, Patch, Pause, Reset, Resume, Snooze, Start
from ._errors import Fault
from ._fields import DAY_MS, LAST_MS, MAX_DURATION_MS, READERS, REQUIRED, Unfit, is_identifier, within
from ._records import Alarm, Record
from ._registers import times_snoozed
from ._schedule import once_date
from ._settings import Limits
from ._types import Kind, Wall, Zones


EARLY_MS = 300_000
"""How long before it is due an alarm's occurrence may be dismissed; a broken clock must not silence tomorrow."""

MAX_LENGTH_MS = DAY_MS
MAX_SNOOZES_AHEAD = 16

_encode = msgspec.json.Encoder().encode


# --- complete ---------------------------------------------------------------------------------------------------------


def complete(record: Record | None, mutation: Mutation, now: Wall, newest_at: int, zones: Zones) -> Mutation:
    """The mutation as it will be applied: clocks that run ahead are set back, a once alarm gets its date.

    `at` may pass the server's clock only by following the newest `at` accepted, so that a device whose clock is wrong
    wins no field for longer than its error is seen.
    """
    edit = mutation.edit
    edit = structs.replace(edit, at=min(edit.at, max(now, newest_at + 1)))
    if isinstance(edit, (Snooze, Start, Pause, Resume, Add, Reset)):
        edit = structs.replace(edit, moment=min(edit.moment, now))
    clamped = structs.replace(mutation, edit=edit)
    return _date(record, clamped, edit, zones) if isinstance(edit, (Create, Patch)) else clamped


def _date(record: Record | None, mutation: Mutation, edit: Create | Patch, zones: Zones) -> Mutation:
    """Fill `date` where the edit makes an alarm ring once and says no day."""
    if edit.fields.get("date") is not None:
        # A day was said: if it is none that exists, it is for `validate` to refuse, not for us to replace.
        return mutation
    after = apply(record, mutation)
    if not isinstance(after, Alarm) or after.days or not lacks_date(record, after, edit):
        return mutation
    date = once_date(after.time, after.tz, Wall(edit.at), zones)
    return structs.replace(mutation, edit=structs.replace(edit, fields=edit.fields | {"date": date}))


def lacks_date(record: Record | None, after: Alarm, edit: Create | Patch) -> bool:
    """Whether a once alarm has no day, or one left from before it was weekly."""
    was_weekly = isinstance(record, Alarm) and record.days != ()
    return after.date is None or (was_weekly and "date" not in edit.fields)


# --- validate ---------------------------------------------------------------------------------------------------------


def validate(
    record: Record | None, mutation: Mutation, now: Wall, zones: Zones, limits: Limits, items: int = 0
) -> Fault | None:
    """Why a completed mutation is refused, or None; `items` is how many records the user has."""
    edit = mutation.edit
    return (
        _check_record(record, edit)
        or _check_identifier("id", edit.id)
        or _check_instant("at", edit.at)
        or _check_op(record, edit, now, zones, limits)
        or _check_result(record, apply(record, mutation), limits, items)
    )


def check_field(kind: Kind, name: str, value: Any, zones: Zones, limits: Limits) -> Fault | None:
    """Why a definition field cannot hold a value, or None."""
    kept = READERS[kind][name](value)
    if isinstance(kept, Unfit):
        return _invalid(name, kept)
    match name:
        case "label" | "sound" if len(kept) > limits.label:
            return _invalid(name, Unfit(f"may have at most {limits.label} characters"))
        case "extra" if len(_encode(kept)) > limits.extra:
            return _invalid(name, Unfit(f"may have at most {limits.extra} bytes as JSON"))
        case "tz" if zones(kept) is None:
            return Fault("bad_zone", f"`tz`: this server knows no time zone {kept!r}.", field="tz")
        case _:
            return None


def check_fields(kind: Kind, fields: Mapping[str, Any], zones: Zones, limits: Limits) -> Fault | None:
    """The first fault among definition fields, in the order of `READERS`; unknown fields are ignored."""
    faults = (check_field(kind, name, fields[name], zones, limits) for name in READERS[kind] if name in fields)
    return next((fault for fault in faults if fault is not None), None)


def check_required(kind: Kind, fields: Mapping[str, Any]) -> Fault | None:
    """A new record needs the field of its kind that has no default."""
    name = REQUIRED[kind]
    return None if name in fields else _invalid(name, Unfit(f"is missing: a new {kind} needs it"))


def check_room(items: int, limits: Limits) -> Fault | None:
    """Whether the user may have one more record."""
    if items < limits.items:
        return None
    return Fault("limit", f"You have {items} alarms and timers; delete one before you make another.")


def check_size(record: Record | None, limits: Limits) -> Fault | None:
    """Whether a record as JSON, stamps included, stays below the limit."""
    size = 0 if record is None else len(_encode(record))
    if size <= limits.record:
        return None
    return Fault("too_big", f"The record would have {size} bytes as JSON; at most {limits.record} are kept.")


def _check_record(record: Record | None, edit: Edit) -> Fault | None:
    if record is None or record.kind == edit.kind:
        return None
    return _invalid("kind", Unfit(f"must be {record.kind}, which is what this `id` names"))


def _check_op(record: Record | None, edit: Edit, now: Wall, zones: Zones, limits: Limits) -> Fault | None:
    match edit:
        case Create() | Patch():
            required = check_required(edit.kind, edit.fields) if record is None else None
            return required or check_fields(edit.kind, edit.fields, zones, limits)
        case Delete():
            return None
        case Dismiss():
            return _check_occurrence(edit, now)
        case Snooze():
            return _check_occurrence(edit, now) or _check_snooze(record, edit)
        case Add():
            return _check_command(edit) or _check_range("ms", edit.ms, 1, MAX_DURATION_MS)
        case Start() | Pause() | Resume() | Reset():
            return _check_command(edit)
        case _:
            assert_never(edit)


def _check_occurrence(edit: Dismiss | Snooze, now: Wall) -> Fault | None:
    if edit.occ is None:
        return _check_identifier("run", edit.run or "") or _check_instant("due", edit.due or 0)
    if edit.occ > now + EARLY_MS:
        return Fault("early", "`occ` is not due yet; to leave out a later occurrence, set `skip`.", field="occ")
    return _check_instant("occ", edit.occ)


def _check_snooze(record: Record | None, edit: Snooze) -> Fault | None:
    occ = edit.run if edit.occ is None else edit.occ
    so_far = 0 if record is None or occ is None else times_snoozed(record, occ)
    return (
        _check_range("n", edit.n, 1, so_far + MAX_SNOOZES_AHEAD)
        or _check_range("length_ms", edit.length_ms, 1, MAX_LENGTH_MS)
        or _check_instant("moment", edit.moment)
    )


def _check_command(edit: Start | Pause | Resume | Add | Reset) -> Fault | None:
    return _check_identifier("run", edit.run) or _check_instant("moment", edit.moment)


def _check_result(before: Record | None, after: Record | None, limits: Limits, items: int) -> Fault | None:
    made = before is None and after is not None
    return (check_room(items, limits) if made else None) or check_size(after, limits)


def _check_identifier(name: str, value: str) -> Fault | None:
    return None if is_identifier(value) else _invalid(name, Unfit("must be 1 to 64 letters, digits, - or _"))


def _check_instant(name: str, value: int) -> Fault | None:
    return _check_range(name, value, 0, LAST_MS)


def _check_range(name: str, value: int, low: int, high: int) -> Fault | None:
    unfit = within(value, low, high)
    return None if unfit is None else _invalid(name, unfit)


def _invalid(name: str, unfit: Unfit) -> Fault:
    return Fault("invalid", f"`{name}` {unfit.why}.", field=name)
