"""The one writer of the local database: everything in the order it was put, in a worker thread, many in one commit."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import trio

from protocol import Write

from .database import DatabaseError
from .local_state import LocalWrite


RETRY_S = 2.0
"""A full disk may have room again: what could not be written is tried again after this long, for as long as it takes."""

Writes = tuple[Write | LocalWrite, ...]


class Disk(Protocol):
    """What the writer needs of a database."""

    def apply(self, writes: Iterable[Write | LocalWrite]) -> None:
        """Commit in one transaction; raises `DatabaseError`."""


class Writer:
    """Takes writes, commits them in order, and says when they are on disk.

    Args:
        disk: where to. report: hears of a failure (code, sentence), once for each row of failures.
        threaded: write in a worker thread. Tests with a virtual clock write in place: to that clock, waiting for a
            thread looks like having nothing to do (python-trio/trio#456).
    """

    def __init__(self, disk: Disk, report: Callable[[str, str], None], *, threaded: bool = True) -> None:
        self._disk = disk
        self._report = report
        self._threaded = threaded
        self._waiting: deque[tuple[Writes, Callable[[], None]]] = deque()
        self._more = trio.Event()
        self._failing = False

    def __repr__(self) -> str:
        return f"<Writer, {len(self._waiting)} waiting{', failing' if self._failing else ''}>"

    def put(self, writes: Writes, done: Callable[[], None] = lambda: None) -> None:
        """Write these after all before; `done` is called in Trio's thread once they are on disk."""
        self._waiting.append((writes, done))
        self._more.set()

    async def flushed(self) -> None:
        """Wait until everything put so far is on disk."""
        reached = trio.Event()
        self.put((), reached.set)
        await reached.wait()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._more.wait()
            self._more = trio.Event()
            while self._waiting:
                await self._commit()

    async def drain(self) -> None:
        """Write what is left, trying once; for the end of the program."""
        if self._waiting and await self._write(tuple(write for writes, _ in self._waiting for write in writes)):
            self._waiting.clear()

    async def _commit(self) -> None:
        batch = list(self._waiting)
        if not await self._write(tuple(write for writes, _ in batch for write in writes)):
            await trio.sleep(RETRY_S)
            return
        for _ in batch:
            self._waiting.popleft()
        for _, done in batch:
            done()

    async def _write(self, writes: Writes) -> bool:
        try:
            if writes and self._threaded:
                await trio.to_thread.run_sync(self._disk.apply, writes)
            elif writes:
                self._disk.apply(writes)
        except DatabaseError as error:
            if not self._failing:
                self._report(error.code, str(error))
            self._failing = True
            return False
        self._failing = False
        return True
