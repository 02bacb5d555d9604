"""The classic event types, and builders for server-side code that sends some of its own."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from protocol import Account, SyncReason, Wall, timestamp


class EventType(StrEnum):
    """What a classic client may be sent, as it is spelt on the wire."""

    ALARM_CREATED = "alarm_created"
    ALARM_UPDATED = "alarm_updated"
    ALARM_DELETED = "alarm_deleted"
    TIMER_CREATED = "timer_created"
    TIMER_UPDATED = "timer_updated"
    TIMER_DELETED = "timer_deleted"
    SYNC_REQUIRED = "sync_required"
    HEARTBEAT = "heartbeat"
    ERROR = "error"


def build_item_event(event: EventType, item: Mapping[str, Any], when: Wall) -> dict[str, Any]:
    """An event about an item, as `Hub.send_to_user` takes it.

    It tells and changes nothing: what is to be kept goes through `Notifier.notify_item_change`.

    Args:
        event: one of the six about items.
        item: the record, whole; of a deleted one `id` and `kind`.
        when: ms since 1970.
    """
    return {"type": event.value, "id": item["id"], "data": dict(item), "timestamp": timestamp(when)}


def build_sync_event(reason: SyncReason, account: Account, when: Wall) -> dict[str, Any]:
    """Asks a client to load everything again."""
    return {
        "type": EventType.SYNC_REQUIRED.value,
        "reason": reason,
        "epoch": account.epoch,
        "rev": account.rev,
        "timestamp": timestamp(when),
    }


def build_error_event(code: str, message: str, *, retryable: bool = False) -> dict[str, Any]:
    """Tells a client what went wrong."""
    return {"type": EventType.ERROR.value, "code": code, "message": message, "retryable": retryable}
