"""Close codes as data: one row, one decision for every way a connection can end (docs/protocol.md#close-decision).

`decide` and `decide_http` are total. A row may also say what its repetition means; the counts themselves live in
`_reconnect`. The table in the specification is generated from here.
"""

from typing import Literal, assert_never

from msgspec import Struct

from ._types import Value


class StopFor(Value, frozen=True):
    """No attempt without the user.

    Attributes:
        reason: for people, in two words.
        sign_in: ask for a sign-in; the outbox is kept.
        drop_cursor: the next session begins with a snapshot.
    """

    reason: str
    sign_in: bool = False
    drop_cursor: bool = False


class BackOff(Value, frozen=True):
    """Wait longer each time.

    Attributes:
        at_least_ms: not before; a `goodbye` may name more.
        failed: counts as a failed attempt even where the session had been in step.
        poll: start polling beside it.
    """

    at_least_ms: int = 0
    failed: bool = False
    poll: bool = False


class Spread(Value, frozen=True):
    """Come back at a random moment of a window.

    Attributes:
        min_ms, max_ms: the window where no `goodbye` names one.
        announced: what a `goodbye` may replace: nothing, the end, or both ends.
    """

    min_ms: int = 0
    max_ms: int = 5_000
    announced: Literal["nothing", "end", "both"] = "both"


class RefreshThenRetry(Value, frozen=True):
    """Bring a fresh token, then try at once.

    Attributes:
        patient: where it is the same token again, back off and show the sign-in. Otherwise it is tried all the same, and
            what the server says to it decides.
    """

    patient: bool = True


class PollOnly(Value, frozen=True):
    """Frames do not survive this network: no socket until something changes, polling instead; reported."""


class AtOnce(Value, frozen=True):
    """Nothing is wrong with the server or the network: try without delay."""


Decision = StopFor | BackOff | Spread | RefreshThenRetry | PollOnly | AtOnce


class Repeat(Struct, frozen=True, repr_omit_defaults=True):
    """What the `count`-th ending of the same family means.

    Attributes:
        then: the decision in place of the row's.
        within_ms: endings older than this do not count.
        brief_ms: only sessions count that ended sooner than this after they opened, one directly after the other.

    With neither, endings count that had no `synced` between them.
    """

    count: int
    then: Decision
    within_ms: int | None = None
    brief_ms: int | None = None


class CloseRow(Struct, frozen=True, repr_omit_defaults=True):
    """One way to end.

    Attributes:
        code: close code, HTTP status, or 0 for an ending that has no number.
        decision: what the client does.
        repeat: what it does when that happens again.
        family: rows that are counted together.
        mends: the token in hand is not to be used again.
    """

    code: int
    meaning: str
    decision: Decision
    repeat: Repeat | None = None
    family: str = ""
    mends: bool = False


_FRAMING = Repeat(3, PollOnly())
_LOST = Repeat(2, BackOff(poll=True), brief_ms=10_000)
_AGAIN = Repeat(2, BackOff(failed=True), within_ms=60_000)
_SIGN_IN = "signed out"
_SOON = Spread(0, 1_000, announced="nothing")
_GOING = Spread(0, 5_000, announced="end")

# A token service whose tokens are born expired must not be asked in a tight loop.
_BORN_EXPIRED = Repeat(3, BackOff(failed=True), within_ms=60_000)

_ROWS = (
    CloseRow(1000, "closed without goodbye (a crash looks like this)", BackOff()),
    CloseRow(1001, "going away", _GOING),
    CloseRow(1002, "framing fault", BackOff(), _FRAMING, "framing"),
    CloseRow(1003, "framing fault: data of a wrong kind", BackOff(), _FRAMING, "framing"),
    CloseRow(1005, "lost: a close frame without a code", BackOff(), _LOST, "lost"),
    CloseRow(1006, "lost", BackOff(), _LOST, "lost"),
    CloseRow(1007, "framing fault: text that is not UTF-8", BackOff(), _FRAMING, "framing"),
    CloseRow(1008, "policy", StopFor("refused by policy")),
    CloseRow(1009, "message too big", BackOff()),
    CloseRow(1011, "server error", BackOff()),
    CloseRow(1012, "restart", _GOING),
    CloseRow(1013, "busy", BackOff(5_000)),
    CloseRow(4000, "bad message", BackOff(), Repeat(3, StopFor("not understood"), within_ms=300_000), "bad message"),
    CloseRow(4001, "version", StopFor("upgrade needed")),
    CloseRow(4002, "forbidden", StopFor("forbidden", sign_in=True)),
    CloseRow(4003, "signed out, or another user", StopFor(_SIGN_IN, sign_in=True)),
    CloseRow(4004, "device revoked", StopFor("device revoked", sign_in=True, drop_cursor=True)),
    CloseRow(4005, "replaced by a newer connection of this device", StopFor("replaced")),
    CloseRow(4100, "overloaded", BackOff()),
    CloseRow(4101, "too slow", BackOff()),
    CloseRow(4102, "rate limited", BackOff()),
    CloseRow(4103, "internal", BackOff()),
    CloseRow(4104, "too many sockets or devices", BackOff(60_000)),
    CloseRow(4200, "drain", Spread()),
    CloseRow(4201, "heartbeat missed", _SOON, _AGAIN, "again"),
    CloseRow(4202, "gap in rev", _SOON, _AGAIN, "again"),
    CloseRow(4300, "no hello in time", BackOff()),
    CloseRow(4301, "token expired", RefreshThenRetry(), _BORN_EXPIRED, "expired", mends=True),
    CloseRow(
        4302,
        "token invalid",
        RefreshThenRetry(patient=False),
        Repeat(2, StopFor(_SIGN_IN, sign_in=True), within_ms=60_000),
        "invalid",
        mends=True,
    ),
)

