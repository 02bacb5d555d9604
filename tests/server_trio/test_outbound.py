"""The write side of a socket, with a real pair of sockets whose buffers are made small."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from server_trio.outbound import Outbound, Upkeep

from .plain_client import PATIENCE, Recorder


@asynccontextmanager
async def pair(
    *, progress: float = 5.0, closing: float = 5.0, errors: list[BaseException] | None = None
) -> AsyncIterator[tuple[Outbound, socket.socket, Recorder, Upkeep]]:
    caught: list[BaseException] = [] if errors is None else errors
    upkeep = Upkeep(progress_timeout=progress, closing_timeout=closing, guard=caught.append)
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    ours.setblocking(False)
    theirs.setblocking(False)
    async with trio.open_nursery() as upkeep.nursery:
        outbound = Outbound(ours, upkeep)
        outbound.owner = recorder = Recorder()
        with theirs:
            yield outbound, theirs, recorder, upkeep
        outbound.abort()
    assert errors is not None or caught == []


async def read_all(sock: socket.socket, size: int) -> bytes:
    found = b""
    with trio.fail_after(PATIENCE):
        while len(found) < size:
            await trio.lowlevel.wait_readable(sock)
            data = sock.recv(65536)
            if not data:
                break
            found += data
    return found


async def test_a_send_that_fits_leaves_at_once_without_a_task() -> None:
    async with pair() as (outbound, theirs, recorder, upkeep):
        outbound.send(b"now")
        assert theirs.recv(100) == b"now"
        assert outbound.waiting == 0
        assert recorder.told == []
        assert not upkeep.nursery.child_tasks
        assert not upkeep.watched


async def test_what_does_not_fit_waits_in_order_and_the_owner_is_told_once_each_way() -> None:
    async with pair() as (outbound, theirs, recorder, upkeep):
        parts = [bytes([number]) * 1000 for number in range(200)]
        for part in parts:
            outbound.send(part)
        assert outbound.waiting > 0
        assert recorder.told == [("blocked",)]
        assert upkeep.watched == {outbound}
        assert await read_all(theirs, 200_000) == b"".join(parts)
        await wait_all_tasks_blocked()
        assert outbound.waiting == 0
        assert recorder.told == [("blocked",), ("drained",)]
        assert not upkeep.watched
        assert not upkeep.nursery.child_tasks


async def test_a_socket_can_block_and_drain_again_and_again() -> None:
    async with pair() as (outbound, theirs, recorder, _):
        for _ in range(3):
            outbound.send(b"x" * 100_000)
            assert len(await read_all(theirs, 100_000)) == 100_000
            await wait_all_tasks_blocked()
        assert recorder.told == [("blocked",), ("drained",)] * 3


async def test_a_close_comes_after_what_waits_and_then_our_side_ends() -> None:
    async with pair() as (outbound, theirs, recorder, _):
        outbound.send(b"x" * 100_000)
        outbound.close(1012, "restart")
        outbound.send(b"too late")
        outbound.close(1000)
        assert await read_all(theirs, 1 << 30) == b"x" * 100_000 + b"\x88\x09\x03\xf4restart"
        assert recorder.told == [("blocked",)]


async def test_an_owner_that_closes_into_a_full_socket_is_not_told_of_it() -> None:
    async with pair() as (outbound, _theirs, recorder, _):
        while not outbound.waiting:
            outbound.send(b"x" * 1000)
        assert recorder.told == [("blocked",)]
        recorder.told.clear()
        outbound.close(1000)
        assert recorder.told == []


async def test_progress_moves_the_deadline_and_a_stall_does_not() -> None:
    async with pair(progress=5.0) as (outbound, theirs, _, upkeep):
        outbound.send(b"x" * 100_000)
        first = outbound.deadline
        await wait_all_tasks_blocked()
        assert outbound.deadline == first
        assert upkeep.overdue(first - 0.1) == []
        assert upkeep.overdue(first) == [outbound]
        await trio.sleep(0.01)
        await read_all(theirs, 8192)
        await wait_all_tasks_blocked()
        assert outbound.deadline > first


async def test_bytes_taken_do_not_move_the_deadline_of_a_close() -> None:
    """Else a peer that reads a byte a minute would hold a server's drain."""
    async with pair(closing=3.0) as (outbound, theirs, _, _):
        outbound.send(b"x" * 100_000)
        outbound.close(1012)
        first = outbound.deadline
        await trio.sleep(0.01)
        await read_all(theirs, 8192)
        await wait_all_tasks_blocked()
        assert outbound.deadline == first


async def test_an_abort_frees_the_descriptor_at_once_and_everything_after_is_nothing() -> None:
    async with pair() as (outbound, _theirs, _, upkeep):
        outbound.send(b"x" * 100_000)
        outbound.abort()
        assert outbound.over
        assert outbound.waiting == 0
        assert not upkeep.watched
        outbound.send(b"more")
        outbound.close(1000)
        outbound.abort()
        await outbound.write(b"more")
        await wait_all_tasks_blocked()
        assert not upkeep.nursery.child_tasks


async def test_a_send_to_a_peer_that_is_gone_aborts() -> None:
    async with pair() as (outbound, theirs, _, _):
        theirs.close()
        outbound.send(b"x")
        assert outbound.over


async def test_a_flusher_whose_peer_goes_away_ends_with_it() -> None:
    async with pair() as (outbound, theirs, recorder, upkeep):
        outbound.send(b"x" * 100_000)
        theirs.close()
        await wait_all_tasks_blocked()
        assert outbound.over
        assert not upkeep.nursery.child_tasks
        assert recorder.told == [("blocked",)]


async def test_an_owner_that_raises_when_drained_loses_its_own_socket_only() -> None:
    class Clumsy(Recorder):
        def drained(self) -> None:
            raise ValueError("clumsy")

    errors: list[BaseException] = []
    async with pair(errors=errors) as (outbound, theirs, _, _):
        outbound.owner = Clumsy()
        outbound.send(b"x" * 100_000)
        await read_all(theirs, 100_000)
        await wait_all_tasks_blocked()
        assert [type(error) for error in errors] == [ValueError]
        assert outbound.over


async def test_an_awaiting_write_returns_when_all_is_with_the_kernel() -> None:
    async with pair() as (outbound, theirs, _, upkeep), trio.open_nursery() as nursery:
        nursery.start_soon(outbound.write, b"x" * 100_000)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        assert upkeep.watched == {outbound}
        assert len(await read_all(theirs, 100_000)) == 100_000


async def test_an_awaiting_write_ends_quietly_when_it_is_aborted() -> None:
    async with pair() as (outbound, _theirs, _, _), trio.open_nursery() as nursery:
        nursery.start_soon(outbound.write, b"x" * 100_000)
        await wait_all_tasks_blocked()
        outbound.abort()


async def test_the_repr_says_what_waits() -> None:
    async with pair() as (outbound, _theirs, _, _):
        assert repr(outbound) == "<Outbound open, 0 bytes waiting>"
        outbound.close(1000)
        assert repr(outbound).startswith("<Outbound closing, 0 bytes waiting, deadline ")
        outbound.abort()
        assert repr(outbound) == "<Outbound over, 0 bytes waiting>"
