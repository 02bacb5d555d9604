"""What each definition field may hold: one reader per field, shared by `apply` and `validate`.

`apply` leaves out what a reader finds unfit, `validate` repeats the reader's sentence: so what validation lets through,
`apply` takes, on both sides. Only bounds that never differ between servers stand here; those that `welcome` announces
(`Limits`) and the zones a server knows are checked in `_validate`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import msgspec
from msgspec import Struct

from ._schedule import calendar_day, time_of_day
from ._types import DAYS, Day, Kind


DAY_MS = 86_400_000
LAST_MS = 253_370_764_799_999
"""The end of the year 9998: a year short of where calendars stop, so that no zone and no sum leaves them."""

MAX_RING_S = 3_600
MAX_SNOOZE_S = 86_400
MAX_AUTO_SNOOZE = 15
MAX_DURATION_MS = 100 * DAY_MS
MAX_NESTING = 16

# Letters that no path or query can be made of: zone data is looked up in files, identifiers travel in URLs.
_ZONE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+)*")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_\-]{1,64}")

_SORTED = msgspec.json.Encoder(order="sorted").encode


class Unfit(Struct, frozen=True):
    """Why a field cannot hold a value, as the end of a sentence that begins with the field's name."""

    why: str


Reader = Callable[[Any], Any]
"""A JSON value to what the record keeps, or `Unfit`. Total."""


def read_fitting(kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """All definition fields among `fields` that fit, as the record keeps them; everything else is left out."""
    readers = READERS[kind]
    values = {name: readers[name](value) for name, value in fields.items() if name in readers}
    return {name: value for name, value in values.items() if not isinstance(value, Unfit)}


def same(left: Any, right: Any) -> bool:
    """Whether two values of one field are the same JSON; in Python alone `{"a": 1} == {"a": True}`."""
    return left == right and (not isinstance(left, dict) or _SORTED(left) == _SORTED(right))


def is_identifier(value: str) -> bool:
    """1 to 64 letters, digits, `-` and `_`: a UUID, or what a client without one uses."""
    return _IDENTIFIER.fullmatch(value) is not None


def within(value: int, low: int, high: int) -> Unfit | None:
    """`Unfit` with the range unless `low <= value <= high`."""
    return None if low <= value <= high else Unfit(f"must be {low} to {high}")


def _whole(low: int, high: int) -> Reader:
    """A reader of whole numbers from `low` to `high`."""

    def read_whole(value: Any) -> int | Unfit:
        if isinstance(value, int) and not isinstance(value, bool):
            return within(value, low, high) or value
        return Unfit("must be a whole number")

    return read_whole


def _text(value: Any) -> str | Unfit:
    if not isinstance(value, str):
        return Unfit("must be a string")
    # Databases refuse NUL, UTF-8 has no lone surrogates.
    if "\0" in value or not _is_utf8(value):
        return Unfit("must be Unicode text without NUL")
    return value


def _boolean(value: Any) -> bool | Unfit:
    return value if isinstance(value, bool) else Unfit("must be true or false")


def _clock(value: Any) -> str | Unfit:
    if isinstance(value, str) and time_of_day(value):
        return value
    return Unfit("must be a time HH:MM from 00:00 to 23:59")


def _days(value: Any) -> tuple[Day, ...] | Unfit:
    if is_list(value) and all(day in DAYS for day in value):
        in_week_order: list[Day] = [day for day in DAYS if day in value]
        return tuple(in_week_order)
    return Unfit(f"must be a list of {', '.join(DAYS)}; an empty one means once")


def _date(value: Any) -> str | Unfit | None:
    if value is None:
        return None
    if isinstance(value, str) and (day := calendar_day(value)) and 1970 <= day.year <= 9998:
        return value
    return Unfit("must be null or a day YYYY-MM-DD from 1970 to 9998 that the calendar has")


def _zone(value: Any) -> str | Unfit:
    if isinstance(value, str) and len(value) <= 64 and _ZONE.fullmatch(value):
        return value
    return Unfit("must be the name of an IANA time zone, such as Europe/Warsaw")


def _skip(value: Any) -> int | Unfit | None:
    return None if value is None else _INSTANT(value)


def _extra(value: Any) -> dict[str, Any] | Unfit:
    if not _is_object(value):
        return Unfit("must be an object")
    if not _is_plain(value):
        return Unfit(f"must be JSON of at most {MAX_NESTING} levels, with finite numbers and without NUL")
    return value


def _is_plain(value: Any) -> bool:
    """Whether every store and peer can hold a value. Level by level: recursion would not be total."""
    level = [value]
    for _ in range(MAX_NESTING + 1):
        inside = [_inside(one) for one in level]
        if not all(_is_plain_leaf(one) for one, inner in zip(level, inside, strict=True) if inner is None):
            return False
        if all(inner is None for inner in inside):
            return True
        level = [one for inner in inside if inner is not None for one in inner]
    return False


def _inside(value: Any) -> list[Any] | None:
    """Keys and values of an object, items of an array, None for anything else."""
    if _is_object(value):
        return [*value.keys(), *value.values()]
    return [*value] if is_list(value) else None


def _is_plain_leaf(value: Any) -> bool:
    match value:
        case None | bool():
            return True
        case str():
            return isinstance(_text(value), str)
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return abs(value) < float("inf")
        case _:
            return False


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return _is_dict(value) and all(isinstance(key, str) for key in value)


def _is_dict(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """A JSON array, as a decoder gives it or as a record keeps it."""
    return isinstance(value, (list, tuple))


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_INSTANT = _whole(0, LAST_MS)

_COMMON: dict[str, Reader] = {
    "label": _text,
    "sound": _text,
    "ring_s": _whole(1, MAX_RING_S),
    "snooze_s": _whole(0, MAX_SNOOZE_S),
    "auto_snooze": _whole(0, MAX_AUTO_SNOOZE),
    "extra": _extra,
}

_ALARM: dict[str, Reader] = {
    "enabled": _boolean,
    "time": _clock,
    "days": _days,
    "date": _date,
    "tz": _zone,
    "skip": _skip,
}

READERS: dict[Kind, dict[str, Reader]] = {
    "alarm": _COMMON | _ALARM,
    "timer": _COMMON | {"duration_ms": _whole(1, MAX_DURATION_MS)},
}
"""The readers of all definition fields, by kind, in the order in which faults are looked for."""

REQUIRED: dict[Kind, str] = {"alarm": "time", "timer": "duration_ms"}
"""The one field of each kind that has no default."""
