"""One line of the headless client read as a command: pure, so that every spelling can be tried."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from protocol import DAYS, DEFINITION, ItemId, Kind, Record

from .commands import (
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
from .durations import read_duration


HELP = """\
list                                          alarms and timers
alarm add 07:00 [mo,tu,…] [field=value…] [label…]     a new alarm; without days it rings once
alarm add 07:00 --date 2027-01-31 [label…]    once, on that day
alarm edit ID field=value…                    fields: label enabled time days date tz sound ring_s snooze_s auto_snooze
timer add 5m [field=value…] [label…]          a new timer; lengths: 12 (minutes), 5:00, 1:30:00, 25m, 90s, 1h30m
timer edit ID field=value…                    fields: label duration sound ring_s snooze_s auto_snooze
start|pause|resume|reset ID                   a timer; add ID 60s lengthens its run
stop [ID]                                     stop what rings, on every device
snooze [ID] [5m]                              postpone what rings, on every device
quiet [ID]                                    silence what rings, on this device alone
skip ID, unskip ID                            leave out an alarm's next occurrence, or not
delete ID                                     on every device, for good
here ID on|off                                whether an item rings on this device at all
sync, status, presence, rejections            this device and its server; forget N drops a rejection
restore ID, discard ID                        a record that the server's new history lacks
offline, online                               cut and restore this device's network, on purpose
takeover, help, quit
An ID may be shortened to its first characters, as long as they are of one item only."""

Query = Literal["list", "status", "presence", "rejections", "help", "quit"]
QUERIES: tuple[Query, ...] = ("list", "status", "presence", "rejections", "help", "quit")


class Asked(NamedTuple):
    """A line, understood.

    Attributes:
        name: the command's first word, or two. command: for the engine, or a query to be answered at once.
    """

    name: str
    command: Command | Query


Records = Mapping[ItemId, Record]


def read_line(line: str, records: Records, tz: str) -> Asked:
    """Read one line.

    Args:
        line: as it was typed.
        records: what an ID may name.
        tz: the zone of a new alarm.

    Raises:
        CommandError: `bad_command`, `unknown_id`, `ambiguous_id` or `invalid`, in words.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise CommandError("bad_command", f"Cannot read the line: {error}.") from None
    name, *rest = words
    if name in {"alarm", "timer"}:
        return _read_item(name, rest, records, tz)
    for query in QUERIES:
        if name == query:
            _check_words(rest, 0, name)
            return Asked(name, query)
    read = _PLAIN.get(name)
    if read is None:
        raise CommandError("bad_command", f"There is no command {name!r}; `help` lists them.")
    return Asked(name, read(rest, records))


def _read_item(kind: str, words: list[str], records: Records, tz: str) -> Asked:
    verb, *rest = words or [""]
    match kind, verb:
        case "alarm", "add":
            return Asked("alarm add", CreateItem("alarm", {"tz": tz} | _alarm_fields(rest)))
        case "timer", "add":
            return Asked("timer add", CreateItem("timer", _timer_fields(rest)))
        case "alarm" | "timer" as checked, "edit":
            _check_words(rest, 2, f"{kind} edit ID field=value", more=True)
            return Asked(f"{kind} edit", EditItem(find_item(rest[0], records), _assignments(checked, rest[1:])))
        case _:
            raise CommandError("bad_command", f"It is `{kind} add …` or `{kind} edit …`.")


# --- fields -----------------------------------------------------------------------------------------------------------


def _alarm_fields(words: list[str]) -> dict[str, Any]:
    _check_words(words, 1, "alarm add HH:MM", more=True)
    time, *rest = words
    fields: dict[str, Any] = {"time": time.zfill(5)}
    if rest and _is_days(rest[0]):
        fields["days"] = rest.pop(0).lower().split(",")
    if rest and rest[0] == "--date":
        _check_words(rest, 2, "--date YYYY-MM-DD", more=True)
        fields["date"] = rest[1]
        rest = rest[2:]
    return fields | _rest("alarm", rest)


def _timer_fields(words: list[str]) -> dict[str, Any]:
    _check_words(words, 1, "timer add LENGTH", more=True)
    return {"duration_ms": _duration(words[0])} | _rest("timer", words[1:])


def _is_days(word: str) -> bool:
    """Whether it is a list of days; one with a mistyped day must not become the label of an alarm that rings once.

    Raises:
        CommandError: `invalid`, some of its words are days and the others are not.
    """
    words = word.lower().split(",")
    wrong = [day for day in words if day not in DAYS]
    if wrong and len(wrong) < len(words) and all(map(str.isalpha, words)):
        raise CommandError(
            "invalid", f"{wrong[0]!r} is no day; days: {','.join(DAYS)}; a label like that: label={word}.", "days"
        )
    return not wrong


