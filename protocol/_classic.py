"""HTTP `POST` and `DELETE` of the classic profile: whole records sent by clients that know no stamps and no mids.

A POST is a patch of the fields that differ from the stored record, then, for a timer, the command that leads to its
`phase`, both in one row (docs/protocol.md#classic-post). Refusals are the outcome's `fault`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ._apply import apply
from ._commit import NO_MID, NOBODY, advance, gone, plain_at
from ._edits import Create, Delete, Edit, Mutation, Patch, Pause, Reset, Resume, Start
from ._errors import Fault
from ._fields import READERS, is_identifier, same
from ._log import Found, Outcome
from ._records import Alarm, Record, Timer
from ._schedule import next_due, once_date
from ._settings import Limits
from ._types import ItemId, Kind, RunId, Stamp, Wall, Zones
from ._validate import check_fields, check_required, check_room, check_size, lacks_date


def post_id(body: Mapping[str, Any], fresh: ItemId) -> ItemId | Fault:
    """The identifier a POST means; `fresh` where it brings none."""
    ident = body.get("id")
    if ident is None:
        return fresh
    if isinstance(ident, str) and is_identifier(ident):
        return ItemId(ident)
    return Fault(
        "invalid", "`id` must be 1 to 64 letters, digits, - or _; without one the server makes it.", field="id"
    )


def commit_post(
    found: Found,
    body: Mapping[str, Any],
    ident: ItemId,
    now: Wall,
    zones: Zones,
    limits: Limits,
    fresh_run: RunId,
    default_zone: str = "UTC",
) -> Outcome:
    """Create or patch a record. Where nothing differs the row says so, and the event its sender waits for still comes.

    Args:
        found: read for `ident`.
        body: the decoded JSON object.
        ident: as `post_id` gave it.
        now: the server's clock.
        zones: looks up IANA zones.
        limits: as `welcome` announces them.
        fresh_run: names the run if the POST starts one.
        default_zone: of a new alarm that brings none.
    """
    edit = _edit(found, body, ident, now, default_zone)
    if isinstance(edit, Fault):
        return _refused(found, edit)
    fault = _check(found, edit, zones, limits)
    if fault is not None:
        return _refused(found, fault)
    after = _dated(found.record, edit, now, zones)
    command = _command(after, body, fresh_run, edit.at, now)
    if isinstance(command, Fault):
        return _refused(found, command)
    if command is not None:
        after = _applied(after, command)
    fault = check_size(after, limits)
    if fault is not None:
        return _refused(found, fault)
    named = edit if command is None or edit.fields else command
    return advance(found, named, Stamp(edit.at, NOBODY, NO_MID), after, now)


def commit_delete(found: Found, now: Wall) -> Outcome:
    """Delete a record; an identifier that names none is a success without an event."""
    if found.record is None:
        return Outcome(found.account)
    edit = Delete(kind=found.record.kind, id=found.record.id, at=plain_at(found.account, now))
    return advance(found, edit, Stamp(edit.at, NOBODY, NO_MID), None, now)


def _edit(found: Found, body: Mapping[str, Any], ident: ItemId, now: Wall, default_zone: str) -> Create | Patch | Fault:
    """The fields that differ, as an edit; unfit ones differ from whatever is stored, and are refused later."""
    if found.deleted:
        return gone(ident)
    kind = _kind(found.record, body)
    if isinstance(kind, Fault):
        return kind
    at, record, readers = plain_at(found.account, now), found.record, READERS[kind]
    sent = {name: body[name] for name in readers if name in body}
    if record is None:
        zone = {"tz": default_zone} if kind == "alarm" else {}
        return Create(kind=kind, id=ident, at=at, fields=zone | sent)
    fields = {name: value for name, value in sent.items() if not same(readers[name](value), getattr(record, name))}
    return Patch(kind=kind, id=ident, at=at, fields=fields)


def _kind(record: Record | None, body: Mapping[str, Any]) -> Kind | Fault:
    sent = body.get("kind")
    if record is not None:
        if sent is None or sent == record.kind:
            return record.kind
        return Fault("invalid", f"`kind` must be {record.kind}, which is what this `id` names.", field="kind")
    match sent:
        case "alarm":
            return "alarm"
        case "timer":
            return "timer"
        case None:
            return Fault("invalid", "`kind` is missing: a new record needs alarm or timer.", field="kind")
        case _:
            return Fault("unknown_kind", "`kind` must be alarm or timer.", field="kind")


def _check(found: Found, edit: Create | Patch, zones: Zones, limits: Limits) -> Fault | None:
    made = found.record is None
    return (
        (check_required(edit.kind, edit.fields) if made else None)
        or check_fields(edit.kind, edit.fields, zones, limits)
        or (check_room(found.items, limits) if made else None)
    )


def _dated(record: Record | None, edit: Create | Patch, now: Wall, zones: Zones) -> Record | None:
    """The record after its fields; a once alarm without a day, or an enabled one in the past, gets a new day."""
    after = _applied(record, edit)
    if not isinstance(after, Alarm) or after.days:
        return after
    if not lacks_date(record, after, edit) and (not after.enabled or next_due(after, now, zones) is not None):
        return after
    date = once_date(after.time, after.tz, now, zones)
    return _applied(record, replace(edit, fields=edit.fields | {"date": date}))


def _command(
    after: Record | None, body: Mapping[str, Any], fresh_run: RunId, at: int, now: Wall
) -> Edit | Fault | None:
    """What leads from a timer's phase to the one sent."""
    if not isinstance(after, Timer) or "phase" not in body or body["phase"] == after.phase:
        return None
    run = after.run or fresh_run
    match after.phase, body["phase"]:
        case "idle", "running":
            return Start(kind="timer", id=after.id, at=at, run=fresh_run, moment=now)
        case "paused", "running":
            return Resume(kind="timer", id=after.id, at=at, run=run, moment=now)
        case "running", "paused":
            return Pause(kind="timer", id=after.id, at=at, run=run, moment=now)
        case _, "idle":
            return Reset(kind="timer", id=after.id, at=at, run=run, moment=now)
        case _, "paused":
            return Fault("invalid", "`phase` cannot be paused: only a running timer can be held.", field="phase")
        case _:
            return Fault("invalid", "`phase` must be idle, running or paused.", field="phase")


def _applied(record: Record | None, edit: Edit) -> Record | None:
    return apply(record, Mutation(edit, NOBODY, NO_MID))


def _refused(found: Found, fault: Fault) -> Outcome:
    return Outcome(found.account, record=found.record, fault=fault)
