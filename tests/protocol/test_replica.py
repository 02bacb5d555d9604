from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import UNSET
from msgspec.structs import replace

from protocol._edits import Add, Create, Delete, Dismiss, Patch, Pause, Reset, Resume, Snooze, Start
from protocol._errors import LocalProtocolError
from protocol._facts import CursorDropped, Dialled, Edited, Entry, EventsHeard, Renamed, ResultHeard
from protocol._messages import AlarmCreated, AlarmUpdated, Result
from protocol._records import Alarm, Timer
from protocol._replica import (
    Replica,
    absorb,
    differing,
    discard_aside,
    next_at,
    next_mid,
    restore_aside,
    shown,
    view,
)
from protocol._rings import next_ring, ringing
from protocol._types import DAYS, Cursor, DeviceId, Epoch, ItemId, Mid, Rev, Stamp, Wall
from protocol._writes import PutConn, PutPlace
from protocol.zones import system_zones

from .calendars import HOUR, MINUTE
from .households import NOON, Device, Server, edit


SEVEN = NOON - 5 * HOUR


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def desk(server: Server) -> Device:
    """A device in step with a server that holds an alarm at 07:00 and a paused timer."""
    device = Device("desk", server)
    device.sync(
        edit(Create, "a1", NOON - 9 * HOUR, fields={"time": "07:00", "days": ["we"], "ring_s": 3600, "label": "Wake"}),
        edit(Create, "t1", fields={"duration_ms": 5 * MINUTE}),
        edit(Start, "t1", NOON + 1, run="r1", moment=NOON),
        edit(Pause, "t1", NOON + 2, run="r1", moment=NOON),
    )
    return device


@pytest.fixture
def phone(server: Server, desk: Device) -> Device:
    """A second device of the same user, in step."""
    return Device("phone", server)


def plus_one() -> Any:
    return edit(Add, "t1", run="r1", moment=NOON, ms=MINUTE)


def stop() -> Any:
    return edit(Dismiss, "a1", occ=SEVEN)


def label(text: str, at: int = NOON, item: str = "a1") -> Any:
    return edit(Patch, item, at, fields={"label": text})


def remaining(device: Device) -> int | None:
    timer = shown(device.replica, ItemId("t1"))
    assert isinstance(timer, Timer)
    return timer.remaining_ms


def rings(device: Device) -> bool:
    alarm = shown(device.replica, ItemId("a1"))
    return alarm is not None and ringing(alarm, Wall(SEVEN + MINUTE), system_zones) != ()


def labels(device: Device) -> dict[str, str]:
    return {item: record.label for item, record in view(device.replica).items()}


def in_step(device: Device) -> bool:
    return view(device.replica) == device.server.store.records and device.replica.entries == ()


# --- events -----------------------------------------------------------------------------------------------------------


def test_a_device_that_heard_everything_shows_what_the_server_holds(desk: Device, phone: Device) -> None:
    assert in_step(desk)
    assert in_step(phone)


def test_an_event_heard_twice_is_dropped(desk: Device, phone: Device) -> None:
    desk.sync(plus_one())
    phone.hear_events()
    before = phone.replica

    phone.absorb(phone.server.events(0))

    assert phone.replica == before
    assert remaining(phone) == 6 * MINUTE


def test_events_beyond_a_gap_are_not_applied(desk: Device, phone: Device) -> None:
    desk.sync(label("one"), label("two", NOON + 1))
    before = phone.replica

    phone.absorb(phone.server.events(phone.rev + 1))

    assert phone.replica == before


def test_events_are_dropped_without_a_cursor_and_from_another_history(desk: Device, phone: Device) -> None:
    desk.sync(label("one"))
    late = phone.server.events(phone.rev)

    fresh = Device("new", phone.server, synced=False)
    assert fresh.absorb(late) == ()
    assert phone.absorb(replace(late, cursor=Cursor(Epoch("e0"), late.cursor.rev))) == ()


