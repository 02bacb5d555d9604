"""What one commit decides, as a value: the store reads `Found`, asks, and writes the `Outcome` in one transaction.

A mutation's effect, its row, its number and its answer stand or fall together, so that each number takes effect at
most once, in order, whatever the network repeats (docs/protocol.md#outbox-once).
"""

from collections.abc import Callable

from msgspec import UNSET
from msgspec.structs import replace

from ._apply import apply, changed
from ._edits import Create, Delete, Edit, Mutation
from ._errors import Fault
from ._events import timestamp
from ._log import Account, Change, Found, Outcome, Submission
from ._messages import Result
from ._records import Record
from ._settings import Limits
from ._types import DeviceId, Epoch, ItemId, Mid, Origin, Rev, Stamp, Wall, Zones
from ._validate import complete, validate


KEPT_MS = 30 * 86_400_000
KEPT_ROWS = 10_000
"""Rows younger than `KEPT_MS`, and the newest `KEPT_ROWS`, are never trimmed (docs/protocol.md#log-keep)."""

FULL_MS = 60_000
"""How long a device beyond the limit should stay away (docs/protocol.md#limit-devices)."""

NOBODY = DeviceId("")
NO_MID = Mid(0)


# --- a numbered mutation ----------------------------------------------------------------------------------------------


def commit(found: Found, submission: Submission, device: DeviceId, now: Wall, zones: Zones, limits: Limits) -> Outcome:
    """Decide a mutation of a device.

    In this order: the epoch, the number (a repeat gets its stored answer, `dup`; the store then writes nothing), then
    everything that consumes the number: an edit nobody understood, a record that is gone, validation, effect.
    """
    fault = _refuse(found, submission)
    if fault is not None:
        return Outcome(found.account, record=found.record, fault=fault)
    if found.stored is not None and submission.mid <= found.last_mid:
        return Outcome(found.account, record=found.record, result=replace(found.stored.result, dup=True))
    if isinstance(submission.edit, Fault):
        return _answer(_kept(found, submission.edit), submission.mid)
    mutation = Mutation(submission.edit, device, submission.mid)
    return _answer(_decide(found, mutation, now, zones, limits), submission.mid)


def commit_plain(found: Found, make: Callable[[int], Edit], now: Wall, zones: Zones, limits: Limits) -> Outcome:
    """Decide a change that no device made; `make` gets its `at`. A refusal is the outcome's `fault`."""
    return _decide(found, Mutation(make(plain_at(found.account, now)), NOBODY, NO_MID), now, zones, limits)


def plain_at(account: Account, now: Wall) -> int:
    """The `at` of a change with no device: later than any before."""
    return max(now, account.newest_at + 1)


def _refuse(found: Found, submission: Submission) -> Fault | None:
    """What leaves the number unconsumed."""
    mid, want = submission.mid, found.last_mid + 1
    if not found.room:
        sentence = "This user has as many devices as are allowed; one that is not seen for 90 days is dropped."
        return Fault("limit", sentence, field="device_id", retryable=True, retry_after_ms=FULL_MS)
    if submission.epoch is not None and submission.epoch != found.account.epoch:
        return Fault("epoch", "The server's history has another name now; resume, then send again.", field="epoch")
    if mid < 1:
        return Fault("invalid", "`mid` counts from 1.", field="mid")
    if mid > want:
        return Fault("out_of_order", f"Expected mid {want}; send from there.", field="mid", retryable=True, want=want)
    if mid == want or (found.stored is not None and found.stored.fingerprint == submission.fingerprint):
        return None
    return Fault("mid_reused", f"mid {mid} was used for another mutation; take a new device_id.", field="mid")


def _decide(found: Found, mutation: Mutation, now: Wall, zones: Zones, limits: Limits) -> Outcome:
    """The effect of a mutation; without a result, which a change with no device has none of."""
    record, edit = found.record, mutation.edit
    if record is None and isinstance(edit, Delete):
        return _kept(found)
    if record is None and (found.deleted or not isinstance(edit, Create)):
        return _kept(found, gone(edit.id))
    mutation = complete(record, mutation, now, found.account.newest_at, zones)
    fault = validate(record, mutation, now, zones, limits, found.items)
    if fault is not None:
        return _kept(found, fault)
    after = apply(record, mutation)
    if after == record:
        return _kept(found)
    return advance(found, mutation.edit, mutation.stamp, after, now)


def _answer(outcome: Outcome, mid: Mid) -> Outcome:
    """Give an outcome its result; a fault becomes a rejection, which consumes the number too."""
    rev, fault = outcome.account.rev, outcome.fault
    if fault is not None:
        result = Result(
            mid=mid,
            status="rejected",
            rev=rev,
            code=fault.code,
            message=fault.message,
            field=UNSET if fault.field is None else fault.field,
        )
        return replace(outcome, result=result, fault=None)
    return replace(outcome, result=Result(mid=mid, status="merged" if outcome.change is None else "applied", rev=rev))


# --- shared with classic ----------------------------------------------------------------------------------------------


def gone(ident: ItemId) -> Fault:
    """The record was deleted, or never was."""
    return Fault("gone", f"There is no alarm or timer {ident!r}; a deleted one never returns.", field="id")


def advance(found: Found, edit: Edit, stamp: Stamp, after: Record | None, now: Wall) -> Outcome:
    """The outcome of an accepted change: the head moves by one, the row says what changed."""
    before, when = found.record, timestamp(now)
    rev = Rev(found.account.rev + 1)
    account = replace(found.account, rev=rev, newest_at=max(found.account.newest_at, stamp.at))
    device, mid = DeviceId(stamp.device), Mid(stamp.mid)
    if after is not None:
        made = when if before is None else before.created_at
        origin = Origin(device, mid) if device else None
        after = replace(after, rev=rev, created_at=made, updated_at=when, updated_by=origin)
    change = Change(
        rev=rev,
        kind=edit.kind,
        id=edit.id,
        op=_op(edit, before),
        changed=changed(before, after),
        at=stamp.at,
        device_id=device,
        mid=mid,
        when=now,
    )
    return Outcome(account, change, after)


def _op(edit: Edit, before: Record | None) -> str:
    """`create` only where a record came to be."""
    if isinstance(edit, Create) and before is not None:
        return "patch"
    return str(edit.__struct_config__.tag)


def _kept(found: Found, fault: Fault | None = None) -> Outcome:
    return Outcome(found.account, record=found.record, fault=fault)


# --- the log itself ---------------------------------------------------------------------------------------------------


def trim(account: Account, expired: Rev, kept_rows: int = KEPT_ROWS) -> Account:
    """Raise the floor to `expired`, the newest row older than `KEPT_MS`, but keep the newest `kept_rows` rows.

    Rows at or below the new floor may go; they are never merged, since then the numbers would have gaps.
    """
    return replace(account, floor=Rev(max(account.floor, min(expired, account.rev - kept_rows))))


def new_epoch(account: Account, epoch: Epoch) -> Account:
    """The head under a new name, after commits may have been lost; the numbers go on, no older cursor resumes."""
    return replace(account, epoch=epoch, floor=account.rev)
