"""The log over plain requests: snapshot, long poll, mutations (docs/protocol.md#http)."""

import re
from collections.abc import Sequence
from typing import Any, Final

import trio
from msgspec.structs import replace

from protocol import (
    Account,
    Cursor,
    DeviceId,
    Epoch,
    Fault,
    Mid,
    Result,
    Rev,
    SyncReason,
    UserId,
    changes_text,
    classic_record,
    read_batch,
    read_cursor,
    read_submission,
    results_text,
    resume,
    snapshot_text,
    sync_required_text,
)

from .answers import Answer, Asked, Refused, tell
from .auth import Verified
from .services import Services


_DEVICE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""docs/protocol.md#terms-device-id"""


# ------------------------------------------------------------------------------------------------------------ snapshot


async def get_items(services: Services, asked: Asked, who: Verified) -> Answer:
    """Everything at one rev: with stamps for a device, as plain records where none is named."""
    if "device_id" not in asked.query:
        return await _plain_listing(services, asked, who.user)
    device, cursor = _device(asked), _cursor(asked)
    note_seen(services, who.user, device, cursor)
    state = await services.store.state(who.user, device, with_deleted=cursor is not None)
    if cursor is not None and cursor.epoch == state.account.epoch:
        state = replace(state, deleted=())
    return Answer(snapshot_text(state, asked.t1, services.wall()).encode())


async def _plain_listing(services: Services, asked: Asked, user: UserId) -> Answer:
    state = await services.store.state(user, None, with_deleted=False)
    facts: dict[str, Any] = {"rev": state.account.rev, "last_mid": 0, "deleted": ()}
    facts["items"] = [classic_record(record) for record in state.records]
    return tell(services, asked, state.account.epoch, facts)


# ----------------------------------------------------------------------------------------------------------- long poll


SIGNED_OUT: Final = Fault("forbidden", "This session was signed out; sign in again.")
"""What a poll is told that waited while its session ended (docs/protocol.md#auth-sign-out)."""


async def get_changes(services: Services, asked: Asked, who: Verified) -> Answer:
    """What happened after a cursor, waiting for something to happen (docs/protocol.md#http-changes-wait)."""
    device, cursor, wait = _device(asked), _cursor(asked), _wait(services, asked)
    note_seen(services, who.user, device, cursor)
    with services.hub.watch(who.user, device) as changed:
        account = await services.store.head(who.user)
        decision = resume(cursor, account, services.terms.limits)
        if decision == account.rev and wait:
            with trio.move_on_after(wait):
                await changed.wait()
            if not await services.store.session_alive(who.session):
                raise Refused(SIGNED_OUT)
    if isinstance(decision, str):
        return _start_afresh(services, asked, await _history(services, who.user, account, decision), decision)
    return await _events(services, asked, who.user, device, account.epoch, decision)


async def _history(services: Services, user: UserId, account: Account, reason: SyncReason) -> Account:
    """A cursor above the head proves that commits were lost: the log takes a new name (docs/protocol.md#log-ahead-epoch)."""
    if reason != "ahead":
        return account
    renewed = await services.store.renew_epoch(user, account.epoch)
    services.hub.resync(user, renewed)
    return renewed


def _start_afresh(services: Services, asked: Asked, account: Account, reason: SyncReason) -> Answer:
    return Answer(sync_required_text(account, reason, asked.t1, services.wall()).encode())


async def _events(services: Services, asked: Asked, user: UserId, device: DeviceId, epoch: Epoch, after: Rev) -> Answer:
    # Before the page: a `last_mid` newer than its events would take entries out of the client's view too early.
    devices = await services.store.devices(user)
    last_mid = next((row.last_mid for row in devices if row.id == device), Mid(0))
    page = await services.store.page(user, after, services.terms.limits.page_rows)
    reason = resume(Cursor(epoch, after), page.account, services.terms.limits)
    if isinstance(reason, str):
        return _start_afresh(services, asked, page.account, reason)
    return Answer(changes_text(page.account, last_mid, page.rows, asked.t1, services.wall()).encode())


# ----------------------------------------------------------------------------------------------------------- mutations


async def post_mutations(services: Services, asked: Asked, who: Verified) -> Answer:
    """A part of an outbox, in order; stops at the first that is not consumed (docs/protocol.md#http-mutations-stop)."""
    device = _device(asked)
    batch = read_batch(asked.body, services.terms.limits)
    if isinstance(batch, Fault):
        raise Refused(batch)
    works = [services.commits.mutation(device, read_submission(mutate)) for mutate in batch]
    outcomes = await services.commits.decide(who.user, *works) if works else ()
    account = outcomes[-1].account if outcomes else await services.store.head(who.user)
    results: Sequence[Result] = [outcome.result for outcome in outcomes if outcome.result is not None]
    fault = outcomes[-1].fault if outcomes else None
    error = None if fault is None else (fault, batch[len(outcomes) - 1].mid)
    return Answer(results_text(account.epoch, results, error, asked.t1, services.wall()).encode())


# -------------------------------------------------------------------------------------------------------------- shared


def note_seen(services: Services, user: UserId, device: DeviceId, cursor: Cursor | None) -> None:
    """A request is a sign of life, and its cursor an ack (docs/protocol.md#http-changes-ack)."""
    if cursor is None:
        services.acks.seen(user, device)
    else:
        services.acks.note(user, device, cursor.epoch, cursor.rev)


def _device(asked: Asked) -> DeviceId:
    device = asked.query.get("device_id", "")
    if _DEVICE.fullmatch(device) is None:
        raise Refused(
            Fault(
                "invalid",
                "The query parameter device_id must name the device: 1 to 64 letters, digits, - or _.",
                field="device_id",
            )
        )
    return DeviceId(device)


def _cursor(asked: Asked) -> Cursor | None:
    cursor = read_cursor(asked.query.get("since", ""))
    if isinstance(cursor, Fault):
        raise Refused(cursor)
    return cursor


def _wait(services: Services, asked: Asked) -> float:
    """Seconds; what is asked beyond the longest wait is not given."""
    text = asked.query.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise Refused(Fault("invalid", "wait is a whole number of seconds.", field="wait"))
    return min(int(text), services.terms.timing.poll_wait_ms / 1_000)