def test_an_event_that_names_no_record_moves_the_cursor_only(desk: Device) -> None:
    """A hole in the numbers would stop the stream for ever; a record nobody can name cannot be shown."""
    rev, records = desk.rev, view(desk.replica)
    nameless = (
        AlarmCreated(rev=Rev(rev + 1), at=NOON, data={"time": "08:00"}),
        AlarmCreated(rev=Rev(rev + 2), at=NOON, data={"id": [], "time": "08:00"}),
        AlarmUpdated(rev=Rev(rev + 3), at=NOON, id=UNSET, changed={"label": "x"}),
        AlarmUpdated(rev=Rev(rev + 4), at=NOON, id=ItemId("nowhere"), changed={"label": "x"}),
    )

    desk.absorb(EventsHeard(nameless, Cursor(Epoch("e1"), Rev(rev + 4))))

    assert desk.rev == rev + 4
    assert view(desk.replica) == records


# --- leaving the view -------------------------------------------------------------------------------------------------


def test_an_edit_shows_at_once_and_waits(desk: Device) -> None:
    desk.do(label("Up!"))

    assert labels(desk)["a1"] == "Up!"
    assert desk.replica.server[ItemId("a1")].label == "Wake"
    assert len(desk.replica.entries) == 1


@pytest.mark.parametrize("event_first", [True, False])
def test_a_dismissal_never_undoes_itself_between_answer_and_event(desk: Device, event_first: bool) -> None:
    assert rings(desk)
    answer = desk.send(desk.do(stop()))
    assert not rings(desk)
    steps: list[Callable[[], object]] = [desk.hear_events, lambda: desk.absorb(answer)]

    for step in steps if event_first else reversed(steps):
        step()
        assert not rings(desk)
    assert in_step(desk)


@pytest.mark.parametrize("event_first", [True, False])
def test_one_minute_more_never_shows_twice(desk: Device, event_first: bool) -> None:
    answer = desk.send(desk.do(plus_one()))
    assert remaining(desk) == 6 * MINUTE
    steps: list[Callable[[], object]] = [desk.hear_events, lambda: desk.absorb(answer)]

    for step in steps if event_first else reversed(steps):
        step()
        assert remaining(desk) == 6 * MINUTE
    assert in_step(desk)


def test_a_rejected_edit_leaves_at_once(desk: Device, phone: Device) -> None:
    phone.sync(edit(Delete, "a1"))
    answer = desk.send(desk.do(label("too late")))
    assert answer.result.status == "rejected"

    desk.absorb(answer)

    assert desk.replica.entries == ()
    assert labels(desk)["a1"] == "Wake"


def test_a_merged_edit_leaves_once_the_cursor_has_what_it_was_merged_into(desk: Device, phone: Device) -> None:
    desk.server.now = Wall(NOON + HOUR)
    phone.sync(label("newer", NOON + 2))
    answer = desk.send(desk.do(label("older", NOON + 1)))
    assert answer.result.status == "merged"

    desk.absorb(answer)
    assert labels(desk)["a1"] == "older"
    assert [entry.answered for entry in desk.replica.entries] == [Cursor(Epoch("e1"), answer.result.rev)]

    desk.hear_events()
    assert labels(desk)["a1"] == "newer"
    assert in_step(desk)


def test_a_merged_edit_leaves_at_once_when_the_cursor_is_there_already(desk: Device) -> None:
    answer = desk.send(desk.do(edit(Delete, "a-never")))
    assert answer.result.status == "merged"

    desk.absorb(answer)

    assert desk.replica.entries == ()


def test_an_own_event_takes_every_entry_up_to_its_number_out_of_the_view(desk: Device) -> None:
    """The answers may be lost with the connection; what the server did in order is done, and leaves when answered."""
    answers = [desk.send(entry) for entry in (desk.do(edit(Delete, "a-never")), desk.do(plus_one()))]
    waiting = desk.do(label("later"))

    desk.hear_events()
    assert [entry.contained for entry in desk.replica.entries] == [True, True, False]
    assert remaining(desk) == 6 * MINUTE

    for answer in answers:
        desk.absorb(answer)
    assert desk.replica.entries == (waiting,)
    assert remaining(desk) == 6 * MINUTE


def test_another_devices_event_takes_out_nothing(desk: Device, phone: Device) -> None:
    entry = desk.do(plus_one())
    phone.sync(plus_one(), plus_one(), plus_one(), plus_one(), plus_one())

    desk.hear_events()

    assert desk.replica.entries == (entry,)
    assert remaining(desk) == 11 * MINUTE


