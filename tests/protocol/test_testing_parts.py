"""The parts that worlds are built of: a store, a disk, a device's clocks, dice."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol._commit import commit_plain
from protocol._edits import Create, Delete, Edit, Patch
from protocol._facts import Dialled, Fact, Renamed
from protocol._log import Found, Outcome
from protocol._roster import DeviceRow
from protocol._settings import Limits
from protocol._submission import read, write
from protocol._types import Cursor, DeviceId, Epoch, ItemId, Mid, Rev, Wall
from protocol._writes import Write
from protocol.testing import DeviceClock, Dice, Disk, MemoryStore
from protocol.zones import system_zones

from .calendars import ms
from .households import Device, Server, edit


NOON = ms("2026-01-07T12:00")
E1, BELL = Epoch("e1"), ItemId("a1")
DESK, LAPTOP, PHONE = DeviceId("desk"), DeviceId("laptop"), DeviceId("phone")


# --- the store: all of its contract is tests/server_trio/test_store.py ------------------------------------------------


@pytest.fixture
def store() -> MemoryStore:
    """Room for two devices, and for three answers of each."""
    return MemoryStore(system_zones, Limits(devices=2, results=3))


def alarm(item: str = "a1") -> Edit:
    made: Edit = edit(Create, item, fields={"time": "07:00"})
    return made


def send(store: MemoryStore, device: DeviceId, mid: int, what: Edit, now: Wall = NOON) -> Outcome:
    return store.commit(device, read(write(store.account.epoch, Mid(mid), what)), now)


def plainly(store: MemoryStore, what: Any, now: Wall = NOON) -> Outcome:
    """A change that no device made."""

    def decide(found: Found) -> Outcome:
        return commit_plain(found, lambda at: replace(what, at=at), now, store.zones, store.limits)

    return store.take(decide, now, what.id)


def held(store: MemoryStore) -> tuple[object, ...]:
    """Everything that is kept."""
    twin = store.copy()
    return (
        twin.account,
        *(twin.rows, twin.records, twin.tombstones),
        *(twin.last_mids, twin.answers, twin.devices, twin.conns),
    )


def test_every_kind_of_decision_goes_through_one_door(store: MemoryStore) -> None:
    assert plainly(store, alarm()).change == store.rows[0]
    assert send(store, DESK, 1, edit(Delete, "a1")).change == store.rows[1]
    assert (store.account.rev, store.records, store.tombstones) == (2, {}, {"a1"})
    assert list(store.last_mids) == [DESK], "what no device asked for is numbered by none"


def test_a_decision_that_raises_has_changed_nothing(store: MemoryStore) -> None:
    send(store, DESK, 1, alarm())
    before = held(store)

    def broken(_: Found) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.take(broken, NOON, BELL, DESK, Mid(2))
    assert held(store) == before


def test_a_number_that_no_database_holds_is_not_kept(store: MemoryStore) -> None:
    def huge(found: Found) -> Outcome:
        outcome = commit_plain(found, lambda at: replace(alarm(), at=at), NOON, store.zones, store.limits)
        return replace(outcome, account=replace(outcome.account, newest_at=2**63))

    before = held(store)
    with pytest.raises(OverflowError, match="newest_at 9223372036854775808"):
        store.take(huge, NOON, BELL)
    assert held(store) == before


def test_a_commit_is_a_sign_of_life_and_a_repeat_is_none(store: MemoryStore) -> None:
    for mid, now, seen in [(1, NOON, NOON), (1, NOON + 5, NOON), (2, NOON + 3, NOON + 3), (3, NOON + 1, NOON + 3)]:
        send(store, DESK, mid, edit(Patch, f"a{mid}", fields={"label": "x"}), Wall(now))
        assert store.devices[DESK] == DeviceRow(DESK, "", None, Rev(0), Wall(seen))


def test_only_the_newest_answers_are_kept(store: MemoryStore) -> None:
    for mid in range(1, 8):
        send(store, DESK, mid, alarm(f"a{mid}"))
    assert sorted(store.answers) == [(DESK, 5), (DESK, 6), (DESK, 7)]


def test_no_known_device_goes_for_an_unknown_one(store: MemoryStore) -> None:
    """docs/protocol.md#limit-devices"""
    store.join(DESK, "Desk", None, NOON, 4)
    store.acked(LAPTOP, E1, Rev(0), NOON)
    assert [store.has_room(device) for device in (DESK, LAPTOP, PHONE)] == [True, True, False]

    store.acked(PHONE, E1, Rev(0), NOON)
    assert store.join(PHONE, "Phone", None, NOON) == 0
    refused = send(store, PHONE, 1, alarm()).fault
    assert refused is not None
    assert refused.code == "limit"
    assert set(store.devices) == {DESK, LAPTOP}
    assert set(store.conns) == {DESK}
    assert plainly(store, alarm()).fault is None, "a change of no device needs no room"


