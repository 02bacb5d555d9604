"""The same log, cursor and mutations over HTTP (docs/protocol.md#http)."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._errors import Fault, FaultCode
from protocol._events import event_text
from protocol._http import (
    HTTP_STATUS,
    changes_text,
    fault_text,
    read_batch,
    read_cursor,
    results_text,
    snapshot_text,
    sync_required_text,
)
from protocol._log import Account, Change, State
from protocol._messages import Mutate, Result
from protocol._records import Alarm
from protocol._settings import Limits
from protocol._types import Cursor, DeviceId, Epoch, ItemId, Mid, Rev, Stamp, Wall


K = Epoch('k"3')
HEAD = Account(K, Rev(44), Rev(2))
T1, T2 = Wall(1_000), Wall(1_002)


def row(rev: int) -> Change:
    return Change(Rev(rev), "alarm", ItemId("a"), "patch", {"label": "Žluť"}, 5, DeviceId("desk"), Mid(rev), T1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("k3v9:41", Cursor(Epoch("k3v9"), Rev(41))),
        ("k3v9:0", Cursor(Epoch("k3v9"), Rev(0))),
        ("a:b:7", Cursor(Epoch("a:b"), Rev(7))),
    ],
)
def test_since_is_epoch_and_rev(text: str, expected: Cursor | None) -> None:
    """docs/protocol.md#http-since, docs/protocol.md#cursor-zero."""
    assert read_cursor(text) == expected


@pytest.mark.parametrize(
    "text", ["k", "41", ":41", "k:", "k:-1", "k:+1", "k: 1", "k:1.0", "k:٣", "k:²", "k:" + "9" * 17]
)
def test_any_other_since_is_invalid(text: str) -> None:
    """docs/protocol.md#http-since."""
    found = read_cursor(text)
    assert isinstance(found, Fault)
    assert (found.code, found.field) == ("invalid", "since")


@given(st.text(max_size=30))
def test_any_since_is_read_or_explained(text: str) -> None:
    """docs/protocol.md#invariant-13."""
    found = read_cursor(text)
    assert found is None or isinstance(found, Fault) or 0 <= found.rev < 10**16


def test_changes_are_the_events_of_a_socket_byte_for_byte() -> None:
    """docs/protocol.md#http-changes-events, docs/protocol.md#http-epoch, docs/protocol.md#http-clock."""
    text = changes_text(HEAD, Mid(3), [row(42), row(43)], T1, T2)
    assert f"[{event_text(row(42))},{event_text(row(43))}]" in text
    answer = json.loads(text)
    assert (answer["epoch"], answer["rev"], answer["last_mid"], answer["t1"], answer["t2"]) == (K, 43, 3, T1, T2)


def test_without_changes_rev_is_the_head() -> None:
    """Nothing after the cursor means that the cursor is the head."""
    answer = json.loads(changes_text(HEAD, Mid(3), (), T1, T2))
    assert (answer["events"], answer["rev"]) == ([], 44)


def test_a_useless_cursor_is_told_so() -> None:
    """docs/protocol.md#http-changes-check."""
    assert json.loads(sync_required_text(HEAD, "trimmed", T1, T2)) == {
        "epoch": K, "rev": 44, "sync_required": "trimmed", "t1": T1, "t2": T2,
    }  # fmt: skip


def test_a_snapshot_is_one_piece_with_stamps_and_tombstones() -> None:
    """docs/protocol.md#http-snapshot-deleted."""
    alarm = Alarm(id=ItemId("a"), time="07:00", stamps={"time": Stamp(1, "desk", 2)})
    answer = json.loads(snapshot_text(State(HEAD, Mid(3), (alarm,), (ItemId("b"),)), T1, T2))
    assert (answer["epoch"], answer["rev"], answer["last_mid"], answer["deleted"]) == (K, 44, 3, ["b"])
    assert answer["items"][0]["stamps"] == {"time": [1, "desk", 2]}