def test_an_answer_to_nothing_that_waits_changes_nothing(desk: Device) -> None:
    assert desk.absorb(ResultHeard(Result(mid=Mid(1), status="applied", rev=Rev(1), dup=True), Epoch("e1"))) == ()
    assert desk.absorb(ResultHeard(Result(mid=Mid(99), status="rejected", rev=Rev(1)), Epoch("e1"))) == ()


def test_an_answer_may_come_before_the_first_snapshot(server: Server) -> None:
    device = Device("desk", server, synced=False)
    answer = device.send(device.do(edit(Create, "a1", fields={"time": "07:00"})))

    device.absorb(answer)
    assert labels(device) == {"a1": ""}

    device.absorb(server.snapshot(device.replica.device))
    assert in_step(device)


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_a_snapshot_replaces_the_records_and_never_the_outbox(desk: Device, phone: Device) -> None:
    phone.sync(edit(Delete, "a1"), edit(Create, "a2", fields={"time": "09:00", "label": "New"}))
    waiting = desk.do(label("Tea", item="t1"))

    desk.absorb(desk.server.snapshot(desk.replica.device))

    assert labels(desk) == {"a2": "New", "t1": "Tea"}
    assert desk.replica.entries == (waiting,)
    assert desk.replica.aside == {}


def test_what_a_snapshot_contains_is_not_shown_twice_and_leaves_with_its_answer(desk: Device) -> None:
    answer = desk.send(desk.do(plus_one()))
    waiting = desk.do(plus_one())
    snapshot = desk.server.snapshot(desk.replica.device)

    desk.absorb(snapshot)
    assert [(entry.mid, entry.contained) for entry in desk.replica.entries] == [(5, True), (6, False)]
    assert remaining(desk) == 7 * MINUTE
    assert shown(desk.replica, ItemId("t1")) == view(desk.replica)[ItemId("t1")]

    desk.absorb(answer)
    assert desk.replica.entries == (waiting,)
    assert remaining(desk) == 7 * MINUTE


def test_an_edit_whose_number_another_copy_used_is_shown_again_under_the_new_name(desk: Device) -> None:
    copy = Device("desk", desk.server, synced=False)
    copy.absorb(desk.server.snapshot(DeviceId("desk")))
    desk.sync(label("used", item="a1"))
    copy.do(label("mine", item="t1"))

    copy.absorb(desk.server.snapshot(DeviceId("desk")))
    assert labels(copy)["t1"] != "mine"
    copy.absorb(Renamed(DeviceId("desk-2")))

    assert labels(copy)["t1"] == "mine"
    assert [(entry.mid, entry.contained) for entry in copy.replica.entries] == [(1, False)]


def test_a_late_snapshot_does_not_turn_time_back(desk: Device) -> None:
    late = desk.server.snapshot(desk.replica.device)
    desk.sync(plus_one())

    assert desk.absorb(late) == ()
    assert remaining(desk) == 6 * MINUTE


def test_a_snapshot_writes_only_what_differs(desk: Device, phone: Device) -> None:
    phone.sync(label("Tea", item="t1"))

    writes = desk.absorb(desk.server.snapshot(desk.replica.device))

    assert [type(write).__name__ for write in writes] == ["PutRecord", "PutPlace"]


def test_without_a_cursor_the_next_snapshot_of_the_same_history_decides_what_lives(desk: Device, phone: Device) -> None:
    phone.sync(edit(Delete, "a1"))

    assert desk.absorb(CursorDropped()) == (PutPlace(Epoch("e1"), None),)
    desk.absorb(desk.server.snapshot(desk.replica.device))

    assert labels(desk).keys() == {"t1"}
    assert desk.replica.aside == {}


# --- a new history ----------------------------------------------------------------------------------------------------


def restored(device: Device, *lost: str, **last_mids: int) -> None:
    """The server comes back from a backup that lacks some records; the device hears its snapshot."""
    device.server.restore("e2", lost, last_mids)
    device.absorb(device.server.snapshot(device.replica.device, with_deleted=True))


def test_a_record_that_a_new_history_lacks_is_kept_aside_and_still_rings(desk: Device) -> None:
    restored(desk, "a1")

    assert desk.replica.aside.keys() == {"a1"}
    assert desk.replica.server.keys() == {"t1"}
    assert labels(desk).keys() == {"a1", "t1"}
    assert rings(desk)
    alarm = shown(desk.replica, ItemId("a1"))
    assert alarm is not None
    assert next_ring(alarm, Wall(NOON), system_zones) is not None


