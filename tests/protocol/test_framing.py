"""Text to message and back, fed whole, in pieces, and with rubbish (docs/protocol.md#frame-json)."""

import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._errors import Fault
from protocol._framing import Unknown, decode_client, decode_server, encode, read_fault
from protocol._messages import Ack, Bye, ClientMessage, Hello, Mutate, Ping, Pong, ServerMessage, Synced
from protocol._types import Epoch, Mid, Rev, Wall

from .strategies import json_values


LIMIT = 65_536
SAID = (
    '{"type":"hello","device":{"id":"desk","name":"Desk"},"conn":1,"cursor":{"epoch":"k","rev":41},"caps":["deflate"]}',
    '{"type":"auth","token":"h-1"}',
    '{"type":"mutate","epoch":"k","mid":8,"op":"patch","kind":"alarm","id":"a","at":1,"fields":{"label":"Žluť"}}',
    '{"type":"ack","epoch":"k","rev":41}',
    '{"type":"ping","t0":1.25}',
    '{"type":"bye","reason":"user"}',
    '{"type":"subscribe","topics":["alarms"]}',
    '{"type":"unsubscribe","topics":["alarms"]}',
)
DECODERS: list[Any] = [decode_client, decode_server]


def test_every_message_of_a_client_is_here() -> None:
    assert {type(decode_client(text, LIMIT)) for text in SAID} == set(get_args(ClientMessage))


@pytest.mark.parametrize("text", SAID)
def test_what_is_written_is_what_was_read(text: str) -> None:
    message = decode_client(text, LIMIT)
    assert not isinstance(message, (Unknown, Fault))
    assert decode_client(encode(message), LIMIT) == message


@pytest.mark.parametrize("text", SAID)
def test_a_piece_of_a_message_is_bad_json(text: str) -> None:
    """docs/protocol.md#frame-bad."""
    for end in range(len(text)):
        found = decode_client(text[:end], LIMIT)
        assert isinstance(found, Fault), text[:end]
        assert found.code in ("bad_json", "bad_message")


@pytest.mark.parametrize("text", SAID)
@pytest.mark.parametrize("rubbish", ["x", "{}", ",", "\0", "\ufeff"])
def test_rubbish_after_or_before_a_message_is_bad_json(text: str, rubbish: str) -> None:
    after, before = decode_client(text + rubbish, LIMIT), decode_client(rubbish + text, LIMIT)
    assert isinstance(after, Fault)
    assert after.code == "bad_json"
    assert isinstance(before, Fault)


@pytest.mark.parametrize("text", SAID)
def test_white_space_around_a_message_is_fine(text: str) -> None:
    assert decode_client(f" \n{text}\t ", LIMIT) == decode_client(text, LIMIT)


def test_unknown_members_are_ignored() -> None:
    """docs/protocol.md#msg-unknown."""
    assert decode_client('{"new":{"a":[1]},"type":"ack","epoch":"k","rev":1,"x":null}', LIMIT) == Ack(
        epoch=Epoch("k"), rev=Rev(1)
    )


@pytest.mark.parametrize("decode", DECODERS)
def test_a_well_formed_message_of_another_type_is_unknown_and_no_fault(decode: Any) -> None:
    """docs/protocol.md#msg-unknown."""
    assert decode('{"type":"news","type2":1}', LIMIT) == Unknown("news")
    assert decode('{"type":""}', LIMIT) == Unknown("")


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_json"), ("nope", "bad_json"), ("{", "bad_json"), ("\ud800", "bad_json"), ('{"type":"\\ud800"}', "bad_json"),
        ("[]", "bad_json"), ("1", "bad_json"), ('"text"', "bad_json"), ("null", "bad_json"),
        ("{}", "bad_message"), ('{"type":1}', "bad_message"), ('{"type":null}', "bad_message"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_told_by_its_code(decode: Any, text: str, code: str) -> None:
    """docs/protocol.md#frame-bad; `bad_json`: not JSON, or not an object."""
    found = decode(text, LIMIT)
    assert isinstance(found, Fault)
    assert found.code == code
    assert found.message.endswith(".")


@pytest.mark.parametrize("decode", DECODERS)
def test_nesting_without_end_is_bad_json(decode: Any) -> None:
    """docs/protocol.md#invariant-13."""
    deep = '{"type":"bye","x":' + "[" * 60_000
    found = decode(deep, LIMIT)
    assert isinstance(found, Fault)
    assert found.code == "bad_json"
    assert isinstance(decode('{"type":"mutate","mid":1,"fields":' + "[" * 60_000, LIMIT), Fault)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"type":"ack","epoch":1,"rev":1}', "epoch"),
        ('{"type":"hello","conn":1,"device":{"id":7}}', "device.id"),
        ('{"type":"hello","conn":1,"device":{"id":"a"},"cursor":{"epoch":"k","rev":"x"}}', "cursor.rev"),
        ('{"type":"ping","t0":1e999}', "t0"),
        ('{"type":"mutate","mid":1.5}', "mid"),
        ('{"type":"mutate","mid":true}', "mid"),
        ('{"type":"ack","epoch":"k"}', "rev"),
        ('{"type":"hello","conn":1,"device":{}}', "device.id"),
        ('{"rev":1}', "type"),
    ],
)
def test_a_wrong_member_is_named(text: str, field: str | None) -> None:
    """docs/protocol.md#msg-error."""
    found = decode_client(text, LIMIT)
    assert isinstance(found, Fault)
    assert (found.code, found.field) == ("bad_message", field)


