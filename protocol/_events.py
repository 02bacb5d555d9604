"""A row of the log as text, for all receivers of one profile at once (docs/protocol.md#msg-identical)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import to_builtins

from ._fields import LAST_MS
from ._log import Account, Change
from ._messages import SyncReason, SyncRequired
from ._records import Record
from ._types import Wall


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAST = {"create": "created", "delete": "deleted"}
_encode = msgspec.json.Encoder().encode


def timestamp(when: Wall) -> str:
    """An instant as people and classic clients read it: ISO 8601 in UTC with milliseconds, `Z` for the zone."""
    moment = _EPOCH + timedelta(milliseconds=min(max(when, 0), LAST_MS))
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def event_text(change: Change) -> str:
    """The v1 event of a row: a new record whole, else only what changed."""
    event: dict[str, Any] = {"type": event_type(change), "rev": change.rev, "at": change.at}
    match change.op:
        case "create":
            event["data"] = change.changed
        case "delete":
            event["id"] = change.id
        case _:
            event["id"] = change.id
            event["changed"] = change.changed
    return _text(event, change)


def classic_text(change: Change, record: Record | None) -> str:
    """The classic event of a row, with the whole record as it was after it, without stamps; None: it is gone."""
    event: dict[str, Any] = {"type": event_type(change)}
    if record is None:
        event |= {"id": change.id, "data": {"id": change.id, "kind": change.kind}}
    else:
        event["data"] = classic_record(record)
    event |= {"rev": change.rev, "at": change.at}
    return _text(event, change)


def classic_record(record: Record) -> dict[str, Any]:
    """A record as classic peers see it."""
    data: dict[str, Any] = to_builtins(record)
    del data["stamps"]
    return data


def sync_text(reason: SyncReason, account: Account, when: Wall) -> str:
    """Tells a classic peer to load everything again."""
    message = SyncRequired(reason=reason, epoch=account.epoch, rev=account.rev, timestamp=timestamp(when))
    return _encode(message).decode()


def event_type(change: Change) -> str:
    """`alarm_created` and its five like."""
    return f"{change.kind}_{_PAST.get(change.op, 'updated')}"


def _text(event: dict[str, Any], change: Change) -> str:
    event |= {"origin": change.origin, "timestamp": timestamp(change.when)}
    return _encode(event).decode()
