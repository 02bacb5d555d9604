"""Two blames: `LocalProtocolError` for the driver, `Fault` values for the peer.

Misuse by the driver raises and changes nothing. Misuse by the peer is data, so it can be traced, compared and replayed.
Any other exception out of the core is a bug in the core.
"""

from typing import Literal

from msgspec import Struct


class LocalProtocolError(Exception):
    """The driver used the machine wrongly; the message names what is legal now."""


FaultCode = Literal[
    "bad_message", "bad_json", "too_big", "unknown_kind", "unknown_op", "invalid", "gone", "early", "bad_zone",
    "limit", "epoch", "mid_reused", "out_of_order", "rate_limited", "busy", "token_expired", "token_invalid",
    "forbidden", "origin", "internal", "not_found", "method", "version",
]  # fmt: skip
"""Codes a program can match; the sentence beside it is for people and may change."""


class Fault(Struct, frozen=True, repr_omit_defaults=True):
    """Something the peer did wrong, or cannot have now.

    Attributes:
        code: for programs.
        message: one sentence: what happened, and what to do.
        field: the field at fault, if one is.
        retryable: whether the same may succeed later.
        want: for `out_of_order`: the number expected next.
        retry_after_ms: for `rate_limited` and `busy`.
    """

    code: FaultCode
    message: str
    field: str | None = None
    retryable: bool = False
    want: int | None = None
    retry_after_ms: int | None = None
