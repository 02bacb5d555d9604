"""WebSocket frames after the handshake: bytes read, bytes written, no socket.

A whole unfragmented frame is read and written here directly; wsproto judges the rest (fragmented messages and close frames), built
only while such a message is under way. Measured, wsproto costs about 12 us for a small frame and this road about one, and an idle
socket should not pay for a parser that it does not use.

permessage-deflate is never agreed, so every reserved bit is a violation and every server frame is the same for all peers: one
`text_frame` serves a whole broadcast.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Final, Protocol

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage


if TYPE_CHECKING:
    from .outbound import Outbound

NO_STATUS: Final = 1005
ABNORMAL: Final = 1006
PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007

_TEXT: Final = 0x81
_BINARY: Final = 0x82
_CLOSE: Final = 0x88
_PING: Final = 0x89
_PONG: Final = 0x8A
_FRAGMENTS: Final = frozenset({0x00, 0x01, 0x02, 0x80})
_KNOWN: Final = _FRAGMENTS | {_TEXT, _BINARY, _CLOSE, _PING, _PONG}
# RFC 6455 section 5.5: a control frame carries at most 125 bytes.
_CONTROL_LIMIT: Final = 125


class SocketHandler(Protocol):
    """What a socket tells its owner.

    Every method is synchronous, is called in the server's Trio thread and must not raise (one that does is logged, counted, and
    costs its own socket only). `opened` comes first and is always followed by exactly one `closed`, the last call of all.
    """

    def opened(self, outbound: Outbound) -> None:
        """The 101 went out; the owner may send from now on."""

    def received(self, data: str | bytes) -> None:
        """One whole message: text as `str`, binary as `bytes`."""

    def heard(self) -> None:
        """Bytes came that completed no message: part of a frame, or control frames. At most once for each read."""

    def overlong(self, size: int) -> None:
        """A message of at least `size` bytes is over the limit and was refused unread; nothing more is delivered."""

    def malformed(self, code: int, why: str) -> None:
        """The peer broke RFC 6455 (`code` 1002) or sent text that is not UTF-8 (1007); nothing more is delivered."""

    def blocked(self) -> None:
        """A write could not be finished at once: bytes wait in the `Outbound`. Called from inside `Outbound.send`."""

    def drained(self) -> None:
        """Nothing waits any more. Called only after `blocked`, and not once the owner has closed."""

    def closed(self, code: int, reason: str) -> None:
        """The transport is over. `code` is the peer's, 1005 if its close frame had none, 1006 if there was no close frame."""


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping; `payload` belongs into the pong (RFC 6455 section 5.5.3)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PeerClose:
    """The peer's close frame; code 1005 stands for a frame without a code (RFC 6455 section 7.1.5)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Overlong:
    """A message that has at least `size` bytes: more than allowed."""

    size: int


@dataclass(frozen=True, slots=True)
class Malformed:
    """A violation of the framing and the close code that RFC 6455 section 7.4.1 gives it."""

    code: int
    why: str


Arrival = str | bytes | Ping | PeerClose | Overlong | Malformed


class FrameReader:
    """Client frames in, whole messages out; holds at most one message up to `limit` bytes of payload.

    After a `PeerClose`, `Overlong` or `Malformed` the reader is deaf: it keeps and yields nothing more.
    """

    __slots__ = ("_judge", "_limit", "_message", "_missing", "_rest", "_size", "deaf")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest: bytearray | None = None  # the beginning of a frame
        self._missing = 0  # no use to look at `_rest` before it has this many bytes
        self._judge: Connection | None = None  # exists only while a fragmented message is under way
        self._message: StringIO | BytesIO | None = None
        self._size = 0  # payload bytes of the fragments so far
        self.deaf = False

    def __repr__(self) -> str:
        if self.deaf:
            return "<FrameReader deaf>"
        return f"<FrameReader {len(self._rest or b'')} bytes of a frame, {self._size} of {self._limit} of a message>"

    def feed(self, data: bytes) -> Iterator[Arrival]:
        """Yield what has become complete with `data`."""
        if self.deaf:
            return
        if self._rest is not None:
            self._rest += data
            if len(self._rest) < self._missing:
                return
            data = bytes(self._rest)
            self._rest = None
        at, end = 0, len(data)
        while at < end and not self.deaf:
            try:
                head, size = self._header(data, at)
            except _Refused as refused:
                self._silence()
                yield refused.arrival
                return
            if at + head + size > end or not head:
                self._rest = bytearray(data[at:])
                self._missing = head + size
                return
            yield from self._frame(data, at, head, size)
            at += head + size

    def _header(self, data: bytes, at: int) -> tuple[int, int]:
        """Length of the header and of the payload; (0, 0) while the header is incomplete. Refuses before the payload is read."""
        if len(data) - at < 2:
            return 0, 0
        first, second = data[at], data[at + 1]
        if first not in _KNOWN:
            raise _Refused(Malformed(PROTOCOL_ERROR, f"reserved bits or opcode in first byte {first:#04x}"))
        if not second & 0x80:
            raise _Refused(Malformed(PROTOCOL_ERROR, "a client frame must be masked"))
        head, size = 6, second & 0x7F
        if first >= _CLOSE:
            if size > _CONTROL_LIMIT:
                raise _Refused(Malformed(PROTOCOL_ERROR, "a control frame over 125 bytes"))
            return head, size
        if size > 125:
            head, size = _extended(data, at, size)
        # The limit is for the message, so what earlier fragments brought counts; nothing of this payload has been kept yet.
        if self._size + size > self._limit:
            raise _Refused(Overlong(self._size + size))
        return head, size

    def _frame(self, data: bytes, at: int, head: int, size: int) -> Iterator[Arrival]:
        first = data[at]
        if first == _PONG:
            return
        if first == _PING:
            yield Ping(_unmask(data, at + head, size))
        elif first in _FRAGMENTS or first == _CLOSE or self._judge is not None:
            yield from self._judged(data[at : at + head + size], size)
        elif first == _TEXT:
            try:
                text = _unmask(data, at + head, size).decode()
            except UnicodeDecodeError:
                self._silence()
                yield Malformed(INVALID_DATA, "text that is not UTF-8")
            else:
                yield text
        else:
            yield _unmask(data, at + head, size)

    def _judged(self, frame: bytes, size: int) -> Iterator[Arrival]:
        if self._judge is None:
            self._judge = Connection(ConnectionType.SERVER)
        judge = self._judge
        judge.receive_data(frame)
        for event in judge.events():
            if isinstance(event, TextMessage):
                self._message = self._message or StringIO()
            elif isinstance(event, BytesMessage):
                self._message = self._message or BytesIO()
            elif isinstance(event, CloseConnection):
                self._silence()
                # wsproto has one event for a close frame and for a violation; only the first moves its state.
                if judge.state is ConnectionState.REMOTE_CLOSING:
                    yield PeerClose(int(event.code), event.reason or "")
                else:
                    yield Malformed(int(event.code), event.reason or "framing")
                return
            yield from self._collected(event, size)

    def _collected(self, event: Event, size: int) -> Iterator[str | bytes]:
        """Add a fragment to its message; yield the message with its last one."""
        assert isinstance(event, TextMessage | BytesMessage)
        assert self._message is not None
        # wsproto keeps the kinds apart: a continuation has the type of its message.
        self._message.write(event.data)  # type: ignore[arg-type]
        self._size += size
        if event.message_finished:
            whole = self._message.getvalue()
            self._forget()
            yield whole

    def _forget(self) -> None:
        self._judge = self._message = self._rest = None
        self._size = 0

    def _silence(self) -> None:
        self._forget()
        self.deaf = True


class _Refused(Exception):
    # A jump out of the header to its reader, never seen outside.
    def __init__(self, arrival: Overlong | Malformed) -> None:
        self.arrival = arrival


def _extended(data: bytes, at: int, size: int) -> tuple[int, int]:
    """Header and payload length of a frame whose second byte says 126 or 127 (RFC 6455 section 5.2)."""
    wide = size == 127
    head = 14 if wide else 8
    if len(data) - at < head - 4:
        return 0, 0
    (size,) = struct.unpack_from("!Q" if wide else "!H", data, at + 2)
    if size <= (0xFFFF if wide else 125) or size >> 63:
        raise _Refused(Malformed(PROTOCOL_ERROR, "a payload length that is not in its shortest form"))
    return head, size


def _unmask(data: bytes, start: int, size: int) -> bytes:
    # One big XOR beats any loop over bytes by an order of magnitude.
    mask = data[start - 4 : start] * ((size + 3) // 4)
    plain = int.from_bytes(data[start : start + size], "little") ^ int.from_bytes(mask[:size], "little")
    return plain.to_bytes(size, "little")


def _framed(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 0x10000:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def text_frame(payload: str | bytes) -> bytes:
    """One unmasked text message; `bytes` must be UTF-8 already."""
    return _framed(_TEXT, payload.encode() if isinstance(payload, str) else payload)


def binary_frame(payload: bytes) -> bytes:
    """One unmasked binary message."""
    return _framed(_BINARY, payload)


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping with this payload (at most 125 bytes)."""
    return _framed(_PONG, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; `NO_STATUS` gives an empty one, and a reason over 123 bytes is cut at a character."""
    if code == NO_STATUS:
        return _framed(_CLOSE, b"")
    fitting = reason.encode()[: _CONTROL_LIMIT - 2].decode(errors="ignore").encode()
    return _framed(_CLOSE, code.to_bytes(2, "big") + fitting)
