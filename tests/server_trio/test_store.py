"""The contract of a store, written against the role: another store runs through it by joining `STORES`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from protocol import (
    DEFAULT_LIMITS,
    Alarm,
    Change,
    Create,
    Cursor,
    Delete,
    DeviceId,
    Edit,
    Epoch,
    Fault,
    Found,
    ItemId,
    Limits,
    Mid,
    Outcome,
    Patch,
    Result,
    Rev,
    SessionId,
    Submission,
    UserId,
    Wall,
    commit,
)
from server_trio.store import Login, Outcomes, Reused, Rotated, Store, StoreUnavailable, Work
from server_trio.store_sqlite import open_sqlite
from tests.simulation.model_store import open_model
from tests.simulation.storage import Storage


ANN, BOB = UserId("ann"), UserId("bob")
DESK, LAPTOP = DeviceId("desk"), DeviceId("laptop")
BELL = ItemId("bell")
NOW = Wall(1_800_000_000_000)
DAY = 86_400_000
LIMITS = Limits(devices=3, results=4)

Opener = Callable[[], AbstractAsyncContextManager[Store]]


def sqlite(folder: Path) -> Opener:
    """Opens the same file each time; its epochs are counted, so that a test can name them."""
    count = iter(range(1, 1_000))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        path = folder / "tocsin.db"
        async with open_sqlite(path, limits=LIMITS, fresh_epoch=lambda: Epoch(f"epoch-{next(count)}")) as store:
            yield store

    return opened


def model(_: Path) -> Opener:
    """Opens the same storage each time: what the simulator runs on."""
    storage = Storage(lambda _: None, LIMITS)
    return lambda: open_model(storage)


STORES = [sqlite, model]


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    opened: Opener = request.param(tmp_path)
    return opened


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    async with opener() as opened:
        yield opened


def advance(item: ItemId = BELL, label: str = "", when: Wall = NOW) -> Work:
    """A change that no device makes."""

    def decide(found: Found) -> Outcome:
        account = replace(found.account, rev=Rev(found.account.rev + 1), newest_at=found.account.newest_at + 1)
        change = Change(account.rev, "alarm", item, "patch", {"label": label}, at=account.newest_at, when=when)
        return Outcome(account, change, Alarm(id=item, time="07:00", label=label, rev=account.rev))

    return Work(decide=decide, now=when, id=item)


def mutate(epoch: Epoch, mid: int, edit: Edit | Fault, device: DeviceId = DESK, now: Wall = NOW) -> Work:
    """A numbered mutation, decided by the protocol itself."""
    submission = Submission(epoch, Mid(mid), edit, fingerprint=f"{edit!r}")
    return Work(
        decide=lambda found: commit(found, submission, device, now, lambda _: None, DEFAULT_LIMITS),
        now=now,
        id=None if isinstance(edit, Fault) else edit.id,
        device=device,
        mid=Mid(mid),
        fingerprint=submission.fingerprint,
    )


def create(item: ItemId = BELL, at: int = 1, **fields: Any) -> Create:
    return Create(kind="timer", id=item, at=at, fields={"duration_ms": 60_000} | fields)


def patch(item: ItemId = BELL, at: int = 2, **fields: Any) -> Patch:
    return Patch(kind="timer", id=item, at=at, fields=fields)


def delete(item: ItemId = BELL, at: int = 3) -> Delete:
    return Delete(kind="timer", id=item, at=at)


def look(seen: list[Found], **asked: Any) -> Work:
    """Decides nothing, and shows what a decision would have seen."""

    def decide(found: Found) -> Outcome:
        seen.append(found)
        return Outcome(found.account, record=found.record)

    return Work(decide=decide, now=NOW, **asked)


async def found(store: Store, user: UserId = ANN, **asked: Any) -> Found:
    seen = list[Found]()
    await store.commit(user, look(seen, **asked))
    return seen[-1]


# -------------------------------------------------------------------------------------------------------------- commits


async def test_a_user_never_heard_of_has_a_head_and_nothing_else(store: Store) -> None:
    head = await store.head(ANN)
    assert (head.rev, head.floor, head.newest_at) == (0, 0, 0)
    assert head.epoch
    assert await store.heads([ANN, BOB]) == {ANN: head, BOB: await store.head(BOB)}
    assert await store.page(ANN, Rev(0), 10) == await store.page(ANN, Rev(0), 10)
    assert (await store.page(ANN, Rev(0), 10)).rows == ()
    state = await store.state(ANN, DESK, with_deleted=True)
    assert (state.account, state.last_mid, state.records, state.deleted) == (head, 0, (), ())
    assert await store.record(ANN, BELL) is None
    assert await store.devices(ANN) == ()


async def test_a_commit_writes_head_row_and_record_together(store: Store) -> None:
    outcome = await store.commit(ANN, advance(label="up"))
    assert outcome.account.rev == 1
    assert outcome.change is not None
    assert await store.head(ANN) == outcome.account
    assert await store.page(ANN, Rev(0), 10) == replace(
        await store.page(ANN, Rev(0), 10), rows=(outcome.change,), account=outcome.account
    )
    assert await store.record(ANN, BELL) == outcome.record
    assert (await store.state(ANN, None, with_deleted=False)).records == (outcome.record,)


async def test_what_was_committed_is_there_after_a_restart(opener: Opener) -> None:
    async with opener() as store:
        outcomes = [await store.commit(ANN, advance(ItemId(f"item-{n}"))) for n in range(5)]
        head = (await store.head(ANN)).epoch
    async with opener() as store:
        assert await store.head(ANN) == outcomes[-1].account
        assert (await store.head(ANN)).epoch == head
        assert (await store.page(ANN, Rev(0), 10)).rows == tuple(outcome.change for outcome in outcomes)
        assert (await found(store)).items == 5


async def test_users_do_not_see_each_other(store: Store) -> None:
    await store.commit(ANN, advance())
    assert (await store.head(BOB)).rev == 0
    assert await store.record(BOB, BELL) is None
    assert (await store.page(BOB, Rev(0), 10)).rows == ()
    assert (await store.heads([ANN, BOB]))[ANN].rev == 1


async def test_a_later_work_sees_the_effect_of_an_earlier_one_in_the_same_transaction(store: Store) -> None:
    revs = list[int]()

    async def one(item: int) -> None:
        outcome = await store.commit(ANN, advance(ItemId(f"item-{item % 30}")))
        revs.append(outcome.account.rev)

    async with trio.open_nursery() as nursery:
        for item in range(200):
            nursery.start_soon(one, item)
    assert sorted(revs) == list(range(1, 201))
    assert [row.rev for row in (await store.page(ANN, Rev(0), 500)).rows] == list(range(1, 201))
    assert {record.rev for record in (await store.state(ANN, None, with_deleted=False)).records} <= set(range(1, 201))


async def test_a_decision_finds_the_record_and_how_many_there_are(store: Store) -> None:
    assert await found(store, id=BELL) == Found(await store.head(ANN))
    outcome = await store.commit(ANN, advance())
    seen = await found(store, id=BELL)
    assert (seen.record, seen.deleted, seen.items) == (outcome.record, False, 1)


async def test_a_deleted_record_leaves_its_identifier_used_up(opener: Opener) -> None:
    async with opener() as store:
        epoch = (await store.head(ANN)).epoch
        await store.commit(ANN, mutate(epoch, 1, create()))
        await store.commit(ANN, mutate(epoch, 2, delete()))
        seen = await found(store, id=BELL)
        assert (seen.record, seen.deleted, seen.items) == (None, True, 0)
    async with opener() as store:
        seen = await found(store, id=BELL)
        assert (seen.record, seen.deleted, seen.items) == (None, True, 0)
        assert await store.record(ANN, BELL) is None
        assert (await store.state(ANN, None, with_deleted=True)).deleted == (BELL,)
        assert (await store.state(ANN, None, with_deleted=False)).deleted == ()


async def test_nothing_is_written_where_nothing_changed(store: Store) -> None:
    before = await store.head(ANN)
    seen = await found(store, id=BELL, device=DESK, mid=Mid(1))
    assert seen == Found(before)
    assert await store.head(ANN) == before
    assert await store.devices(ANN) == ()


# ---------------------------------------------------------------------------------------------------- numbered mutations


async def test_number_effect_and_answer_are_committed_together(opener: Opener) -> None:
    async with opener() as store:
        epoch = (await store.head(ANN)).epoch
        outcome = await store.commit(ANN, mutate(epoch, 1, create(label="tea")))
        assert outcome.result == Result(mid=Mid(1), status="applied", rev=Rev(1))
    async with opener() as store:
        seen = await found(store, device=DESK, mid=Mid(1))
        assert seen.last_mid == 1
        assert seen.stored is not None
        assert seen.stored.result == outcome.result
        assert (await store.state(ANN, DESK, with_deleted=False)).last_mid == 1


async def test_a_repeat_gets_the_stored_answer_and_changes_nothing(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    first = await store.commit(ANN, mutate(epoch, 1, create()))
    again = await store.commit(ANN, mutate(epoch, 1, create()))
    assert first.result is not None
    assert again.result == replace(first.result, dup=True)
    assert (await store.head(ANN)).rev == 1
    third = await store.commit(ANN, mutate(epoch, 1, create()))
    assert third.result == again.result


async def test_a_repeat_in_the_same_transaction_gets_the_same_answer(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    answer = await submitted(store, ANN, [mutate(epoch, 1, create())] * 2).receive()
    assert isinstance(answer, tuple)
    assert answer[0].result is not None
    assert answer[1].result == replace(answer[0].result, dup=True)


async def test_a_rejected_mutation_consumes_its_number(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    outcome = await store.commit(ANN, mutate(epoch, 1, Fault("unknown_op", "There is no such op.")))
    assert outcome.result is not None
    assert outcome.result.status == "rejected"
    assert (await found(store, device=DESK)).last_mid == 1
    assert (await store.head(ANN)).rev == 0


async def test_a_fault_consumes_nothing(store: Store) -> None:
    outcome = await store.commit(ANN, mutate(Epoch("another"), 1, create()))
    assert outcome.fault is not None
    assert (await found(store, device=DESK)).last_mid == 0
    assert await store.devices(ANN) == ()


async def test_only_the_newest_answers_are_kept(opener: Opener) -> None:
    async with opener() as store:
        epoch = (await store.head(ANN)).epoch
        for mid in range(1, 71):
            await store.commit(ANN, mutate(epoch, mid, create(ItemId(f"item-{mid}"))))
    async with opener() as store:
        kept = [mid for mid in range(72) if (await found(store, device=DESK, mid=Mid(mid))).stored is not None]
        assert kept == [67, 68, 69, 70]


async def test_numbers_count_for_each_device_of_each_user(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    for user in (ANN, BOB):
        for device in (DESK, LAPTOP):
            await store.commit(user, mutate(epoch, 1, create(ItemId(f"of-{device}")), device))
    assert [(await found(store, user, device=DESK)).last_mid for user in (ANN, BOB)] == [1, 1]
    await store.commit(ANN, mutate(epoch, 2, delete(ItemId("of-desk"))))
    assert (await found(store, device=DESK)).last_mid == 2
    assert (await found(store, device=LAPTOP)).last_mid == 1
    assert (await found(store, BOB, device=DESK)).last_mid == 1


# ------------------------------------------------------------------------------------------------------ several at once


def submitted(store: Store, user: UserId, works: list[Work]) -> "trio.MemoryReceiveChannel[Outcomes | Exception]":
    send, receive = trio.open_memory_channel["Outcomes | Exception"](1)
    store.submit(user, works, send.send_nowait)
    return receive


async def test_works_submitted_together_take_effect_in_order(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    works = [mutate(epoch, mid, create(ItemId(f"item-{mid}"))) for mid in (1, 2, 3)]
    answer = await submitted(store, ANN, works).receive()
    assert isinstance(answer, tuple)
    assert [outcome.account.rev for outcome in answer] == [1, 2, 3]


async def test_works_submitted_together_end_with_the_first_fault(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    works = [mutate(epoch, mid, create(ItemId(f"item-{mid}"))) for mid in (1, 3, 2)]
    answer = await submitted(store, ANN, works).receive()
    assert isinstance(answer, tuple)
    assert [outcome.fault.code if outcome.fault else None for outcome in answer] == [None, "out_of_order"]
    assert (await found(store, device=DESK)).last_mid == 1


async def test_answers_to_one_user_come_in_the_order_of_the_calls(store: Store) -> None:
    epoch, order = (await store.head(ANN)).epoch, list[int]()
    done = trio.Event()

    def answer(mid: int) -> Callable[[Outcomes | Exception], None]:
        def take(outcomes: Outcomes | Exception) -> None:
            assert isinstance(outcomes, tuple)
            order.append(mid)
            if mid == 50:
                done.set()

        return take

    for mid in range(1, 51):
        store.submit(ANN, [mutate(epoch, mid, create(ItemId(f"item-{mid}")))], answer(mid))
    await done.wait()
    assert order == list(range(1, 51))


async def test_a_decision_that_raises_harms_nobody_else(store: Store) -> None:
    def broken(_: Found) -> Outcome:
        raise ZeroDivisionError("a bug")

    neighbours = [submitted(store, ANN, [advance()]), submitted(store, BOB, [advance()])]
    failing = submitted(store, ANN, [Work(decide=broken, now=NOW)])
    neighbours += [submitted(store, ANN, [advance()]), submitted(store, BOB, [advance()])]
    assert isinstance(await failing.receive(), ZeroDivisionError)
    revs = [answer[0].account.rev for channel in neighbours if isinstance(answer := await channel.receive(), tuple)]
    assert revs == [1, 1, 2, 2]
    with pytest.raises(ZeroDivisionError):
        await store.commit(ANN, Work(decide=broken, now=NOW))


async def test_what_was_decided_before_a_broken_decision_stays(store: Store) -> None:
    def broken(_: Found) -> Outcome:
        raise ZeroDivisionError("a bug")

    answer = await submitted(store, ANN, [advance(), Work(decide=broken, now=NOW), advance()]).receive()
    assert isinstance(answer, ZeroDivisionError)
    assert (await store.head(ANN)).rev == 1
    assert len((await store.page(ANN, Rev(0), 10)).rows) == 1


async def test_a_row_that_cannot_be_written_harms_nobody_else(store: Store) -> None:
    # An integer that no database column holds gets past every decision, and fails only when it is written.
    def huge(found: Found) -> Outcome:
        return Outcome(
            replace(found.account, rev=Rev(found.account.rev + 1), newest_at=2**80),
            Change(Rev(1), "alarm", BELL, "patch", {}, at=1, when=NOW),
        )

    failing = submitted(store, ANN, [Work(decide=huge, now=NOW, id=BELL)])
    neighbour = submitted(store, BOB, [advance()])
    assert isinstance(await failing.receive(), Exception)
    assert isinstance(await neighbour.receive(), tuple)
    assert (await store.head(ANN)).rev == 0
    assert (await store.commit(ANN, advance())).account.rev == 1


async def test_a_commit_is_not_left_halfway_by_cancellation(store: Store) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        outcome = await store.commit(ANN, advance())
        assert outcome.account.rev == 1
    assert (await store.head(ANN)).rev == 1


async def test_a_closed_store_says_so(opener: Opener) -> None:
    async with opener() as store:
        await store.commit(ANN, advance())
    with pytest.raises(StoreUnavailable) as told:
        await store.commit(ANN, advance())
    assert not told.value.retryable


# -------------------------------------------------------------------------------------------------------------- reading


async def test_a_page_holds_the_rows_after_a_rev_up_to_the_limit(store: Store) -> None:
    for n in range(10):
        await store.commit(ANN, advance(label=str(n)))
    page = await store.page(ANN, Rev(3), 4)
    assert [row.rev for row in page.rows] == [4, 5, 6, 7]
    assert [row.changed for row in page.rows] == [{"label": str(n)} for n in (3, 4, 5, 6)]
    assert (page.after, page.account.rev) == (3, 10)
    assert (await store.page(ANN, Rev(10), 4)).rows == ()


async def test_a_state_is_of_one_rev_while_others_write(store: Store) -> None:
    items = [ItemId(f"item-{n}") for n in range(5)]
    done = False

    async def write() -> None:
        nonlocal done
        for n in range(60):
            await store.commit(ANN, advance(items[n % 5]))
        done = True

    async def read() -> None:
        while not done:
            state = await store.state(ANN, None, with_deleted=False)
            newest = max((record.rev for record in state.records), default=0)
            assert newest == state.account.rev

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        nursery.start_soon(read)


async def test_a_head_read_after_a_commit_is_never_older_than_it(store: Store) -> None:
    async def one() -> None:
        for _ in range(20):
            outcome = await store.commit(ANN, advance())
            assert (await store.head(ANN)).rev >= outcome.account.rev
            assert (await store.page(ANN, Rev(0), 1)).account.rev >= outcome.account.rev

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)


# -------------------------------------------------------------------------------------------------------------- devices


async def test_a_join_tells_the_device_where_it_stands(store: Store) -> None:
    head = await store.head(ANN)
    await store.commit(ANN, mutate(head.epoch, 1, create()))
    cursor = Cursor(head.epoch, Rev(1))
    joined = await store.join(ANN, DESK, "the desk", 7, cursor, NOW)
    assert (joined.account.rev, joined.last_mid) == (1, 1)
    (row,) = joined.devices
    assert (row.id, row.name, row.conn, row.acked, row.seen) == (DESK, "the desk", 7, cursor, NOW)
    assert await store.devices(ANN) == joined.devices


async def test_a_join_takes_acked_down_and_never_the_counter(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    await store.join(ANN, DESK, "desk", 7, Cursor(epoch, Rev(9)), NOW)
    joined = await store.join(ANN, DESK, "desk", 3, Cursor(epoch, Rev(4)), NOW)
    assert (joined.devices[0].acked, joined.devices[0].conn) == (Cursor(epoch, Rev(4)), 7)
    assert (await store.join(ANN, DESK, "desk", 8, None, NOW)).devices[0].acked is None


async def test_an_ack_only_grows_inside_the_epoch_and_ignores_another(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    await store.join(ANN, DESK, "desk", 1, None, NOW)
    seen = list[tuple[Cursor | None, Wall]]()
    for acked_epoch, rev in [(epoch, 5), (epoch, 3), (Epoch("another"), 9), (epoch, 6)]:
        await store.acked(ANN, DESK, acked_epoch, Rev(rev), Wall(NOW + len(seen)))
        (row,) = await store.devices(ANN)
        seen.append((row.acked, row.seen))
    at_5, at_6 = Cursor(epoch, Rev(5)), Cursor(epoch, Rev(6))
    assert seen == [(at_5, NOW), (at_5, NOW + 1), (at_5, NOW + 2), (at_6, NOW + 3)]


async def test_no_known_device_goes_for_one_too_many(opener: Opener) -> None:
    """docs/protocol.md#limit-devices"""
    async with opener() as store:
        epoch = (await store.head(ANN)).epoch
        await store.commit(ANN, mutate(epoch, 1, create(), DeviceId("b"), Wall(NOW - 5)))
        for offset, device in enumerate("ca"):
            assert (await store.join(ANN, DeviceId(device), device, 1, None, Wall(NOW + offset))).room
        crowded = await store.join(ANN, DeviceId("d"), "d", 1, None, NOW)
        assert not crowded.room
        await store.acked(ANN, DeviceId("d"), epoch, Rev(0), NOW)
        refused = await store.commit(ANN, mutate(epoch, 1, create(ItemId("of-d")), DeviceId("d"), NOW))
        assert refused.fault is not None
        assert (refused.fault.code, refused.fault.field) == ("limit", "device_id")
        assert (await store.join(ANN, DeviceId("b"), "b", 1, None, NOW)).last_mid == 1
    async with opener() as store:
        assert [row.id for row in await store.devices(ANN)] == ["a", "b", "c"]


