"""What a device keeps on disk beside its replica: marks of rings, the skew of its clock, its user."""

from typing import assert_never

from client_qt.local_state import (
    DropMark,
    DropRejection,
    LocalState,
    LocalWrite,
    Mark,
    PutMark,
    PutMuted,
    PutRejection,
    PutSkew,
    PutUser,
    RingKey,
)
from protocol import ItemId, UserId


class Local:
    """What a device keeps beside its replica, as a table on disk."""

    def __init__(self) -> None:
        self.marks: dict[RingKey, Mark] = {}
        self.muted: frozenset[ItemId] = frozenset()
        self.skew_ms = 0
        self.user: UserId | None = None

    def copy(self) -> "Local":
        """A backup."""
        twin = Local()
        twin.marks, twin.muted, twin.skew_ms, twin.user = dict(self.marks), self.muted, self.skew_ms, self.user
        return twin

    def load(self) -> LocalState:
        """What a program finds when it starts."""
        return LocalState(marks=dict(self.marks), muted=self.muted, skew_ms=self.skew_ms, user=self.user)

    def apply(self, write: LocalWrite) -> None:
        """One statement."""
        match write:
            case PutMark(mark):
                self.marks[mark.key] = mark
            case DropMark(key):
                self.marks.pop(key, None)
            case PutMuted(item, muted):
                self.muted = self.muted | {item} if muted else self.muted - {item}
            case PutSkew(skew_ms):
                self.skew_ms = skew_ms
            case PutUser(user):
                self.user = user
            case PutRejection() | DropRejection():
                pass
            case _:
                assert_never(write)
