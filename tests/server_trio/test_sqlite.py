"""What only the SQLite store has: a file that others can touch, a thread, memory that must never be wrong."""

import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest
import trio
from msgspec.structs import replace

from protocol import DeviceId, Epoch, Found, ItemId, Outcome, Rev, UserId, Wall
from server_trio import sqlite_file, sqlite_ledger, sqlite_writer
from server_trio.check import findings
from server_trio.sqlite_file import migrate, migrations
from server_trio.store import Outcomes, StoreUnavailable, StoreUnusable, Work
from server_trio.store_sqlite import SqliteStore, open_sqlite
from tests.server_trio.test_store import ANN, BELL, BOB, DAY, DESK, LIMITS, NOW, advance, create, delete, found, mutate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tocsin.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with open_sqlite(path) as opened:
        yield opened


@contextmanager
def another_process(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that knows nothing of ours; SQLite does not care in which process it is."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        yield connection


async def opened_and_closed(path: Path) -> None:
    async with open_sqlite(path):
        pass


# ---------------------------------------------------------------------------------------------------- opening the file


async def test_a_second_server_is_refused_and_the_next_one_is_not(path: Path) -> None:
    async with open_sqlite(path):
        with pytest.raises(StoreUnusable, match=r"Another server has tocsin\.db open"):
            await opened_and_closed(path)
    await opened_and_closed(path)


async def test_a_command_may_add_a_user_beside_a_running_server(path: Path) -> None:
    async with open_sqlite(path) as server:
        await server.commit(ANN, advance())
        async with open_sqlite(path, exclusive=False) as command:
            assert await command.add_user("ann", "hash", NOW)
        assert await server.password_of("ann") == "hash"
        assert (await server.commit(ANN, advance())).account.rev == 2


async def test_a_file_of_another_program_is_left_alone(path: Path) -> None:
    with another_process(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreUnusable, match="belongs to another program"):
        await opened_and_closed(path)
    with another_process(path) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_text("Dear diary, " * 100)
    with pytest.raises(StoreUnusable, match=r"tocsin\.db is not an SQLite database"):
        migrate(path)
    assert path.read_text().startswith("Dear diary, ")


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        await opened_and_closed(tmp_path / "nowhere" / "tocsin.db")
    with pytest.raises(StoreUnusable, match="does its folder exist"):
        migrate(tmp_path / "nowhere" / "tocsin.db")


async def test_a_newer_schema_is_refused_with_both_numbers(path: Path) -> None:
    await opened_and_closed(path)
    with another_process(path) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnusable, match=f"has schema 99, but this program knows only up to {len(migrations())}"):
        await opened_and_closed(path)