def _rest(kind: Kind, words: list[str]) -> dict[str, Any]:
    """`field=value` words, and a label of all others: a mistyped field must not vanish into it."""
    fields = _assignments(kind, filter(_is_assignment, words))
    label = " ".join(word for word in words if not _is_assignment(word))
    return fields | ({"label": label} if label else {})


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _assignments(kind: Kind, words: Iterable[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in _NAMES[kind]:
            known = ", ".join(_NAMES[kind])
            sentence = f"{word!r} is no field=value; fields of a {kind}: {known}"
            raise CommandError("bad_command", f"{sentence}; a label with = in it: label='…'.", name or None)
        fields[_ALIAS.get(name, name)] = _VALUES.get(name, _json)(text)
    return fields


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _flag(text: str) -> Any:
    return {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}.get(text.lower(), text)


def _maybe(text: str) -> Any:
    return None if text in {"", "none", "null"} else _json(text) if text.isdigit() else text


def _days(text: str) -> list[str]:
    return [day for day in text.lower().split(",") if day]


def _duration(text: str) -> int:
    length = read_duration(text)
    if length is None:
        raise CommandError("invalid", f"{text!r} is no length of time; write 12 (minutes), 5:00, 1:30:00, 25m or 90s.")
    return length


_ALIAS = {"duration": "duration_ms"}
_NAMES: dict[Kind, tuple[str, ...]] = {"alarm": DEFINITION["alarm"], "timer": ("duration", *DEFINITION["timer"])}
_VALUES: dict[str, Callable[[str], Any]] = {
    "label": str,
    "sound": str,
    "time": str,
    "tz": str,
    "date": _maybe,
    "skip": _maybe,
    "days": _days,
    "enabled": _flag,
    "duration": _duration,
}


# --- plain commands ---------------------------------------------------------------------------------------------------


def find_item(text: str, records: Records) -> ItemId:
    """The one item whose identifier begins so.

    Raises:
        CommandError: `unknown_id` or `ambiguous_id`.
    """
    if text in records:
        return ItemId(text)
    found = [item for item in records if item.startswith(text)]
    match found:
        case [item]:
            return item
        case []:
            raise CommandError("unknown_id", f"No alarm or timer has an identifier that begins with {text!r}.", "id")
        case _:
            raise CommandError("ambiguous_id", f"{len(found)} identifiers begin with {text!r}; write more of it.", "id")


def _check_words(words: list[str], count: int, usage: str, *, more: bool = False) -> None:
    if len(words) < count or (len(words) > count and not more):
        raise CommandError("bad_command", f"It is `{usage}`; `help` says more.")


def _of_item(name: str, make: Callable[[ItemId], Command]) -> Callable[[list[str], Records], Command]:
    def read(words: list[str], records: Records) -> Command:
        _check_words(words, 1, f"{name} ID")
        return make(find_item(words[0], records))

    return read


def _of_any(name: str, make: Callable[[ItemId | None], Command]) -> Callable[[list[str], Records], Command]:
    def read(words: list[str], records: Records) -> Command:
        _check_words(words, 1 if words else 0, f"{name} [ID]")
        return make(find_item(words[0], records) if words else None)

    return read


def _of_nothing(name: str, command: Command) -> Callable[[list[str], Records], Command]:
    def read(words: list[str], _: Records) -> Command:
        _check_words(words, 0, name)
        return command

    return read


def _add(words: list[str], records: Records) -> Command:
    _check_words(words, 2, "add ID LENGTH")
    return AddTime(find_item(words[0], records), _duration(words[1]))


def _snooze(words: list[str], records: Records) -> Command:
    """An identifier, a length, or both; a bare number is an identifier where one begins so."""
    match words:
        case []:
            return SnoozeRing()
        case [word] if any(item.startswith(word) for item in records):
            return SnoozeRing(find_item(word, records))
        case [word]:
            return SnoozeRing(None, _duration(word))
        case [word, length]:
            return SnoozeRing(find_item(word, records), _duration(length))
        case _:
            raise CommandError("bad_command", "It is `snooze [ID] [LENGTH]`; `help` says more.")


def _here(words: list[str], records: Records) -> Command:
    if len(words) != 2 or words[1] not in {"on", "off"}:
        raise CommandError("bad_command", "It is `here ID on` or `here ID off`.")
    return RingHere(find_item(words[0], records), words[1] == "on")


def _forget(words: list[str], _: Records) -> Command:
    if len(words) != 1 or not words[0].isdecimal():
        raise CommandError("bad_command", "It is `forget N`, N as `rejections` lists it.")
    return ForgetRejection(int(words[0]))


_PLAIN: dict[str, Callable[[list[str], Records], Command]] = {
    "start": _of_item("start", StartTimer),
    "pause": _of_item("pause", PauseTimer),
    "resume": _of_item("resume", ResumeTimer),
    "reset": _of_item("reset", ResetTimer),
    "add": _add,
    "delete": _of_item("delete", DeleteItem),
    "skip": _of_item("skip", SkipNext),
    "unskip": _of_item("unskip", lambda item: SkipNext(item, undo=True)),
    "stop": _of_any("stop", StopRing),
    "snooze": _snooze,
    "quiet": _of_any("quiet", QuietHere),
    "here": _here,
    "restore": _of_item("restore", RestoreAside),
    "discard": _of_item("discard", DiscardAside),
    "forget": _forget,
    "sync": _of_nothing("sync", SyncNow()),
    "takeover": _of_nothing("takeover", TakeOver()),
    "offline": _of_nothing("offline", CutNetwork(cut=True)),
    "online": _of_nothing("online", CutNetwork(cut=False)),
}