async def test_devices_that_come_in_one_transaction_count_one_by_one(opener: Opener) -> None:
    async with opener() as store:
        epoch = (await store.head(ANN)).epoch
        devices = [DeviceId(name) for name in "bcad"]
        works = [mutate(epoch, 1, create(ItemId(f"of-{device}")), device, NOW) for device in devices]
        answer = await submitted(store, ANN, works).receive()
        assert isinstance(answer, tuple)
        assert [outcome.fault is None for outcome in answer] == [True, True, True, False]
        assert [row.id for row in await store.devices(ANN)] == ["a", "b", "c"]


async def test_devices_unseen_for_long_are_forgotten_in_bounded_steps(store: Store) -> None:
    for number, user in enumerate([ANN, ANN, BOB]):
        await store.join(user, DeviceId(f"old-{number}"), "", 1, None, Wall(NOW - DAY))
    await store.join(ANN, DESK, "", 1, None, NOW)
    assert await store.forget_devices(NOW, limit=2) == 2
    assert await store.forget_devices(NOW, limit=2) == 1
    assert await store.forget_devices(NOW, limit=2) == 0
    assert [row.id for row in await store.devices(ANN)] == [DESK]


async def test_a_forgotten_device_begins_with_its_first_number_again(store: Store) -> None:
    epoch = (await store.head(ANN)).epoch
    await store.commit(ANN, mutate(epoch, 1, create()))
    assert (await store.join(ANN, DESK, "", 1, None, NOW)).last_mid == 1
    assert await store.forget_devices(Wall(NOW + 1)) == 1
    assert (await store.join(ANN, DESK, "", 1, None, NOW)).last_mid == 0
    again = await store.commit(ANN, mutate(epoch, 1, patch(label="Up")))
    assert again.result is not None
    assert (again.result.status, again.result.dup) == ("applied", False)


