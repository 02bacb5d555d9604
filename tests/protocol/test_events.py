"""What receivers read of a row."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from protocol._apply import changed
from protocol._events import classic_text, event_text, event_type, sync_text, timestamp
from protocol._framing import decode_server
from protocol._log import Account, Change
from protocol._messages import (
    AlarmCreated,
    AlarmDeleted,
    AlarmUpdated,
    Snapshot,
    SyncRequired,
    TimerCreated,
    TimerDeleted,
    TimerUpdated,
)
from protocol._records import DEFINITION, Alarm, Record, Timer
from protocol._types import DeviceId, Epoch, Kind, Mid, Origin, Rev, Wall

from .strategies import ITEM, KINDS, NOW, alarm, any_records


def row(op: str = "patch", said: dict[str, Any] | None = None, kind: Kind = "alarm", device: str = "desk") -> Change:
    return Change(
        rev=Rev(44),
        kind=kind,
        id=ITEM,
        op=op,
        changed={"label": "Tea"} if said is None else said,
        at=NOW - 5,
        device_id=DeviceId(device),
        mid=Mid(2 if device else 0),
        when=Wall(NOW + 66),
    )


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (NOW, "2027-01-15T08:00:00.000Z"),
        (NOW + 1, "2027-01-15T08:00:00.001Z"),
        (NOW + 999, "2027-01-15T08:00:00.999Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
        (2**70, "9998-12-31T23:59:59.999Z"),
    ],
)
def test_a_timestamp_is_utc_to_the_millisecond(when: int, text: str) -> None:
    assert timestamp(Wall(when)) == text


def test_an_update_says_what_changed() -> None:
    assert event_text(row()) == (
        '{"type":"alarm_updated","rev":44,"at":1799999999995,"id":"0d0d6a3e-2c53-4e54-b0a7-1d4b5c8b9003",'
        '"changed":{"label":"Tea"},"origin":{"device_id":"desk","mid":2},"timestamp":"2027-01-15T08:00:00.066Z"}'
    )


def test_a_change_by_no_device_has_a_null_origin() -> None:
    assert '"origin":null,' in event_text(row(device=""))


def test_a_deletion_names_what_went() -> None:
    assert event_text(row("delete", {})) == (
        '{"type":"alarm_deleted","rev":44,"at":1799999999995,"id":"0d0d6a3e-2c53-4e54-b0a7-1d4b5c8b9003",'
        '"origin":{"device_id":"desk","mid":2},"timestamp":"2027-01-15T08:00:00.066Z"}'
    )
    assert json.decode(classic_text(row("delete", {}), None)) == {
        "type": "alarm_deleted",
        "id": ITEM,
        "data": {"id": ITEM, "kind": "alarm"},
        "rev": 44,
        "at": NOW - 5,
        "origin": {"device_id": "desk", "mid": 2},
        "timestamp": "2027-01-15T08:00:00.066Z",
    }


@given(any_records, st.booleans())
def test_a_creation_carries_the_whole_record_to_both_profiles(record: Record, is_new: bool) -> None:
    change = row("create" if is_new else "dismiss", changed(None, record), record.kind)
    classic = json.decode(classic_text(change, record))
    assert classic["data"] == changed(None, record)
    assert "stamps" not in classic["data"]
    assert classic["type"] == f"{record.kind}_{'created' if is_new else 'updated'}"
    assert next(iter(classic)) == "type"
    if is_new:
        assert json.decode(event_text(change))["data"] == classic["data"]


@pytest.mark.parametrize(
    ("kind", "op", "made"),
    [
        ("alarm", "create", AlarmCreated),
        ("alarm", "snooze", AlarmUpdated),
        ("alarm", "delete", AlarmDeleted),
        ("timer", "create", TimerCreated),
        ("timer", "start", TimerUpdated),
        ("timer", "delete", TimerDeleted),
    ],
)
def test_every_event_is_a_message_that_a_client_knows(kind: Kind, op: str, made: type) -> None:
    heard = decode_server(event_text(row(op, kind=kind)), 65_536)
    assert isinstance(heard, made)
    assert isinstance(heard, AlarmCreated | AlarmUpdated | AlarmDeleted | TimerCreated | TimerUpdated | TimerDeleted)
    assert (heard.rev, heard.at, heard.origin) == (44, NOW - 5, Origin(DeviceId("desk"), Mid(2)))
    assert heard.timestamp == "2027-01-15T08:00:00.066Z"
    assert event_type(row(op, kind=kind)) == heard.__struct_config__.tag


def test_an_event_of_an_alarm_stays_below_half_a_kilobyte() -> None:
    assert len(event_text(row())) < 300
    assert len(classic_text(row(), alarm(label="wake up and water the plants"))) < 700


def test_a_classic_peer_is_told_to_load_everything() -> None:
    text = sync_text("slow", Account(Epoch("k3v9"), Rev(7)), NOW)
    assert text == (
        '{"type":"sync_required","reason":"slow","epoch":"k3v9","rev":7,"timestamp":"2027-01-15T08:00:00.000Z"}'
    )
    assert isinstance(decode_server(text, 65_536), SyncRequired)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_record_but_the_stamps_reaches_a_classic_peer(kind: Kind) -> None:
    record: Record = alarm() if kind == "alarm" else Timer(id=ITEM, duration_ms=1)
    data = json.decode(classic_text(row(kind=kind), record))["data"]
    assert data.keys() == {"kind", *record.__struct_fields__} - {"stamps"}
    assert set(DEFINITION[kind]) < data.keys()


def test_a_snapshot_carries_records_that_read_back_whole() -> None:
    record = alarm(extra={"a": [1, {"b": None}]})
    part = Snapshot(epoch=Epoch("e"), rev=Rev(1), last_mid=Mid(0), part=1, last=True, items=(record,), deleted=(ITEM,))
    heard = json.decode(json.encode(part), type=Snapshot)
    assert heard.items == (record,)
    assert isinstance(heard.items[0], Alarm)
