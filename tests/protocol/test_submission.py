"""From a `mutate` to an edit or a rejection, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, json

from protocol._edits import OPS, Edit, Patch
from protocol._errors import Fault
from protocol._messages import Mutate
from protocol._submission import read, write
from protocol._types import Epoch, Mid

from .strategies import ITEM, NOW, any_edits, json_values


E = Epoch("k3v9")


def message(**asked: Any) -> Mutate:
    whole = {"type": "mutate", "epoch": E, "mid": 1, "kind": "alarm", "id": ITEM, "at": NOW} | asked
    return json.decode(json.encode({k: v for k, v in whole.items() if v is not UNSET}), type=Mutate)


def fault(mutate: Mutate) -> Fault:
    edit = read(mutate).edit
    assert isinstance(edit, Fault)
    return edit


@given(any_edits, st.integers(1, 99))
def test_what_a_client_writes_is_what_the_server_reads(edit: Edit, mid: int) -> None:
    sent = json.encode(write(E, Mid(mid), edit))
    heard = read(json.decode(sent, type=Mutate))
    assert (heard.epoch, heard.mid, heard.edit) == (E, mid, edit)


@given(any_edits, any_edits)
def test_a_fingerprint_stands_for_the_mutation_whatever_its_epoch_and_number(one: Edit, other: Edit) -> None:
    left, right = read(write(E, Mid(1), one)), read(write(Epoch("p0q4"), Mid(7), other))
    assert len(left.fingerprint) == 32
    assert (left.fingerprint == right.fingerprint) == (
        json.encode(one, order="sorted") == json.encode(other, order="sorted")
    )


def test_a_fingerprint_does_not_depend_on_the_order_of_members() -> None:
    one = json.decode(b'{"mid":1,"op":"patch","fields":{"a":1,"b":[{"c":1,"d":2}]}}', type=Mutate)
    other = json.decode(b'{"fields":{"b":[{"d":2,"c":1}],"a":1},"op":"patch","mid":1}', type=Mutate)
    assert read(one).fingerprint == read(other).fingerprint


@given(
    st.fixed_dictionaries(
        {"mid": st.integers()},
        optional={
            "epoch": json_values,
            "op": st.sampled_from(OPS) | json_values,
            "kind": st.sampled_from(["alarm", "timer"]) | json_values,
            **dict.fromkeys(("id", "at", "fields", "occ", "run", "due", "n", "moment", "ms"), json_values),
        },
    )
)
def test_any_json_is_read_into_an_edit_or_a_fault_that_names_the_field(asked: dict[str, Any]) -> None:
    found = read(Mutate(**asked)).edit
    if isinstance(found, Fault):
        assert found.field in {*Mutate.__struct_fields__}
        assert found.code in {"unknown_op", "unknown_kind", "invalid"}
        assert not found.retryable


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({"op": "explode"}, "unknown_op", "op"),
        ({"op": ["patch"]}, "unknown_op", "op"),
        ({}, "unknown_op", "op"),
        ({"op": "patch", "kind": "egg"}, "unknown_kind", "kind"),
        ({"op": "patch", "kind": {}}, "unknown_kind", "kind"),
        ({"op": "pause"}, "invalid", "kind"),
        ({"op": "patch", "epoch": UNSET}, "invalid", "epoch"),
        ({"op": "patch", "epoch": 5}, "invalid", "epoch"),
        ({"op": "patch", "at": "soon"}, "invalid", "at"),
        ({"op": "patch", "at": UNSET}, "invalid", "at"),
        ({"op": "patch", "id": 5}, "invalid", "id"),
        ({"op": "patch", "fields": []}, "invalid", "fields"),
        ({"op": "dismiss"}, "invalid", "occ"),
        ({"op": "dismiss", "occ": 1.5}, "invalid", "occ"),
        ({"op": "dismiss", "kind": "timer", "due": 5}, "invalid", "run"),
        ({"op": "snooze", "occ": 5, "n": 1, "moment": 5}, "invalid", "length_ms"),
        ({"op": "add", "kind": "timer", "run": "r", "moment": 5, "ms": True}, "invalid", "ms"),
    ],
)
def test_what_cannot_be_understood_is_said_with_its_field(asked: dict[str, Any], code: str, field: str) -> None:
    found = fault(message(**asked))
    assert (found.code, found.field) == (code, field)
    assert f"`{field}`" in found.message
    assert found.message.endswith(".")


def test_members_that_another_op_would_need_are_ignored() -> None:
    assert read(message(op="patch", fields={}, run="r1", ms=5)).edit == Patch(kind="alarm", id=ITEM, at=NOW)


def test_a_history_that_is_no_text_is_none() -> None:
    assert read(message(op="patch", epoch=5)).epoch is None
    assert read(message(op="patch")).epoch == E


def test_fields_that_nest_without_end_are_a_fault() -> None:
    deep: Any = []
    for _ in range(200_000):
        deep = [deep]
    try:
        found = fault(Mutate(epoch=E, mid=Mid(1), op="patch", kind="alarm", id=ITEM, at=NOW, fields={"extra": deep}))
    finally:
        while deep:  # Taken apart by hand: freeing it whole would recurse.
            deep = deep.pop()
    assert (found.code, found.field) == ("invalid", "fields")