# ------------------------------------------------------------------------------------------------- epochs and trimming


async def test_a_new_epoch_changes_the_name_and_the_floor_only(opener: Opener) -> None:
    async with opener() as store:
        old = (await store.head(ANN)).epoch
        await store.commit(ANN, mutate(old, 1, create()))
        await store.commit(ANN, mutate(old, 2, delete()))
        before = await store.head(ANN)
        renewed = await store.renew_epoch(ANN, old)
        assert renewed == replace(before, epoch=renewed.epoch, floor=before.rev)
        assert renewed.epoch != old
        assert await store.renew_epoch(ANN, old) == renewed, "it is no longer the one that was seen"
        assert (await store.head(BOB)).epoch == old
    async with opener() as store:
        assert await store.head(ANN) == renewed
        assert (await store.page(ANN, Rev(0), 10)).rows == ()
        seen = await found(store, id=BELL, device=DESK, mid=Mid(2))
        assert (seen.last_mid, seen.deleted) == (2, True)
        assert seen.stored is not None
        assert (await store.commit(ANN, advance(ItemId("next")))).account.rev == 3


async def test_after_a_restore_every_epoch_is_new(opener: Opener) -> None:
    async with opener() as store:
        old = (await store.head(ANN)).epoch
        await store.commit(ANN, advance())
        await store.renew_all_epochs()
        ann, bob = await store.head(ANN), await store.head(BOB)
        assert ann.epoch != old
        assert bob.epoch != old
        assert (ann.rev, ann.floor) == (1, 1)
        assert (await store.commit(ANN, advance())).account == replace(ann, rev=Rev(2), newest_at=2)
    async with opener() as store:
        assert (await store.head(BOB)) == bob
        assert [row.rev for row in (await store.page(ANN, Rev(0), 10)).rows] == [2]