def test_a_record_deleted_before_is_not_kept_aside(desk: Device, phone: Device) -> None:
    phone.sync(edit(Delete, "a1"))
    restored(desk)

    assert desk.replica.aside == {}
    assert labels(desk).keys() == {"t1"}


def test_what_is_aside_stays_through_later_snapshots_until_a_history_deletes_it(desk: Device) -> None:
    restored(desk, "a1")
    desk.absorb(desk.server.snapshot(desk.replica.device))
    desk.server.restore("e3")
    desk.absorb(desk.server.snapshot(desk.replica.device, with_deleted=True))
    assert desk.replica.aside.keys() == {"a1"}

    desk.server.store.tombstones.add(ItemId("a1"))
    desk.server.restore("e4")
    desk.absorb(desk.server.snapshot(desk.replica.device, with_deleted=True))
    assert desk.replica.aside == {}


def test_a_restored_record_goes_back_to_the_server_as_it_was_defined(desk: Device) -> None:
    restored(desk, "a1", "t1")
    was = {item: desk.replica.aside[ItemId(item)] for item in ("a1", "t1")}

    desk.sync(*(restore_aside(desk.replica, ItemId(item), NOON + HOUR) for item in was))

    assert desk.replica.aside == {}
    assert in_step(desk)
    alarm, before = shown(desk.replica, ItemId("a1")), was["a1"]
    assert isinstance(alarm, Alarm)
    assert isinstance(before, Alarm)
    assert (alarm.time, alarm.days, alarm.label) == (before.time, before.days, before.label)


def test_a_record_restored_by_another_device_is_no_longer_aside(desk: Device, phone: Device) -> None:
    restored(desk, "a1")
    phone.absorb(phone.server.snapshot(phone.replica.device, with_deleted=True))
    phone.sync(restore_aside(phone.replica, ItemId("a1"), NOON))

    desk.hear_events()

    assert desk.replica.aside == {}
    assert in_step(desk)


def test_only_a_record_that_is_aside_can_be_restored(desk: Device) -> None:
    with pytest.raises(LocalProtocolError, match="no record a1 is aside; legal: nothing"):
        restore_aside(desk.replica, ItemId("a1"), NOON)

    restored(desk, "a1")
    with pytest.raises(LocalProtocolError, match="no record t1 is aside; legal: a1"):
        restore_aside(desk.replica, ItemId("t1"), NOON)


def test_a_record_aside_can_be_discarded(desk: Device) -> None:
    restored(desk, "a1")

    replica, writes = discard_aside(desk.replica, ItemId("a1"))
    desk.disk.apply(writes)

    assert desk.disk.load() == replica
    assert view(replica).keys() == {"t1"}
    assert discard_aside(replica, ItemId("a1")) == (replica, ())


def test_what_is_done_to_a_record_aside_stays_done_though_the_server_cannot_take_it(desk: Device) -> None:
    """It rings on this device alone; a Stop that un-does itself with the server's `gone` would ring again."""
    restored(desk, "a1")
    answer = desk.send(desk.do(stop()))
    assert answer.result.code == "gone"

    desk.absorb(answer)

    assert desk.replica.entries == ()
    assert not rings(desk)
    assert desk.replica.aside.keys() == {"a1"}


def test_a_record_aside_that_is_deleted_stays_away(desk: Device) -> None:
    restored(desk, "a1")
    answer = desk.send(desk.do(edit(Delete, "a1")))
    assert answer.result.status == "merged"

    desk.absorb(answer)

    assert desk.replica.aside == {}
    assert "a1" not in view(desk.replica)


def test_an_edit_answered_in_a_lost_history_waits_for_an_answer_again(desk: Device) -> None:
    answer = desk.send(desk.do(plus_one()))
    desk.absorb(answer)
    used = desk.replica.last_mid

    restored(desk, desk=used - 1)

    assert [(entry.mid, entry.answered, entry.contained) for entry in desk.replica.entries] == [(used, None, False)]