def spoil(path: Path) -> None:
    """Leave the first page, which says that it is ours, and fill the rest with noise."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(Random(7).randbytes(path.stat().st_size - 4096))


async def test_a_damaged_file_does_not_open_or_says_so_when_it_is_read(path: Path) -> None:
    async with open_sqlite(path) as store:
        for n in range(200):
            await store.commit(ANN, advance(ItemId(f"item-{n}")))
    spoil(path)

    async def use() -> None:
        async with open_sqlite(path) as store:
            await store.commit(ANN, advance())
            await store.state(ANN, None, with_deleted=True)

    with pytest.raises((StoreUnusable, StoreUnavailable)) as told:
        await use()
    assert not getattr(told.value, "retryable", False)
    assert "malformed" in str(told.value)


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    migrate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_migrations_are_numbered_without_gaps_and_end_at_the_newest(path: Path) -> None:
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))
    assert migrate(path) == [step.name for step in migrations()]
    assert migrate(path) == []


def test_a_migration_that_fails_leaves_no_trace(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = sqlite_file.Migration(2, "0002_broken.sql", "CREATE TABLE half (x);\nCREATE TABLE half (x);\n")
    monkeypatch.setattr(sqlite_file, "migrations", lambda: [*migrations(), broken])
    with pytest.raises(StoreUnusable, match="half already exists"):
        migrate(path)
    with another_process(path) as other:
        assert other.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
        assert other.execute("PRAGMA user_version").fetchone() == (0,)


# ------------------------------------------------------------------------------------------------- trouble while running


@contextmanager
def full(store: SqliteStore) -> Iterator[None]:
    """A disk without room: the file may not grow by a page."""
    connection = store._ledger.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1073741823")


async def refusal(store: SqliteStore, item: ItemId) -> StoreUnavailable | None:
    try:
        await store.commit(ANN, advance(item, label="x" * 500))
    except StoreUnavailable as told:
        return told
    return None


async def test_a_full_disk_loses_nothing_acknowledged_and_the_store_recovers(store: SqliteStore) -> None:
    acknowledged = 0
    with full(store):
        while (refused := await refusal(store, ItemId(f"item-{acknowledged}"))) is None:
            acknowledged += 1
    assert refused.retryable
    assert acknowledged > 0
    assert (await store.head(ANN)).rev == acknowledged
    assert (await store.commit(ANN, advance())).account.rev == acknowledged + 1
    assert [row.rev for row in (await store.page(ANN, Rev(0), 2_000)).rows] == list(range(1, acknowledged + 2))


async def test_a_locked_file_is_told_to_all_who_wait_and_passes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.01)
    async with open_sqlite(path) as store:
        await store.commit(ANN, advance())
        told = list[Outcomes | Exception]()
        with another_process(path) as other:
            other.execute("BEGIN IMMEDIATE")
            for user in (ANN, BOB):
                store.submit(user, [advance()], told.append)
            with pytest.raises(StoreUnavailable) as refused:
                await store.commit(ANN, advance())
            other.execute("ROLLBACK")
        assert refused.value.retryable
        assert [type(answer) for answer in told] == [StoreUnavailable, StoreUnavailable]
        assert (await store.commit(ANN, advance())).account.rev == 2


async def test_a_queue_without_end_is_refused(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_writer, "LONGEST_QUEUE", 3)
    hold, answers = threading.Event(), list[Outcomes | Exception]()
    entered = threading.Event()

    def wait(found: Found) -> Outcome:
        entered.set()
        hold.wait(10)
        return Outcome(found.account)

    store.submit(ANN, [Work(decide=wait, now=NOW)], answers.append)
    await trio.to_thread.run_sync(entered.wait)
    done = trio.Event()
    store.submit(ANN, [advance()], answers.append)
    store.submit(ANN, [advance()], lambda _: done.set())
    with pytest.raises(StoreUnavailable, match="too much to do"):
        store.submit(ANN, [advance()], answers.append)
    hold.set()
    await done.wait()
    assert (await store.commit(ANN, advance())).account.rev == 3
    assert len(answers) == 2


async def test_an_answer_that_is_not_taken_harms_nobody(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    def careless(_: Outcomes | Exception) -> None:
        raise ZeroDivisionError("a bug")

    store.submit(ANN, [advance()], careless)
    assert (await store.commit(ANN, advance())).account.rev == 2
    assert "an answer to a commit was not taken" in caplog.text


async def test_the_writer_outlives_an_event_loop_that_ends_too_early(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entered, hold = threading.Event(), threading.Event()

    def slow(ledger: sqlite_ledger.Ledger) -> Outcomes:
        entered.set()
        hold.wait(10)
        return ledger.decide(ANN, [advance()])

    async def start() -> sqlite_writer.Writer:
        ledger = sqlite_ledger.Ledger(connection, kept_answers=4, devices=3)
        writer = sqlite_writer.Writer(ledger)
        writer.submit(slow, lambda _: None)
        await trio.to_thread.run_sync(entered.wait)
        return writer

    await opened_and_closed(path)
    with closing(sqlite_file.connect(path)) as connection:
        writer = await trio.to_thread.run_sync(trio.run, start)
        hold.set()
        await writer.aclose()
    assert "they are durable, nobody was told" in caplog.text
    async with open_sqlite(path) as store:
        assert (await store.head(ANN)).rev == 1


# --------------------------------------------------------------------------------------------- memory is never wrong


async def test_a_change_by_another_process_is_seen_by_the_next_commit(path: Path, store: SqliteStore) -> None:
    await store.commit(ANN, advance())
    with another_process(path) as other:
        other.execute("UPDATE account SET newest_at = 12345 WHERE user = 'ann'")
        other.execute("UPDATE item SET body = NULL")
    seen = await found(store, id=BELL)
    assert (seen.account.newest_at, seen.deleted) == (12345, True)


async def test_a_failed_transaction_leaves_nothing_in_memory(store: SqliteStore) -> None:
    def unwritable(found: Found) -> Outcome:
        outcome = advance(label="lost").decide(found)
        return replace(outcome, account=replace(outcome.account, newest_at=2**80))

    with pytest.raises(OverflowError):
        await store.commit(ANN, Work(decide=unwritable, now=NOW, id=BELL))
    assert await found(store, id=BELL) == Found(await store.head(ANN))
    assert (await store.head(ANN)).rev == 0


@pytest.mark.parametrize("seed", range(8))
async def test_with_no_memory_to_speak_of_the_store_decides_the_same(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same mutations, grouped at random, once with memory and once with next to none."""

    async def run(path: Path) -> object:
        random = Random(seed)
        answers = dict[tuple[str, str, int], object]()
        async with open_sqlite(path, limits=LIMITS, fresh_epoch=lambda: Epoch("e")) as store:
            await store.renew_all_epochs()
            mids = dict[tuple[str, str], int]()
            for step in range(150):
                user, device = UserId(random.choice("abc")), DeviceId(random.choice("xy"))
                mid = mids[user, device] = mids.get((user, device), 0) + (random.random() < 0.9)
                item = ItemId(f"item-{random.randrange(6)}")
                edit = delete(item, at=step) if random.random() < 0.3 else create(item, at=step)

                def keep(outcomes: Outcomes | Exception, key: tuple[str, str, int] = (user, device, step)) -> None:
                    answers[key] = outcomes

                store.submit(user, [mutate(Epoch("e"), mid, edit, device)], keep)
                if random.random() < 0.1:
                    await store.head(user)
            await found(store)  # comes behind all others
            states = [await store.state(UserId(user), DeviceId("x"), with_deleted=True) for user in "abc"]
            pages = [await store.page(UserId(user), Rev(0), 500) for user in "abc"]
            devices = [await store.devices(UserId(user)) for user in "abc"]
        assert findings(path) == []
        return answers, states, pages, devices

    usual = await run(tmp_path / "usual.db")
    monkeypatch.setattr(sqlite_ledger, "CACHED_USERS", 1)
    monkeypatch.setattr(sqlite_ledger, "CACHED_RECORDS", 1)
    monkeypatch.setattr(sqlite_ledger, "CACHED_HEADS", 1)
    monkeypatch.setattr(sqlite_writer, "LARGEST_GROUP", 7)
    assert await run(tmp_path / "poor.db") == usual


