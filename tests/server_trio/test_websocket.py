"""Frames in and out, against RFC 6455 and against wsproto's client as an independent writer."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, TextMessage
from wsproto.events import Ping as PingEvent

from server_trio.websocket import (
    Arrival,
    FrameReader,
    Malformed,
    Overlong,
    PeerClose,
    Ping,
    binary_frame,
    close_frame,
    pong_frame,
    text_frame,
)

from .plain_client import BINARY, CLOSE, PING, PONG, TEXT, client_frame


LIMIT = 1000


def read(*chunks: bytes, limit: int = LIMIT) -> list[Arrival]:
    reader = FrameReader(limit)
    return [arrival for chunk in chunks for arrival in reader.feed(chunk)]


def cut(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    return [wire[start:end] for start, end in itertools.pairwise(edges)]


messages = st.one_of(st.text(max_size=200), st.binary(max_size=300))


@given(st.lists(messages, max_size=5), st.lists(st.integers(0, 2000), max_size=12))
def test_messages_arrive_the_same_however_the_wire_is_cut(sent: list[str | bytes], cuts: list[int]) -> None:
    client = Connection(ConnectionType.CLIENT)
    wire = b"".join(client.send(TextMessage(data) if isinstance(data, str) else BytesMessage(data)) for data in sent)
    assert read(*cut(wire, cuts)) == sent


@given(st.lists(messages.filter(bool), min_size=1, max_size=4), st.lists(st.integers(0, 2000), max_size=12), st.data())
def test_fragments_with_pings_between_them_give_the_whole_message(
    sent: list[str | bytes], cuts: list[int], data: st.DataObject
) -> None:
    client = Connection(ConnectionType.CLIENT)
    wire = b""
    for message in sent:
        edge = data.draw(st.integers(0, len(message)))
        kind = TextMessage if isinstance(message, str) else BytesMessage
        wire += client.send(kind(message[:edge], message_finished=False))  # type: ignore[arg-type] # each kind gets its own data
        wire += client.send(PingEvent(b"between"))
        wire += client.send(kind(message[edge:], message_finished=True))  # type: ignore[arg-type] # each kind gets its own data
    arrived = read(*cut(wire, cuts))
    assert [arrival for arrival in arrived if arrival != Ping(b"between")] == sent
    assert arrived.count(Ping(b"between")) == len(sent)


def test_a_character_cut_between_two_fragments_is_whole_again() -> None:
    word = "é".encode()
    assert read(client_frame(TEXT, word[:1], fin=False) + client_frame(0, word[1:])) == ["é"]


def test_an_empty_message_is_a_message() -> None:
    assert read(client_frame(TEXT) + client_frame(BINARY) + client_frame(TEXT, fin=False) + client_frame(0)) == [
        "",
        b"",
        "",
    ]


def test_a_pong_is_silent_and_a_ping_shows_its_payload() -> None:
    assert read(client_frame(PONG, b"late") + client_frame(PING, b"now")) == [Ping(b"now")]


@pytest.mark.parametrize("first", [TEXT, BINARY])
@pytest.mark.parametrize("size", [125, 126, 127, LIMIT])
def test_a_message_of_exactly_the_limit_passes(first: int, size: int) -> None:
    payload = b"x" * size
    assert read(client_frame(first, payload), limit=size) == [payload.decode() if first == TEXT else payload]


@pytest.mark.parametrize("size", [126, LIMIT + 1, 65536, 1 << 40])
def test_a_message_over_the_limit_is_refused_at_its_header(size: int) -> None:
    limit = min(LIMIT, size - 1)
    header = client_frame(BINARY, claimed=size)
    assert read(header, limit=limit) == [Overlong(size)]


def test_the_limit_counts_all_fragments_of_a_message() -> None:
    half = b"x" * 500
    fitting = client_frame(BINARY, half, fin=False) + client_frame(0, half)
    assert read(fitting) == [half * 2]
    assert read(client_frame(BINARY, half, fin=False) + client_frame(0, claimed=501, fin=False)) == [Overlong(1001)]


def test_the_limit_is_for_each_message_and_not_for_their_sum() -> None:
    fragmented = client_frame(BINARY, b"x" * 900, fin=False) + client_frame(0, b"x" * 100)
    assert len(read(fragmented * 3 + client_frame(TEXT, b"x" * LIMIT) * 3)) == 6


def test_endless_empty_fragments_take_no_memory() -> None:
    """Nothing bounds their number (RFC 6455 has no limit), so nothing may be kept of them."""
    reader = FrameReader(LIMIT)
    list(reader.feed(client_frame(TEXT, fin=False)))
    for _ in range(200):
        assert list(reader.feed(client_frame(0, fin=False) * 100)) == []
    assert list(reader.feed(client_frame(0, b"end"))) == ["end"]


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        pytest.param(client_frame(0x3, b"x"), 1002, id="reserved data opcode"),
        pytest.param(client_frame(0xB, b"x"), 1002, id="reserved control opcode"),
        pytest.param(b"\xc1" + client_frame(TEXT, b"x")[1:], 1002, id="RSV1 without an extension"),
        pytest.param(b"\x90" + client_frame(TEXT, b"x")[1:], 1002, id="RSV3"),
        pytest.param(text_frame("x"), 1002, id="not masked"),
        pytest.param(client_frame(PING, b"x", fin=False), 1002, id="fragmented ping"),
        pytest.param(client_frame(PING, b"x" * 126), 1002, id="ping over 125 bytes"),
        pytest.param(client_frame(0, b"x"), 1002, id="continuation of nothing"),
        pytest.param(client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"y"), 1002, id="new message inside one"),
        pytest.param(
            client_frame(TEXT, b"x", fin=False) + client_frame(BINARY, b"y", fin=False), 1002, id="change of kind"
        ),
        pytest.param(bytes((0x81, 0xFE, 0, 5)), 1002, id="16-bit length for a small payload"),
        pytest.param(bytes((0x81, 0xFF, *bytes(7), 200)), 1002, id="64-bit length for a small payload"),
        pytest.param(bytes((0x81, 0xFF, 0x80, *bytes(7))), 1002, id="negative 64-bit length"),
        pytest.param(client_frame(TEXT, b"\xff"), 1007, id="text that is not UTF-8"),
        pytest.param(client_frame(TEXT, b"\xc3"), 1007, id="text that ends inside a character"),
        pytest.param(
            client_frame(TEXT, b"\xc3", fin=False) + client_frame(0), 1007, id="fragments that end inside one"
        ),
        pytest.param(client_frame(TEXT, b"\xed\xa0\x80"), 1007, id="surrogate"),
        pytest.param(client_frame(CLOSE, b"\x03"), 1002, id="close with half a code"),
        pytest.param(client_frame(CLOSE, (1005).to_bytes(2, "big")), 1002, id="close with a code that may not travel"),
        pytest.param(client_frame(CLOSE, (999).to_bytes(2, "big")), 1002, id="close with a code below 1000"),
        pytest.param(client_frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007, id="close reason not UTF-8"),
    ],
)
def test_a_violation_is_named_once_and_then_nothing_more_is_read(wire: bytes, code: int) -> None:
    reader = FrameReader(LIMIT)
    arrived = list(reader.feed(wire + client_frame(TEXT, b"after")))
    assert [type(arrival) for arrival in arrived] == [Malformed]
    assert isinstance(arrived[0], Malformed)
    assert arrived[0].code == code
    assert reader.deaf
    assert list(reader.feed(client_frame(TEXT, b"later"))) == []


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", PeerClose(1005, "")),
        ((1000).to_bytes(2, "big"), PeerClose(1000, "")),
        ((4001).to_bytes(2, "big") + "später".encode(), PeerClose(4001, "später")),
    ],
)
def test_a_close_frame_gives_its_code_and_reason(payload: bytes, expected: PeerClose) -> None:
    assert read(client_frame(TEXT, b"x", fin=False) + client_frame(CLOSE, payload) + client_frame(0, b"y")) == [
        expected
    ]


def from_server(wire: bytes) -> list[Event]:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(wire)
    return list(client.events())


@given(st.one_of(st.text(max_size=300), st.just("x" * 70000)))
def test_a_text_frame_is_read_by_an_independent_client(text: str) -> None:
    for wire in (text_frame(text), text_frame(text.encode())):
        found = from_server(wire)
        assert "".join(event.data for event in found if isinstance(event, TextMessage)) == text
        assert isinstance(found[-1], Message)
        assert found[-1].message_finished


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_a_binary_frame_is_read_by_an_independent_client(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    found = from_server(binary_frame(payload))
    assert b"".join(event.data for event in found if isinstance(event, BytesMessage)) == payload


def test_a_pong_frame_carries_the_payload() -> None:
    assert pong_frame(b"abc") == b"\x8a\x03abc"


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "", CloseConnection(code=1000, reason="")),
        (4401, "token expired", CloseConnection(code=4401, reason="token expired")),
        (1005, "never sent", CloseConnection(code=1005, reason="")),
        (1009, "é" * 100, CloseConnection(code=1009, reason="é" * 61)),
    ],
)
def test_a_close_frame_is_read_by_an_independent_client(code: int, reason: str, expected: CloseConnection) -> None:
    """A reason over 123 bytes is cut between two characters."""
    (event,) = from_server(close_frame(code, reason))
    assert event == expected


def test_the_repr_says_what_is_pending() -> None:
    reader = FrameReader(LIMIT)
    list(reader.feed(client_frame(TEXT, b"abc", fin=False) + b"\x80"))
    assert repr(reader) == "<FrameReader 1 bytes of a frame, 3 of 1000 of a message>"
    list(reader.feed(b"\x00"))
    assert repr(reader) == "<FrameReader deaf>"
