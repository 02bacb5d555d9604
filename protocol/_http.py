"""The same log, cursor and mutations over HTTP: bodies in, bodies out (docs/protocol.md#http).

Every answer carries `epoch` (an answer without it comes from a captive portal) and `t1`, `t2`, the server's clock at
arrival and departure, so that polling samples the clock too.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from ._errors import Fault
from ._events import event_text
from ._framing import read_fault
from ._log import Account, Change, State
from ._messages import Mutate, Result, SyncReason
from ._settings import Limits
from ._types import Cursor, Epoch, Mid, Rev, Wall


_ENCODE = msgspec.json.Encoder().encode


class _Batch(Struct):
    mutations: list[Mutate]


_BATCH = msgspec.json.Decoder(_Batch)


def read_cursor(text: str) -> Cursor | Fault | None:
    """`epoch:rev` of the `since` parameter; an empty one means that the client has nothing yet."""
    if not text:
        return None
    epoch, colon, rev = text.rpartition(":")
    if not colon or not epoch or not (rev.isascii() and rev.isdigit()) or len(rev) > 16:
        return Fault("invalid", "since is `epoch:rev`.", field="since")
    return Cursor(Epoch(epoch), Rev(int(rev)))


def read_batch(body: bytes, limits: Limits) -> tuple[Mutate, ...] | Fault:
    """The `mutations` of a POST; each with a readable `mid` is judged on its own, so a wrong one harms no other."""
    try:
        batch = _BATCH.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return read_fault(error)
    if len(batch.mutations) > limits.batch:
        return Fault("limit", f"At most {limits.batch} mutations in one request.", field="mutations")
    if not all(1 <= mutate.mid < 1 << 53 for mutate in batch.mutations):
        return Fault("bad_message", "`mid` counts from 1.", field="mutations")
    return tuple(batch.mutations)


def changes_text(account: Account, last_mid: Mid, rows: Iterable[Change], t1: Wall, t2: Wall) -> str:
    """Rows after the client's cursor as events. `rev` is that of the last one, or the head where there is none."""
    events, rev = list[str](), account.rev
    for row in rows:
        events.append(event_text(row))
        rev = row.rev
    head = f'{{"epoch":{_text(account.epoch)},"rev":{rev},"last_mid":{last_mid},"t1":{t1},"t2":{t2}'
    return f'{head},"events":[{",".join(events)}]}}'


def sync_required_text(account: Account, reason: SyncReason, t1: Wall, t2: Wall) -> str:
    """The client's cursor is of no use: it must fetch the snapshot."""
    return _ENCODE({"epoch": account.epoch, "rev": account.rev, "sync_required": reason, "t1": t1, "t2": t2}).decode()


def snapshot_text(state: State, t1: Wall, t2: Wall) -> str:
    """All records with their stamps, and the tombstones where they were asked for."""
    head = state.account
    return _ENCODE(
        {
            "epoch": head.epoch,
            "rev": head.rev,
            "last_mid": state.last_mid,
            "t1": t1,
            "t2": t2,
            "items": state.records,
            "deleted": state.deleted,
        }
    ).decode()


def results_text(epoch: Epoch, results: Iterable[Result], error: tuple[Fault, Mid] | None, t1: Wall, t2: Wall) -> str:
    """Answers in the order asked; `error` says why the rest was not taken, and `ref` from which number on."""
    answer: dict[str, object] = {"epoch": epoch, "results": list(results), "t1": t1, "t2": t2}
    if error is not None:
        fault, mid = error
        facts = {name: value for name, value in msgspec.structs.asdict(fault).items() if value is not None}
        answer["error"] = {**facts, "ref": mid}
    return _ENCODE(answer).decode()


def fault_text(fault: Fault, epoch: Epoch | None = None, clock: tuple[Wall, Wall] | None = None) -> str:
    """The body of a refusal: `{"error": {code, message, field?, …}}`, with the epoch where one is known.

    `clock` is `t1, t2`, which every answer to a v1 request carries (docs/protocol.md#http-clock).
    """
    facts = {name: value for name, value in msgspec.structs.asdict(fault).items() if value is not None}
    answer: dict[str, object] = {"error": facts}
    if epoch is not None:
        answer["epoch"] = epoch
    if clock is not None:
        answer["t1"], answer["t2"] = clock
    return _ENCODE(answer).decode()


HTTP_STATUS: dict[str, int] = {
    "bad_message": 400, "bad_json": 400, "too_big": 413, "unknown_kind": 422, "unknown_op": 422, "invalid": 422,
    "gone": 410, "early": 409, "bad_zone": 422, "limit": 409, "epoch": 409, "mid_reused": 409, "out_of_order": 409,
    "rate_limited": 429, "busy": 503, "token_expired": 401, "token_invalid": 401, "forbidden": 403, "origin": 403,
    "internal": 500, "not_found": 404, "method": 405, "version": 426,
}  # fmt: skip
"""The HTTP status of each fault (RFC 9110, section 15)."""


def _text(value: str) -> str:
    return _ENCODE(value).decode()
