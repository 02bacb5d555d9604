"""A server that is killed while it commits: nothing acknowledged is lost, nothing is there twice, no log has a gap."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

from server_trio.check import findings


ROOT = Path(__file__).resolve().parents[2]
LIVES = 60

Ack = tuple[str, int, int]


def live(program: "subprocess.Popen[str]", random: Random) -> list[Ack]:
    """One life: killed while it opens the file, or after some acknowledgements; returns all that were given."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("live\n")
    program.stdin.flush()
    pid = int(program.stdout.readline().split()[1])
    acks, wanted = list[Ack](), random.choice([0, 1, random.randrange(40), random.randrange(400)])
    while len(acks) < wanted:
        acks.append(read_ack(program.stdout.readline()))
    # Real time, since the moment must fall anywhere between two system calls of another process.
    time.sleep(random.uniform(0, 0.03))
    os.kill(pid, signal.SIGKILL)
    while (line := program.stdout.readline()) != "dead\n":
        acks.append(read_ack(line))
    return acks


def read_ack(line: str) -> Ack:
    word, user, mid, rev = line.split()
    assert word == "ack"
    return user, int(mid), int(rev)


def lost(path: Path, acks: list[Ack]) -> list[Ack]:
    """Acknowledged commits whose row, number or answer is not there."""
    with closing(sqlite3.connect(path)) as connection:
        rows = set(
            connection.execute(
                "SELECT change.user, json_extract(change.body, '$.mid'), change.rev FROM change"
                " JOIN device ON device.user = change.user"
                " WHERE device.last_mid >= json_extract(change.body, '$.mid')"
            )
        )
        kept = set(connection.execute("SELECT user, mid, json_extract(body, '$.rev') FROM answer"))
        newest = dict(connection.execute("SELECT user, last_mid FROM device"))
    return [ack for ack in acks if ack not in rows or (ack[1] > newest[ack[0]] - 256 and ack not in kept)]


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path, random = tmp_path / "tocsin.db", Random(20_270_115)
    command = [sys.executable, "-m", "tests.server_trio.committer", os.fspath(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        total = 0
        for _ in range(LIVES):
            acks = live(program, random)
            total += len(acks)
            assert len({ack[:2] for ack in acks}) == len({(ack[0], ack[2]) for ack in acks}) == len(acks)
            assert lost(path, acks) == []
            assert findings(path) == []
        assert program.stdin is not None
        program.stdin.close()
        assert program.wait() == 0
    assert total > 20 * LIVES, "the kills fell while it was busy"
    with closing(sqlite3.connect(path)) as connection:
        twice = connection.execute(
            "SELECT user, json_extract(body, '$.mid') FROM change GROUP BY 1, 2 HAVING count(*) > 1"
        ).fetchall()
    assert twice == []
