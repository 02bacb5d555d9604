"""Hypothesis strategies for records, edits and histories: from what a careful client sends to any JSON at all.

Identifiers, runs and instants come from small sets, so that edits of several devices meet.
"""

from collections.abc import Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from protocol._apply import apply
from protocol._edits import (
    Add,
    Create,
    Delete,
    Dismiss,
    Edit,
    Mutation,
    Patch,
    Pause,
    Reset,
    Resume,
    Snooze,
    Start,
)
from protocol._records import DEFINITION, Alarm, Record, Timer
from protocol._types import DAYS, DeviceId, ItemId, Kind, Mid, RunId, Stamp, Wall


NOW = Wall(1_800_000_000_000)
"""2027-01-15T08:00:00Z: where the instants of these strategies lie around."""

ITEM = ItemId("0d0d6a3e-2c53-4e54-b0a7-1d4b5c8b9003")
RUNS = (RunId("r1"), RunId("r2"), RunId("r3"))
DEVICES = (DeviceId("desk"), DeviceId("lap"), DeviceId("phone"))
KINDS: tuple[Kind, ...] = ("alarm", "timer")
ZONES: dict[str, tzinfo] = {
    "UTC": UTC,
    "Europe/Warsaw": timezone(timedelta(hours=1)),
    "America/New_York": timezone(timedelta(hours=-5)),
}


def zones(name: str) -> tzinfo | None:
    """A look-up of three zones that never change their clocks."""
    return ZONES.get(name)


# --- JSON -------------------------------------------------------------------------------------------------------------

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)

json_values: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
"""Any JSON, integers of any size included."""

plain_objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.lists(st.integers(0, 1), max_size=2)),
    max_size=3,
)
"""What a client may keep in `extra`."""

