"""The local database: what was committed is found again, whatever happens between."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_qt.database import Database, DatabaseError, database_file
from client_qt.local_state import (
    DropMark,
    DropRejection,
    Mark,
    PutMark,
    PutMuted,
    PutRejection,
    PutSkew,
    PutUser,
    Rejection,
    RingKey,
)
from client_qt.schema import MIGRATIONS
from protocol import (
    Create,
    Cursor,
    DeviceId,
    Dismiss,
    DropAside,
    DropEntry,
    DropRecord,
    Edit,
    Edited,
    Entry,
    Epoch,
    ItemId,
    Mid,
    PutAside,
    PutConn,
    PutDevice,
    PutEntry,
    PutMid,
    PutPlace,
    PutRecord,
    Rev,
    RunId,
    UserId,
    Wall,
    Write,
    absorb,
    next_mid,
)

from .records import alarm, running


def creation(item: str = "x") -> Create:
    return Create(kind="alarm", id=ItemId(item), at=5, fields={"time": "07:00", "label": "Wäcker"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


Opens = Callable[[Path], Database]


@pytest.fixture
def opens() -> Iterator[Opens]:
    """Opens databases, and closes them when the test is over."""
    databases: list[Database] = []

    def open_one(path: Path) -> Database:
        databases.append(Database.open(path))
        return databases[-1]

    yield open_one
    for database in databases:
        database.close()


def reopened(opens: Opens, database: Database) -> Database:
    database.close()
    return opens(database.path)


def test_a_new_device_gets_a_name_of_its_own_and_keeps_it(opens: Opens, tmp_path: Path) -> None:
    one, other = opens(tmp_path / "one.db"), opens(tmp_path / "other.db")
    name = one.load()[0].device
    assert len(name) == 36
    assert other.load()[0].device != name
    assert reopened(opens, one).load()[0].device == name


WRITES: list[Write] = [
    PutRecord(alarm("a", extra={"n": [1, None, {"x": 1.5}]}, snooze=None, acked=1_795_000_000_000)),
    PutRecord(running("t", ends_at=1_795_000_000_000)),
    PutAside(alarm("gone")),
    PutEntry(Entry(Mid(1), creation(), Cursor(Epoch("e"), Rev(3)))),
    PutEntry(Entry(Mid(2), Dismiss(kind="timer", id=ItemId("t"), at=9, run=RunId("r1"), due=7))),
    PutPlace(Epoch("e"), Cursor(Epoch("e"), Rev(12))),
    PutDevice(DeviceId("desk")),
    PutMid(Mid(2)),
    PutConn(9),
]


def test_every_write_of_a_replica_is_found_again(opens: Opens, path: Path) -> None:
    database = opens(path)
    database.apply(WRITES)
    replica, _ = reopened(opens, database).load()
    assert replica.server == {"a": WRITES[0].record, "t": WRITES[1].record}  # type: ignore[union-attr]  # both PutRecord
    assert replica.aside == {"gone": alarm("gone")}
    assert [entry.mid for entry in replica.entries] == [1, 2]
    assert replica.entries[0].answered == Cursor(Epoch("e"), Rev(3))
    assert (replica.epoch, replica.cursor) == ("e", Cursor(Epoch("e"), Rev(12)))
    assert (replica.device, replica.last_mid, replica.conn) == ("desk", 2, 9)


def test_what_is_dropped_is_gone(opens: Opens, path: Path) -> None:
    database = opens(path)
    database.apply(WRITES)
    drops: list[Write] = [
        DropRecord(ItemId("a")),
        DropAside(ItemId("gone")),
        DropEntry(Mid(1)),
        PutPlace(Epoch("e"), None),
    ]
    database.apply(drops)
    replica, _ = reopened(opens, database).load()
    assert (list(replica.server), replica.aside, len(replica.entries), replica.cursor) == (["t"], {}, 1, None)
    assert replica.epoch == "e"


def test_the_devices_own_state_is_found_again(opens: Opens, path: Path) -> None:
    key, other = RingKey(ItemId("a"), 7_000, 0, Wall(7_000)), RingKey(ItemId("t"), "run", 2, Wall(9))
    rejection = Rejection(1, ItemId("a"), "Wake", "patch", 5, "gone", "It is gone.", None, {"time": "08:00"}, {})
    database = opens(path)
    database.apply([PutMark(Mark(key, Wall(8_000))), PutMark(Mark(other, Wall(10), over=True)), PutSkew(-90_000)])
    database.apply([PutMuted(ItemId("a"), muted=True), PutMuted(ItemId("b"), muted=True), PutUser(UserId("ada"))])
    database.apply([PutMark(Mark(key, Wall(8_000), over=True)), DropMark(other), PutMuted(ItemId("b"), muted=False)])
    database.apply(
        [PutRejection(rejection), PutRejection(msgspec.structs.replace(rejection, number=2)), DropRejection(2)]
    )
    _, local = reopened(opens, database).load()
    assert local.marks == {key: Mark(key, Wall(8_000), over=True)}
    assert (list(local.muted), local.skew_ms, local.user) == (["a"], -90_000, "ada")
    assert local.rejections == (rejection,)


@settings(max_examples=20)
@given(edits=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_a_copy_replayed_from_its_writes_equals_the_one_in_memory(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, bool]]
) -> None:
    """Whenever the program stops, loading what was committed gives the replica as it was then."""
    database = Database.open(tmp_path_factory.mktemp("copy") / "copy.db")
    replica, _ = database.load()
    for item, is_new in edits:
        edit: Edit = creation(item) if is_new else Dismiss(kind="alarm", id=ItemId(item), at=6, occ=1)
        replica, writes = absorb(replica, Edited(Entry(next_mid(replica), edit)))
        database.apply(writes)
        assert database.load()[0] == replica
    database.close()


def test_a_transaction_that_fails_leaves_nothing_of_itself(opens: Opens, path: Path) -> None:
    database = opens(path)
    too_great = PutConn(1 << 80)
    with pytest.raises(OverflowError):
        database.apply([PutMid(Mid(7)), too_great])
    assert database.load()[0].last_mid == 0
    database.apply([PutMid(Mid(8))])
    assert reopened(opens, database).load()[0].last_mid == 8


KILLED = """
import os, signal, sys
from pathlib import Path
from client_qt.database import Database
from protocol import Mid, PutConn, PutMid
database = Database.open(Path(sys.argv[1]))
for n in range(1, 10_000):
    database.apply([PutMid(Mid(n)), PutConn(n)])
    os.write(1, f"{n}\\n".encode())
