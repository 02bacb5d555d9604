"""The oracle is held against the protocol's own rules: two ways to the same rings, that share nothing but the records."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol import Alarm, DeviceId, ItemId, Record, Timer, Wall, ringing
from protocol._records import Snoozed
from protocol._types import DAYS, Stamp
from protocol.zones import system_zones

from ..protocol.calendars import DAY, HOUR, MINUTE, TRANSITIONS, ms
from ..protocol.strategies import NOW, any_records, zones
from .oracle import Window, sounding, steady_until


SEVEN = ms("2026-01-07T07:00")
"""A Wednesday morning."""


def daily(**fields: Any) -> Alarm:
    made: dict[str, Any] = {"id": "a", "time": "07:00", "days": DAYS, "ring_s": 600, "snooze_s": 300}
    return Alarm(**(made | fields))


def running(**fields: Any) -> Timer:
    made: dict[str, Any] = {
        "id": "t",
        "duration_ms": MINUTE,
        "phase": "running",
        "run": "r1",
        "ends_at": SEVEN,
        "ring_s": 600,
    }
    return Timer(**(made | {"snooze_s": 300} | fields))


def heard(record: Record, now: int) -> set[Window]:
    return sounding(record, now, system_zones)


def by_the_protocol(record: Record, now: int, look_up: Any) -> set[Window]:
    return {Window(ring.occ, ring.n, ring.since, ring.until) for ring in ringing(record, Wall(now), look_up)}


# --- two ways, one answer ---------------------------------------------------------------------------------------------


@given(any_records, st.integers(-90_000, 90_000).map(lambda s: NOW + s * 1000))
def test_oracle_and_protocol_agree_about_any_history_of_a_record(record: Record, now: int) -> None:
    assert sounding(record, now, zones) == by_the_protocol(record, now, zones)


STAMPS = st.dictionaries(
    st.sampled_from(["time", "days", "date", "tz", "enabled", "label"]), st.integers(-30 * HOUR, 30 * HOUR), max_size=3
)
MINUTES = st.integers(-36 * 60, 36 * 60)


@given(
    st.sampled_from(TRANSITIONS),
    st.integers(0, 24 * 60 - 1),
    st.sets(st.sampled_from(DAYS)),
    MINUTES,
    st.sampled_from([1, 60, 600, 3600]),
    st.sampled_from([0, 300, 43_200]),
    st.integers(0, 15),
    STAMPS,
    st.none() | MINUTES,
    st.none() | st.tuples(MINUTES, st.integers(1, 3), MINUTES),
    st.booleans(),
)
@example(("Pacific/Apia", "2011-12-30"), 750, set(DAYS), 0, 3600, 0, 0, {}, None, None, False)
@example(("Australia/Lord_Howe", "2026-04-05"), 100, set(DAYS), 0, 3600, 0, 0, {}, None, None, False)
def test_oracle_and_protocol_agree_around_every_kind_of_jump_of_the_clocks(
    transition: tuple[str, str],
    minute: int,
    days: set[Any],
    apart: int,
    ring_s: int,
    snooze_s: int,
    auto_snooze: int,
    stamps: dict[str, int],
    acked: int | None,
    snooze: tuple[int, int, int] | None,
    skipped: bool,
) -> None:
    zone, day = transition
    noon = ms(day) + DAY // 2
    now = noon + apart * MINUTE
    alarm = Alarm(
        id=ItemId("a"),
        time=f"{minute // 60:02}:{minute % 60:02}",
        days=tuple(one for one in DAYS if one in days),
        date=day,
        tz=zone,
        ring_s=ring_s,
        snooze_s=snooze_s,
        auto_snooze=auto_snooze,
        stamps={name: Stamp(now + at, DeviceId("d"), 1) for name, at in stamps.items()},
        acked=None if acked is None else noon + acked * MINUTE,
    )
    dues = [int(ring.occ) for ring in ringing(alarm, Wall(now), system_zones)] or [noon]
    if snooze is not None:
        alarm = replace(alarm, snooze=Snoozed(dues[0] + snooze[0] // 60, snooze[1], Wall(now + snooze[2] * 1000)))
    if skipped:
        alarm = replace(alarm, skip=dues[-1])
    assert heard(alarm, now) == by_the_protocol(alarm, now, system_zones)


@given(any_records, st.integers(-90_000, 90_000).map(lambda s: NOW + s * 1000), st.integers(0, 10 * HOUR))
def test_what_sounds_stays_the_same_until_the_oracle_says_that_it_may_not(record: Record, now: int, later: int) -> None:
    until = steady_until(record, now, zones, 8 * HOUR)
    assert now < until <= now + 8 * HOUR
    moment = min(now + later, until - 1)
    assert sounding(record, now, zones) == sounding(record, moment, zones)


# --- what anybody can check by hand -----------------------------------------------------------------------------------


def test_an_alarm_sounds_from_its_minute_until_its_length_is_over() -> None:
    window = Window(SEVEN, 0, SEVEN, SEVEN + 10 * MINUTE)
    assert heard(daily(), SEVEN - 1) == set()
    assert heard(daily(), SEVEN) == {window}
    assert heard(daily(), SEVEN + 10 * MINUTE - 1) == {window}
    assert heard(daily(), SEVEN + 10 * MINUTE) == set()


def test_an_unanswered_alarm_sounds_again_after_each_pause() -> None:
    second = SEVEN + 15 * MINUTE
    assert heard(daily(auto_snooze=1), second) == {Window(SEVEN, 1, second, second + 10 * MINUTE)}
    assert heard(daily(auto_snooze=1), SEVEN + 30 * MINUTE) == set()
    assert heard(daily(auto_snooze=1, snooze_s=0), SEVEN + 10 * MINUTE) == set()


def test_a_snoozed_alarm_sounds_when_the_snooze_ends_and_not_before() -> None:
    until = SEVEN + 9 * MINUTE
    alarm = daily(snooze=Snoozed(SEVEN, 1, Wall(until)))
    assert heard(alarm, SEVEN + 5 * MINUTE) == set()
    assert heard(alarm, until) == {Window(SEVEN, 1, until, until + 10 * MINUTE)}


@pytest.mark.parametrize(
    "fields",
    [
        {"enabled": False},
        {"skip": SEVEN},
        {"acked": SEVEN},
        {"acked": SEVEN + 5 * MINUTE},
        {"days": ("th",)},
        {"days": (), "date": "2026-01-08"},
        {"tz": "Mars/Olympus"},
        {"stamps": {"time": Stamp(SEVEN, "d", 1)}},
    ],
    ids=str,
)
def test_a_reason_not_to_ring_is_enough(fields: dict[str, Any]) -> None:
    assert heard(daily(**fields), SEVEN) == set()


@pytest.mark.parametrize(
    "fields",
    [{"acked": SEVEN - MINUTE}, {"acked": SEVEN + MINUTE}, {"stamps": {"time": Stamp(SEVEN + DAY, "d", 1)}}],
    ids=str,
)
def test_no_reason_not_to_ring_is_none(fields: dict[str, Any]) -> None:
    assert heard(daily(**fields), SEVEN) != set()


@pytest.mark.parametrize(
    ("day", "instant"),
    [
        ("2027-03-27", 1806111000000),
        ("2027-03-28", 1806197400000),
        ("2027-03-29", 1806280200000),
        ("2027-10-31", 1824942600000),
    ],
)
def test_the_worked_example_of_the_specification_comes_out(day: str, instant: int) -> None:
    alarm = daily(time="02:30", tz="Europe/Berlin", days=(), date=day)
    assert {window.occ for window in heard(alarm, instant)} == {instant}
    assert heard(alarm, instant - 1) == set()
    assert heard(alarm, instant + HOUR) == set()


def test_a_timer_sounds_when_its_run_is_over() -> None:
    assert heard(running(), SEVEN - 1) == set()
    assert heard(running(), SEVEN) == {Window("r1", 0, SEVEN, SEVEN + 10 * MINUTE)}
    assert heard(running(acked="r1"), SEVEN) == set()
    assert heard(running(acked="r0"), SEVEN) != set()
    assert heard(running(phase="paused", remaining_ms=0, ends_at=None), SEVEN) == set()
    later = SEVEN + MINUTE
    snoozed = running(snooze=Snoozed("r1", 2, Wall(later)))
    assert heard(snoozed, SEVEN) == set()
    assert heard(snoozed, later) == {Window("r1", 2, later, later + 10 * MINUTE)}