@pytest.mark.parametrize(
    ("old", "keep", "floor"),
    [(6, 3, 6), (6, 5, 5), (0, 3, 0), (10, 0, 10), (10, 20, 0), (2, 3, 2)],
    ids="age keep young all few both".split(),
)
async def test_a_row_goes_only_when_it_is_old_and_not_among_the_newest(
    store: Store, old: int, keep: int, floor: int
) -> None:
    for n in range(10):
        await store.commit(ANN, advance(when=Wall(NOW - DAY if n < old else NOW)))
    gone = await store.trim(NOW, keep)
    assert gone == floor
    head = await store.head(ANN)
    assert (head.floor, head.rev) == (floor, 10)
    page = await store.page(ANN, Rev(0), 20)
    assert [row.rev for row in page.rows] == list(range(floor + 1, 11))
    assert page.account == head
    assert (await store.commit(ANN, advance())).account.rev == 11


async def test_trimming_takes_bounded_steps_over_all_users(store: Store) -> None:
    for user in (ANN, BOB):
        for _ in range(5):
            await store.commit(user, advance(when=Wall(NOW - DAY)))
    steps = list[int]()
    while step := await store.trim(NOW, 1, limit=3):
        steps.append(step)
    assert max(steps) <= 3
    assert sum(steps) == 8
    assert [(await store.head(user)).floor for user in (ANN, BOB)] == [4, 4]


