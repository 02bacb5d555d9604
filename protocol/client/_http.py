"""Answers over HTTP as they travel (docs/protocol.md#http-epoch); what is not one of ours is no answer at all."""

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .._messages import ItemEvent, Result
from .._records import Record
from .._settings import Limits
from .._types import Epoch, ItemId, Mid, Rev, Wall


class _Answer(Struct, frozen=True, kw_only=True):
    epoch: Epoch
    t1: Wall | UnsetType = UNSET
    t2: Wall | UnsetType = UNSET


class Changes(_Answer, frozen=True, kw_only=True):
    """Events after the cursor, or that there is no way on from it."""

    rev: Rev
    events: tuple[ItemEvent, ...] = ()
    sync_required: Any = UNSET


class State(_Answer, frozen=True, kw_only=True):
    """A snapshot in one piece."""

    rev: Rev
    last_mid: Mid
    items: tuple[Record, ...]
    deleted: tuple[ItemId, ...] | UnsetType = UNSET


class Complaint(Struct, frozen=True, kw_only=True):
    """Why the rest was not consumed: an `error` message whose tag may be absent."""

    code: str
    message: str = ""
    retryable: bool = False
    field: str | UnsetType = UNSET
    ref: int | UnsetType = UNSET
    want: int | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET


class Results(_Answer, frozen=True, kw_only=True):
    """One result for each mutation consumed."""

    results: tuple[Result, ...]
    error: Complaint | None = None


A = TypeVar("A", bound=Changes | State | Results)


def read_answer(body: str, kind: type[A], limits: Limits) -> A | None:
    """The answer, or None where it is none of ours. Total."""
    if len(body) > longest(limits):
        return None
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def longest(limits: Limits) -> int:
    """Characters of the longest body that makes sense: every record at its largest, and as much again."""
    return 2 * limits.items * limits.record + limits.inflate
