"""What people do, carried out on a device in the state it is met in; what that state does not allow has no effect."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from client_qt.commands import (
    AddTime,
    Command,
    CreateItem,
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
from protocol import DAYS, Alarm, Record, Timer

from .performing import Performer, awake, chosen, number
from .plan import Act


if TYPE_CHECKING:
    from .device import SimDevice
    from .player import Sim


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEKS: dict[str, tuple[str, ...]] = {"daily": DAYS, "weekdays": DAYS[:5], "weekends": DAYS[5:], "once": ()}


# --- whom and what an act concerns ------------------------------------------------------------------------------------


def _on_one(fits: Callable[[Record], bool], command: Callable[[Record, Act], Command]) -> Performer:
    """A command for one of the records that it fits."""

    def act_on(_: "Sim", device: "SimDevice", act: Act) -> bool:
        records = device.copy.records
        item = chosen([item for item, record in records.items() if fits(record)], act)
        return item is not None and device.command(command(records[item], act))

    return awake(act_on)


def _each(device: "SimDevice", commands: Sequence[Command]) -> bool:
    """All of them, in one moment; True where any could be done."""
    return sum(device.command(command) for command in commands) > 0


def _is_any(_: Record) -> bool:
    return True


def _is_alarm(record: Record) -> bool:
    return isinstance(record, Alarm)


def _is_timer(record: Record) -> bool:
    return isinstance(record, Timer)


def _is_skipping(record: Record) -> bool:
    return isinstance(record, Alarm) and record.skip is not None


def _is_in(*phases: str) -> Callable[[Record], bool]:
    return lambda record: isinstance(record, Timer) and record.phase in phases


# --- alarms and timers come and go ------------------------------------------------------------------------------------


def _create_alarm(sim: "Sim", device: "SimDevice", act: Act) -> bool:
    tz = str(act.args.get("tz", "UTC"))
    due = _due(sim, device, act, tz)
    time = str(act.args.get("time", f"{due:%H:%M}"))
    fields: dict[str, Any] = {"time": time, "tz": tz, "days": _days(act, due), **_lengths(act)}
    return device.command(CreateItem("alarm", fields))


def _create_timer(_: "Sim", device: "SimDevice", act: Act) -> bool:
    before = device.copy.records.keys()
    created = device.command(CreateItem("timer", {"duration_ms": _ms(act, "duration_s", 60), **_lengths(act)}))
    if created and number(act, "start"):
        for item in device.copy.records.keys() - before:
            device.command(StartTimer(item))
    return created


def _due(sim: "Sim", device: "SimDevice", act: Act, tz: str) -> datetime:
    """So many seconds from what the device takes for now, on the next full minute of a zone's clocks."""
    zone: tzinfo = sim.zones(tz) or UTC
    true_ms = device.time.server_now() + _ms(act, "in_s", 60)
    return (EPOCH + timedelta(minutes=-(-true_ms // 60_000))).astimezone(zone)


def _days(act: Act, due: datetime) -> list[str]:
    days = str(act.args.get("days", "daily"))
    return [DAYS[due.weekday()]] if days == "today" else list(WEEKS[days])


def _lengths(act: Act) -> Mapping[str, int]:
    return {name: number(act, name) for name in ("ring_s", "snooze_s", "auto_snooze") if name in act.args}


def _ms(act: Act, name: str, default: int) -> int:
    return 1_000 * number(act, name, default)


def _tidy(_: "Sim", device: "SimDevice", act: Act) -> bool:
    """Throw away what is too much, oldest names first."""
    items = sorted(device.copy.records)
    gone = items[: max(0, len(items) - number(act, "keep"))]
    return _each(device, [DeleteItem(item) for item in gone])


# --- changes ----------------------------------------------------------------------------------------------------------


def _move(sim: "Sim", device: "SimDevice", act: Act) -> bool:
    alarms = {item: record for item, record in device.copy.records.items() if isinstance(record, Alarm)}
    item = chosen(alarms, act)
    if item is None:
        return False
    due = _due(sim, device, act, alarms[item].tz)
    return device.command(EditItem(item, {"time": f"{due:%H:%M}"}))


def _week(sim: "Sim", device: "SimDevice", act: Act) -> bool:
    alarms = {item: record for item, record in device.copy.records.items() if isinstance(record, Alarm)}
    item = chosen(alarms, act)
    return item is not None and device.command(
        EditItem(item, {"days": _days(act, _due(sim, device, act, alarms[item].tz))})
    )


def _toggled(record: Record, _: Act) -> Command:
    assert isinstance(record, Alarm)
    return EditItem(record.id, {"enabled": not record.enabled})


def _travel(_: "Sim", device: "SimDevice", act: Act) -> bool:
    """A device has no zone of its own: who travels tells every alarm."""
    alarms = [item for item, record in sorted(device.copy.records.items()) if isinstance(record, Alarm)]
    return _each(device, [EditItem(item, {"tz": str(act.args.get("tz", "UTC"))}) for item in alarms])


def _burst(_: "Sim", device: "SimDevice", act: Act) -> bool:
    """So many changes in one moment."""
    items = sorted(device.copy.records)
    count = number(act, "count") if items else 0
    return _each(device, [EditItem(items[n % len(items)], {"label": f"burst {act.at} {n}"}) for n in range(count)])


# --- what rings -------------------------------------------------------------------------------------------------------


def _stop(_: "Sim", device: "SimDevice", act: Act) -> bool:
    if "item" not in act.args:
        return device.command(StopRing())
    item = chosen(device.ringer.items() or device.copy.records.keys(), act)
    return item is not None and device.command(StopRing(item))


def _stop_everywhere(sim: "Sim", act: Act) -> bool:
    """The same button on every device of a user, in one moment."""
    ringing = [
        device for device in sim.devices.values() if device.user == act.who and device.awake and device.ringer.items()
    ]
    return sum(device.command(StopRing()) for device in ringing) > 0


def _snooze(_: "Sim", device: "SimDevice", act: Act) -> bool:
    return device.command(SnoozeRing(length_ms=_ms(act, "length_s", 0) or None))


def _mute(_: "Sim", device: "SimDevice", act: Act) -> bool:
    item = chosen(device.copy.records.keys() - device.copy.muted, act)
    return item is not None and device.command(RingHere(item, rings=False))


def _unmute(_: "Sim", device: "SimDevice", act: Act) -> bool:
    item = chosen(device.copy.records.keys() & device.copy.muted, act)
    return item is not None and device.command(RingHere(item, rings=True))


# --- the device -------------------------------------------------------------------------------------------------------


def _restore_aside(_: "Sim", device: "SimDevice", act: Act) -> bool:
    item = chosen(device.replica.aside.keys(), act)
    return item is not None and device.command(RestoreAside(item))


def _discard_aside(_: "Sim", device: "SimDevice", act: Act) -> bool:
    item = chosen(device.replica.aside.keys(), act)
    return item is not None and device.command(DiscardAside(item))


def _forget_rejections(_: "Sim", device: "SimDevice", act: Act) -> bool:
    return _each(device, [ForgetRejection(rejection.number) for rejection in device.copy.rejections])


def _press(command: Command) -> Performer:
    return awake(lambda _, device, __: device.command(command))


def _take_over(_: "Sim", device: "SimDevice", act: Act) -> bool:
    """The button is there while another connection of this device has won."""
    return "TakeOver" in device.client.accepts and device.command(TakeOver())


USER_ACTS: dict[str, Performer] = {
    "create_alarm": awake(_create_alarm),
    "create_timer": awake(_create_timer),
    "delete": _on_one(_is_any, lambda record, _: DeleteItem(record.id)),
    "tidy": awake(_tidy),
    "label": _on_one(_is_any, lambda record, act: EditItem(record.id, {"label": f"{act.who} {number(act, 'number')}"})),
    "extra": _on_one(_is_any, lambda record, act: EditItem(record.id, {"extra": {"n": number(act, "number")}})),
    "tune": _on_one(_is_any, lambda record, act: EditItem(record.id, dict(_lengths(act)))),
    "move": awake(_move),
    "days": awake(_week),
    "toggle": _on_one(_is_alarm, _toggled),
    "travel": awake(_travel),
    "duration": _on_one(
        _is_timer, lambda record, act: EditItem(record.id, {"duration_ms": _ms(act, "duration_s", 60)})
    ),
    "burst": awake(_burst),
    "skip": _on_one(_is_alarm, lambda record, _: SkipNext(record.id)),
    "unskip": _on_one(_is_skipping, lambda record, _: SkipNext(record.id, undo=True)),
    "start": _on_one(_is_timer, lambda record, _: StartTimer(record.id)),
    "pause": _on_one(_is_in("running"), lambda record, _: PauseTimer(record.id)),
    "go_on": _on_one(_is_in("paused"), lambda record, _: ResumeTimer(record.id)),
    "add": _on_one(_is_in("running", "paused"), lambda record, act: AddTime(record.id, _ms(act, "seconds", 60))),
    "reset": _on_one(_is_in("running", "paused"), lambda record, _: ResetTimer(record.id)),
    "stop": awake(_stop),
    "stop_everywhere": _stop_everywhere,
    "snooze": awake(_snooze),
    "quiet": _press(QuietHere()),
    "mute": awake(_mute),
    "unmute": awake(_unmute),
    "restore_aside": awake(_restore_aside),
    "discard_aside": awake(_discard_aside),
    "forget_rejections": awake(_forget_rejections),
    "sync_now": _press(SyncNow()),
    "take_over": awake(_take_over),
}