# ------------------------------------------------------------------------------------------------------------- sign-ins


async def test_a_name_is_given_once(store: Store) -> None:
    assert await store.add_user("ann", "hash-1", NOW)
    assert not await store.add_user("ann", "hash-2", NOW)
    assert await store.password_of("ann") == "hash-1"
    assert await store.password_of("bob") is None
    assert await store.set_password("ann", "hash-3")
    assert not await store.set_password("bob", "hash-3")
    assert await store.password_of("ann") == "hash-3"
    assert await store.logins() == (Login("ann", NOW),)


S1, S2 = SessionId("s1"), SessionId("s2")
LATER = Wall(NOW + DAY)


async def test_a_refresh_token_is_traded_once(store: Store) -> None:
    await store.open_session(S1, ANN, "r1", LATER)
    assert await store.rotate("r1", "r2", LATER, NOW) == Rotated(ANN, S1)
    assert await store.rotate("r2", "r3", LATER, NOW) == Rotated(ANN, S1)
    assert await store.rotate("never", "r4", LATER, NOW) is None
    assert await store.session_alive(S1)


async def test_a_refresh_token_used_twice_ends_its_session(opener: Opener) -> None:
    async with opener() as store:
        await store.open_session(S1, ANN, "r1", LATER)
        await store.open_session(S2, ANN, "q1", LATER)
        await store.rotate("r1", "r2", LATER, NOW)
        assert await store.rotate("r1", "r3", LATER, NOW) == Reused(S1)
        assert not await store.session_alive(S1)
        assert await store.rotate("r2", "r4", LATER, NOW) is None
        assert await store.session_alive(S2)
    async with opener() as store:
        assert not await store.session_alive(S1)
        assert await store.session_alive(S2)


