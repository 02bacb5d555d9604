"""A change as it is published: encoded once for all receivers (docs/protocol.md#msg-identical)."""

from .._deflate import pack
from .._events import classic_text, event_text
from .._log import Change
from .._records import Record
from .._settings import Limits
from ._inputs import Publish


def publication(change: Change, record: Record | None, limits: Limits) -> Publish:
    """The input that every connection of the change's user gets.

    Args:
        change: the row as committed.
        record: the record after it, None when it went.
        limits: what is worth deflating.
    """
    v1 = event_text(change)
    return Publish(change.rev, change.kind, v1, classic_text(change, record), pack(v1, limits))
