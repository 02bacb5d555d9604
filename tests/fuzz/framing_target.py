"""Reading what came: messages as text, deflated frames, tokens taken out, and the frames of RFC 6455 themselves."""

import json
import struct
import zlib
from collections.abc import Hashable, Iterator
from typing import Any, ClassVar, get_args

from protocol import Fault, Handle, Limits
from protocol._close_codes import CLOSE_CODES
from protocol._deflate import TAG, pack, unpack
from protocol._framing import Unknown, decode_client, decode_server, encode
from protocol._messages import ClientMessage, Message, ServerMessage
from protocol.server import Requested, hide_token, read_request
from server_trio.websocket import FrameReader, Malformed, Overlong, PeerClose, Ping

from . import promises
from .program import Program, Step, as_bytes, number


LIMITS = Limits(frame=4_096, inflate=16_384)
BOMB = 4_000
"""How often a `bomb` says its text."""

MOST_FAULT = 1_024
"""Bytes of the explanation of a message; more could be made to flow than came."""

_CLIENT = frozenset(get_args(ClientMessage))
_SERVER = frozenset(get_args(ServerMessage))


class Framing:
    """Each step reads one thing, from nothing."""

    name = "framing"
    verbs = ("client", "server", "raw", "deflated", "bomb", "pack", "hide", "request")
    openings: tuple[Step, ...] = ()

    def run(self, program: Program, *, thorough: bool = True) -> Iterator[Hashable]:
        """Read everything."""
        for step in program:
            if step.verb in self.verbs:
                yield step.verb, *getattr(self, f"_{step.verb}")(step.text)

    def _client(self, text: str) -> tuple[Hashable, ...]:
        return _read(text, decode_client(text, LIMITS.frame), _CLIENT, LIMITS.frame, decode_client)

    def _server(self, text: str) -> tuple[Hashable, ...]:
        return _read(text, decode_server(text, LIMITS.inflate), _SERVER, LIMITS.inflate, decode_server)

    def _raw(self, text: str) -> tuple[Hashable, ...]:
        return self._unpacked(unpack(as_bytes(text), LIMITS))

    def _deflated(self, text: str) -> tuple[Hashable, ...]:
        plain = text.encode(errors="surrogatepass")
        found = unpack(TAG + _deflate(plain), LIMITS)
        if isinstance(found, str):
            assert found == text
        else:
            assert len(plain) > LIMITS.inflate or not _is_utf8(text), found
        return self._unpacked(found)

    def _bomb(self, text: str) -> tuple[Hashable, ...]:
        return self._unpacked(unpack(TAG + _deflate(text[:500].encode(errors="surrogatepass") * BOMB), LIMITS))

    def _unpacked(self, found: str | Fault) -> tuple[Hashable, ...]:
        if isinstance(found, Fault):
            assert promises.size(found) <= MOST_FAULT
            return (found.code,)
        assert len(found.encode()) <= LIMITS.inflate
        return (*self._client(found), *self._server(found))

    def _pack(self, text: str) -> tuple[Hashable, ...]:
        if not _is_utf8(text):
            return ("no text",)
        frame = pack(text, LIMITS)
        if frame is None:
            return ("plain",)
        assert len(frame) < len(text.encode())
        assert unpack(frame, LIMITS) == text
        return ("packed",)

    def _hide(self, text: str) -> tuple[Hashable, ...]:
        kept: list[str] = []

        def hide(token: str) -> Handle:
            kept.append(token)
            return Handle(f"h-{len(kept)}")

        hidden = hide_token(text, hide)
        for token in _tokens(text):
            assert token not in hidden, "a token is left"
        return len(kept), isinstance(decode_client(hidden, LIMITS.frame), Fault)

    def _request(self, text: str) -> tuple[Hashable, ...]:
        offered, authorization, query, origin = [*text.split("|"), "", "", "", ""][:4]
        items = [item.strip() for item in offered.split(",")]
        found = read_request(items, authorization or None, query or None, origin or None, lambda _: Handle("h"))
        assert isinstance(found, Requested)
        assert (found.handle is None) == (found.via == "nothing")
        return found.profile, found.via


