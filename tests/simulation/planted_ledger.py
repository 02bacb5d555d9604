"""Faults of what is kept: the server's ledger, and the replica that repeats it."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from protocol import (
    Account,
    Alarm,
    Entry,
    Epoch,
    ItemId,
    Mid,
    Outcome,
    Record,
    Rev,
)
from protocol import _apply as applying
from protocol import _commit as commits
from protocol import _registers as registers
from protocol import _replica as replicas
from protocol._edits import Dismiss
from protocol._facts import SnapshotHeard
from protocol._fields import read_fitting, same
from protocol._log import Found, Submission
from protocol._types import Stamp
from protocol._writes import PutMid, Write

from .planted_tools import Plant, Planting, into, swapped


FAULTS: dict[str, Plant] = {}
breaks = into(FAULTS)


# --- the server's ledger ----------------------------------------------------------------------------------------------


@breaks("outbox-dup")
def repeat_applied_again() -> Planting:
    """It did not look whether a number was decided already, so what was sent twice takes effect twice."""
    honest = commits.commit

    def commit(found: Found, submission: Submission, *rest: Any) -> Outcome:
        repeat = found.stored is not None and submission.mid <= found.last_mid
        if repeat and submission.epoch == found.account.epoch:
            found = replace(found, last_mid=Mid(submission.mid - 1), stored=None)
        return honest(found, submission, *rest)

    return swapped(honest, commit)


@breaks("mutation-create-deleted")
def tombstones_forgotten() -> Planting:
    """It kept no list of what was deleted: an identifier that is not there is free."""
    honest = commits._decide

    def decide(found: Found, *rest: Any) -> Outcome:
        return honest(replace(found, deleted=False), *rest)

    return swapped(honest, decide)


@breaks("stamp-field-wins")
def later_arrival_wins() -> Planting:
    """It let the edit win that arrived last, and not the one that was made last."""

    def patch(record: Record, fields: dict[str, Any], stamp: Stamp) -> Record:
        values = read_fitting(record.kind, fields)
        won = {name: value for name, value in values.items() if not same(value, getattr(record, name))}
        return replace(record, **won, stamps=record.stamps | dict.fromkeys(won, stamp)) if won else record

    return swapped(applying._patch, patch)


@breaks("stamp-order")
def tie_by_arrival() -> Planting:
    """It compared moments only: of two edits in the same millisecond the first one to arrive stays."""
    honest = applying._patch

    def patch(record: Record, fields: dict[str, Any], stamp: Stamp) -> Record:
        tied = {name for name, one in record.stamps.items() if one.at == stamp.at}
        return honest(record, {name: value for name, value in fields.items() if name not in tied}, stamp)

    return swapped(honest, patch)


@breaks("ring-acked-greatest")
def dismissal_goes_back() -> Planting:
    """It wrote down the occurrence stopped last, even where a later one was stopped before."""
    honest = registers.dismiss

    def dismiss(record: Record, edit: Dismiss) -> Record:
        if isinstance(record, Alarm) and edit.occ is not None:
            return record if record.acked == edit.occ else replace(record, acked=edit.occ)
        return honest(record, edit)

    return swapped(honest, dismiss)


@breaks("ring-timer-due")
def late_stop_ends_longer_run() -> Planting:
    """It let a stop end the run it names, although the timer was given more time since it rang."""
    honest = registers._rings

    def rings(timer: Any, run: Any, due: int | None) -> bool:
        return honest(timer, run, timer.ends_at if due is not None else None)

    return swapped(honest, rings)


@breaks("log-floor")
def trimmed_above_head() -> Planting:
    """It took the floor for the first row that is left, and not for the last one that is gone."""

    def trim(account: Account, expired: Rev, kept_rows: int = commits.KEPT_ROWS) -> Account:
        return replace(account, floor=Rev(max(account.floor, min(expired, account.rev - kept_rows) + 1)))

    return swapped(commits.trim, trim)


@breaks("log-new-epoch")
def epoch_survives_restore() -> Planting:
    """It let a history that lost commits keep its name."""
    honest = commits.new_epoch

    def new_epoch(account: Account, epoch: Epoch) -> Account:
        return replace(honest(account, epoch), epoch=account.epoch)

    return swapped(honest, new_epoch)


# --- the replica ------------------------------------------------------------------------------------------------------


@breaks("outbox-mid")
def mid_reused_after_restart() -> Planting:
    """It kept the last number in memory only, and counted from the outbox after a restart."""
    honest = replicas._differences

    def differences(before: replicas.Replica, after: replicas.Replica) -> Iterator[Write]:
        return (write for write in honest(before, after) if not isinstance(write, PutMid))

    return swapped(honest, differences)


@breaks("resume-snapshot-replaces")
def snapshot_merged() -> Planting:
    """It added what a snapshot holds to what it had, so what was deleted meanwhile stays."""
    honest = replicas._hear_snapshot

    def hear_snapshot(replica: replicas.Replica, fact: SnapshotHeard) -> replicas.Replica:
        after = honest(replica, fact)
        return after if after is replica else replace(after, server={**replica.server, **after.server})

    return swapped(honest, hear_snapshot)


@breaks("resume-kept-aside")
def aside_dropped() -> Planting:
    """It took a new history as it is: what that lacks was deleted, it thought."""

    def lacking(_: replicas.Replica, __: SnapshotHeard) -> dict[ItemId, Record]:
        return {}

    return swapped(replicas._lacking, lacking)


@breaks("outbox-leave")
def add_twice_on_rebase() -> Planting:
    """It left an edit in the outbox that the event beside it contains: by one number, "+1 min" shows twice."""
    honest = replicas._doubt

    def doubt(entries: tuple[Entry, ...], used: Mid) -> tuple[Entry, ...]:
        return honest(entries, Mid(used - 1))

    return swapped(honest, doubt)