def test_a_hello_moves_acked_anywhere_and_the_counter_only_up(store: MemoryStore) -> None:
    told = [(7, Cursor(E1, Rev(9)), NOON + 5), (3, Cursor(E1, Rev(4)), NOON), (8, None, NOON + 6)]
    known = []
    for conn, cursor, now in told:
        store.join(DESK, "Desk", cursor, Wall(now), conn)
        row = store.devices[DESK]
        known.append((store.conns[DESK], row.acked_epoch, row.acked_rev, row.last_seen - NOON))
    assert known == [(7, E1, 9, 5), (7, E1, 4, 5), (8, None, 0, 6)]


def test_an_ack_only_grows_inside_the_epoch(store: MemoryStore) -> None:
    acks = [(E1, 5, NOON), (E1, 3, NOON + 1), (Epoch("another"), 9, NOON + 2), (E1, 6, NOON)]
    known = []
    for epoch, rev, now in acks:
        store.acked(DESK, epoch, Rev(rev), Wall(now))
        known.append((store.devices[DESK].acked_rev, store.devices[DESK].last_seen - NOON))
    assert known == [(5, 0), (5, 1), (5, 2), (6, 2)]
    store.renew(Epoch("e2"))
    store.acked(DESK, Epoch("e2"), Rev(1), NOON)
    assert (store.devices[DESK].acked_epoch, store.devices[DESK].acked_rev) == ("e2", 1)


def test_a_device_that_was_forgotten_begins_anew(store: MemoryStore) -> None:
    """docs/protocol.md#limit-device-returns"""
    for device in (DESK, LAPTOP):
        store.join(device, "", None, NOON, 3)
        send(store, device, 1, alarm(f"a-{device}"))
    store.forget(DESK)
    assert set(store.devices) == set(store.conns) == set(store.last_mids) == {LAPTOP}
    assert set(store.answers) == {(LAPTOP, 1)}
    assert store.join(DESK, "", None, NOON) == 0


def test_a_new_name_keeps_the_numbers_and_empties_the_log(store: MemoryStore) -> None:
    plainly(store, alarm())
    assert store.renew(Epoch("e2")) == store.account
    assert (store.account.epoch, store.account.rev, store.account.floor, store.rows) == ("e2", 1, 1, [])
    plainly(store, edit(Delete, "a1"))
    assert [row.rev for row in store.page(Rev(0), 10).rows] == [2]


@given(
    ages=st.builds(lambda old, rest: [9] * old + rest, st.integers(0, 8), st.lists(st.integers(0, 9), max_size=8)),
    keep=st.integers(0, 14),
    limit=st.integers(1, 5),
    old=st.integers(0, 9),
)
def test_rows_go_in_steps_when_they_are_old_and_not_among_the_newest(
    ages: list[int], keep: int, limit: int, old: int
) -> None:
    """Clocks go back, so a row may be older than the one before it; the log stays dense all the same."""
    store = MemoryStore(system_zones)
    for number, age in enumerate(ages):
        plainly(store, alarm(f"a{number}"), Wall(NOON - age))
    rows = list(store.rows)

    steps = list(iter(lambda: store.expire(Wall(NOON - old), keep, limit), 0))

    gone = next((place for place, age in enumerate(ages) if age <= old), len(ages))
    gone = min(gone, max(0, len(ages) - keep))
    assert store.rows == rows[gone:]
    assert store.account.floor == gone
    assert sum(steps) == gone
    assert all(step == limit for step in steps[:-1])


def test_a_backup_does_not_follow_what_happens_later(store: MemoryStore) -> None:
    store.join(DESK, "Desk", None, NOON, 1)
    send(store, DESK, 1, alarm())
    backup, before = store.copy(), held(store)
    store.join(DESK, "Desk", None, NOON, 2)
    send(store, DESK, 2, edit(Delete, "a1"))
    assert held(backup) == before
    assert held(store) != before


# --- the disk ---------------------------------------------------------------------------------------------------------


