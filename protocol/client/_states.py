"""Where a client can stand: one frozen class per state, holding only what is true there.

Three regions run side by side: the link (a socket), polling, and pushing (HTTP, while the socket will not come up).
"""

from typing import Literal

from msgspec import Struct

from .._messages import Goodbye, Welcome
from .._records import Record
from .._types import Cursor, Epoch, Generation, ItemId, Mid, Monotonic, Rev, Value
from ._pace import Allowance


class Idle(Value, frozen=True):
    """Never started."""


class Refreshing(Value, frozen=True):
    """A token is being fetched before the next attempt.

    Attributes:
        strict: the one in hand was refused just now; the same one again is not worth an attempt.
    """

    gen: Generation
    strict: bool = False


class Connecting(Value, frozen=True):
    """The transport is being opened."""

    gen: Generation


class Opening(Value, frozen=True):
    """The transport stands and hello is sent.

    Attributes:
        sent_at: when; it starts the first clock sample.
        cursor: that of hello. goodbye: the server is about to close.
    """

    gen: Generation
    sent_at: Monotonic
    cursor: Cursor | None = None
    goodbye: Goodbye | None = None


class Gathering(Value, frozen=True):
    """Parts of a snapshot so far; until the last one events are dropped.

    Attributes:
        part: number of the newest; they count from 0. rev: of all of them.
    """

    rev: Rev = Rev(0)
    part: int = -1
    items: tuple[tuple[Record, ...], ...] = ()
    deleted: tuple[tuple[ItemId, ...], ...] = ()


class Session(Struct, frozen=True, kw_only=True):
    """What is true from welcome on, of this connection only.

    Attributes:
        opened_at: when the transport stood.
        epoch: of frames that name none.
        sent: the greatest mid sent. unanswered: those of them that wait for their answer.
        asked_at: when an answer last came, or the first of them was sent.
        doubted: sent under an epoch that has ended; an `error` about one of them is old news.
        heard: how far the server has read to us on this connection, None where it has not begun.
        acked: what the server knows to be stored here, None for nothing.
        pings: `t0` of pings without a pong.
        goodbye: the server is about to close.
    """

    opened_at: Monotonic
    welcome: Welcome
    epoch: Epoch
    allowance: Allowance
    sent: Mid = Mid(0)
    unanswered: tuple[Mid, ...] = ()
    asked_at: Monotonic = Monotonic(0.0)
    doubted: tuple[Mid, ...] = ()
    heard: Rev | None = None
    acked: Cursor | None = None
    pings: tuple[float, ...] = ()
    gathering: Gathering | None = None
    goodbye: Goodbye | None = None


class Syncing(Value, frozen=True):
    """Welcome came; the server brings us up to date."""

    gen: Generation
    session: Session


class Live(Value, frozen=True):
    """Up to date; changes come as they are made."""

    gen: Generation
    session: Session
    since: Monotonic


class Backoff(Value, frozen=True):
    """Between two attempts; RECONNECT_DUE says when the next one begins, or is not set where only polling is left.

    Attributes:
        why: what ended the last one.
        not_before: no hint brings the next one further forward.
    """

    why: str
    not_before: Monotonic


class Stopped(Value, frozen=True):
    """No attempt without the user.

    Attributes:
        reason: asked, or the decision of a close code.
        winner: `conn` of the connection that replaced this one.
    """

    reason: str
    sign_in: bool = False
    winner: int | None = None


Link = Idle | Refreshing | Connecting | Opening | Syncing | Live | Backoff | Stopped

What = Literal["changes", "snapshot"]


class PollOff(Value, frozen=True):
    """The socket is enough."""


class PollSoon(Value, frozen=True):
    """Between two polls; POLL_DUE says when the next begins.

    Attributes:
        what: what it will ask for.
        afresh: right after a snapshot; to be sent for another one would be going in circles.
        storing: it waits only for what was learned to be on disk: a poll acknowledges its cursor.
        not_before: no hint brings it further forward.
    """

    what: What = "changes"
    afresh: bool = False
    storing: bool = False
    not_before: Monotonic = Monotonic(float("-inf"))


class Polling(Value, frozen=True):
    """A request for news is out.

    Attributes:
        epoch: of the cursor when it was sent.
        wait: a long poll. late_at: when it counts as failed. afresh: as in `PollSoon`.
    """

    gen: Generation
    what: What
    sent_at: Monotonic
    late_at: Monotonic
    epoch: Epoch | None
    wait: bool
    afresh: bool = False


Polled = PollOff | PollSoon | Polling


class PushOff(Value, frozen=True):
    """No request with mutations is out."""


class Pushing(Value, frozen=True):
    """A request with mutations is out; attributes as in `Polling`."""

    gen: Generation
    sent_at: Monotonic
    late_at: Monotonic
    epoch: Epoch


Pushed = PushOff | Pushing
