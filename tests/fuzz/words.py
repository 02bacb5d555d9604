"""The dictionary: every name and word that the messages know, taken from their classes, and values that break things."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec.inspect

from protocol import OPS, FaultCode, Limits, Timing
from protocol._close_codes import CLOSE_CODES
from protocol._messages import ClientMessage, ServerMessage
from protocol._records import DEFINITION
from protocol.client import _http as answers


NUMBERS = (
    "0", "1", "-1", "2", "3", "41", "42", "43", "64", "255", "1000", "65536", "2147483648", "4294967296",
    "9007199254740991", "9007199254740992", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    "-9223372036854775809", "1" + "0" * 400, "1e308", "-1e308", "1e999", "0.5", "1.0", "-0", "-0.0", "1e-400", "1E5", "NaN",
    "Infinity", "1800000000000", "1800000030000", "253370764799999", "253370764800000",
)  # fmt: skip

VALUES = (
    "null", "true", "false", '""', '"a"', "[]", "{}", "[[]]", "[null]", '{"a":1}', '{"id":"a"}', '"\\u0000"', '"\\ud800"',
    '"\\ud83d\\ude00"', '"\\u2028"', '"\u2028"', '"e1"', '"e2"', '"k3v9"', '"desk"', '"lap"', '"h-1"', '"UTC"', '"Nowhere/At_All"',
    '"../../etc/passwd"', '"07:00"', '"24:00"', '"2027-02-30"', '["mo","tu"]', '["xx"]', '"s3cret-word"', *NUMBERS,
    "[" * 40 + "]" * 40, "[" * 3_000, '{"a":' * 1_100 + "1" + "}" * 1_100, '"' + "x" * 300 + '"', '"' + "\u017e" * 3_000 + '"',
    '{"type":"ping"}', '{"id":"desk","name":"Desk"}', '{"epoch":"k3v9","rev":41}', '{"device_id":"desk","mid":1}',
    '{"kind":"timer","id":"t1","duration_ms":1000}', '{"kind":"alarm","id":"a1","time":"07:00"}',
    '[{"kind":"timer","id":"t1","duration_ms":1000}]',
)  # fmt: skip

PIECES = (
    "\ufeff", "\0", "\ud800", "\u2028", "\x85", "\r\n", "\n", " ", "\t", "{", "}", "[", "]", '"', ",", ":", "\\", "\\u", "\\ud800",
    "//", "/*", "'", "\x01", "\x81", "\xff", "\x7f", "\x00\x00\x00\x00", *VALUES[:30],
)  # fmt: skip
"""What is put anywhere, meaning or not."""


def _names(kind: Any) -> Iterator[str]:
    """Names of members, tags and literal words in a type, however deep."""
    match msgspec.inspect.type_info(kind):
        case info:
            yield from _in(info, set())


def _in(info: Any, seen: set[object]) -> Iterator[str]:
    match info:
        case msgspec.inspect.StructType():
            if info.cls in seen:
                return
            seen.add(info.cls)
            if isinstance(info.tag, str):
                yield info.tag
            for field in info.fields:
                yield field.encode_name
                yield from _in(field.type, seen)
        case msgspec.inspect.LiteralType():
            yield from map(str, info.values)
        case msgspec.inspect.UnionType():
            for part in info.types:
                yield from _in(part, seen)
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            yield from _in(info.item_type, seen)
        case _:
            pass


def _unique(words: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _all() -> Iterator[str]:
    for kind in (ClientMessage, ServerMessage, answers.Changes, answers.State, answers.Results):
        yield from _names(kind)
    yield from OPS
    yield from get_args(FaultCode)
    for fields in DEFINITION.values():
        yield from fields
    yield from (*Limits.__struct_fields__, *Timing.__struct_fields__, "mutations", "deflate", "presence")
    yield from map(str, CLOSE_CODES)


WORDS = _unique(_all())
"""Types of messages, names of members, words that members hold."""
