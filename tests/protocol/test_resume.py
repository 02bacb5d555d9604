"""Where a returning client goes on (docs/protocol.md#resume-order)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._log import Account
from protocol._resume import gap, resume
from protocol._settings import Limits
from protocol._types import Cursor, Epoch, Rev


K, OTHER = Epoch("k3v9"), Epoch("p0q4")
LIMITS = Limits(resume_rows=5)


def at(rev: int, epoch: Epoch = K) -> Cursor:
    return Cursor(epoch, Rev(rev))


def account(rev: int, floor: int = 0) -> Account:
    return Account(K, Rev(rev), Rev(floor))


@pytest.mark.parametrize(
    ("cursor", "head", "floor", "expected"),
    [
        (None, 0, 0, "epoch"),
        (at(3, OTHER), 5, 0, "epoch"),
        (at(99, OTHER), 5, 4, "epoch"),
        (at(6), 5, 0, "ahead"),
        (at(5), 5, 0, 5),
        (at(5), 5, 5, 5),
        (at(0), 0, 0, 0),
        (at(0), 5, 0, 0),
        (at(0), 6, 0, "too_many"),
        (at(3), 20, 4, "trimmed"),
        (at(4), 9, 4, 4),
        (at(4), 10, 4, "too_many"),
    ],
)
def test_the_first_line_that_applies_decides(cursor: Cursor | None, head: int, floor: int, expected: object) -> None:
    """docs/protocol.md#resume-order."""
    assert resume(cursor, account(head, floor), LIMITS) == expected


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_what_is_replayed_is_kept_whole_and_never_longer_than_the_limit(rev: int, head: int, floor: int) -> None:
    """docs/protocol.md#resume-replay, docs/protocol.md#life-behind-limit."""
    decision = resume(at(rev), account(head, min(floor, head)), LIMITS)
    replayable = min(floor, head) <= rev <= head and head - rev <= LIMITS.resume_rows
    assert (decision == rev) == replayable
    assert isinstance(decision, str) != replayable


def test_the_floor_comes_before_the_count() -> None:
    assert gap(Rev(1), account(50, 2), LIMITS) == "trimmed"
    assert gap(Rev(2), account(50, 2), LIMITS) == "too_many"
    assert gap(Rev(46), account(50, 2), LIMITS) is None