def test_a_fault_never_repeats_what_was_said() -> None:
    """docs/protocol.md#msg-error-secret."""
    for text in (
        '{"type":"auth","token":["s3cret"]}', '{"type":"auth","token":"s3cret', '{"token":"s3cret"}', '{"type":"s3cret","type":"bye"}',
        '{"type":"s3cret - at `$.x`\\n\\"","type":"bye"}',
    ):  # fmt: skip
        assert "s3cret" not in repr(decode_client(text, LIMIT))
    twice = decode_client('{"type":"s3cret","type":"bye"}', LIMIT)
    assert isinstance(twice, Fault)
    assert (twice.code, twice.field, twice.message) == ("bad_message", "type", "Invalid value - at `$.type`.")


def test_a_mutation_is_read_loosely() -> None:
    """docs/protocol.md#mutation-never-bad."""
    found = decode_client('{"type":"mutate","mid":3,"op":[],"at":"x","kind":null}', LIMIT)
    assert found == Mutate(mid=Mid(3), op=[], at="x", kind=None)


@pytest.mark.parametrize("decode", DECODERS)
def test_the_limit_counts_bytes_of_utf8(decode: Any) -> None:
    """docs/protocol.md#limit-frame."""
    text = '{"type":"news","x":"' + "ž" * 10 + '"}'
    size = len(text.encode())
    assert decode(text, size) == Unknown("news")
    over = decode(text, size - 1)
    assert isinstance(over, Fault)
    assert (over.code, str(size - 1) in over.message) == ("too_big", True)
    assert isinstance(decode("\ud800" * 10, 5), Fault)


def test_a_server_s_message_is_read_by_its_own_classes() -> None:
    assert decode_server('{"type":"synced","epoch":"k","rev":1}', LIMIT) == Synced(epoch=Epoch("k"), rev=Rev(1))
    assert decode_server('{"type":"hello"}', LIMIT) == Unknown("hello")
    found = decode_server('{"type":"synced","epoch":"k","rev":"1"}', LIMIT)
    assert isinstance(found, Fault)
    assert (found.code, found.field) == ("bad_message", "rev")


def test_absent_members_are_not_written() -> None:
    """docs/protocol.md#msg-pong."""
    assert json.loads(encode(Pong(t1=Wall(1), t2=Wall(2)))) == {"type": "pong", "t1": 1, "t2": 2}
    assert isinstance(decode_client(encode(Bye()), LIMIT), Bye)
    assert isinstance(decode_client('{"type":"hello","device":{"id":"a"},"conn":1}', LIMIT), Hello)


def test_every_message_has_its_own_type() -> None:
    tags = [member.__struct_config__.tag for union in (ClientMessage, ServerMessage) for member in get_args(union)]
    assert len(tags) == len(set(tags))


def test_an_error_of_the_message_classes_is_a_fault_for_http_too() -> None:
    assert read_fault(ValueError("odd")).code == "bad_json"
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(b'{"a":[{"b":"x"}]}', type=dict[str, list[dict[str, int]]])
    assert read_fault(caught.value).code == "bad_message"


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(numbers)
def test_any_number_comes_back_from_ping_as_it_was_sent(t0: float) -> None:
    """docs/protocol.md#msg-pong."""
    found = decode_client(json.dumps({"type": "ping", "t0": t0}), LIMIT)
    assert isinstance(found, Ping)
    assert json.loads(encode(Pong(t0=found.t0, t1=Wall(1), t2=Wall(1))))["t0"] == t0


@given(st.text(), st.integers(0, 200))
def test_any_text_is_read_or_explained(text: str, limit: int) -> None:
    """docs/protocol.md#invariant-13."""
    for decode in DECODERS:
        assert isinstance(decode(text, limit), (Fault, Unknown, *get_args(ClientMessage), *get_args(ServerMessage)))


@given(st.sampled_from(SAID), st.dictionaries(st.sampled_from(["type", "mid", "token", "device", "t0"]), json_values))
def test_any_json_in_place_of_a_member_is_read_or_explained(text: str, odd: dict[str, Any]) -> None:
    """docs/protocol.md#invariant-13."""
    found = decode_client(json.dumps(json.loads(text) | odd), LIMIT)
    assert isinstance(found, (Fault, Unknown, *get_args(ClientMessage)))
    if not isinstance(found, (Fault, Unknown)):
        encode(found)
