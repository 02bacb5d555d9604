"""Events of the engine as lines: JSON for programs, words for people. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_never

import msgspec

from protocol import Alarm, DevicePresence, Record, Timer

from .durations import say_duration
from .edits import name_of
from .events import (
    Answered,
    Changed,
    Deleted,
    Done,
    Event,
    Failed,
    InStep,
    PresenceSeen,
    Problem,
    Rejected,
    RingBegan,
    RingEnded,
    StatusChanged,
)
from .ringing import Sounding
from .sync_manager import Status


Line = dict[str, Any]
"""A JSON object; `event` comes first and says what it is."""

_encode = msgspec.json.Encoder().encode


def encode(line: Line) -> str:
    """A line as it is printed, without its end."""
    return _encode(line).decode()


def event_line(event: Event) -> Line:  # noqa: C901, PLR0912 - one case for each event
    """An event as a JSON object; a command's answer is made by `headless`, which knows its words."""
    match event:
        case StatusChanged(status=status):
            return {"event": "link"} | status_facts(status)
        case Changed(record=record):
            return {"event": "changed", "id": record.id, "record": record}
        case Deleted(item=item):
            return {"event": "deleted", "id": item}
        case RingBegan(sounding=sounding, at=at, local_ns=local_ns):
            began: Line = {"resumed": sounding.resumed, "at": at, "local_ns": local_ns}
            return {"event": "ring"} | ring_facts(sounding) | began
        case RingEnded():
            ended: Line = {"why": event.why, "by": event.by, "here": event.here, "local_ns": event.local_ns}
            return {"event": "silenced"} | ring_facts(event.sounding) | ended
        case Answered(result=result):
            return {"event": "answered"} | _without_type(msgspec.to_builtins(result))
        case Rejected(rejection=rejection):
            refused: Line = msgspec.to_builtins(rejection)
            return {"event": "rejected"} | refused
        case InStep():
            return {"event": "synced"}
        case PresenceSeen(devices=devices):
            return {"event": "presence", "devices": devices}
        case Problem(code=code, message=message):
            return {"event": "problem", "code": code, "message": message}
        case Done(ref=ref, items=items):
            return {"event": "reply", "ref": ref, "ok": True, "id": items[0] if items else None, "ids": items}
        case Failed(ref=ref, code=code, message=message, field=field):
            return {"event": "reply", "ref": ref, "ok": False, "code": code, "message": message, "field": field}
        case _:
            assert_never(event)


def status_facts(status: Status) -> Line:
    """The two axes and their numbers; `state` is the link."""
    facts: Line = msgspec.to_builtins(status)
    return {"state": facts.pop("link")} | facts


def ring_facts(sounding: Sounding) -> Line:
    """What rings: its item, its occurrence and its window."""
    ring, record = sounding.ring, sounding.record
    return {
        "id": record.id,
        "kind": record.kind,
        "label": record.label,
        "occ": ring.occ,
        "n": ring.n,
        "due": ring.due,
        "since": ring.since,
        "until": ring.until,
    }


def _without_type(facts: Line) -> Line:
    return {name: value for name, value in facts.items() if name != "type"}


# --- for people -------------------------------------------------------------------------------------------------------


def words(line: Mapping[str, Any], event: Event | None = None) -> str:
    """A line in words; of an event, or of a reply that `headless` made."""
    match event:
        case StatusChanged(status=status):
            return status_words(status)
        case Changed(record=record):
            return record_words(record)
        case RingBegan(sounding=sounding):
            again = " (again, after a restart)" if sounding.resumed else ""
            return f"RING  {name_of(sounding.record)}{again}: `stop`, `snooze` or `quiet`"
        case RingEnded(sounding=sounding, why=why, by=by):
            return f"quiet {name_of(sounding.record)}: {why}{f' by {by}' if by else ''}"
        case PresenceSeen(devices=devices):
            return presence_words(devices)
        case _:
            return plain_words(line)


def plain_words(line: Mapping[str, Any]) -> str:
    """Any other line: its name, then what it holds."""
    if line.get("help"):
        return str(line["help"])
    records = line.get("records")
    over = line.get("over", ())
    rows = [record_words(record, is_over=record.id in over) for record in records] if isinstance(records, list) else []
    left_out = {"event", "t", "records", "over"} if rows else {"event", "t"}
    facts = (f"{name}={_encode(value).decode()}" for name, value in line.items() if name not in left_out)
    return "\n".join([f"{line['event']} {' '.join(facts)}".rstrip(), *rows])


def status_words(status: Status) -> str:
    """The status line."""
    link = status.link + (f": {status.why}" if status.why else "")
    if status.retry_in_ms is not None:
        link += f" (again in {say_duration(status.retry_in_ms)})"
    parts = [link, status.data.replace("_", " ")]
    if status.waiting:
        parts.append(f"{status.waiting} waiting")
    if status.rejected:
        parts.append(f"{status.rejected} rejected")
    return f"link  {' · '.join(parts)}{' · SIGN IN' if status.sign_in else ''}"


def record_words(record: Record, *, is_over: bool = False) -> str:
    """A row of the list; `is_over`: a timer that has ended for good."""
    match record:
        case Alarm():
            when = ",".join(record.days) or record.date or "once"
            state = "" if record.enabled else " (off)"
            return f"{record.id[:8]}  alarm  {record.time} {when} {record.tz}  {record.label}{state}"
        case Timer():
            phase = "over" if is_over else _phase(record)
            return f"{record.id[:8]}  timer  {say_duration(record.duration_ms)} {phase}  {record.label}"
        case _:
            assert_never(record)


def _phase(timer: Timer) -> str:
    if timer.run is not None and timer.acked == timer.run:
        return "over"
    if timer.ends_at is not None:
        ends = datetime.fromtimestamp(timer.ends_at / 1000).astimezone()
        return f"running until {ends:%H:%M:%S}"
    return f"paused at {say_duration(timer.remaining_ms)}" if timer.remaining_ms is not None else timer.phase


def presence_words(devices: tuple[DevicePresence, ...]) -> str:
    """Who is there."""
    names = (f"{device.name or device.device_id} {'online' if device.online else 'offline'}" for device in devices)
    return f"devices  {', '.join(names) or 'none known'}"
