from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._records import Alarm
from protocol._schedule import calendar_day, due_at, dues, next_due, once_date, previous_due, time_of_day
from protocol._types import DAYS, Day, ItemId, Wall
from protocol.zones import system_zones

from .calendars import DAY, HOUR, MINUTE, TRANSITIONS, ms, slow_dues


def alarm(time: str, tz: str, days: tuple[Day, ...] = (), date: str | None = None) -> Alarm:
    return Alarm(id=ItemId("a"), time=time, tz=tz, days=days, date=date)


# On these Sundays clocks leave out or repeat the time named; the last column is when it is due, in UTC.
GAPS = [
    ("Europe/Berlin", "2026-03-29", "02:30", "2026-03-29T01:30"),
    ("America/New_York", "2026-03-08", "02:30", "2026-03-08T07:30"),
    ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:45"),
]
FOLDS = [
    ("Europe/Berlin", "2026-10-25", "02:30", "2026-10-25T00:30"),
    ("America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30"),
    ("Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45"),
]
REPEATS: dict[str, Callable[[str], tuple[tuple[Day, ...], str | None]]] = {
    "once": lambda day: ((), day),
    "every day": lambda _: (DAYS, None),
    "on Sundays": lambda _: (("su",), None),
    "on two days": lambda _: (("we", "su"), None),
}


@pytest.mark.parametrize("repeat", REPEATS)
@pytest.mark.parametrize(("tz", "day", "time", "due"), GAPS)
def test_a_time_left_out_by_a_gap_is_due_with_the_offset_before_it(
    tz: str, day: str, time: str, due: str, repeat: str
) -> None:
    definition = alarm(time, tz, *REPEATS[repeat](day))

    assert next_due(definition, Wall(ms(due) - 1), system_zones) == ms(due)
    assert previous_due(definition, ms(due), system_zones) == ms(due)


@pytest.mark.parametrize("repeat", REPEATS)
@pytest.mark.parametrize(("tz", "day", "time", "due"), FOLDS)
def test_a_repeated_time_is_due_the_first_time_only(tz: str, day: str, time: str, due: str, repeat: str) -> None:
    definition = alarm(time, tz, *REPEATS[repeat](day))
    # The longest fold of all lasts a few hours; the next day's occurrence is later than that.
    within_the_fold = dues(definition, ms(due) - HOUR, ms(due) + 12 * HOUR, system_zones)

    assert within_the_fold == (ms(due),)


def test_a_weekday_that_a_zone_skipped_whole_is_due_when_its_clocks_would_have_shown_it() -> None:
    """Samoa went from Thursday to Saturday: a Friday alarm rings on that Saturday rather than not at all."""
    friday = alarm("07:00", "Pacific/Apia", ("fr",))
    every_day = alarm("07:00", "Pacific/Apia", DAYS)

    assert next_due(friday, ms("2011-12-30T09:00"), system_zones) == ms("2011-12-30T17:00")
    # By noon UTC it is Saturday there already.
    assert next_due(friday, ms("2011-12-30T12:00"), system_zones) == ms("2011-12-30T17:00")
    assert dues(every_day, ms("2011-12-29T18:00"), ms("2011-12-31T18:00"), system_zones) == (
        ms("2011-12-30T17:00"),
        ms("2011-12-31T17:00"),
    )


def test_the_date_of_a_once_alarm_is_one_that_its_zone_has() -> None:
    assert once_date("07:00", "Pacific/Apia", ms("2011-12-30T12:00"), system_zones) == "2011-12-31"


def test_a_weekly_alarm_is_found_across_the_week_that_is_an_hour_longer() -> None:
    sunday = alarm("07:00", "America/New_York", ("su",))
    before, after = ms("2026-10-25T11:00"), ms("2026-11-01T12:00")

    assert next_due(sunday, before, system_zones) == after
    assert previous_due(sunday, Wall(after - 1), system_zones) == before


def test_midnight_that_a_zone_repeats_is_due_before_clocks_go_back_to_yesterday() -> None:
    """At 00:01 clocks of St John's went back to 23:01: ten minutes later it is yesterday, and midnight is past."""
    midnight = alarm("00:00", "America/St_Johns", DAYS)
    due = ms("2010-11-07T02:30")

    assert previous_due(midnight, Wall(due + 10 * MINUTE), system_zones) == due
    assert next_due(midnight, Wall(due + 10 * MINUTE), system_zones) == due + 25 * HOUR
    assert once_date("00:00", "America/St_Johns", Wall(due + 10 * MINUTE), system_zones) == "2010-11-08"


def test_an_instant_is_never_its_own_next_due_but_its_own_previous_one() -> None:
    daily = alarm("07:00", "UTC", DAYS)
    due = ms("2026-01-01T07:00")

    assert next_due(daily, due, system_zones) == due + DAY
    assert previous_due(daily, due, system_zones) == due
    assert previous_due(daily, Wall(due - 1), system_zones) == due - DAY


def test_a_once_alarm_is_due_on_its_date_however_far_that_is() -> None:
    once = alarm("07:00", "Asia/Tokyo", date="2031-05-01")
    due = ms("2031-04-30T22:00")

    assert next_due(once, ms("2026-01-01"), system_zones) == due
    assert next_due(once, due, system_zones) is None
    assert previous_due(once, ms("2099-01-01"), system_zones) == due
    assert previous_due(once, Wall(due - 1), system_zones) is None