def test_an_answer_of_a_new_history_is_not_measured_by_the_cursor_of_the_old_one(desk: Device) -> None:
    """Revs go on across a restore, so the old cursor may be ahead of an answer whose effect it does not hold."""
    entry = desk.do(plus_one())
    desk.server.store.account = replace(desk.server.store.account, rev=Rev(1))
    desk.server.restore("e2")
    snapshot = desk.server.snapshot(desk.replica.device, with_deleted=True)
    answer = desk.send(entry)

    desk.absorb(answer)
    assert remaining(desk) == 6 * MINUTE
    desk.absorb(snapshot)
    assert remaining(desk) == 6 * MINUTE
    assert desk.replica.entries[0].answered == Cursor(Epoch("e2"), answer.result.rev)
    desk.hear_events()
    assert in_step(desk)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_numbers_go_on_after_everything_was_answered_and_after_a_restart(desk: Device) -> None:
    assert desk.replica.entries == ()
    assert next_mid(desk.replica) == 5
    assert next_mid(desk.disk.load()) == 5


def test_an_entry_out_of_turn_is_refused_and_changes_nothing(desk: Device) -> None:
    with pytest.raises(LocalProtocolError, match=r"entry 9 is out of turn; legal: 5"):
        absorb(desk.replica, Edited(Entry(Mid(9), stop())))


def test_numbers_that_an_older_copy_of_the_store_used_are_not_used_again(desk: Device) -> None:
    backup = Device("desk", desk.server, synced=False)
    assert next_mid(backup.replica) == 1

    backup.absorb(desk.server.snapshot(DeviceId("desk")))

    assert next_mid(backup.replica) == 5


def test_a_copied_store_takes_a_new_name_and_counts_its_waiting_edits_from_one(desk: Device) -> None:
    decided = desk.send(desk.do(plus_one()))
    desk.do(plus_one())
    desk.do(label("mine"))
    desk.absorb(decided)

    desk.absorb(Renamed(DeviceId("desk-2")))

    assert desk.replica.device == "desk-2"
    assert [(entry.mid, entry.answered is None) for entry in desk.replica.entries] == [(0, False), (1, True), (2, True)]
    assert next_mid(desk.replica) == 3
    assert remaining(desk) == 7 * MINUTE


@pytest.mark.parametrize("by", ["events", "snapshot"])
def test_what_was_answered_under_the_old_name_leaves_as_it_would_have(desk: Device, by: str) -> None:
    answers = [desk.send(desk.do(plus_one())), desk.send(desk.do(plus_one()))]
    desk.do(plus_one())
    for answer in answers:
        desk.absorb(answer)
    desk.absorb(Renamed(DeviceId("desk-2")))

    if by == "events":
        desk.hear_events(upto=desk.rev + 1)
        assert [entry.mid for entry in desk.replica.entries] == [0, 1]
        desk.hear_events()
    else:
        desk.absorb(desk.server.snapshot(desk.replica.device))

    assert [entry.mid for entry in desk.replica.entries] == [1]
    assert remaining(desk) == 8 * MINUTE
    desk.absorb(desk.send(desk.replica.entries[0]))
    desk.hear_events()
    assert in_step(desk)


def test_what_was_answered_under_the_old_name_never_waits_for_an_answer_that_cannot_come(desk: Device) -> None:
    answer = desk.send(desk.do(plus_one()))
    desk.do(label("mine"))
    desk.absorb(answer)
    desk.absorb(Renamed(DeviceId("desk-2")))

    restored(desk)

    assert [entry.mid for entry in desk.replica.entries] == [1]


def test_a_connection_attempt_is_counted_and_kept(desk: Device) -> None:
    assert desk.absorb(Dialled(7)) == (PutConn(7),)
    assert desk.disk.load().conn == 7


# --- the next edit ----------------------------------------------------------------------------------------------------


def test_an_edit_is_stamped_with_the_servers_time(desk: Device) -> None:
    assert next_at(desk.replica, ItemId("a1"), Wall(NOON + HOUR)) == NOON + HOUR
    assert next_at(Replica(DeviceId("new")), ItemId("a1"), NOON) == NOON


def test_an_edit_is_stamped_after_every_waiting_one_and_after_what_it_edits(desk: Device, phone: Device) -> None:
    """A slow clock must not make an edit of what is on screen lose to what was on screen."""
    phone.server.now = Wall(NOON + HOUR)
    phone.sync(label("theirs", NOON + HOUR))
    desk.hear_events()
    assert next_at(desk.replica, ItemId("a1"), NOON) == NOON + HOUR + 1

    desk.do(label("mine", NOON + 2 * HOUR, "t1"))
    assert next_at(desk.replica, ItemId("a1"), NOON) == NOON + 2 * HOUR + 1


