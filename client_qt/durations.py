"""Lengths of time as people write them, and as they like to read them."""

import re


_UNITS_MS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PARTS = re.compile(r"(\d+)(ms|h|m|s)")
_UNITS = re.compile(r"(?:\d+(?:ms|h|m|s))+")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2})")


def read_duration(text: str) -> int | None:
    """A length in ms; None where the text is none.

    `12` is minutes; `5:00` minutes and seconds; `1:30:00` hours, minutes and seconds; else numbers with `h`, `m`, `s`
    or `ms`: `25m`, `90s`, `1h30m`.
    """
    word = text.strip().lower()
    if not word.isascii() or len(word) > 20:
        return None
    if word.isdigit():
        return int(word) * _UNITS_MS["m"]
    if clock := _CLOCK.fullmatch(word):
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return (hours * 3_600 + minutes * 60 + seconds) * 1_000
    if _UNITS.fullmatch(word):
        return sum(int(number) * _UNITS_MS[unit] for number, unit in _PARTS.findall(word))
    return None


def say_duration(ms: int) -> str:
    """As a clock would show it: `0:05`, `25:00`, `1:30:00`."""
    seconds = -(-max(ms, 0) // 1_000)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
