"""What is kept in step: alarms and timers, with the two registers that only grow (`acked`, `snooze`).

Whether something rings is never stored: see `_rings`.
"""

from typing import Any

from msgspec import Struct, field

from ._types import Day, ItemId, Kind, Origin, Phase, Rev, RunId, Stamp, Wall


class Snoozed(Struct, frozen=True):
    """A postponed ring.

    Attributes:
        occ: the occurrence postponed (alarm: its due instant in ms; timer: its run).
        n: how often it was postponed, 1 the first time.
        until: when it rings again, ms of the server's clock.
    """

    occ: int | str
    n: int
    until: Wall


class Alarm(Struct, frozen=True, kw_only=True, tag="alarm", tag_field="kind", repr_omit_defaults=True):
    """A time of day that rings once or on weekdays, in its own zone (docs/protocol.md#alarm-fields).

    Attributes:
        time: `HH:MM` on the clocks of `tz`.
        days: weekdays in week order; empty means once, on `date`.
        date: `YYYY-MM-DD`, for a once alarm.
        ring_s, snooze_s: lengths in seconds; `snooze_s` 0 means no snooze.
        auto_snooze: how often an unanswered ring repeats by itself.
        skip: due instant of the one occurrence to leave out.
        extra: the client's own object, replaced whole.
        acked: due instant of the greatest occurrence dismissed.
        rev, created_at, updated_at, updated_by: set by the server outside `apply`.
        stamps: field name to the stamp of its last winner; never sent in events.
    """

    id: ItemId
    label: str = ""
    enabled: bool = True
    time: str
    days: tuple[Day, ...] = ()
    date: str | None = None
    tz: str = "UTC"
    sound: str = "default"
    ring_s: int = 600
    snooze_s: int = 540
    auto_snooze: int = 0
    skip: int | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    acked: int | None = None
    snooze: Snoozed | None = None
    rev: Rev = Rev(0)
    created_at: str = ""
    updated_at: str = ""
    updated_by: Origin | None = None
    stamps: dict[str, Stamp] = field(default_factory=dict[str, Stamp])

    @property
    def kind(self) -> Kind:
        """The tag as a field."""
        return "alarm"


class Timer(Struct, frozen=True, kw_only=True, tag="timer", tag_field="kind", repr_omit_defaults=True):
    """A countdown shared by every device (docs/protocol.md#timer-fields). Only transitions travel, no ticks.

    Attributes:
        duration_ms: length of the next run.
        phase: idle, running or paused; fields that are not of the phase are None.
        run: identifier of the current or last run.
        started_at, ends_at: ms of the server's clock, while running.
        remaining_ms: while paused.
        acked: the run dismissed.
    """

    id: ItemId
    label: str = ""
    duration_ms: int
    phase: Phase = "idle"
    run: RunId | None = None
    started_at: Wall | None = None
    ends_at: Wall | None = None
    remaining_ms: int | None = None
    sound: str = "default"
    ring_s: int = 600
    snooze_s: int = 540
    auto_snooze: int = 0
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    acked: RunId | None = None
    snooze: Snoozed | None = None
    rev: Rev = Rev(0)
    created_at: str = ""
    updated_at: str = ""
    updated_by: Origin | None = None
    stamps: dict[str, Stamp] = field(default_factory=dict[str, Stamp])

    @property
    def kind(self) -> Kind:
        """The tag as a field."""
        return "timer"


Record = Alarm | Timer

ALARM_DEFINITION = (
    "label", "enabled", "time", "days", "date", "tz", "sound", "ring_s", "snooze_s", "auto_snooze", "skip", "extra",
)  # fmt: skip
TIMER_DEFINITION = ("label", "duration_ms", "sound", "ring_s", "snooze_s", "auto_snooze", "extra")
DEFINITION: dict[Kind, tuple[str, ...]] = {"alarm": ALARM_DEFINITION, "timer": TIMER_DEFINITION}
"""The fields a create or patch may set, by kind; each carries a stamp."""

TRANSITION = ("run", "phase")
"""Timer fields stamped by start (both) and by every later transition (`phase`)."""

ARMING = ("time", "days", "date", "tz", "enabled")
"""Alarm fields whose newest stamp arms it: no occurrence due before exists (docs/protocol.md#ring-armed)."""