async def test_memory_is_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_ledger, "CACHED_USERS", 2)
    monkeypatch.setattr(sqlite_ledger, "CACHED_HEADS", 3)
    monkeypatch.setattr(sqlite_ledger, "CACHED_RECORDS", 4)
    users = [UserId(f"user-{n}") for n in range(5)]
    for user in users:
        for n in range(6):
            await store.commit(user, advance(ItemId(f"item-{n}")))
    ledger = store._ledger
    assert (len(ledger._users), len(ledger.heads)) == (2, 3)
    assert {len(cached.records) for cached in ledger._users.values()} == {4}
    assert {head.rev for head in (await store.heads(users)).values()} == {6}


# ------------------------------------------------------------------------------------------------------------ the check


async def test_a_used_file_passes_the_check(path: Path) -> None:
    async with open_sqlite(path) as store:
        epoch = (await store.head(ANN)).epoch
        for mid in range(1, 20):
            edit = create(ItemId(f"item-{mid}")) if mid % 3 else delete(ItemId(f"item-{mid - 1}"))
            await store.commit(ANN, mutate(epoch, mid, edit, DESK, Wall(NOW - DAY)))
        await store.trim(NOW, 5)
        await store.renew_epoch(BOB, epoch)
        assert findings(path) == [], "also while a server runs"
    assert findings(path) == []


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("DELETE FROM change WHERE rev = 2", "gaps"),
        ("DELETE FROM change WHERE rev = 3", "gaps"),
        ("UPDATE account SET floor = 1", "rows outside of it"),
        ("DELETE FROM account", "without a head"),
        ("DELETE FROM item", "counts its records wrongly"),
        ("UPDATE change SET body = '{' WHERE rev = 1", "not JSON"),
    ],
)
async def test_the_check_finds_what_is_wrong(path: Path, damage: str, finding: str) -> None:
    async with open_sqlite(path) as store:
        for _ in range(3):
            await store.commit(ANN, advance())
    with another_process(path) as other:
        other.execute(damage)
    (sentence,) = findings(path)
    assert sentence.startswith("User 'ann' ")
    assert finding in sentence


def test_the_check_tells_that_a_migration_is_waiting(path: Path) -> None:
    with another_process(path) as other:
        other.execute(f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}")
    (sentence,) = findings(path)
    assert sentence.startswith("The schema is 0, the newest is ")


async def test_a_repr_names_the_file_and_no_content(store: SqliteStore) -> None:
    await store.commit(ANN, advance())
    assert repr(store) == "<SqliteStore tocsin.db, 1 heads in memory>"
    assert os.fspath(store._path) not in repr(store)