instants = st.integers(-600_000, 600_000).map(lambda off: Wall(NOW + off // 1_000 * 1_000))
"""Ten minutes around `NOW`, on whole seconds, so that equal ones occur."""

# --- definition fields ------------------------------------------------------------------------------------------------

_COMMON: dict[str, st.SearchStrategy[Any]] = {
    "label": st.sampled_from(["", "Tea", "Train", "Žluťoučký kůň"]),
    "sound": st.sampled_from(["default", "bell"]),
    "ring_s": st.sampled_from([1, 60, 600, 3_600]),
    "snooze_s": st.sampled_from([0, 300, 540]),
    "auto_snooze": st.integers(0, 15),
    "extra": plain_objects,
}

FITTING: dict[Kind, dict[str, st.SearchStrategy[Any]]] = {
    "alarm": _COMMON
    | {
        "enabled": st.booleans(),
        "time": st.sampled_from(["00:00", "07:30", "08:01", "23:59"]),
        "days": st.lists(st.sampled_from(DAYS), max_size=4),
        "date": st.sampled_from([None, "2027-01-15", "2027-01-16", "2027-02-01"]),
        "tz": st.sampled_from(sorted(ZONES)),
        "skip": st.none() | instants,
    },
    "timer": _COMMON | {"duration_ms": st.sampled_from([1, 60_000, 240_000])},
}
"""For each definition field, values that fit."""

_NAMES = sorted(
    {name for fields in FITTING.values() for name in fields} | {"acked", "snooze", "stamps", "rev", "id", "x"}
)


def fitting_fields(kind: Kind, required: Sequence[str] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """Some definition fields, each with a value that fits; `required` are always there."""
    always = {name: FITTING[kind][name] for name in required}
    return st.fixed_dictionaries(always, optional={n: s for n, s in FITTING[kind].items() if n not in always})


def any_fields(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Fields that fit, overlaid with any JSON under known and unknown names."""
    junk = st.dictionaries(st.sampled_from(_NAMES), json_values, max_size=3)
    return st.builds(lambda fitting, odd: fitting | odd, fitting_fields(kind), junk)


REQUIRED = {"alarm": "time", "timer": "duration_ms"}

# --- edits ------------------------------------------------------------------------------------------------------------


def _edits(kind: Kind, fields: st.SearchStrategy[dict[str, Any]], at: Any, number: Any) -> st.SearchStrategy[Edit]:
    """All edits of a kind; `at` draws times, `number` counts and lengths."""
    base = {"kind": st.just(kind), "id": st.just(ITEM), "at": at}
    runs = st.sampled_from(RUNS)
    ring: dict[str, Any] = {"occ": at} if kind == "alarm" else {"run": runs, "due": at}
    made: list[st.SearchStrategy[Any]] = [
        st.builds(Create, **base, fields=fields),
        st.builds(Patch, **base, fields=fields),
        st.builds(Delete, **base),
        st.builds(Dismiss, **base, **ring),
        st.builds(Snooze, **base, **ring, n=number, length_ms=number, moment=at),
    ]
    if kind == "timer":
        made += [st.builds(op, **base, run=runs, moment=at) for op in (Start, Start, Pause, Resume, Reset)]
        made.append(st.builds(Add, **base, run=runs, moment=at, ms=number))
    return st.one_of(made)


def wild_edits(kind: Kind) -> st.SearchStrategy[Edit]:
    """Edits that pass the types and nothing else: any JSON in fields, any integers."""
    return _edits(kind, any_fields(kind), instants | st.integers(), st.integers())


def careful_edits(kind: Kind) -> st.SearchStrategy[Edit]:
    """Edits that mean something, though perhaps not for the record they meet."""
    number = st.sampled_from([1, 2, 3, 60_000])
    return _edits(kind, fitting_fields(kind, [REQUIRED[kind]]), instants, number)


any_edits: st.SearchStrategy[Edit] = st.sampled_from(KINDS).flatmap(lambda kind: wild_edits(kind) | careful_edits(kind))


def mutations(edits: st.SearchStrategy[Edit]) -> st.SearchStrategy[Mutation]:
    """Edits with an author and a number."""
    return st.builds(Mutation, edits, st.sampled_from(DEVICES), st.integers(1, 9).map(Mid))


# --- records ----------------------------------------------------------------------------------------------------------


def creates(kind: Kind) -> st.SearchStrategy[Mutation]:
    """A mutation that makes a record."""
    fields = fitting_fields(kind, [REQUIRED[kind]])
    return mutations(st.builds(Create, kind=st.just(kind), id=st.just(ITEM), at=instants, fields=fields))


def records(kind: Kind) -> st.SearchStrategy[Record]:
    """A record as a few edits of several devices leave it."""
    later = st.lists(mutations(careful_edits(kind)).filter(lambda one: not isinstance(one.edit, Delete)), max_size=8)
    return st.builds(_fold, creates(kind), later)


def _fold(create: Mutation, later: list[Mutation]) -> Record:
    record = apply(None, create)
    for mutation in later:
        record = apply(record, mutation)
    assert record is not None
    return record


any_records: st.SearchStrategy[Record] = records("alarm") | records("timer")

# --- for examples written by hand -------------------------------------------------------------------------------------


OLD = Stamp(0, "", 0)


def alarm(**fields: Any) -> Alarm:
    """A weekday alarm at 08:01 with the given fields; every definition field has the stamp `OLD`."""
    whole: dict[str, Any] = {"id": ITEM, "time": "08:01", "days": DAYS[:5], **fields}
    made = Alarm(**whole)
    return replace(made, stamps=dict.fromkeys(DEFINITION["alarm"], OLD) | made.stamps)


def timer(**fields: Any) -> Timer:
    """An idle timer of four minutes with the given fields; every definition field has the stamp `OLD`."""
    whole: dict[str, Any] = {"id": ITEM, "duration_ms": 240_000, **fields}
    made = Timer(**whole)
    return replace(made, stamps=dict.fromkeys(DEFINITION["timer"], OLD) | made.stamps)


def running(run: str = "r1", **fields: Any) -> Timer:
    """A timer started at `NOW` for four minutes, with the given fields."""
    started = {"phase": "running", "run": RunId(run), "started_at": NOW, "ends_at": Wall(NOW + 240_000)}
    stamps = {"run": Stamp(NOW, "desk", 1), "phase": Stamp(NOW, "desk", 1)}
    return timer(**(started | {"stamps": stamps} | fields))


def by(edit: Edit, device: str = "desk", mid: int = 1) -> Mutation:
    """An edit of a device."""
    return Mutation(edit, DeviceId(device), Mid(mid))
