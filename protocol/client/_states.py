"""Where a client can stand: one frozen class per state, holding only what is true there.

Two regions run side by side: the link (a socket) and polling (HTTP, while the socket will not come up).
"""

from .._messages import Goodbye, Welcome
from .._records import Record
from .._types import Generation, ItemId, Monotonic, Rev, Value


class Idle(Value, frozen=True):
    """Never started."""


class Refreshing(Value, frozen=True):
    """A token is being fetched before the next attempt."""

    gen: Generation


class Connecting(Value, frozen=True):
    """The transport is being opened."""

    gen: Generation


class Opening(Value, frozen=True):
    """Hello is sent; `sent_at` starts the first clock sample."""

    gen: Generation
    sent_at: Monotonic


class Gathering(Value, frozen=True):
    """Parts of a snapshot so far."""

    rev: Rev
    items: tuple[Record, ...] = ()
    deleted: tuple[ItemId, ...] | None = None
    parts: int = 0


class Syncing(Value, frozen=True):
    """Welcome came; the server brings us up to date."""

    gen: Generation
    welcome: Welcome
    gathering: Gathering | None = None
    goodbye: Goodbye | None = None


class Live(Value, frozen=True):
    """Up to date; changes come as they are made."""

    gen: Generation
    welcome: Welcome
    since: Monotonic
    gathering: Gathering | None = None
    goodbye: Goodbye | None = None


class Backoff(Value, frozen=True):
    """Waiting for the next attempt. `why`: what ended the last one."""

    why: str


class Stopped(Value, frozen=True):
    """No attempt without the user. `reason`: asked, or the decision of a close code."""

    reason: str
    sign_in: bool = False


Link = Idle | Refreshing | Connecting | Opening | Syncing | Live | Backoff | Stopped


class PollOff(Value, frozen=True):
    """The socket is enough."""


class PollSoon(Value, frozen=True):
    """Between two polls; POLL_DUE says when."""


class Polling(Value, frozen=True):
    """A request is out. `what`: changes, snapshot or mutations."""

    gen: Generation
    what: str
    sent_at: Monotonic
    epoch_at_send: str | None


Polled = PollOff | PollSoon | Polling
