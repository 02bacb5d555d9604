"""Strategies for what a peer says: messages that are right, right but for one thing, and no messages at all.

They are made from the message classes themselves, so that a new member is tried without anybody thinking of it.
"""

import json
from typing import Any, get_args

import msgspec.inspect
from hypothesis import strategies as st

from protocol._messages import ClientMessage, ServerMessage
from protocol.client import _http as answers


WALL = 1_800_000_000_000
BEYOND = st.sampled_from([-1, 0, 1 << 31, (1 << 53) - 1, 1 << 53, 1 << 63, 1 << 64, 10**400, -(10**40)])
"""Where integers end, for one reader or another."""

_INTEGERS = st.integers(0, 5) | st.sampled_from([41, WALL, WALL + 1_000]) | BEYOND
_TEXTS = st.sampled_from(
    ["", "a", "a1", "t1", "e1", "k0", "desk", "lap", "anna", "h", "alarms", "deflate", "07:00"]
) | st.text(max_size=6)
_ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


# --- from types -------------------------------------------------------------------------------------------------------


def fitting(kind: Any) -> st.SearchStrategy[Any]:
    """JSON values that a type takes."""
    return _fitting(msgspec.inspect.type_info(kind))


def _fitting(info: Any) -> st.SearchStrategy[Any]:
    match info:
        case msgspec.inspect.StructType(array_like=True):
            return st.tuples(*(_fitting(field.type) for field in info.fields)).map(list)
        case msgspec.inspect.StructType():
            return _object(info)
        case msgspec.inspect.UnionType():
            return st.one_of([_fitting(part) for part in info.types])
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return st.lists(_fitting(info.item_type), max_size=3)
        case msgspec.inspect.DictType():
            return st.dictionaries(_TEXTS, _fitting(info.value_type), max_size=3)
        case msgspec.inspect.LiteralType():
            return st.sampled_from(info.values)
        case _:
            return _scalar(info)


def _scalar(info: Any) -> st.SearchStrategy[Any]:
    match info:
        case msgspec.inspect.StrType():
            return _TEXTS
        case msgspec.inspect.IntType():
            return _INTEGERS
        case msgspec.inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
        case _:
            return _ANY


def _object(info: Any) -> st.SearchStrategy[dict[str, Any]]:
    needed = {field.encode_name: _fitting(field.type) for field in info.fields if field.required}
    free = {field.encode_name: _fitting(field.type) for field in info.fields if not field.required}
    tag = {} if info.tag_field is None else {info.tag_field: st.just(info.tag)}
    return st.fixed_dictionaries({**tag, **needed}, optional=free)


# --- one thing wrong --------------------------------------------------------------------------------------------------

_NO_JSON = st.sampled_from(
    ["NaN", "Infinity", "1e999", "01", "+1", "'a'", "undefined", '"\\ud800"', '"\\x"', "[" * 2_000, "", "{", "//"]
)
_HERE = "\x1ahere\x1a"


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@st.composite
def _broken(draw: st.DrawFn, whole: st.SearchStrategy[Any]) -> str:
    """The text of a right value with one member wrong."""
    value = draw(whole)
    places = _places(value)
    owner, key = draw(st.sampled_from(places)) if places else (None, None)
    match draw(st.integers(0, 8)):
        case 0 if owner is not None:
            del owner[key]
        case 1 if owner is not None:
            owner[key] = draw(BEYOND)
        case 2 if owner is not None:
            owner[key] = draw(_ANY)
        case 3 if owner is not None:
            owner[key] = _HERE
            return _text(value).replace(json.dumps(_HERE), draw(_NO_JSON))
        case 4 if owner is not None:
            owner[key] = "x" * draw(st.sampled_from([300, 9_000]))
        case 5 if owner is not None:
            depth = draw(st.sampled_from([40, 1_100]))
            owner[key] = _HERE
            return _text(value).replace(json.dumps(_HERE), "[" * depth + "]" * depth)
        case 6:
            return _twice(_text(value), _text(draw(_ANY)))
        case 7:
            return draw(st.sampled_from(["\ufeff{}", "{}\0", " {}\n", "[{}]", "{}{}"])).replace("{}", _text(value))
        case _:
            text = _text(value)
            return text[: draw(st.integers(0, len(text)))]
    return _text(value)


def _twice(text: str, value: str) -> str:
    """The first member said twice, with another value."""
    name = text[1 : text.find(":")]
    return f"{{{name}:{value},{text[1:]}" if text.startswith('{"') else text


def _places(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return [place for key in value for place in ((value, key), *_places(value[key]))]
    if isinstance(value, list):
        return [place for at, item in enumerate(value) for place in ((value, at), *_places(item))]
    return []


def said(union: Any) -> st.SearchStrategy[str]:
    """A message of one of the classes of a union: right, nearly right, or no message."""
    whole = st.sampled_from(get_args(union) or (union,)).flatmap(fitting)
    return st.one_of(whole.map(_text), _broken(whole), _broken(whole), st.text(max_size=30))


from_client = said(ClientMessage)
from_server = said(ServerMessage)
bodies = st.one_of(said(answers.Changes), said(answers.State), said(answers.Results))
