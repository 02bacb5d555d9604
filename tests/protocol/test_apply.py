"""What an edit does to a record, and what an event says of it."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace

from protocol._apply import apply, assign, changed
from protocol._edits import Create, Delete, Edit, Mutation, Patch, Reset, Start
from protocol._fields import read_fitting, same
from protocol._messages import AlarmCreated, AlarmDeleted, AlarmUpdated, TimerCreated, TimerDeleted, TimerUpdated
from protocol._records import DEFINITION, Alarm, Record, Snoozed, Timer
from protocol._types import DeviceId, Kind, Mid, Origin, Rev, RunId, Stamp, Wall

from .strategies import (
    DEVICES,
    ITEM,
    KINDS,
    NOW,
    OLD,
    alarm,
    any_edits,
    any_records,
    by,
    careful_edits,
    creates,
    fitting_fields,
    mutations,
    records,
    running,
    timer,
)


def patch(fields: dict[str, Any], at: int = NOW, kind: Kind = "alarm") -> Patch:
    return Patch(kind=kind, id=ITEM, at=at, fields=fields)


def create(fields: dict[str, Any], at: int = NOW, kind: Kind = "alarm") -> Create:
    return Create(kind=kind, id=ITEM, at=at, fields=fields)


# --- universal --------------------------------------------------------------------------------------------------------


@given(st.none() | any_records, mutations(any_edits))
def test_apply_never_fails_and_always_does_the_same(record: Record | None, mutation: Mutation) -> None:
    assert apply(record, mutation) == apply(record, mutation)


@given(st.none() | any_records, mutations(any_edits))
def test_applying_a_mutation_to_an_equal_record_that_was_stored_gives_an_equal_one(
    record: Record | None, mutation: Mutation
) -> None:
    stored = json.decode(json.encode(record), type=Alarm | Timer | None)
    assert apply(stored, mutation) == apply(record, mutation)


@given(any_records, mutations(any_edits))
def test_where_nothing_changes_the_very_record_comes_back(record: Record, mutation: Mutation) -> None:
    after = apply(record, mutation)
    assert (after == record) == (after is record)


@given(any_records, mutations(any_edits))
def test_what_is_set_outside_stays_untouched(record: Record, mutation: Mutation) -> None:
    record = replace(record, rev=Rev(7), created_at="c", updated_at="u", updated_by=Origin(DEVICES[0], Mid(3)))
    after = apply(record, mutation)
    if after is not None:
        assert (after.id, after.rev, after.created_at, after.updated_at) == (record.id, 7, "c", "u")
        assert after.updated_by == record.updated_by


@given(any_records, mutations(any_edits))
def test_stamps_never_go_back_but_for_the_phase_at_a_new_start(record: Record, mutation: Mutation) -> None:
    after = apply(record, mutation)
    if after is None:
        return
    for name, stamp in record.stamps.items():
        if name != "phase" or not isinstance(mutation.edit, Start):
            assert after.stamps[name] >= stamp


@given(any_records, mutations(any_edits.filter(lambda edit: isinstance(edit, Create | Patch))))
def test_setting_fields_twice_is_setting_them_once(record: Record, mutation: Mutation) -> None:
    once = apply(record, mutation)
    assert apply(once, mutation) is once


@given(
    st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(records(kind), fitting_fields(kind), fitting_fields(kind))),
    st.integers(NOW, NOW + 3),
    st.integers(NOW, NOW + 3),
)
def test_patches_of_two_devices_give_the_same_values_in_either_order(
    case: tuple[Record, dict[str, Any], dict[str, Any]], at: int, other_at: int
) -> None:
    """Of fields that differ from what both saw, which is all that a patch holds."""
    record, fields, others = case
    one = by(patch(_differing(record, fields), at, record.kind), "desk", 1)
    other = by(patch(_differing(record, others), other_at, record.kind), "lap", 1)
    there, back = apply(apply(record, one), other), apply(apply(record, other), one)
    assert there is not None
    assert back is not None
    for name in DEFINITION[record.kind]:
        assert same(getattr(there, name), getattr(back, name))


def _differing(record: Record, fields: dict[str, Any]) -> dict[str, Any]:
    kept = read_fitting(record.kind, fields)
    return {name: fields[name] for name in fields if not same(kept[name], getattr(record, name))}


# --- create and patch -------------------------------------------------------------------------------------------------


@given(st.sampled_from(KINDS).flatmap(creates))
def test_a_created_record_has_every_definition_field_stamped_and_no_other(mutation: Mutation) -> None:
    made = apply(None, mutation)
    assert made is not None
    assert made.stamps == dict.fromkeys(DEFINITION[made.kind], mutation.stamp)
    assert list(made.stamps) == list(DEFINITION[made.kind])


@given(mutations(any_edits.filter(lambda edit: not isinstance(edit, Create))))
def test_on_no_record_only_a_create_acts(mutation: Mutation) -> None:
    assert apply(None, mutation) is None


@pytest.mark.parametrize(
    ("kind", "fields"), [("alarm", {"time": "25:00"}), ("alarm", {}), ("timer", {"time": "07:30"})]
)
def test_a_create_without_its_required_field_makes_nothing(kind: Kind, fields: dict[str, Any]) -> None:
    assert apply(None, by(create(fields, kind=kind))) is None


def test_a_create_on_a_live_record_is_a_patch() -> None:
    record = alarm(label="Train")
    assert apply(record, by(create({"time": "09:00"}))) == apply(record, by(patch({"time": "09:00"})))
    assert apply(record, by(create({"time": "09:00"}))) == replace(
        record, time="09:00", stamps=record.stamps | {"time": Stamp(NOW, "desk", 1)}
    )


def test_unfit_and_unknown_fields_are_left_out_and_the_others_taken() -> None:
    fields = {"label": "Tea", "ring_s": "long", "acked": 5, "stamps": {}, "rev": 9, "duration_ms": 1, "zzz": None}
    assert apply(alarm(), by(patch(fields))) == apply(alarm(), by(patch({"label": "Tea"})))


def test_the_greater_stamp_wins_field_by_field() -> None:
    record = apply(alarm(), by(patch({"label": "mine"}, NOW + 10)))
    later = apply(record, by(patch({"label": "late", "sound": "bell"}, NOW + 5), "lap"))
    assert isinstance(later, Alarm)
    assert (later.label, later.sound) == ("mine", "bell")


@pytest.mark.parametrize(
    ("device", "mid", "wins"), [("desk", 2, True), ("desk", 1, False), ("cat", 9, False), ("z", 1, True)]
)
def test_of_equal_times_the_device_and_then_the_number_decides(device: str, mid: int, wins: bool) -> None:
    record = apply(alarm(), by(patch({"label": "first"}), "desk", 1))
    after = apply(record, by(patch({"label": "second"}), device, mid))
    assert after is not None
    assert (after.label == "second") is wins


def test_an_equal_value_keeps_its_older_stamp() -> None:
    """So an edit of something else in a form does not beat a later edit of this field by another device."""
    record = alarm(label="Tea")
    assert apply(record, by(patch({"label": "Tea"}))) is record


def test_extra_is_replaced_whole_and_one_is_not_true() -> None:
    record = alarm(extra={"a": 1, "b": 2})
    after = apply(record, by(patch({"extra": {"a": True}})))
    assert after is not None
    assert json.encode(after.extra) == b'{"a":true}'
    switched = apply(after, by(patch({"extra": {"a": 1}}, NOW + 1)))
    assert switched is not None
    assert json.encode(switched.extra) == b'{"a":1}'


def test_an_edit_of_another_kind_does_nothing() -> None:
    record = alarm()
    edits: list[Edit] = [
        patch({"label": "x"}, kind="timer"),
        Delete(kind="timer", id=ITEM, at=NOW),
        Start(kind="timer", id=ITEM, at=NOW, run=RunId("r"), moment=NOW),
    ]
    for edit in edits:
        assert apply(record, by(edit)) is record


def test_delete_leaves_nothing() -> None:
    assert apply(alarm(), by(Delete(kind="alarm", id=ITEM, at=0))) is None


# --- what changed -----------------------------------------------------------------------------------------------------


@given(any_records, mutations(any_edits))
def test_what_changed_lists_exactly_the_fields_whose_value_or_stamp_did(record: Record, mutation: Mutation) -> None:
    after = apply(record, mutation)
    assume(after is not None)
    assert after is not None
    outside = {"id", "rev", "created_at", "updated_at", "updated_by", "stamps"}
    expected = {
        name
        for name in set(after.__struct_fields__) - outside
        if record.stamps.get(name) != after.stamps.get(name) or not same(getattr(record, name), getattr(after, name))
    }
    assert changed(record, after).keys() == expected


@given(st.none() | any_records, mutations(any_edits))
def test_what_changed_reads_back_from_json_as_it_was(record: Record | None, mutation: Mutation) -> None:
    said = changed(record, apply(record, mutation))
    assert json.decode(json.encode(said)) == said


def test_a_new_record_changed_whole_but_for_its_stamps() -> None:
    made = alarm(label="Tea")
    said = changed(None, made)
    assert list(said)[:3] == ["kind", "id", "label"]
    assert said.keys() == {"kind", *made.__struct_fields__} - {"stamps"}
    assert said["days"] == ["mo", "tu", "we", "th", "fr"]


def test_nothing_changed_where_the_record_is_gone_or_the_same() -> None:
    record = alarm()
    assert changed(record, None) == {}
    assert changed(record, record) == {}
    assert changed(None, None) == {}


def test_a_second_start_of_a_running_timer_lists_the_phase_for_its_stamp() -> None:
    before = running()
    after = apply(before, by(Start(kind="timer", id=ITEM, at=NOW + 1, run=RunId("r2"), moment=Wall(NOW + 1))))
    assert changed(before, after).keys() == {"run", "phase", "started_at", "ends_at"}


# --- assign -----------------------------------------------------------------------------------------------------------

DESK = Origin(DeviceId("desk"), Mid(4))


def updated(changed: dict[str, Any], origin: Origin | None = DESK) -> AlarmUpdated:
    return AlarmUpdated(rev=Rev(8), at=NOW, id=ITEM, changed=changed, origin=origin, timestamp="t")


def test_an_update_is_assigned_whatever_the_stamps_say_and_becomes_the_stamp() -> None:
    """The server has decided; a replica that compared again could decide otherwise."""
    before = alarm(label="mine", stamps={"label": Stamp(NOW + 99, "zzz", 9)}, acked=NOW)
    after = assign(before, updated({"label": "theirs", "acked": 5}))
    assert after == replace(
        before,
        label="theirs",
        acked=5,
        rev=Rev(8),
        updated_at="t",
        updated_by=DESK,
        stamps=before.stamps | {"label": Stamp(NOW, "desk", 4)},
    )


def test_an_update_of_nothing_moves_only_when_and_by_whom() -> None:
    before = alarm()
    assert assign(before, updated({}, None)) == replace(before, rev=Rev(8), updated_at="t")
    classic = AlarmUpdated(rev=Rev(8), at=NOW, data={"label": "x"}, timestamp="t")
    assert assign(before, classic) == replace(before, rev=Rev(8), updated_at="t")


def test_a_change_by_no_device_is_stamped_with_nobody() -> None:
    after = assign(alarm(), updated({"label": "x"}, None))
    assert after is not None
    assert after.stamps["label"] == Stamp(NOW, "", 0)


@pytest.mark.parametrize(
    "bad",
    [
        {"label": 5},
        {"ring_s": "x"},
        {"snooze": {"occ": "r1", "n": 1, "until": 5}},
        {"snooze": 3},
        {"stamps": {}},
        {"id": "other"},
        {"rev": 99},
        {"created_at": "x"},
        {"zzz": 1},
        {"duration_ms": 1},
    ],
)
def test_a_field_that_cannot_be_assigned_is_ignored(bad: dict[str, Any]) -> None:
    before = alarm()
    assert assign(before, updated(bad)) == assign(before, updated({}))


def test_a_timers_snooze_is_of_a_run() -> None:
    said: dict[str, Any] = {"snooze": {"occ": "r1", "n": 1, "until": 5}}
    after = assign(running(), TimerUpdated(rev=Rev(8), at=NOW, id=ITEM, changed=said))
    assert after is not None
    assert after.snooze == Snoozed("r1", 1, Wall(5))
    said["snooze"]["occ"] = 7
    after = assign(running(), TimerUpdated(rev=Rev(8), at=NOW, id=ITEM, changed=said))
    assert after is not None
    assert after.snooze is None


def test_an_update_meant_for_another_record_changes_nothing() -> None:
    before = timer()
    assert assign(before, updated({"label": "x"})) is before
    assert assign(alarm(), TimerUpdated(rev=Rev(1), at=1, id=ITEM, changed={})) == alarm()
    assert assign(None, updated({"label": "x"})) is None


def test_a_deletion_leaves_nothing() -> None:
    assert assign(alarm(), AlarmDeleted(rev=Rev(9), at=NOW, id=ITEM)) is None
    assert assign(timer(), TimerDeleted(rev=Rev(9), at=NOW, id=ITEM)) is None


def test_a_created_timer_that_runs_has_its_start_stamped() -> None:
    """A classic POST can make and start a timer in one row."""
    data = changed(None, running())
    made = assign(None, TimerCreated(rev=Rev(3), at=NOW, origin=DESK, timestamp="t", data=data))
    assert made is not None
    assert made.stamps == dict.fromkeys((*DEFINITION["timer"], "run", "phase"), Stamp(NOW, "desk", 4))
    idle = assign(None, TimerCreated(rev=Rev(3), at=NOW, timestamp="t", data=changed(None, timer())))
    assert idle is not None
    assert set(idle.stamps) == set(DEFINITION["timer"])


@pytest.mark.parametrize("data", [{}, {"id": ITEM}, {"id": 5, "time": "07:30"}, {"id": ITEM, "time": 5}])
def test_a_created_record_that_is_none_changes_nothing(data: dict[str, Any]) -> None:
    event = AlarmCreated(rev=Rev(3), at=NOW, data=data)
    assert assign(None, event) is None
    before = alarm()
    assert assign(before, event) is before


def test_a_value_that_nests_without_end_is_ignored() -> None:
    deep: Any = {}
    for _ in range(200_000):
        deep = {"a": deep}
    before = alarm()
    try:
        after = assign(before, updated({"snooze": deep, "label": "x"}))
    finally:
        while deep:  # Taken apart by hand: freeing it whole would recurse.
            deep = deep.popitem()[1]
    assert after is not None
    assert (after.label, after.snooze) == ("x", None)


@given(any_records, st.lists(mutations(st.sampled_from(KINDS).flatmap(careful_edits)), max_size=6))
def test_an_old_stamp_never_beats_a_new_one(record: Record, later: list[Mutation]) -> None:
    after: Record | None = record
    for mutation in later:
        after = apply(after, mutation)
    stale = by(patch({"label": "from long ago"}, OLD.at, record.kind), "", 0)
    assume(after is not None)
    assert apply(after, stale) is after


def test_resetting_an_idle_timer_changes_nothing() -> None:
    before = timer(run=RunId("r1"))
    assert apply(before, by(Reset(kind="timer", id=ITEM, at=NOW, run=RunId("r1"), moment=NOW))) is before
