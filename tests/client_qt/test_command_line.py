"""Lines of the headless client, in every spelling."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_qt.command_line import HELP, QUERIES, Asked, read_line
from client_qt.commands import (
    AddTime,
    Command,
    CommandError,
    CreateItem,
    CutNetwork,
    DeleteItem,
    DiscardAside,
    EditItem,
    ForgetRejection,
    PauseTimer,
    QuietHere,
    ResetTimer,
    RestoreAside,
    ResumeTimer,
    RingHere,
    SkipNext,
    SnoozeRing,
    StartTimer,
    StopRing,
    SyncNow,
    TakeOver,
)
from client_qt.durations import read_duration, say_duration
from protocol import ItemId, Record

from .records import alarm


WAKE, TEA, TWIN = ItemId("a1b2-wake"), ItemId("5cc-tea"), ItemId("a1ff-twin")
RECORDS: dict[ItemId, Record] = {item: alarm(item) for item in (WAKE, TEA, TWIN)}


def read(line: str) -> Asked:
    return read_line(line, RECORDS, "Europe/Warsaw")


def an_alarm(**fields: object) -> CreateItem:
    return CreateItem("alarm", {"tz": "Europe/Warsaw", "time": "07:00", **fields})


LINES: list[tuple[str, Command]] = [
    ("alarm add 07:00", an_alarm()),
    ("alarm add 7:00", an_alarm()),
    ("alarm add 07:00 mo,TU Wake up", an_alarm(days=["mo", "tu"], label="Wake up")),
    ("alarm add 07:00 Wake up", an_alarm(label="Wake up")),
    ("alarm add 07:00 'mo'", an_alarm(days=["mo"])),
    ("alarm add 07:00 --date 2027-01-31 Off we go", an_alarm(date="2027-01-31", label="Off we go")),
    ("alarm add 07:00 fr ring_s=30 tz=Asia/Tokyo Its", an_alarm(days=["fr"], ring_s=30, tz="Asia/Tokyo", label="Its")),
    ("alarm add 07:00 label=E=mc2", an_alarm(label="E=mc2")),
    ("alarm add 07:00 2+2=4", an_alarm(label="2+2=4")),
    ("alarm add 07:00 Wake ring_s=30 up", an_alarm(label="Wake up", ring_s=30)),
    ("alarm add 07:00 label=mo,xx", an_alarm(label="mo,xx")),
    ("alarm add 07:00 'We, the people'", an_alarm(label="We, the people")),
    ("alarm add 07:00 tea,milk", an_alarm(label="tea,milk")),
    ("alarm edit a1b2 time=08:00 days=mo,fr", EditItem(WAKE, {"time": "08:00", "days": ["mo", "fr"]})),
    ("alarm edit a1b2 days= enabled=off", EditItem(WAKE, {"days": [], "enabled": False})),
    ("alarm edit a1b2 label='Get up' date=none", EditItem(WAKE, {"label": "Get up", "date": None})),
    ("alarm edit a1b2 label=7 skip=9", EditItem(WAKE, {"label": "7", "skip": 9})),
    ("alarm edit a1b2 'extra={\"a\":1}'", EditItem(WAKE, {"extra": {"a": 1}})),
    ("timer add 5m", CreateItem("timer", {"duration_ms": 300_000})),
    (
        "timer add 25m snooze_s=0 Green tea",
        CreateItem("timer", {"duration_ms": 1_500_000, "snooze_s": 0, "label": "Green tea"}),
    ),
    ("timer edit 5 duration=90s", EditItem(TEA, {"duration_ms": 90_000})),
    ("start 5cc-tea", StartTimer(TEA)),
    ("pause 5", PauseTimer(TEA)),
    ("resume 5", ResumeTimer(TEA)),
    ("reset 5", ResetTimer(TEA)),
    ("add 5 60s", AddTime(TEA, 60_000)),
    ("delete a1f", DeleteItem(TWIN)),
    ("skip a1b", SkipNext(WAKE)),
    ("unskip a1b", SkipNext(WAKE, undo=True)),
    ("stop", StopRing()),
    ("stop 5", StopRing(TEA)),
    ("snooze", SnoozeRing()),
    ("snooze 5", SnoozeRing(TEA)),
    ("snooze 5m", SnoozeRing(None, 300_000)),
    ("snooze 12", SnoozeRing(None, 720_000)),
    ("snooze 5 1:30", SnoozeRing(TEA, 90_000)),
    ("quiet", QuietHere()),
    ("quiet 5", QuietHere(TEA)),
    ("here 5 off", RingHere(TEA, rings=False)),
    ("here 5 on", RingHere(TEA, rings=True)),
    ("restore 5", RestoreAside(TEA)),
    ("discard 5", DiscardAside(TEA)),
    ("forget 3", ForgetRejection(3)),
    ("sync", SyncNow()),
    ("takeover", TakeOver()),
    ("offline", CutNetwork(cut=True)),
    ("online", CutNetwork(cut=False)),
]


@pytest.mark.parametrize(("line", "command"), LINES, ids=[line for line, _ in LINES])
def test_a_line_is_read_as_its_command(line: str, command: Command) -> None:
    asked = read(line)
    assert asked.command == command
    assert line.startswith(asked.name)


@pytest.mark.parametrize("query", QUERIES)
def test_a_question_is_answered_by_the_client_itself(query: str) -> None:
    assert read(query) == Asked(query, query)  # type: ignore[arg-type]  # each of them is a query


WRONG = [
    ("nonsense", "bad_command"),
    ("''", "bad_command"),
    ("alarm", "bad_command"),
    ("alarm add", "bad_command"),
    ("alarm remove x", "bad_command"),
    ("alarm add 07:00 --date", "bad_command"),
    ("alarm edit a1b2", "bad_command"),
    ("alarm edit a1b2 colour=red", "bad_command"),
    ("alarm edit a1b2 label", "bad_command"),
    ("timer add", "bad_command"),
    ("timer add soon", "invalid"),
    ("timer edit 5 duration=soon", "invalid"),
    ("start", "bad_command"),
    ("start 5 6", "bad_command"),
    ("start zzz", "unknown_id"),
    ("start a1", "ambiguous_id"),
    ("add 5", "bad_command"),
    ("add 5 x", "invalid"),
    ("stop 5 6", "bad_command"),
    ("snooze x", "invalid"),
    ("snooze 5 5m 5m", "bad_command"),
    ("here 5 maybe", "bad_command"),
    ("forget it", "bad_command"),
    ("list all", "bad_command"),
    ("sync now", "bad_command"),
    ("timer add 5m 'open", "bad_command"),
]


@pytest.mark.parametrize(("line", "code"), WRONG)
def test_a_line_that_cannot_be_read_says_why(line: str, code: str) -> None:
    with pytest.raises(CommandError) as refused:
        read(line)
    assert refused.value.code == code
    assert str(refused.value).endswith((".", "`."))


@pytest.mark.parametrize(
    ("line", "field", "named"),
    [
        ("alarm add 07:00 mo,xx", "days", "'xx' is no day; days: mo,tu,"),
        ("alarm add 07:00 mon,tu Work", "days", "'mon' is no day"),
        ("timer add 5m color=red x", "color", "'color=red' is no field=value; fields of a timer: duration, label"),
        ("timer add 5m x color=red", "color", "'color=red'"),
    ],
)
def test_a_mistyped_day_or_field_does_not_become_the_label(line: str, field: str, named: str) -> None:
    """It would look like success, and the alarm would ring at other times than was meant."""
    with pytest.raises(CommandError) as refused:
        read(line)
    assert refused.value.field == field
    assert named in str(refused.value)


@given(st.text(min_size=1).filter(str.strip))
def test_no_line_breaks_the_reader(line: str) -> None:
    with suppress(CommandError):
        assert read(line.strip()).name


@given(st.text(alphabet="0123456789:hms ²٣", max_size=24))
def test_a_length_is_read_or_refused(text: str) -> None:
    length = read_duration(text)
    assert length is None or length >= 0


@pytest.mark.parametrize("command", ["start", "snooze", "offline", "presence", "unskip", "takeover", "here"])
def test_help_names_every_command(command: str) -> None:
    assert command in HELP


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("12", 720_000), ("1:30:00", 5_400_000), ("25m", 1_500_000), ("90s", 90_000), ("5:00", 300_000),
        ("1h30m", 5_400_000), ("250ms", 250), (" 5M ", 300_000), ("", None), ("5 m", None), ("-5", None),
        ("1:5", None), ("soon", None), ("5d", None), ("٣", None),
    ],
)  # fmt: skip
def test_lengths_are_read_as_people_write_them(text: str, ms: int | None) -> None:
    assert read_duration(text) == ms


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0:00"), (1, "0:01"), (59_001, "1:00"), (5_400_000, "1:30:00"), (-5, "0:00")]
)
def test_lengths_are_shown_as_a_clock_would(ms: int, text: str) -> None:
    assert say_duration(ms) == text
