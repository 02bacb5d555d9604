"""An obvious calendar to compare the real one with: it walks minute by minute and looks at the clocks."""

from datetime import UTC, datetime, timedelta
from functools import cache

from protocol._records import Alarm
from protocol._types import DAYS, Wall
from protocol.zones import system_zones


MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Where clocks jump: by an hour, by half an hour, by a day, at midnight, a minute past midnight; and never.
TRANSITIONS = (
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Pacific/Apia", "2011-12-30"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/St_Johns", "2010-03-14"),
    ("America/St_Johns", "2010-11-07"),
    ("UTC", "2026-01-01"),
)


def ms(text: str) -> Wall:
    """An instant written as `2026-03-29T01:30` in UTC, to ms."""
    return Wall(round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000))


@cache
def first_shown(zone: str, day: str) -> dict[str, list[tuple[datetime, int]]]:
    """By time of day, what the clocks of a zone show from 16 days before `day` to 12 days after, and the first instant they show it.

    A reading left out by a gap is shown by a clock that nobody set: at the instant it would have been without the gap.
    """
    tz = system_zones(zone)
    assert tz is not None
    readings: dict[datetime, int] = {}
    before: timedelta | None = None
    for instant in range(ms(day) - 16 * DAY, ms(day) + 12 * DAY, MINUTE):
        shown = datetime.fromtimestamp(instant / 1000, tz)
        offset = shown.utcoffset()
        assert offset is not None
        if before is not None and offset > before:
            for late in range((offset - before) // timedelta(minutes=1)):
                unset = shown.replace(tzinfo=None) - (offset - before) + timedelta(minutes=late)
                readings.setdefault(unset, instant + late * MINUTE)
        readings.setdefault(shown.replace(tzinfo=None), instant)
        before = offset
    by_time: dict[str, list[tuple[datetime, int]]] = {}
    for reading, instant in readings.items():
        by_time.setdefault(f"{reading.hour:02}:{reading.minute:02}", []).append((reading, instant))
    return by_time


def slow_dues(alarm: Alarm, day: str) -> list[int]:
    """Every due instant of an alarm from 16 days before `day` to 12 days after, ascending."""
    return sorted(
        {
            instant
            for shown, instant in first_shown(alarm.tz, day)[alarm.time]
            if (DAYS[shown.weekday()] in alarm.days if alarm.days else str(shown.date()) == alarm.date)
        }
    )