def test_results_come_in_the_order_asked() -> None:
    """docs/protocol.md#http-mutations."""
    results = [Result(mid=Mid(mid), status="merged", rev=Rev(44)) for mid in (7, 8)]
    answer = json.loads(results_text(K, results, None, T1, T2))
    assert [result["mid"] for result in answer["results"]] == [7, 8]
    assert (answer["epoch"], answer["t1"], answer["t2"], "error" in answer) == (K, T1, T2, False)


def test_the_first_one_not_consumed_is_named() -> None:
    """docs/protocol.md#http-mutations-stop."""
    fault = Fault("out_of_order", "Send 8 first.", retryable=True, want=8)
    answer = json.loads(results_text(K, [], (fault, Mid(10)), T1, T2))
    assert answer["error"] == {
        "code": "out_of_order",
        "message": "Send 8 first.",
        "retryable": True,
        "want": 8,
        "ref": 10,
    }


def body(*mutations: Any) -> bytes:
    return json.dumps({"mutations": mutations}).encode()


def test_a_batch_is_read_in_order_and_loosely() -> None:
    """docs/protocol.md#http-mutations, docs/protocol.md#mutation-never-bad."""
    assert read_batch(body({"mid": 7, "op": []}, {"type": "mutate", "mid": 8}), Limits()) == (
        Mutate(mid=Mid(7), op=[]),
        Mutate(mid=Mid(8)),
    )
    assert read_batch(body(), Limits()) == ()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "bad_json"), (b"{", "bad_json"), (b"\xff", "bad_json"), (b"[]", "bad_json"), (b"{}", "bad_message"),
        (b'{"mutations":1}', "bad_message"), (body({"op": "x"}), "bad_message"), (body({"mid": "1"}), "bad_message"),
        (body({"mid": 0}), "bad_message"), (body({"mid": 1 << 53}), "bad_message"),
        (body({"type": "ack", "mid": 1}), "bad_message"), (b'{"mutations":' + b"[" * 60_000, "bad_message"),
        (b'{"mutations":[{"mid":1,"op":"\xff"}]}', "bad_json"),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_read_is_explained(raw: bytes, code: str) -> None:
    found = read_batch(raw, Limits())
    assert isinstance(found, Fault)
    assert found.code == code


def test_a_batch_has_at_most_64() -> None:
    """docs/protocol.md#http-mutations."""
    many = [{"mid": mid + 1} for mid in range(65)]
    assert isinstance(read_batch(body(*many[:64]), Limits()), tuple)
    found = read_batch(body(*many), Limits())
    assert isinstance(found, Fault)
    assert (found.code, found.field) == ("limit", "mutations")


@given(st.binary(max_size=60))
def test_any_body_is_read_or_explained(raw: bytes) -> None:
    """docs/protocol.md#invariant-13."""
    assert isinstance(read_batch(raw, Limits()), (tuple, Fault))


def test_a_refusal_carries_what_is_known() -> None:
    """docs/protocol.md#http-errors, docs/protocol.md#http-epoch, docs/protocol.md#http-clock."""
    fault = Fault("invalid", "No.", field="since")
    error = {"code": "invalid", "message": "No.", "field": "since", "retryable": False}
    assert json.loads(fault_text(fault)) == {"error": error}
    assert json.loads(fault_text(fault, K)) == {"error": error, "epoch": K}
    assert json.loads(fault_text(fault, K, (T1, T2))) == {"error": error, "epoch": K, "t1": T1, "t2": T2}


def test_every_code_has_its_status() -> None:
    """docs/protocol.md#http-errors."""
    assert set(HTTP_STATUS) == set(get_args(FaultCode))
    assert {code: HTTP_STATUS[code] for code in ("gone", "limit", "too_big", "rate_limited", "busy", "version")} == {
        "gone": 410, "limit": 409, "too_big": 413, "rate_limited": 429, "busy": 503, "version": 426,
    }  # fmt: skip


def test_a_refused_body_is_not_repeated() -> None:
    """docs/protocol.md#msg-error-secret."""
    found = read_batch(b'{"mutations":[{"type":"s3cret","mid":1}]}', Limits())
    assert isinstance(found, Fault)
    assert "s3cret" not in found.message
    assert found.field is not None