CLOSE_CODES: dict[int, CloseRow] = {row.code: row for row in _ROWS}
"""Every code with a decision of its own."""

RANGES: dict[int, CloseRow] = {
    40: CloseRow(0, "unknown 40xx", StopFor("refused")),
    41: CloseRow(0, "unknown 41xx", BackOff()),
    42: CloseRow(0, "unknown 42xx", Spread()),
    43: CloseRow(0, "unknown 43xx", RefreshThenRetry(), _BORN_EXPIRED, "expired", mends=True),
}
"""Codes of ours that a later version may add, by hundreds."""

OTHER = CloseRow(0, "anything else", BackOff())
UNREACHABLE = CloseRow(0, "no transport, no welcome or no token in time", BackOff())
WOKEN = CloseRow(0, "the device slept", AtOnce())
NO_SUBPROTOCOL = CloseRow(0, "a 101 without the subprotocol", BackOff())
RENAMED = CloseRow(0, "a new device identifier", AtOnce(), Repeat(2, BackOff(failed=True), within_ms=60_000), "renamed")
GHOST = CloseRow(
    4005,
    "refused for an earlier connection, whose counter was lost here",
    AtOnce(),
    Repeat(2, StopFor("replaced"), within_ms=60_000),
    "ghost",
)
SAME_TOKEN = CloseRow(0, "the same token again", BackOff(), mends=True)

_HTTP = {403: CLOSE_CODES[4002], 426: CLOSE_CODES[4001]}


def row_for(code: int) -> CloseRow:
    """The row of a close code. Total."""
    return CLOSE_CODES.get(code) or RANGES.get(code // 100, OTHER)


def decide(code: int) -> Decision:
    """What a close code means, the first time. Total."""
    return row_for(code).decision


def row_for_http(status: int, code: str | None) -> CloseRow:
    """The row of an HTTP answer before accept, or to a poll (docs/protocol.md#close-http). Total.

    `code` is our error code in the body, None where the body is not ours: captive portals answer 401 and 403 too, so
    those count only with one.
    """
    if code is None:
        return OTHER
    if status == 401:
        return CLOSE_CODES[4301 if code == "token_expired" else 4302]
    return _HTTP.get(status, OTHER)


def decide_http(status: int, code: str | None) -> Decision:
    """What an HTTP answer means, the first time. Total."""
    return row_for_http(status, code).decision


def explain(row: CloseRow) -> str:
    """The row's decision as the specification says it."""
    said = _say(row.decision)
    repeat = row.repeat
    if repeat is None:
        return said
    if repeat.brief_ms is not None:
        again = f"after {repeat.count} sessions in a row under {repeat.brief_ms // 1000} s"
    elif repeat.within_ms is not None:
        again = f"number {repeat.count} within {repeat.within_ms // 1000} s"
    else:
        again = f"number {repeat.count} without `synced` between them"
    return f"{said}; {again}: {_say(repeat.then)}"


def _say(decision: Decision) -> str:
    match decision:
        case StopFor():
            dropped = ", drop the cursor" if decision.drop_cursor else ""
            return f"stop ({decision.reason})" + (", keep the outbox, ask for a sign-in" * decision.sign_in) + dropped
        case BackOff():
            least = f", not before {decision.at_least_ms // 1000} s" if decision.at_least_ms else ""
            failed = ", as after a failed attempt" if decision.failed else ""
            return f"back off{least}{failed}" + (", start polling" * decision.poll)
        case Spread():
            return f"retry within {_window(decision)}"
        case RefreshThenRetry():
            same = "; the same token again: back off, show the sign-in, keep trying"
            return "refresh the token, then retry" + (same if decision.patient else " at once")
        case PollOnly():
            return "poll only, and report"
        case AtOnce():
            return "retry at once"
        case _:
            assert_never(decision)


def _window(spread: Spread) -> str:
    default = f"{spread.min_ms / 1000:g} to {spread.max_ms / 1000:g} s"
    match spread.announced:
        case "nothing":
            return default
        case "end":
            return f"0 to `max_ms` (without one {default})"
        case "both":
            return f"`min_ms` to `max_ms` (without them {default})"
        case _:
            assert_never(spread.announced)