"""


def test_killed_at_any_moment_it_has_all_that_was_said_to_be_stored_and_nothing_half(opens: Opens, path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(20):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    said = 20 + child.stdout.read().count(b"\n")
    child.wait()
    child.stdout.close()
    replica, _ = opens(path).load()
    assert replica.last_mid == replica.conn
    assert replica.last_mid in {said, said + 1}


def test_a_second_process_is_told_that_the_copy_is_in_use(opens: Opens, path: Path) -> None:
    database = opens(path)
    with pytest.raises(DatabaseError, match="in use by another process") as refused:
        opens(path)
    assert refused.value.code == "in_use"
    database.apply([PutMid(Mid(1))])
    database.close()
    assert opens(path).load()[0].last_mid == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"this is no database" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + os.urandom(4096) + path.read_bytes()[8192:]),
        lambda path: _corrupt_row(path, "UPDATE records SET body = '{'"),
        lambda path: _corrupt_row(path, 'UPDATE entries SET body = \'{"mid":"x"}\''),
        lambda path: _corrupt_row(path, "DROP TABLE marks"),
        lambda path: _corrupt_row(path, "DELETE FROM place WHERE one = 1; DROP TABLE place"),
    ],
    ids=["overwritten", "page", "record", "entry", "table", "place"],
)
def test_a_damaged_copy_is_moved_aside_and_begun_anew(
    opens: Opens, path: Path, damage: Callable[[Path], object]
) -> None:
    database = opens(path)
    database.apply(WRITES)
    database.close()
    damage(path)
    rebuilt = opens(path)
    assert rebuilt.set_aside is not None
    assert rebuilt.set_aside.name == "copy.damaged-1.db"
    assert rebuilt.set_aside.exists()
    replica, _ = rebuilt.load()
    assert (replica.server, replica.entries, replica.cursor) == ({}, (), None)
    assert replica.device != "desk"


def test_a_second_damaged_copy_does_not_replace_the_first(opens: Opens, path: Path) -> None:
    for number in (1, 2):
        path.write_bytes(b"no database at all" * 100)
        database = opens(path)
        database.close()
        assert database.set_aside == path.with_name(f"copy.damaged-{number}.db")


def test_a_copy_of_a_newer_program_is_left_alone(opens: Opens, path: Path) -> None:
    opens(path).close()
    _corrupt_row(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="newer version") as refused:
        opens(path)
    assert refused.value.code == "newer"
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_said_in_words(opens: Opens, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="cannot be used") as refused:
        opens(tmp_path / "file" / "copy.db")
    assert refused.value.code == "unusable"


def test_nobody_else_on_the_machine_may_read_it(opens: Opens, tmp_path: Path) -> None:
    path = tmp_path / "new" / "copy.db"
    opens(path)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("url", "user", "name"),
    [
        ("https://tocsin.example/", "ada", "tocsin.example-ada-"),
        ("http://127.0.0.1:80", "Ada Lovelace/..", "127.0.0.1-80-Ada-Lovelace-..-"),
        (None, "", "this-computer-"),
    ],
)
def test_the_files_name_says_whose_it_is_and_stays_in_its_folder(url: str | None, user: str, name: str) -> None:
    file = database_file(Path("data"), url, user)
    assert file.parent == Path("data")
    assert file.name.startswith(name)


def test_two_users_or_servers_never_share_a_file() -> None:
    whose = [
        ("http://a", "b"),
        ("http://a", "B"),
        ("https://a", "b"),
        ("http://a/b", ""),
        ("http://a-b", ""),
        (None, "b"),
    ]
    assert len({database_file(Path(), url, user) for url, user in whose}) == len(whose)


def _corrupt_row(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(statement)
    connection.close()
