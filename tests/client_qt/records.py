"""Records for tests, as they are after a while on a server."""

from typing import Any

from protocol import Alarm, ItemId, RunId, Stamp, Timer, Wall


OLD = Stamp(1, "elsewhere", 1)


def alarm(item: str = "wake", time: str = "07:00", **fields: Any) -> Alarm:
    """A daily alarm, unless `days` or `date` say otherwise."""
    if "date" not in fields:
        fields.setdefault("days", ("mo", "tu", "we", "th", "fr", "sa", "su"))
    stamps = dict.fromkeys(("time", "days", "date", "tz", "enabled"), OLD)
    return Alarm(id=ItemId(item), time=time, **{"stamps": stamps, **fields})


def running(item: str = "tea", *, ends_at: int, run: str = "r1", **fields: Any) -> Timer:
    """A running timer."""
    return Timer(
        id=ItemId(item), duration_ms=60_000, phase="running", run=RunId(run), started_at=Wall(ends_at - 60_000),
        ends_at=Wall(ends_at), **fields,
    )  # fmt: skip
