"""Binary frames."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol._deflate import TAG, pack, unpack
from protocol._errors import Fault
from protocol._settings import DEFAULT_LIMITS


SMALL = replace(DEFAULT_LIMITS, inflate=4_096)


def raw(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return TAG + deflate.compress(data) + deflate.flush()


@given(st.text(min_size=1, max_size=30), st.integers(1, 200))
def test_a_packed_text_comes_back(piece: str, times: int) -> None:
    text = piece * times
    frame = pack(text, DEFAULT_LIMITS)
    if frame is not None:
        assert unpack(frame, DEFAULT_LIMITS) == text
        assert len(frame) <= len(text.encode()) * 0.8


def test_short_texts_stay_as_they_are() -> None:
    assert pack("x" * 1_024, DEFAULT_LIMITS) is None
    assert pack("x" * 1_025, DEFAULT_LIMITS) is not None


def test_texts_that_hardly_shrink_stay_as_they_are() -> None:
    chance = random.Random(7)
    assert pack("".join(map(chr, chance.choices(range(32, 127), k=4_000))), DEFAULT_LIMITS) is None


def test_texts_that_the_peer_may_not_inflate_stay_as_they_are() -> None:
    assert pack("x" * 4_096, SMALL) is not None
    assert pack("x" * 4_097, SMALL) is None


def test_inflating_stops_at_the_limit() -> None:
    assert unpack(raw(b"x" * 4_096), SMALL) == "x" * 4_096
    fault = unpack(raw(b"x" * 4_097), SMALL)
    assert isinstance(fault, Fault)
    assert fault.code == "too_big"
    bomb = raw(b"\0" * 50_000_000)
    assert len(bomb) < 60_000
    assert unpack(bomb, SMALL) == fault


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02" + raw(b"x" * 2_000)[1:],
        TAG,
        TAG + b"\xff\xff\xff",
        raw(b"x" * 2_000)[:-1],
        raw(b"x" * 2_000) + b"more",
        raw(b"\xff" * 2_000),
        TAG + zlib.compress(b"x" * 2_000),
    ],
)
def test_anything_but_one_whole_stream_of_text_is_a_fault(data: bytes) -> None:
    fault = unpack(data, DEFAULT_LIMITS)
    assert isinstance(fault, Fault)
    assert fault.code == "bad_message"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_text_or_a_fault(data: bytes) -> None:
    assert isinstance(unpack(TAG + data, DEFAULT_LIMITS), str | Fault)