def _deflate(plain: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(text: str, found: Any, union: frozenset[type], limit: int, again: Any) -> tuple[Hashable, ...]:
    if isinstance(found, Fault):
        assert promises.size(found) <= MOST_FAULT, "a fault is short"
        return found.code, found.field
    if isinstance(found, Unknown):
        return ("unknown",)
    assert type(found) in union
    assert isinstance(found, Message)
    assert len(text.encode()) <= limit
    assert again(encode(found), 8 * limit) == found, "what is written is what was read"
    return (type(found).__name__,)


def _tokens(text: str) -> list[str]:
    """Values of top-level members `token`, said once or more, that occur nowhere else in the text."""
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return []
    members = [pair for pair in pairs if isinstance(pair, tuple)] if isinstance(pairs, list) else []
    tokens = [value for name, value in members if name == "token" and isinstance(value, str) and len(value) > 5]
    return [token for token in tokens if token.isascii() and text.count(token) == tokens.count(token)]


# --- RFC 6455 ---------------------------------------------------------------------------------------------------------


LIMIT = 300
_ARRIVALS = (str, bytes, Ping, PeerClose, Overlong, Malformed)


class Frames:
    """A reader of frames that is fed the same bytes whole, in pieces, and one by one."""

    name = "frames"
    verbs = ("text", "binary", "part", "more", "last", "ping", "pong", "close", "raw", "head", "split")
    openings: tuple[Step, ...] = ()

    _FIRST: ClassVar[dict[str, int]] = {
        "text": 0x81, "binary": 0x82, "part": 0x01, "more": 0x00, "last": 0x80, "ping": 0x89, "pong": 0x8A, "close": 0x88,
    }  # fmt: skip

    def run(self, program: Program, *, thorough: bool = True) -> Iterator[Hashable]:
        """Feed the bytes of all steps, three times."""
        wire, cuts = b"", [7]
        for step in program:
            if step.verb == "split":
                cuts.append(1 + number(step.text, 1) % 64)
            elif step.verb in self.verbs:
                wire += self._bytes(step) * step.times
        wire = wire[:8_192]
        whole = _feed(wire, [len(wire) or 1])
        assert _feed(wire, cuts) == whole
        assert _feed(wire, [1]) == whole
        for arrival in whole:
            yield _kind(arrival)

    def _bytes(self, step: Step) -> bytes:
        if step.verb == "raw":
            return as_bytes(step.text)
        if step.verb == "head":
            return struct.pack("!BBQ", 0x82, 0xFF, number(step.text) % (1 << 64)) + b"mask"
        data = step.text.encode(errors="surrogatepass") if step.verb in ("text", "part") else as_bytes(step.text)
        return _masked(self._FIRST[step.verb], data[:4_096])


def _masked(first: int, data: bytes) -> bytes:
    mask = b"\x11\x22\x33\x44"
    size = len(data)
    head = struct.pack("!BB", first, 0x80 | size) if size < 126 else struct.pack("!BBH", first, 0xFE, size)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def _feed(wire: bytes, cuts: list[int]) -> list[object]:
    reader, arrivals, at, turn = FrameReader(LIMIT), list[object](), 0, 0
    while at < len(wire):
        size = cuts[turn % len(cuts)]
        arrivals += reader.feed(wire[at : at + size])
        at, turn = at + size, turn + 1
        assert held(reader) <= LIMIT + 14, "at most one message is kept"
    for arrival in arrivals:
        assert isinstance(arrival, _ARRIVALS)
        assert not isinstance(arrival, str | bytes) or len(arrival) <= LIMIT
    endings = [isinstance(arrival, PeerClose | Overlong | Malformed) for arrival in arrivals]
    assert not any(endings[:-1]), "after an ending nothing is heard"
    assert reader.deaf == any(endings)
    return arrivals


def held(reader: FrameReader) -> int:
    """Bytes that a reader keeps: the beginning of a frame and the fragments of a message."""
    message = reader._message
    return len(reader._rest or b"") + (0 if message is None else message.tell())


def _kind(arrival: object) -> Hashable:
    match arrival:
        case PeerClose(code):
            return "close", code if code in CLOSE_CODES else code // 1_000
        case Malformed(code, why):
            return "malformed", code, why[:20]
        case _:
            return type(arrival).__name__
