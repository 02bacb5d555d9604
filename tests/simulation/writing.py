"""The one writer of a simulated device: what waits goes to disk together, as `client_qt.storing.Writer` does it."""

from collections.abc import Callable

from client_qt.local_state import LocalWrite
from protocol import Write


Writes = tuple[Write | LocalWrite, ...]
Done = Callable[[], None]


class Writer:
    """Transactions, one at a time.

    Args:
        begin: lets its argument happen when the disk is done. commit: one transaction, whole or not at all.

    Attributes:
        is_busy: a transaction is under way.
    """

    def __init__(self, begin: Callable[[Done], None], commit: Callable[[Writes], None]) -> None:
        self._begin = begin
        self._commit = commit
        self._waiting: list[tuple[Writes, Done]] = []
        self._under_way: list[tuple[Writes, Done]] = []
        self.is_busy = False

    def put(self, writes: Writes, done: Done = lambda: None) -> None:
        """Write these after all before; `done` is called once they are on disk."""
        self._waiting.append((writes, done))
        if not self.is_busy:
            self._start()

    def _start(self) -> None:
        self.is_busy = True
        self._under_way, self._waiting = self._waiting, []
        self._begin(self._finish)

    def _finish(self) -> None:
        self.is_busy = False
        finished = self._reach_disk()
        for done in finished:
            done()
        if self._waiting and not self.is_busy:
            self._start()

    def _reach_disk(self) -> list[Done]:
        under_way, self._under_way = self._under_way, []
        self._commit(tuple(write for writes, _ in under_way for write in writes))
        return [done for _, done in under_way]

    def lose_power(self, *, reached: bool) -> None:
        """The transaction under way has reached the disk or it has not; what waited behind it is gone."""
        if self.is_busy and reached:
            self._reach_disk()
        self.is_busy = False
        self._under_way, self._waiting = [], []
