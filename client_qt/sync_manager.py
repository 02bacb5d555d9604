"""How this device stands with its server: two axes, the link and the data, because "connected" is not "up to date"."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from protocol import client

from .commands import CommandError


LinkState = client.LinkName
DataState = Literal["local", "up_to_date", "waiting", "catching_up", "attention"]
"""`local`: there is no server. `waiting`: changes of this device are unanswered. `catching_up`: not in step since the
link was lost. `attention`: the user has to do something: sign in, or look at a rejected change."""


STALE_MS = 60_000
"""Without an answer for this long, a device that polls is not called up to date: every poll ends sooner than that."""


class Status(Struct, frozen=True):
    """What the status line shows; derived from state alone.

    Attributes:
        why: in words, what led to this state of the link.
        retry_in_ms: time to the next attempt when this was made, None where none is planned.
        sign_in: the user must sign in.
        waiting: changes of this device without an answer.
        rejected: refused changes that the user has not seen.
        last_sync_ms: system clock when this device was last in step, None: not since it started.
        round_trip_ms, clock_offset_ms: of the newest clock sample; the offset is server minus system clock.
    """

    link: LinkState = "offline"
    data: DataState = "local"
    why: str = ""
    retry_in_ms: int | None = None
    sign_in: bool = False
    waiting: int = 0
    rejected: int = 0
    last_sync_ms: int | None = None
    round_trip_ms: float | None = None
    clock_offset_ms: int = 0


class Counts(Struct, frozen=True):
    """What only the engine knows."""

    waiting: int
    rejected: int
    clock_offset_ms: int


class SyncManager:
    """Keeps the status, and lets the user ask for a sync.

    Args:
        connection: None for a device without a server.
        feed: the connection's one way in. monotonic: seconds. wall_ms: the system's clock.
    """

    def __init__(
        self,
        connection: client.ClientConnection | None,
        feed: Callable[[client.ClientInput], None],
        monotonic: Callable[[], float],
        wall_ms: Callable[[], int],
    ) -> None:
        self._connection = connection
        self._feed = feed
        self._monotonic = monotonic
        self._wall_ms = wall_ms
        self._link = client.LinkChanged("offline", "" if connection else "This device has no server.")
        self._last_sync_ms: int | None = None
        self._in_step = False
        self._round_trip_ms: float | None = None

    def __repr__(self) -> str:
        return f"<SyncManager {self._link.state}, {'in step' if self._in_step else 'not in step'}>"

    # --- what the user asks ---

    def sync_now(self) -> None:
        """Bring this device up to date at once; whoever was stopped starts again.

        Raises:
            CommandError: `no_server`.
        """
        connection = self._asked()
        self._feed(client.Start() if "Start" in connection.accepts else client.SyncNow())

    def take_over(self) -> None:
        """Win over the newer connection of this device.

        Raises:
            CommandError: `no_server`; `no_effect`: nothing has replaced this connection.
        """
        if "TakeOver" not in self._asked().accepts:
            raise CommandError("no_effect", "No newer connection has replaced this one.")
        self._feed(client.TakeOver())

    def _asked(self) -> client.ClientConnection:
        if self._connection is None:
            raise CommandError("no_server", "This device has no server; start it with --url.")
        return self._connection

    # --- what the connection tells ---

    def link_changed(self, link: client.LinkChanged) -> None:
        """The link moved."""
        self._link = link
        self._in_step = self._in_step and link.state in {"live", "polling"}

    def synced(self) -> None:
        """In step at this moment."""
        self._in_step = True
        self._last_sync_ms = self._wall_ms()

    def heard_changes(self) -> None:
        """A change came while in step."""
        if self._in_step:
            self._last_sync_ms = self._wall_ms()

    def sampled(self, round_trip_ms: float) -> None:
        """A clock sample came."""
        self._round_trip_ms = round_trip_ms

    # --- how it stands ---

    def status(self, counts: Counts) -> Status:
        """All of it."""
        retry_at = self._link.retry_at
        return Status(
            link=self._link.state,
            data=self._data(counts),
            why=self._link.why,
            retry_in_ms=None if retry_at is None else max(0, round((retry_at - self._monotonic()) * 1000)),
            sign_in=self._link.sign_in,
            # Without a server nothing waits for anybody.
            waiting=counts.waiting if self._connection else 0,
            rejected=counts.rejected,
            last_sync_ms=self._last_sync_ms,
            round_trip_ms=self._round_trip_ms,
            clock_offset_ms=counts.clock_offset_ms,
        )

    def _data(self, counts: Counts) -> DataState:
        if self._connection is None:
            return "local"
        if self._link.sign_in or counts.rejected or self._link.state == "stopped":
            return "attention"
        if counts.waiting:
            return "waiting"
        return "up_to_date" if self._is_in_step() else "catching_up"

    def _is_in_step(self) -> bool:
        """A socket says when it is lost; of polling only the answers tell that it still works."""
        last = self._last_sync_ms
        stale = self._link.state == "polling" and (last is None or self._wall_ms() > last + STALE_MS)
        return self._in_step and not stale
