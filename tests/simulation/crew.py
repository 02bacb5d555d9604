"""The processes that play worlds, and what they answer, as one stream."""

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

import msgspec

from .worker import Played, Task


ROOT = Path(__file__).resolve().parent.parent.parent
HASH_SEEDS = (1, 2)
"""PYTHONHASHSEED of the processes that play a world first, and second."""


class WorkerGone(Exception):
    """A process ended, or said nothing for too long, while it had a world to play."""


class Worker:
    """One process.

    Attributes:
        sides: which plays of a world it takes. owed: tasks that it has not answered.
    """

    def __init__(self, sides: tuple[int, ...], answers: "queue.Queue[tuple[Worker, Played | None]]") -> None:
        self.sides = sides
        self.owed: list[Task] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulation.worker"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(HASH_SEEDS[sides[0]])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the parent: it ends the others when it has its report.
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(answers,), daemon=True).start()

    def _listen(self, answers: "queue.Queue[tuple[Worker, Played | None]]") -> None:
        decoder = msgspec.json.Decoder(Played)
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                answers.put((self, decoder.decode(line)))
        answers.put((self, None))

    def ask(self, task: Task) -> None:
        """Give it a world to play."""
        assert self._process.stdin is not None
        self.owed.append(task)
        try:
            self._process.stdin.write(msgspec.json.encode(task) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerGone(self.epitaph()) from None

    def epitaph(self) -> str:
        """What is known of its end."""
        seeds = ", ".join(str(task.seed) for task in self.owed) or "none"
        return f"a worker is gone or hangs (exit status {self._process.poll()}); seeds it had to play: {seeds}"

    def end(self) -> None:
        """See it gone."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Crew:
    """Workers for a campaign.

    Args:
        jobs: how many processes.
        sides: how often each world is played; with two processes or more, by different ones.
    """

    def __init__(self, jobs: int, sides: int) -> None:
        self._answers: queue.Queue[tuple[Worker, Played | None]] = queue.Queue()
        everything = tuple(range(sides))
        parts = [everything] if jobs == 1 else [(job % sides,) for job in range(jobs)]
        self.workers = [Worker(part, self._answers) for part in parts]

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for worker in self.workers:
            worker.end()

    def answer(self, patience_s: float) -> Played:
        """The next answer of anybody.

        Raises:
            WorkerGone: a process ended, or nobody answered for so long.
        """
        try:
            worker, played = self._answers.get(timeout=patience_s)
        except queue.Empty:
            silent = max(self.workers, key=lambda worker: len(worker.owed))
            raise WorkerGone(f"no answer for {patience_s:.0f} s: {silent.epitaph()}") from None
        if played is None:
            raise WorkerGone(worker.epitaph())
        worker.owed = [
            task for task in worker.owed if (task.number, task.side) != (played.task.number, played.task.side)
        ]
        return played