def test_a_once_alarm_without_a_date_is_never_due() -> None:
    assert next_due(alarm("07:00", "UTC"), ms("2026-01-01"), system_zones) is None


def test_the_date_of_a_once_alarm_is_today_before_its_time_and_tomorrow_from_it_on() -> None:
    # 07:00 in Tokyo is 22:00 UTC of the day before.
    assert once_date("07:00", "Asia/Tokyo", ms("2026-01-01T21:59"), system_zones) == "2026-01-02"
    assert once_date("07:00", "Asia/Tokyo", ms("2026-01-01T22:00"), system_zones) == "2026-01-03"


@pytest.mark.parametrize("tz", ["", "Nowhere/City", "../etc/localtime"])
def test_an_alarm_in_a_zone_nobody_knows_is_never_due(tz: str) -> None:
    assert next_due(alarm("07:00", tz, DAYS), ms("2026-01-01"), system_zones) is None
    assert previous_due(alarm("07:00", tz, DAYS), ms("2026-01-01"), system_zones) is None
    assert once_date("07:00", tz, ms("2026-01-01"), system_zones) is None


@pytest.mark.parametrize(
    "time", ["", "7:00", "24:00", "07:60", "07:00:00", "0700", "07:00 ", "\u0660\u0667:\u0660\u0660"]
)
def test_an_alarm_at_a_time_that_is_none_is_never_due(time: str) -> None:
    tz = system_zones("UTC")
    assert tz is not None

    assert time_of_day(time) is None
    assert due_at(date(2026, 1, 1), time, tz) is None
    assert next_due(alarm(time, "UTC", DAYS), ms("2026-01-01"), system_zones) is None
    assert once_date(time, "UTC", ms("2026-01-01"), system_zones) is None


@pytest.mark.parametrize(
    "day",
    [
        "",
        "2026-1-1",
        "20260101",
        "2026-W01-1",
        "2026-02-29",
        "2026-01-01T00",
        "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0661",
    ],
)
def test_a_day_that_is_none_is_never_due(day: str) -> None:
    assert calendar_day(day) is None
    assert next_due(alarm("07:00", "UTC", date=day), ms("2026-01-01"), system_zones) is None


def test_the_due_instant_of_a_day_and_time_is_in_milliseconds_since_1970() -> None:
    tz = system_zones("Europe/Berlin")
    assert tz is not None

    assert due_at(date(1970, 1, 1), "02:00", tz) == HOUR


@st.composite
def near_a_transition(draw: st.DrawFn) -> tuple[Alarm, str, Wall]:
    """An alarm, the day around which its zone changes its clocks, and an instant within two days of it."""
    tz, day = draw(st.sampled_from(TRANSITIONS))
    hour, minute = draw(st.sampled_from([0, 1, 2, 3, 12, 23])), draw(st.sampled_from([0, 1, 15, 30, 59]))
    weekdays = draw(st.sets(st.sampled_from(DAYS)))
    once = str(date.fromisoformat(day) + timedelta(days=draw(st.integers(-2, 2))))
    moment = ms(day) + draw(st.integers(-2 * 1440, 2 * 1440)) * MINUTE + draw(st.sampled_from([-1, 0, 1]))
    definition = alarm(
        f"{hour:02}:{minute:02}",
        tz,
        tuple(day for day in DAYS if day in weekdays),
        None if weekdays else once,
    )
    return definition, day, Wall(moment)


@given(near_a_transition())
def test_the_next_due_instant_is_the_one_a_minute_by_minute_walk_meets_first(case: tuple[Alarm, str, Wall]) -> None:
    definition, day, moment = case
    expected = next((due for due in slow_dues(definition, day) if due > moment), None)

    assert next_due(definition, moment, system_zones) == expected


@given(near_a_transition())
def test_the_previous_due_instant_is_the_one_a_minute_by_minute_walk_met_last(case: tuple[Alarm, str, Wall]) -> None:
    definition, day, moment = case
    expected = next((due for due in reversed(slow_dues(definition, day)) if due <= moment), None)

    assert previous_due(definition, moment, system_zones) == expected


@given(near_a_transition())
def test_the_date_found_for_a_once_alarm_is_that_of_the_first_day_on_which_it_still_rings(
    case: tuple[Alarm, str, Wall],
) -> None:
    definition, day, moment = case
    found = once_date(definition.time, definition.tz, moment, system_zones)
    once = alarm(definition.time, definition.tz, date=found)
    daily = alarm(definition.time, definition.tz, DAYS)

    assert slow_dues(once, day) == [next(due for due in slow_dues(daily, day) if due > moment)]


@given(st.integers(), st.sampled_from(["UTC", "Pacific/Apia", "America/New_York"]), st.booleans())
def test_no_instant_is_too_far_to_ask_about(moment: int, tz: str, daily: bool) -> None:
    definition = alarm("07:00", tz, DAYS) if daily else alarm("07:00", tz, date="2026-01-01")

    upcoming = next_due(definition, Wall(moment), system_zones)
    past = previous_due(definition, Wall(moment), system_zones)

    assert upcoming is None or upcoming > moment
    assert past is None or past <= moment
    assert once_date("07:00", tz, Wall(moment), system_zones) or moment > ms("9998-01-01")
