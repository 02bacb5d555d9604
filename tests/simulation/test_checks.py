"""Each check of log, copies and peace is shown once to fail: a watch that never barks is none."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from client_qt.commands import AddTime, CreateItem, DeleteItem, SnoozeRing, StopRing
from protocol import (
    Alarm,
    Cursor,
    Delete,
    DeviceId,
    Dismiss,
    Entry,
    Epoch,
    ItemId,
    Mid,
    Patch,
    Rev,
    RunId,
    Start,
    Wall,
    client,
)
from protocol._facts import EventsHeard, SnapshotHeard

from .checks_records import Decided
from .scene import Scene, broken, stores_of


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- nothing is wrong where nothing is ----------------------------------------------------------------------------------


def test_a_busy_world_without_faults_breaks_nothing(scene: Scene) -> None:
    item, tea = scene.alarm(ring_s=120, snooze_s=60), scene.timer()
    scene.run(110)
    assert scene.other.ringer.book.sounding
    assert scene.other.command(SnoozeRing(item))
    assert scene.one.command(AddTime(tea, 60_000))
    scene.run(100)
    assert scene.one.command(StopRing())
    scene.one.command(DeleteItem(item))
    scene.run(400)
    scene.checks.at_peace()


def test_a_world_full_of_crashes_breaks_nothing(scene: Scene) -> None:
    item = scene.alarm(ring_s=300)
    scene.run(110)
    for device in (scene.one, scene.other):
        device.crash()
        device.boot()
    scene.run(10)
    assert scene.other.command(StopRing())
    scene.run(1)
    scene.one.crash()
    scene.one.boot()
    scene.run(400)
    assert not scene.one.ringer.book.sounding
    assert isinstance(scene.one.copy.records[item], Alarm)
    scene.checks.at_peace()


# --- 1, liveness: peace -------------------------------------------------------------------------------------------------


def test_a_device_that_shows_something_else_than_the_server_is_seen(scene: Scene) -> None:
    item = scene.alarm()
    scene.store.records[item] = replace(scene.store.records[item], label="else")
    with broken("invariant-1", item, "else"):
        scene.checks.at_peace()


def test_an_outbox_that_does_not_drain_is_seen(scene: Scene) -> None:
    scene.one.cut()
    scene.one.command(CreateItem("timer", {"duration_ms": 1_000}))
    scene.run(600)
    with broken("liveness", "outbox"):
        scene.checks._settled(scene.checks._watched["u0d0"])


def test_a_cursor_behind_the_head_is_seen(scene: Scene) -> None:
    scene.other.cut()
    scene.alarm()
    with broken("liveness", "cursor"):
        scene.checks.at_peace()


# --- 2: copies ----------------------------------------------------------------------------------------------------------


def absorbing(scene: Scene, change: Callable[[Any], Any], *outputs: Any) -> None:
    scene.one.copy.replica = change(scene.one.copy.replica)
    scene.step(*outputs)


def test_a_cursor_that_goes_back_is_seen(scene: Scene) -> None:
    scene.alarm()
    with broken("invariant-2", "never goes back"):
        absorbing(scene, lambda replica: replace(replica, cursor=Cursor(replica.cursor.epoch, Rev(0))))


def test_events_with_a_hole_are_seen(scene: Scene) -> None:
    scene.alarm()
    heard = [store.fact.events[0] for store in stores_of(scene, scene.alarm)]
    cursor = scene.one.replica.cursor
    assert cursor is not None
    holed = EventsHeard((replace(heard[0], rev=Rev(cursor.rev + 2)),), Cursor(cursor.epoch, Rev(cursor.rev + 2)))
    with broken("invariant-2", f"event {cursor.rev + 1} next"):
        absorbing(scene, lambda replica: replace(replica, conn=9), client.Store(9, holed))


def test_a_disk_that_holds_what_memory_never_held_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.one.disk.records.clear()
    with broken("invariant-2", "disk holds what memory held"):
        scene.alarm()


def test_a_disk_whose_cursor_goes_back_is_seen(scene: Scene) -> None:
    scene.alarm()
    assert scene.one.disk.cursor is not None
    scene.one.disk.cursor = replace(scene.one.disk.cursor, rev=Rev(0))
    with broken("invariant-2", "disk's cursor never goes back"):
        scene.one.written(scene.one)


# --- 3, 4: edits and answers --------------------------------------------------------------------------------------------


def test_an_edit_that_takes_effect_twice_is_seen(scene: Scene) -> None:
    item = scene.timer()
    scene.one.command(AddTime(item, 1_000))
    scene.run(1)
    row, kept = scene.store.rows[-1], scene.store.answers[next(reversed(scene.store.answers))]
    again = DeviceId("renamed"), Mid(1)
    scene.store.rows.append(replace(row, rev=Rev(row.rev + 1), device_id=again[0], mid=again[1]))
    scene.store.account = replace(scene.store.account, rev=Rev(row.rev + 1))
    scene.store.answers[again] = replace(kept, result=replace(kept.result, rev=Rev(row.rev + 1)))
    with broken("invariant-3", "at most once", "renamed:1"):
        scene.step()


def test_an_edit_that_is_lost_is_seen(scene: Scene) -> None:
    scene.one.cut()
    scene.one.command(CreateItem("timer", {"duration_ms": 1_000}))
    scene.run(1)
    scene.one.copy.replica = replace(scene.one.copy.replica, entries=())
    scene.one.disk.entries.clear()
    with broken("invariant-3", "create", "was lost"):
        scene.checks._logs[scene.one.user].at_peace()


def test_an_edit_whose_power_went_before_it_was_on_disk_may_be_lost(scene: Scene) -> None:
    scene.one.command(CreateItem("timer", {"duration_ms": 1_000}))
    scene.one._writer.is_busy = False  # the disk had not begun
    scene.one.crash()
    scene.one.boot()
    scene.run(60)
    assert not scene.store.records
    scene.checks.at_peace()


def test_an_edit_that_nobody_made_is_seen(scene: Scene) -> None:
    scene.alarm()
    key, kept = next(reversed(scene.store.answers.items()))
    scene.store.answers[key[0], Mid(key[1] + 1)] = replace(
        kept, fingerprint="?", result=replace(kept.result, status="merged")
    )
    with broken("invariant-3", "nobody's edit"):
        scene.step()


def test_numbers_that_are_consumed_out_of_order_are_seen(scene: Scene) -> None:
    scene.alarm()
    key, kept = next(reversed(scene.store.answers.items()))
    scene.store.answers[key[0], Mid(key[1] + 2)] = kept
    with broken("invariant-3", "in the order of its numbers"):
        scene.step()


def test_an_applied_answer_without_its_row_is_seen(scene: Scene) -> None:
    scene.alarm()
    result = scene.store.answers[next(reversed(scene.store.answers))].result
    scene.store.rows[-1] = replace(scene.store.rows[-1], mid=Mid(99))
    with broken("invariant-4", "since it was told so"):
        scene.step(client.Answered(result))


# --- 6: monotone --------------------------------------------------------------------------------------------------------


def grow(scene: Scene, **changes: Any) -> None:
    """A row by nobody, as a server must never write it."""
    row, store = scene.store.rows[-1], scene.store
    fresh = replace(row, rev=Rev(row.rev + 1), device_id=DeviceId(""), mid=Mid(0), **changes)
    store.rows.append(fresh)
    store.account = replace(store.account, rev=fresh.rev)
    scene.step()


def test_a_head_that_falls_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.store.account = replace(scene.store.account, rev=Rev(0))
    with broken("invariant-6", "never fall"):
        scene.step()


def test_a_log_with_a_hole_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.store.account = replace(scene.store.account, rev=Rev(scene.store.account.rev + 1))
    with broken("invariant-6", "without a hole"):
        scene.step()


def test_a_deleted_item_that_returns_to_the_log_is_seen(scene: Scene) -> None:
    item = scene.alarm()
    scene.one.command(DeleteItem(item))
    scene.run(1)
    with broken("invariant-6", "once deleted"):
        grow(scene, op="create")


def test_a_dismissal_that_the_log_takes_back_is_seen(scene: Scene) -> None:
    scene.alarm()
    grow(scene, op="dismiss", changed={"acked": 2_000})
    with broken("invariant-6", "`acked`"):
        grow(scene, op="dismiss", changed={"acked": 1_000})


def test_a_deleted_item_that_returns_to_a_device_is_seen(scene: Scene) -> None:
    item = scene.alarm()
    server_side = scene.one.replica.server
    scene.one.command(DeleteItem(item))
    scene.run(1)
    with broken("invariant-6", "stay away"):
        absorbing(scene, lambda replica: replace(replica, server=server_side))


def test_a_dismissal_that_a_device_takes_back_is_seen(scene: Scene) -> None:
    item = scene.alarm()
    record = scene.one.copy.records[item]
    assert isinstance(record, Alarm)
    scene.one.copy.records = {item: replace(record, acked=2_000)}
    absorbing(scene, lambda replica: replace(replica, conn=8))
    scene.one.copy.records = {item: replace(record, acked=None)}
    with broken("invariant-6", "stays dismissed"):
        absorbing(scene, lambda replica: replace(replica, conn=9))


def test_an_item_of_another_user_is_seen(scene: Scene) -> None:
    (store,) = stores_of(scene, scene.alarm)
    stranger = scene.sim.devices["u1d0"]
    stranger.copy.replica = replace(stranger.copy.replica, conn=9)
    with broken("isolation", "u0d0-1"):
        scene.step(store, who="u1d0")


# --- copies and records, closer ---------------------------------------------------------------------------------------


def test_an_edit_that_shows_on_top_of_itself_is_seen(scene: Scene) -> None:
    (store,) = stores_of(scene, scene.alarm)
    cursor = scene.one.replica.cursor
    assert cursor is not None
    mine = replace(store.fact.events[0], rev=Rev(cursor.rev + 1))
    entry = Entry(mine.origin.mid, Delete(kind="alarm", id=ItemId("x"), at=1))
    heard = EventsHeard((mine,), Cursor(cursor.epoch, mine.rev))
    with broken("outbox-leave", "show once"):
        absorbing(scene, lambda r: replace(r, cursor=heard.cursor, entries=(entry,)), client.Store(9, heard))


def test_a_record_that_vanishes_with_a_new_epoch_is_seen(scene: Scene) -> None:
    item = scene.alarm()
    heard = SnapshotHeard(Epoch("e9"), Rev(0), Mid(0), ())
    with broken("resume-kept-aside", item):
        absorbing(
            scene,
            lambda r: replace(r, epoch=Epoch("e9"), cursor=Cursor(Epoch("e9"), Rev(0)), server={}),
            client.Store(9, heard),
        )


def test_an_older_stamp_that_wins_is_seen(scene: Scene) -> None:
    item = scene.alarm()
    record = scene.store.records[item]
    older = replace(record.stamps["label"], at=1)
    scene.store.records[item] = replace(record, stamps={**record.stamps, "label": older})
    with broken("stamp-field-wins", "label"):
        grow(scene, op="patch", changed={"label": "x"})


def test_a_newer_edit_that_loses_is_seen(scene: Scene) -> None:
    item = scene.alarm()
    before = scene.store.records[item]
    edit = Patch(kind="alarm", id=item, at=scene.sim.world.wall - 1, fields={"label": "x"})
    decided = Decided(DeviceId("u0d0"), Mid(2), edit, None)
    with broken("stamp-field-wins", "the greater one wins label"):
        scene.checks._logs[scene.one.user]._records.after(scene.store, (), (decided,))
    assert scene.store.records[item] is before


def test_a_late_stop_of_a_longer_run_is_seen(scene: Scene) -> None:
    item = scene.timer()
    record = scene.store.records[item]
    edit = Dismiss(kind="timer", id=item, at=1, run=record.run, due=record.ends_at - 5_001)
    decided = Decided(DeviceId("u0d0"), Mid(9), edit, scene.store.rows[-1])
    with broken("ring-timer-due", "spares"):
        scene.checks._logs[scene.one.user]._records.after(scene.store, (), (decided,))


def test_two_runs_of_one_name_are_seen(scene: Scene) -> None:
    fates = scene.checks._logs[scene.one.user].fates
    starts = [Entry(Mid(n), Start(kind="timer", id=ItemId("t"), at=n, run=RunId("r"), moment=Wall(n))) for n in (1, 2)]
    fates.accepted("u0d0", DeviceId("u0d0"), starts[0], 1, 0.0)
    with broken("terms-run", "r was used before"):
        fates.accepted("u0d1", DeviceId("u0d1"), starts[1], 1, 0.0)
