"""Timer commands: one pure function each, on the run they name (docs/protocol.md#timer-commands).

A run is named by the device that starts it: were runs counted, two devices that start offline would share a number,
and a late stop of one would end the other's.
"""

from typing import assert_never

from msgspec.structs import replace

from ._edits import Add, Pause, Reset, Resume, Start
from ._records import Timer
from ._types import NEVER, Stamp, Wall


Command = Start | Pause | Resume | Add | Reset


def command(timer: Timer, edit: Command, stamp: Stamp) -> Timer:
    """The timer after a command; the same object where the command does not act. Total."""
    if isinstance(edit, Start):
        return _start(timer, edit, stamp)
    if edit.run != timer.run:
        return timer
    if isinstance(edit, Add):
        return _add(timer, edit)
    if stamp <= timer.stamps.get("phase", NEVER):
        return timer
    stamps = timer.stamps | {"phase": stamp}
    match edit:
        case Pause():
            return _pause(timer, edit.moment, stamps)
        case Resume():
            return _resume(timer, edit.moment, stamps)
        case Reset():
            return _reset(timer, stamps)
        case _:
            assert_never(edit)


def _start(timer: Timer, edit: Start, stamp: Stamp) -> Timer:
    if stamp <= timer.stamps.get("run", NEVER):
        return timer
    return replace(
        timer,
        phase="running",
        run=edit.run,
        started_at=edit.moment,
        ends_at=Wall(edit.moment + timer.duration_ms),
        remaining_ms=None,
        acked=None,
        snooze=None,
        stamps=timer.stamps | {"run": stamp, "phase": stamp},
    )


def _pause(timer: Timer, moment: Wall, stamps: dict[str, Stamp]) -> Timer:
    if timer.phase != "running" or timer.ends_at is None:
        return timer
    remaining = max(0, timer.ends_at - moment)
    return replace(timer, phase="paused", started_at=None, ends_at=None, remaining_ms=remaining, stamps=stamps)


def _resume(timer: Timer, moment: Wall, stamps: dict[str, Stamp]) -> Timer:
    if timer.phase != "paused" or timer.remaining_ms is None:
        return timer
    return replace(
        timer,
        phase="running",
        started_at=moment,
        ends_at=Wall(moment + timer.remaining_ms),
        remaining_ms=None,
        acked=None,
        snooze=None,
        stamps=stamps,
    )


def _reset(timer: Timer, stamps: dict[str, Stamp]) -> Timer:
    if timer.phase == "idle":
        return timer
    return replace(
        timer,
        phase="idle",
        started_at=None,
        ends_at=None,
        remaining_ms=None,
        acked=None,
        snooze=None,
        stamps=stamps,
    )


def _add(timer: Timer, edit: Add) -> Timer:
    match timer:
        case Timer(phase="running", ends_at=int(ends_at)):
            longer = replace(timer, ends_at=Wall(max(ends_at, edit.moment) + edit.ms), acked=None, snooze=None)
        case Timer(phase="paused", remaining_ms=int(remaining)):
            longer = replace(timer, remaining_ms=remaining + edit.ms, acked=None, snooze=None)
        case _:
            return timer
    return timer if longer == timer else longer