def test_a_patch_holds_only_what_differs(desk: Device) -> None:
    alarm = desk.replica.server[ItemId("a1")]
    same = {"label": "Wake", "days": ["we"], "time": "07:00", "extra": {}}

    assert differing(alarm, same) == {}
    assert differing(alarm, same | {"label": "Up", "days": ["we", "mo"]}) == {"label": "Up", "days": ["we", "mo"]}


def test_a_patch_keeps_what_no_record_can_hold_so_that_validation_can_name_it(desk: Device) -> None:
    alarm = desk.replica.server[ItemId("a1")]

    assert differing(alarm, {"time": "25:00", "colour": "red"}) == {"time": "25:00", "colour": "red"}


def test_the_repr_says_where_it_stands_and_what_waits(desk: Device) -> None:
    desk.do(plus_one())

    assert repr(desk.replica) == "<Replica of desk at e1:4, 2 records, 1 waiting, 0 aside, next mid 6>"
    assert "without cursor" in repr(Replica(DeviceId("new")))


# --- any interleaving -------------------------------------------------------------------------------------------------


class Link:
    """What is on its way to one device: entries sent in turn, answers not heard yet; how wrong its clock is."""

    def __init__(self, device: Device, error: int) -> None:
        self.device = device
        self.error = error
        self.sent = 0
        self.answers: list[ResultHeard] = []
        self.presses = 0
        self.stopped = 0

    def unsent(self) -> list[Entry]:
        return [entry for entry in self.device.replica.entries if entry.answered is None and entry.mid > self.sent]

    def send(self) -> None:
        entry = self.unsent()[0]
        self.sent = entry.mid
        self.answers.append(self.device.send(entry))

    def reconnect(self) -> None:
        """Answers on the way are lost; sending starts again at the lowest entry without one."""
        self.sent, self.answers = 0, []


DEVICES = st.sampled_from(["desk", "phone"])


