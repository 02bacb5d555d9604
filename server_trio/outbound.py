"""The write side of one connection: every byte to a socket leaves through its `Outbound`.

The `Outbound` owns a plain standard library socket; no other object knows the descriptor, so nothing can write into a number that
the kernel has given to somebody else meanwhile. A send tries the kernel at once; only what does not fit waits in a queue, with a
flusher task that lives no longer than the queue.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

import trio

from .tls import Cipher
from .websocket import SocketHandler, close_frame


# IOV_MAX is 1,024 on Linux and the BSDs; fewer are enough to empty a queue in a few calls.
_BUFFERS_PER_WRITE: Final = 64
# `struct linger { int l_onoff, l_linger; }`: on with zero seconds means reset.
_RESET: Final = struct.pack("ii", 1, 0)


class Upkeep:
    """What all connections of one listener share.

    Attributes:
        watched: Those that have a deadline now; an idle socket has none and costs the sweeper nothing.
        nursery: Where flushers live; set while the listener runs.
    """

    __slots__ = ("closing_timeout", "guard", "nursery", "progress_timeout", "watched")

    def __init__(
        self, *, progress_timeout: float, closing_timeout: float, guard: Callable[[BaseException], None]
    ) -> None:
        self.progress_timeout = progress_timeout
        self.closing_timeout = closing_timeout
        self.guard = guard
        self.watched: set[Outbound] = set()
        self.nursery: trio.Nursery

    def __repr__(self) -> str:
        return f"<Upkeep {len(self.watched)} watched>"

    def overdue(self, now: float) -> list[Outbound]:
        """Those whose deadline has passed."""
        return [outbound for outbound in self.watched if outbound.deadline <= now]


class Outbound(trio.abc.AsyncResource):
    """The one writer of a socket, and its life: half-close, deadline, abort. Not for use from other threads.

    Attributes:
        waiting: Bytes queued, because the peer (or the network) takes them more slowly than they come.
        deadline: Trio time at which the sweeper aborts this connection; infinity for an idle socket.
        owner: Who is told of `blocked` and `drained`; set at the hand-over.
        opening: The scope of the HTTP phase. Abort cancels it: a handler that waits for something else would stay for ever.
        ending: A close was asked for; nothing more is accepted.
    """

    __slots__ = ("_cipher", "_queue", "_upkeep", "deadline", "ending", "opening", "owner", "socket", "waiting")

    def __init__(self, sock: socket.socket, upkeep: Upkeep, cipher: Cipher | None = None) -> None:
        self.socket = sock
        self._upkeep = upkeep
        self._cipher = cipher
        self._queue: deque[memoryview] | None = None
        self.waiting = 0
        self.deadline = math.inf
        self.owner: SocketHandler | None = None
        self.opening: trio.CancelScope | None = None
        self.ending = False

    def __repr__(self) -> str:
        state = "over" if self.over else "closing" if self.ending else "open"
        due = "" if self.deadline == math.inf else f", deadline {self.deadline:.1f}"
        return f"<Outbound {state}, {self.waiting} bytes waiting{due}>"

    @property
    def over(self) -> bool:
        """The descriptor is gone. To be asked before every wait: waiting on -1 spoils Trio's table for later waits."""
        return self.socket.fileno() == -1

    # ------------------------------------------------------------------------------------------------- for the owner

    def send(self, wire: bytes) -> None:
        """Send ready-made frames (one, or several joined), now or after what waits. After a close or an abort: nothing.

        Calls the owner's `blocked` before it returns if this send is the first that had to wait.
        """
        if self.ending:
            return
        if self._cipher is not None:
            wire = self._cipher.encrypt(wire)
        self._put(wire)

    def close(self, code: int, reason: str = "") -> None:
        """Close in an orderly way: the close frame after all that waits, then the end of our side.

        What the peer still sends is read and dropped until it ends too or a short deadline passes: a socket that is closed with
        unread input resets, and that would take the close frame away. A second close does nothing.
        """
        if self.ending:
            return
        self.ending = True  # before the frame: an owner that closes is not told of `blocked` any more
        frame = close_frame(code, reason)
        self._put(frame if self._cipher is None else self._cipher.encrypt(frame))
        self.finish()

    def abort(self) -> None:
        """End at once. With unsent bytes the connection is reset, so that the kernel frees them."""
        if self.over:
            return
        if self.waiting:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.ending = True
        self._queue = None
        self.waiting = 0
        self.unwatch()
        trio.lowlevel.notify_closing(self.socket)
        self.socket.close()
        if self.opening is not None:
            self.opening.cancel()

    # -------------------------------------------------------------------------------------------- for this package

    async def aclose(self) -> None:
        """`abort`, in the form that Trio's `serve_listeners` asks for."""
        self.abort()

    def watch(self, seconds: float) -> None:
        """Set the deadline, in seconds from now."""
        self.deadline = trio.current_time() + seconds
        self._upkeep.watched.add(self)

    def unwatch(self) -> None:
        """Have no deadline."""
        self.deadline = math.inf
        self._upkeep.watched.discard(self)

    def take(self, size: int) -> bytes | None:
        """Read what is there, without waiting: b"" for nothing yet, None at the end. TLS may give more than `size`."""
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        if not data:
            return None
        return data if self._cipher is None else self._deciphered(data)

    def _deciphered(self, data: bytes) -> bytes | None:
        assert self._cipher is not None
        plain = self._cipher.decrypt(data)
        # A key update or an alert answers by itself.
        if reply := self._cipher.outgoing():
            self._put(reply)
        return plain

    async def write(self, data: bytes) -> None:
        """Send `data` and wait until the kernel has taken it: for HTTP, which has no queue of its own.

        Never raises into the application, which could do nothing about it: a connection that fails is aborted, and that cancels
        the application at its next checkpoint.
        """
        if self.ending:
            # A peer that is gone must not turn a writing loop into one that never yields.
            await trio.lowlevel.checkpoint()
            return
        rest = memoryview(data if self._cipher is None else self._cipher.encrypt(data))
        rest = rest[self._attempt([rest]) :]
        with contextlib.suppress(trio.ClosedResourceError):
            while rest and not self.over:
                self.waiting = len(rest)  # so that an abort resets
                self.watch(self._upkeep.progress_timeout)
                await trio.lowlevel.wait_writable(self.socket)
                rest = rest[self._attempt([rest]) :]
        self.waiting = 0

    def leftover(self) -> bytes:
        """What came in one segment with the end of the TLS handshake, and will not make the socket readable again."""
        return b"" if self._cipher is None else self._deciphered(b"") or b""

    async def shake_hands(self) -> bool:
        """Do the TLS handshake, if there is to be one; False when it failed."""
        while self._cipher is not None and not self._cipher.ready:
            if self.over:
                return False
            await trio.lowlevel.wait_readable(self.socket)
            try:
                data = self.socket.recv(16384)
            except BlockingIOError:
                continue
            except OSError:
                return False
            agreed = bool(data) and self._cipher.shake(data)
            # A refusal has its alert, which tells the peer why.
            self._put(self._cipher.outgoing())
            if not agreed:
                return False
        return True

    def finish(self) -> None:
        """Accept nothing more; end our side when all that waits is out."""
        self.ending = True
        if self._cipher is not None and not self.over:
            self._put(self._cipher.farewell())
        if self.over:
            return
        self.watch(self._upkeep.closing_timeout)
        if self._queue is None:
            self._end_our_side()

    async def drop_input(self) -> None:
        """Read and drop until the peer ends or the deadline aborts."""
        with contextlib.suppress(trio.ClosedResourceError, OSError):
            while not self.over:
                await trio.lowlevel.wait_readable(self.socket)
                # Past the cipher: what is dropped need not be understood.
                if not self.socket.recv(65536):
                    return

    # ----------------------------------------------------------------------------------------------------- internals

    def _end_our_side(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _put(self, wire: bytes) -> None:
        """Send or queue bytes that are as they go over the wire."""
        if self._queue is not None:
            self._queue.append(memoryview(wire))
            self.waiting += len(wire)
            return
        try:
            sent = self.socket.send(wire)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort()
            return
        if sent < len(wire):
            self._queue = deque((memoryview(wire)[sent:],))
            self.waiting = len(wire) - sent
            self._stall()

    def _stall(self) -> None:
        if not self.ending:
            self.watch(self._upkeep.progress_timeout)
        self._upkeep.nursery.start_soon(self._flush)
        if self.owner is not None and not self.ending:
            self.owner.blocked()

    def _attempt(self, buffers: list[memoryview]) -> int:
        """Bytes that the kernel took; 0 for none, and also after a failure, which aborts."""
        try:
            return self.socket.sendmsg(buffers)
        except BlockingIOError:
            return 0
        except OSError:
            self.abort()
            return 0

    async def _flush(self) -> None:
        with contextlib.suppress(trio.ClosedResourceError):
            while self._queue and not self.over:
                await trio.lowlevel.wait_writable(self.socket)
                self._advance()
        if self.over:
            return
        self._queue = None
        if self.ending:
            self._end_our_side()
            return
        self.unwatch()
        if self.owner is not None:
            try:
                self.owner.drained()
            except Exception as error:  # noqa: BLE001 - whatever an owner raises costs its own socket, never the process
                self._upkeep.guard(error)
                self.abort()

    def _advance(self) -> None:
        if self._queue is None:
            return
        sent = self._attempt(list(islice(self._queue, _BUFFERS_PER_WRITE)))
        if self.over:
            return
        self.waiting -= sent
        if sent and not self.ending:
            self.watch(self._upkeep.progress_timeout)
        while sent:
            first = self._queue[0]
            if len(first) > sent:
                self._queue[0] = first[sent:]
                return
            sent -= len(first)
            self._queue.popleft()
