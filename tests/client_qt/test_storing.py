"""The one writer: in order, many in one commit, and patient with a disk that is full."""

from collections.abc import Iterable

import trio
from trio.testing import MockClock

from client_qt.database import DatabaseError
from client_qt.local_state import LocalWrite, PutSkew
from client_qt.storing import RETRY_S, Writer
from protocol import Write


class Disk:
    """Remembers its commits; fails while it is full."""

    def __init__(self) -> None:
        self.commits: list[list[Write | LocalWrite]] = []
        self.is_full = False

    def apply(self, writes: Iterable[Write | LocalWrite]) -> None:
        if self.is_full:
            raise DatabaseError("unusable", "The disk is full.")
        self.commits.append(list(writes))


def skews(*values: int) -> tuple[PutSkew, ...]:
    return tuple(map(PutSkew, values))


async def test_what_waits_is_committed_together_and_in_order() -> None:
    disk, done = Disk(), list[int]()
    writer = Writer(disk, lambda code, message: None)
    writer.put(skews(1, 2), lambda: done.append(1))
    writer.put(skews(3), lambda: done.append(2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await writer.flushed()
        assert disk.commits == [list(skews(1, 2, 3))]
        assert done == [1, 2]
        writer.put(skews(4))
        await writer.flushed()
        nursery.cancel_scope.cancel()
    assert disk.commits[1:] == [list(skews(4))]


async def test_nothing_is_said_to_be_stored_while_the_disk_is_full_and_nothing_is_lost(
    autojump_clock: MockClock,
) -> None:
    disk, done, told = Disk(), list[int](), list[str]()
    disk.is_full = True
    writer = Writer(disk, lambda code, message: told.append(code), threaded=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put(skews(1), lambda: done.append(1))
        await trio.sleep(3.5 * RETRY_S)
        writer.put(skews(2), lambda: done.append(2))
        assert (done, told) == ([], ["unusable"])
        disk.is_full = False
        await writer.flushed()
        nursery.cancel_scope.cancel()
    assert disk.commits == [list(skews(1, 2))]
    assert done == [1, 2]


async def test_a_second_row_of_failures_is_reported_again(autojump_clock: MockClock) -> None:
    disk, told = Disk(), list[str]()
    writer = Writer(disk, lambda code, message: told.append(message), threaded=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for _ in range(2):
            disk.is_full = True
            writer.put(skews(1))
            await trio.sleep(3 * RETRY_S)
            disk.is_full = False
            await writer.flushed()
        nursery.cancel_scope.cancel()
    assert told == ["The disk is full."] * 2


async def test_what_is_left_at_the_end_is_written_once() -> None:
    disk = Disk()
    writer = Writer(disk, lambda code, message: None)
    writer.put(skews(1))
    await writer.drain()
    await writer.drain()
    assert disk.commits == [list(skews(1))]
    assert repr(writer) == "<Writer, 0 waiting>"
