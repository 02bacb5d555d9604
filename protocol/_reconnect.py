"""When to try again: pure functions over what is remembered of earlier endings (docs/protocol.md#backoff-delay).

Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015): the whole delay is drawn, not only a part,
so that clients dropped together come back spread over the whole time.
"""

from msgspec import Struct
from msgspec.structs import replace

from ._chance import Chance
from ._close_codes import BackOff, CloseRow, Decision, Spread
from ._messages import Goodbye
from ._settings import Timing
from ._types import Monotonic


LONGEST_ASKED_MS = 600_000
"""Nobody is believed who asks to stay away for longer."""

_MOST_DOUBLINGS = 16
_MARKS = 4
"""Endings remembered of each family; no row counts further."""


class Mark(Struct, frozen=True):
    """That an ending of a family happened at a moment."""

    family: str
    at: Monotonic


class History(Struct, frozen=True, repr_omit_defaults=True):
    """What earlier endings mean for the next one.

    Attributes:
        delays: backoff delays since the last stable session: the n of the formula.
        failed: attempts in a row that did not get in step.
        framing: endings by a framing fault without a `synced` between them, and the like.
        brief: sessions in a row that were lost soon after they opened.
        marks: recent endings that are counted in a window of time.
    """

    delays: int = 0
    failed: int = 0
    framing: int = 0
    brief: int = 0
    marks: tuple[Mark, ...] = ()


def in_step(history: History) -> History:
    """`synced` came: the attempt did not fail, and frames do get through."""
    return replace(history, failed=0, framing=0)


def stable(history: History) -> History:
    """Live for long enough: the next delay is a first one again."""
    return replace(history, delays=0)


def settle(
    history: History, row: CloseRow, now: Monotonic, *, lasted_ms: float | None, synced: bool
) -> tuple[Decision, History]:
    """What an ending means, its repetitions counted.

    `lasted_ms` is how long the transport was open, None where it never was; `synced`, whether the session had been in
    step.
    """
    after, count = _count(history, row, now, lasted_ms)
    decision = row.decision
    if row.repeat is not None and count >= row.repeat.count:
        decision = row.repeat.then
    if isinstance(decision, BackOff):
        failed = after.failed + (decision.failed or not synced)
        after = replace(after, delays=after.delays + 1, failed=failed)
    return decision, after


def _count(history: History, row: CloseRow, now: Monotonic, lasted_ms: float | None) -> tuple[History, int]:
    repeat = row.repeat
    is_brief = repeat is not None and repeat.brief_ms is not None and lasted_ms is not None
    if repeat is not None and repeat.brief_ms is not None and is_brief and (lasted_ms or 0.0) < repeat.brief_ms:
        return replace(history, brief=history.brief + 1), history.brief + 1
    if lasted_ms is not None:
        history = replace(history, brief=0)
    if repeat is None or repeat.brief_ms is not None:
        return history, 0
    if repeat.within_ms is None:
        return replace(history, framing=history.framing + 1), history.framing + 1
    return _mark(history, row.family, repeat.within_ms, now)


def _mark(history: History, family: str, within_ms: int, now: Monotonic) -> tuple[History, int]:
    others = tuple(mark for mark in history.marks if mark.family != family)
    recent = [mark for mark in history.marks if mark.family == family and now - mark.at <= within_ms / 1000]
    recent = [*recent, Mark(family, now)][-_MARKS:]
    return replace(history, marks=(*others, *recent)), len(recent)


def backoff(chance: Chance, delays: int, timing: Timing, at_least_ms: float = 0) -> tuple[float, Chance]:
    """A delay in ms, and the chance after drawing it.

    `delays` is how many backoff delays there were before this one. `at_least_ms` was asked for: it is waited before the
    draw, not instead, or all who are told the same least time would come back in the same instant.
    """
    doubled = timing.backoff_base_ms * 2 ** min(delays, _MOST_DOUBLINGS)
    ceiling = max(timing.backoff_floor_ms, min(timing.backoff_cap_ms, doubled))
    drawn, rest = chance.uniform(timing.backoff_floor_ms, ceiling)
    return believed(at_least_ms) + drawn, rest


def window(spread: Spread, goodbye: Goodbye | None) -> tuple[int, int]:
    """From when to when to come back, in ms. A `goodbye` whose window is empty names none."""
    if goodbye is None or goodbye.max_ms <= 0 or spread.announced == "nothing":
        return spread.min_ms, spread.max_ms
    end = believed(goodbye.max_ms)
    start = believed(goodbye.min_ms) if spread.announced == "both" else 0
    return min(start, end), end


def believed(asked_ms: float) -> int:
    """A time that a server asks for, within reason."""
    return round(min(max(asked_ms, 0), LONGEST_ASKED_MS))
