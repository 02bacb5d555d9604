"""Named deadlines: which timers are set, when each is due, and how a machine's next wake-up reads."""

from enum import Enum
from typing import Generic, TypeVar

from msgspec import Struct

from ._types import Monotonic


class ServerTimer(Enum):
    """Timers of a server connection. Each is due when the sentence beside it is true."""

    AUTH_DUE = "auth"
    """when the peer has brought no acceptable token in time"""
    HELLO_DUE = "hello"
    """when the peer has a token in force but has not said hello in time"""
    JOIN_DUE = "join"
    """when the store has not taken the connection in in time"""
    HEARTBEAT_DUE = "heartbeat"
    """when a heartbeat round begins"""
    LIVENESS_DUE = "liveness"
    """when nothing has been heard of a v1 peer for too long"""
    TOKEN_DUE = "token"
    """when the token in force has expired and its leeway is over"""
    UNWRITABLE_DUE = "unwritable"
    """when the peer has not read for too long"""
    PRESENCE_DUE = "presence"
    """when a held-back presence message may be sent"""
    CLOSE_DUE = "close"
    """when the closing transport must be aborted"""


class ClientTimer(Enum):
    """Timers of a client connection. Each is due when the sentence beside it is true."""

    REFRESH_DUE = "refresh"
    """when no fresh token has come in time"""
    CONNECT_DUE = "connect"
    """when the transport has not opened in time"""
    OPENING_DUE = "opening"
    """when no welcome has come in time"""
    SILENCE_DUE = "silence"
    """when the server has been silent for too long"""
    STALLED_DUE = "stalled"
    """when a replay or snapshot that was begun has not gone on for too long"""
    PING_DUE = "ping"
    """when the clock is sampled again"""
    ACK_DUE = "ack"
    """when what was stored since the last ack is acknowledged"""
    RENEW_DUE = "renew"
    """when the token in force should be renewed in place"""
    RESEND_DUE = "resend"
    """when paced or refused mutations may be sent again"""
    STABLE_DUE = "stable"
    """when the session has been live long enough to forget earlier failures"""
    RECONNECT_DUE = "reconnect"
    """when the next attempt begins"""
    POLL_START_DUE = "poll start"
    """when polling begins because the socket has not reached Opening"""
    POLL_DUE = "poll"
    """when the next poll begins"""
    POLL_LATE_DUE = "poll late"
    """when a poll has not been answered in time"""


T = TypeVar("T", bound=Enum)


class Deadline(Struct, Generic[T], frozen=True):
    """The next wake-up and what it is for."""

    at: Monotonic
    timer: T

    def __repr__(self) -> str:
        return f"{self.timer.name} at {round(self.at, 3)}"


class Timers(Struct, Generic[T], frozen=True):
    """An immutable set of named deadlines, the earliest first."""

    pending: tuple[tuple[Monotonic, T], ...] = ()

    def set(self, timer: T, at: float) -> "Timers[T]":
        """Set or move one timer."""
        kept = [entry for entry in self.pending if entry[1] is not timer]
        kept.append((Monotonic(at), timer))
        kept.sort(key=_at)
        return Timers(tuple(kept))

    def clear(self, *timers: T) -> "Timers[T]":
        """Unset; a timer that is not set is fine."""
        return Timers(tuple(entry for entry in self.pending if entry[1] not in timers))

    def only(self, *timers: T) -> "Timers[T]":
        """Unset all but these."""
        return Timers(tuple(entry for entry in self.pending if entry[1] in timers))

    def __contains__(self, timer: T) -> bool:
        return any(entry[1] is timer for entry in self.pending)

    def is_due(self, timer: T, now: float) -> bool:
        """Whether this one is set for `now` or earlier."""
        return any(entry[1] is timer and entry[0] <= now for entry in self.pending)

    def due(self, now: float) -> T | None:
        """The earliest timer that is due, None if none is."""
        return self.pending[0][1] if self.pending and self.pending[0][0] <= now else None

    @property
    def next(self) -> Deadline[T] | None:
        """The next wake-up."""
        return Deadline(*self.pending[0]) if self.pending else None


def _at(entry: tuple[Monotonic, T]) -> Monotonic:
    return entry[0]