class Interleavings(RuleBasedStateMachine):
    """Two devices edit one server's records while edits, answers, events and snapshots travel as they like.

    The timer `t1` is only ever lengthened and the alarm `a1` only dismissed, so that what each device must show of them
    at any moment is known without any rule about entries; the other records see everything else.
    """

    @initialize()
    def begin(self) -> None:
        self.server = Server()
        self.links: dict[str, Link] = {}
        for name, error in (("desk", -90_000), ("phone", 90_000)):
            self.links[name] = Link(Device(name, self.server), error)
        self.links["desk"].device.sync(
            edit(Create, "a1", fields={"time": "07:00", "days": list(DAYS)}),
            edit(Create, "t1", fields={"duration_ms": MINUTE}),
            edit(Start, "t1", run="r1", moment=NOON),
            edit(Pause, "t1", NOON + 1, run="r1", moment=NOON),
            edit(Create, "a2", fields={"time": "08:00"}),
            edit(Create, "t2", fields={"duration_ms": MINUTE}),
        )
        self.links["phone"].device.hear_events()

    def do(self, name: str, kind: type[Any], item: str, **members: Any) -> None:
        self.server.now = Wall(self.server.now + 1000)
        link = self.links[name]
        now = Wall(self.server.now + link.error)
        at = next_at(link.device.replica, ItemId(item), now)
        if "moment" in kind.__struct_fields__:
            members["moment"] = now
        link.device.do(edit(kind, item, at, **members))

    @rule(name=DEVICES)
    def press_plus_one(self, name: str) -> None:
        self.do(name, Add, "t1", run="r1", ms=MINUTE)
        self.links[name].presses += 1

    @rule(name=DEVICES, days=st.integers(0, 3))
    def press_stop(self, name: str, days: int) -> None:
        occ = SEVEN - days * 24 * HOUR
        self.do(name, Dismiss, "a1", occ=occ)
        self.links[name].stopped = max(self.links[name].stopped, occ)

    @rule(name=DEVICES, item=st.sampled_from(["a2", "t2", "a3"]), text=st.sampled_from(["x", "y"]))
    def rename(self, name: str, item: str, text: str) -> None:
        self.do(name, Patch, item, fields={"label": text})

    @rule(name=DEVICES, item=st.sampled_from(["a2", "a3", "t3"]))
    def create(self, name: str, item: str) -> None:
        self.do(name, Create, item, fields={"time": "09:00", "duration_ms": MINUTE, "label": name})

    @rule(name=DEVICES, item=st.sampled_from(["a3", "t3"]))
    def delete(self, name: str, item: str) -> None:
        self.do(name, Delete, item)

    @rule(name=DEVICES, run=st.sampled_from(["r1", "r2"]), command=st.sampled_from([Start, Pause, Resume, Reset]))
    def command(self, name: str, run: str, command: type[Any]) -> None:
        self.do(name, command, "t2", run=run)

    @rule(name=DEVICES, n=st.integers(1, 3))
    def snooze(self, name: str, n: int) -> None:
        self.do(name, Snooze, "a2", occ=SEVEN + HOUR, n=n, length_ms=n * MINUTE)

    @precondition(lambda self: any(link.unsent() for link in self.links.values()))
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from([link for link in self.links.values() if link.unsent()])).send()

    @precondition(lambda self: any(link.answers for link in self.links.values()))
    @rule(data=st.data())
    def hear_answer(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from([link for link in self.links.values() if link.answers]))
        link.device.absorb(link.answers.pop(0))

    @rule(name=DEVICES, count=st.integers(1, 5), again=st.integers(0, 3))
    def hear_events(self, name: str, count: int, again: int) -> None:
        device = self.links[name].device
        device.absorb(self.server.events(max(0, device.rev - again), device.rev + count))

    @rule(name=DEVICES)
    def hear_snapshot(self, name: str) -> None:
        device = self.links[name].device
        device.absorb(self.server.snapshot(device.replica.device))

    @rule(name=DEVICES)
    def lose_the_connection(self, name: str) -> None:
        self.links[name].reconnect()

    @rule(name=DEVICES)
    def restart(self, name: str) -> None:
        self.links[name].reconnect()
        self.links[name].device.replica = self.links[name].device.disk.load()

    @invariant()
    def every_press_shows_exactly_once(self) -> None:
        for name, link in self.links.items():
            rows = [row for row in self.server.store.rows if row.op == "add" and row.rev <= link.device.rev]
            theirs = sum(row.device_id != name for row in rows)
            assert remaining(link.device) == (1 + link.presses + theirs) * MINUTE

    @invariant()
    def what_was_stopped_stays_stopped(self) -> None:
        for link in self.links.values():
            alarm = shown(link.device.replica, ItemId("a1"))
            assert isinstance(alarm, Alarm)
            assert (alarm.acked or 0) >= link.stopped

    @invariant()
    def one_record_is_shown_as_it_is_among_all(self) -> None:
        for link in self.links.values():
            everything = view(link.device.replica)
            assert all(shown(link.device.replica, item) == record for item, record in everything.items())

    def teardown(self) -> None:
        """Once the network is quiet, every device shows what the server holds, and nothing waits."""
        for link in self.links.values():
            link.reconnect()
            while link.unsent():
                link.send()
            for answer in link.answers:
                link.device.absorb(answer)
        for link in self.links.values():
            link.device.hear_events()
            assert in_step(link.device)


Interleavings.TestCase.settings = settings(stateful_step_count=40, deadline=None)
TestAnyInterleaving = Interleavings.TestCase


def test_a_replica_is_told_apart_by_every_field() -> None:
    """Equality is what the crash property rests on."""
    plain = Replica(DeviceId("desk"))

    assert plain == Replica(DeviceId("desk"))
    for other in (
        replace(plain, device=DeviceId("phone")),
        replace(plain, epoch=Epoch("e1")),
        replace(plain, cursor=Cursor(Epoch("e1"), Rev(0))),
        replace(plain, server={ItemId("a1"): Alarm(id=ItemId("a1"), time="07:00")}),
        replace(plain, aside={ItemId("a1"): Alarm(id=ItemId("a1"), time="07:00", stamps={"time": Stamp(1, "", 0)})}),
        replace(plain, entries=(Entry(Mid(1), stop()),)),
        replace(plain, last_mid=Mid(1)),
        replace(plain, conn=1),
    ):
        assert plain != other
