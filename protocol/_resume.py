"""Where a returning client goes on: replay, or the one "cannot resume" answer (docs/protocol.md#resume-stale)."""

from ._log import Account
from ._messages import SyncReason
from ._settings import Limits
from ._types import Cursor, Rev


def resume(cursor: Cursor | None, account: Account, limits: Limits) -> Rev | SyncReason:
    """The rev to go on after, or why that is not possible.

    The cursor's own row need not exist: what counts is that every later one does.
    """
    if cursor is None or cursor.epoch != account.epoch:
        return "epoch"
    if cursor.rev > account.rev:
        return "ahead"
    return gap(cursor.rev, account, limits) or cursor.rev


def gap(sent: Rev, account: Account, limits: Limits) -> SyncReason | None:
    """Why rows after `sent` cannot be replayed; None when they can."""
    if sent < account.floor:
        return "trimmed"
    return "too_many" if account.rev - sent > limits.resume_rows else None