async def test_a_refresh_token_has_an_end(store: Store) -> None:
    await store.open_session(S1, ANN, "r1", LATER)
    assert await store.rotate("r1", "r2", Wall(LATER + DAY), LATER) is None
    assert await store.session_alive(S1)


async def test_a_session_ends_when_it_is_revoked_even_one_never_heard_of(opener: Opener) -> None:
    async with opener() as store:
        await store.open_session(S1, ANN, "r1", LATER)
        assert await store.session_alive(SessionId("elsewhere"))
        await store.revoke_session(S1, ANN, LATER, NOW)
        await store.revoke_session(SessionId("elsewhere"), ANN, LATER, NOW)
        assert await store.rotate("r1", "r2", LATER, NOW) is None
    async with opener() as store:
        assert not await store.session_alive(S1)
        assert not await store.session_alive(SessionId("elsewhere"))


async def test_sessions_whose_time_is_over_are_forgotten(store: Store) -> None:
    await store.open_session(S1, ANN, "r1", NOW)
    await store.revoke_session(S1, ANN, NOW, NOW)
    await store.open_session(S2, ANN, "q1", LATER)
    assert await store.forget_sessions(LATER) == 2
    assert await store.forget_sessions(LATER) == 0
    assert await store.session_alive(S1), "no token of it holds any more, so nothing needs to remember it"
    assert await store.rotate("q1", "q2", LATER, NOW) == Rotated(ANN, S2)