class Writing(Device):
    """Applies all that it absorbs to the modelled disk as well, and notes which statements there were."""

    def __init__(self, name: str, server: Server) -> None:
        self.model = Disk(DeviceId(name))
        self.statements = set[type[Write]]()
        super().__init__(name, server)

    def absorb(self, fact: Fact) -> tuple[Write, ...]:
        writes = super().absorb(fact)
        self.model.apply(writes)
        self.statements |= {type(statement) for statement in writes}
        return writes


def test_a_disk_gives_back_what_was_written_by_every_kind_of_statement() -> None:
    server = Server()
    desk = Writing("desk", server)
    desk.sync(alarm("a1"), alarm("a2"), alarm("a3"))
    desk.sync(edit(Delete, "a3"))
    desk.absorb(Dialled(7))
    before = desk.model.copy()
    server.restore("e2", ["a1"])
    desk.absorb(server.snapshot(DESK, with_deleted=True))
    assert set(desk.model.load().aside) == {"a1"}
    server.store.tombstones.add(BELL)
    server.restore("e3")
    desk.absorb(server.snapshot(DESK, with_deleted=True))
    desk.do(edit(Patch, "a2", fields={"label": "late"}))
    desk.absorb(Renamed(DeviceId("desk-2")))

    assert desk.model.load() == desk.replica
    assert desk.statements == set(Write.__args__), "no kind of statement was left out"
    assert repr(desk.model).startswith("<Disk of <Replica of desk-2")
    assert set(before.load().server) == {"a1", "a2"}, "a backup does not follow"
    assert (before.load().device, before.load().conn) == ("desk", 7)


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_wrong_and_too_fast_shows_so() -> None:
    clock = DeviceClock(NOON, offset_ms=-60_000, drift_ppm=100)
    assert clock.wall_ms(0.0) == NOON - 60_000
    assert clock.wall_ms(10_000.0) == NOON - 60_000 + 10_001_000
    assert clock.elapsed(10_000.0) == pytest.approx(10_001.0)
    clock.jump(90_000)
    assert clock.wall_ms(0.0) == NOON + 30_000
    assert repr(clock) == "<DeviceClock +30000 ms, rate 1.000100>"


def test_one_clock_stands_still_in_sleep_and_the_others_do_not() -> None:
    clock = DeviceClock(NOON)
    clock.wake(5.0)
    clock.sleep(10.0)
    clock.sleep(12.0)
    assert (clock.monotonic(30.0), clock.elapsed(30.0), clock.wall_ms(30.0)) == (10.0, 30.0, NOON + 30_000)
    assert repr(clock) == "<DeviceClock +0 ms, rate 1.000000, asleep>"
    clock.wake(30.0)
    assert (clock.monotonic(30.0), clock.monotonic(31.0)) == (10.0, 11.0)


@given(
    naps=st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), max_size=5),
    drift=st.integers(-500, 500),
    ahead=st.floats(0.0, 1e4),
)
def test_the_true_moment_of_a_deadline_is_when_the_clock_shows_it(
    naps: list[tuple[float, float]], drift: int, ahead: float
) -> None:
    clock, now = DeviceClock(NOON, drift_ppm=drift), 0.0
    for awake, asleep in naps:
        clock.sleep(now + awake)
        now += awake + asleep
        clock.wake(now)
    due = clock.monotonic(now) + ahead
    assert clock.monotonic(clock.true_at(due)) == pytest.approx(due)


# --- dice -------------------------------------------------------------------------------------------------------------


def thrown(dice: Dice) -> list[object]:
    return [dice.uniform(1.0, 3.0), dice.below(6), dice.hit(0.5), dice.pick("abc")]


def test_the_same_seed_throws_the_same() -> None:
    assert thrown(Dice(7)) == thrown(Dice(7))
    assert thrown(Dice(7)) != thrown(Dice(8))
    assert repr(Dice(7)) == "<Dice at 0x7>"


def test_throws_keep_their_bounds_and_are_even() -> None:
    dice = Dice(1)
    assert all(1.0 <= dice.uniform(1.0, 3.0) < 3.0 for _ in range(1_000))
    assert all(800 < count < 1_200 for count in Counter(dice.below(6) for _ in range(6_000)).values())
    assert 200 < sum(dice.hit(0.25) for _ in range(1_000)) < 300
    assert not any(dice.hit(0.0) for _ in range(100))
    assert set(Counter(dice.pick("abc") for _ in range(300))) == set("abc")


def test_what_a_fork_throws_moves_nothing_here() -> None:
    one, other = Dice(3), Dice(3)
    fork = one.fork()
    other.fork()
    assert thrown(fork) != thrown(Dice(3))
    assert thrown(one) == thrown(other)
