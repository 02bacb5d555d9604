"""What many connections ask of the store at nearly the same time, asked once."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import trio

from protocol import DeviceId, Epoch, Rev, UserId, Wall
from protocol.server import HeadRead, ServerInput, StoreFailed

from .background import Background
from .store import LogStore, StoreUnavailable


class Asker(Protocol):
    """Who wants to know a head."""

    def take(self, input: ServerInput) -> None:
        """Get `HeadRead` or `StoreFailed`."""


class Heads:
    """All heads asked for in one turn of the event loop, by one query: a heartbeat round of thousands is one question."""

    __slots__ = ("_askers", "_background", "_store", "_wall")

    def __init__(self, store: LogStore, background: Background, wall: Callable[[], Wall]) -> None:
        self._store = store
        self._background = background
        self._wall = wall
        self._askers: list[tuple[UserId, Asker]] = []

    def __repr__(self) -> str:
        return f"<Heads {len(self._askers)} asking>"

    def ask(self, user: UserId, asker: Asker) -> None:
        """`asker` gets the head of `user`."""
        self._askers.append((user, asker))
        if len(self._askers) == 1:
            # It begins when the present turn is over, and so has everybody who asks in it.
            self._background.start(self._answer)

    async def _answer(self) -> None:
        askers, self._askers = self._askers, []
        try:
            heads = await self._store.heads({user for user, _ in askers})
        except StoreUnavailable:
            for _, asker in askers:
                asker.take(StoreFailed("head"))
            return
        wall = self._wall()
        for user, asker in askers:
            asker.take(HeadRead(heads[user], wall))


NO_PLACE: Final = (Epoch(""), Rev(0))
"""An ack of no history: the store only notes that the device was here."""


class Acks:
    """The newest ack of each device, stored a few times a second."""

    __slots__ = ("_background", "_on_stored", "_store", "_waiting", "_wall")

    def __init__(
        self,
        store: LogStore,
        background: Background,
        wall: Callable[[], Wall],
        on_stored: Callable[[set[UserId]], None],
    ) -> None:
        self._store = store
        self._background = background
        self._wall = wall
        self._on_stored = on_stored
        self._waiting: dict[tuple[UserId, DeviceId], tuple[Epoch, Rev]] = {}

    def __repr__(self) -> str:
        return f"<Acks {len(self._waiting)} waiting>"

    def note(self, user: UserId, device: DeviceId, epoch: Epoch, rev: Rev) -> None:
        """A device has stored everything up to here."""
        self._waiting[user, device] = (epoch, rev)

    def seen(self, user: UserId, device: DeviceId) -> None:
        """A device was here, and said nothing of what it has."""
        self._waiting.setdefault((user, device), NO_PLACE)

    def flush(self) -> None:
        """Begin to store what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            self._background.start(self._store_all, waiting)

    async def _store_all(self, waiting: dict[tuple[UserId, DeviceId], tuple[Epoch, Rev]]) -> None:
        # Side by side: the store puts what comes together into one transaction.
        async with trio.open_nursery() as nursery:
            for (user, device), (epoch, rev) in waiting.items():
                nursery.start_soon(self._store_one, user, device, epoch, rev)
        self._on_stored({user for user, _ in waiting})

    async def _store_one(self, user: UserId, device: DeviceId, epoch: Epoch, rev: Rev) -> None:
        # An ack that is lost is healed by the next one.
        with suppress(StoreUnavailable):
            await self._store.acked(user, device, epoch, rev, self._wall())
