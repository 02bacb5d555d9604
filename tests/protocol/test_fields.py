"""What a definition field may hold."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._fields import MAX_NESTING, READERS, REQUIRED, Unfit, is_identifier, read_fitting, same
from protocol._records import DEFINITION, Alarm, Timer
from protocol._types import Kind

from .strategies import KINDS, any_fields, fitting_fields, json_values


def nested(levels: int, leaf: Any = 1) -> dict[str, Any]:
    """An object with that many levels, itself the first."""
    inner: Any = leaf
    for _ in range(levels - 1):
        inner = [inner]
    return {"x": inner}


FIT: list[tuple[str, Any, Any]] = [
    ("label", "Tea", "Tea"),
    ("enabled", False, False),
    ("time", "00:00", "00:00"),
    ("time", "23:59", "23:59"),
    ("days", ["su", "mo", "mo"], ("mo", "su")),
    ("days", [], ()),
    ("date", None, None),
    ("date", "2028-02-29", "2028-02-29"),
    ("date", "1970-01-01", "1970-01-01"),
    ("date", "9998-12-31", "9998-12-31"),
    ("tz", "America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
    ("tz", "Etc/GMT+5", "Etc/GMT+5"),
    ("ring_s", 1, 1),
    ("ring_s", 3_600, 3_600),
    ("snooze_s", 0, 0),
    ("auto_snooze", 15, 15),
    ("skip", None, None),
    ("skip", 0, 0),
    ("extra", {}, {}),
    ("extra", nested(MAX_NESTING), nested(MAX_NESTING)),
    ("extra", {"a": [True, None, 1, 1.5, "b", {"c": {}}]}, {"a": [True, None, 1, 1.5, "b", {"c": {}}]}),
]

UNFIT: list[tuple[str, Any, str]] = [
    ("label", 5, "a string"),
    ("label", "a\0b", "NUL"),
    ("label", "\ud800", "Unicode"),
    ("enabled", 1, "true or false"),
    ("time", "24:00", "HH:MM"),
    ("time", "7:30", "HH:MM"),
    ("time", "\u0660\u0667:\u0663\u0660", "HH:MM"),
    ("time", 730, "HH:MM"),
    ("days", "mo", "a list of mo"),
    ("days", ["mo", "xx"], "a list of mo"),
    ("days", [["mo"]], "a list of mo"),
    ("date", "2027-02-29", "calendar"),
    ("date", "1969-12-31", "1970"),
    ("date", "9999-01-01", "9998"),
    ("date", 20270115, "YYYY-MM-DD"),
    ("tz", "../etc/passwd", "IANA"),
    ("tz", "/UTC", "IANA"),
    ("tz", "A" * 65, "IANA"),
    ("tz", None, "IANA"),
    ("ring_s", 0, "1 to 3600"),
    ("ring_s", 3_601, "1 to 3600"),
    ("ring_s", True, "whole number"),
    ("ring_s", 60.0, "whole number"),
    ("ring_s", 2**80, "1 to 3600"),
    ("auto_snooze", -1, "0 to 15"),
    ("skip", -1, "0 to 253370764799999"),
    ("extra", [], "an object"),
    ("extra", {1: 2}, "an object"),
    ("extra", nested(MAX_NESTING + 1), "16 levels"),
    ("extra", nested(5_000), "16 levels"),
    ("extra", {"a": float("nan")}, "finite"),
    ("extra", {"a": 2**63}, "JSON"),
    ("extra", {"a\0": 1}, "NUL"),
    ("extra", {"a": {1: 2}}, "JSON"),
]


@pytest.mark.parametrize(("name", "value", "kept"), FIT)
def test_a_value_that_fits_is_kept_in_the_one_form_of_records(name: str, value: Any, kept: Any) -> None:
    assert READERS["alarm"][name](value) == kept


@pytest.mark.parametrize(("name", "value", "why"), UNFIT)
def test_a_value_that_does_not_fit_is_refused_with_what_would(name: str, value: Any, why: str) -> None:
    found = READERS["alarm"][name](value)
    assert isinstance(found, Unfit)
    assert why in found.why


def test_a_duration_is_between_a_millisecond_and_a_hundred_days() -> None:
    assert READERS["timer"]["duration_ms"](8_640_000_000) == 8_640_000_000
    assert isinstance(READERS["timer"]["duration_ms"](8_640_000_001), Unfit)
    assert isinstance(READERS["timer"]["duration_ms"](0), Unfit)


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_reader_for_each_definition_field_and_for_no_other(kind: Kind) -> None:
    assert set(READERS[kind]) == set(DEFINITION[kind])
    assert REQUIRED[kind] in READERS[kind]


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), any_fields(kind))))
def test_what_fits_makes_a_record_of_the_declared_types(case: tuple[Kind, dict[str, Any]]) -> None:
    kind, fields = case
    made = {"id": "i", "kind": kind, "time": "07:30", "duration_ms": 1} | read_fitting(kind, fields)
    kinds: Any = Alarm | Timer
    assert msgspec.convert(made, kinds).kind == kind


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), fitting_fields(kind))))
def test_reading_what_was_kept_keeps_it(case: tuple[Kind, dict[str, Any]]) -> None:
    kind, fields = case
    kept = read_fitting(kind, fields)
    assert kept.keys() == fields.keys()
    assert read_fitting(kind, kept) == kept


@given(json_values, st.sampled_from(sorted(READERS["alarm"])))
def test_reading_any_json_never_fails(value: Any, name: str) -> None:
    READERS["alarm"][name](value)


@given(json_values, json_values)
def test_two_objects_are_the_same_where_their_json_is(left: Any, right: Any) -> None:
    one, other = {"a": left}, {"a": right}
    canonical = [json.dumps(value, sort_keys=True) for value in (one, other)]
    assert same(one, other) == (canonical[0] == canonical[1])


def test_one_and_true_are_not_the_same_inside_an_object() -> None:
    """Python says they are, and a client that stores a switch would lose its last turn."""
    assert not same({"a": 1}, {"a": True})
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})


@pytest.mark.parametrize("good", ["a", "0d0d6a3e-2c53-4e54-b0a7-1d4b5c8b9003", "A_b-9", "x" * 64])
def test_identifiers_may_be_uuids_and_their_like(good: str) -> None:
    assert is_identifier(good)


@pytest.mark.parametrize("bad", ["", "x" * 65, "a b", "a/b", "a\n", "é", "a\0"])
def test_identifiers_are_short_and_safe_in_a_url(bad: str) -> None:
    assert not is_identifier(bad)
