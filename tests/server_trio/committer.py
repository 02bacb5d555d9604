"""A program that commits until it is killed, for `test_kill`: for every line on standard input, one more life.

Each life is a fork, so that sixty of them cost one start of Python. A commit is acknowledged by a line on standard
output, in one write: a line outlives its writer in the pipe, whole or not at all.
"""

import os
import sys
from pathlib import Path

import trio

from protocol import DEFAULT_LIMITS, Create, DeviceId, Epoch, ItemId, Mid, Submission, UserId, Wall, commit
from server_trio.store import LogStore, Work
from server_trio.store_sqlite import open_sqlite


USERS = [UserId(f"user-{n}") for n in range(12)]
DEVICE = DeviceId("desk")


def live_again_and_again(path: Path) -> None:
    for _ in sys.stdin:
        life = os.fork()
        if life == 0:
            trio.run(commit_without_end, path)
        say("alive", life)
        os.waitpid(life, 0)
        say("dead")


async def commit_without_end(path: Path) -> None:
    async with open_sqlite(path) as store, trio.open_nursery() as nursery:
        for user in USERS:
            state = await store.state(user, DEVICE, with_deleted=False)
            nursery.start_soon(commit_for, store, user, state.account.epoch, state.last_mid)


async def commit_for(store: LogStore, user: UserId, epoch: Epoch, mid: int) -> None:
    while True:
        mid += 1
        outcome = await store.commit(user, work(epoch, mid))
        assert outcome.change is not None
        say("ack", user, mid, outcome.change.rev)


def work(epoch: Epoch, mid: int) -> Work:
    """Mutation number `mid`: creates a timer, or gives it another length."""
    edit = Create(kind="timer", id=ItemId(f"item-{mid % 50}"), at=mid, fields={"duration_ms": mid})
    submission = Submission(epoch, Mid(mid), edit, fingerprint=str(mid))
    return Work(
        decide=lambda found: commit(found, submission, DEVICE, Wall(mid), lambda _: None, DEFAULT_LIMITS),
        now=Wall(mid),
        id=edit.id,
        device=DEVICE,
        mid=Mid(mid),
        fingerprint=submission.fingerprint,
    )


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


if __name__ == "__main__":
    live_again_and_again(Path(sys.argv[1]))
