"""The one thread that writes: everything waiting goes into one transaction, and one message brings all answers back.

While a transaction is being synced the next ones gather, so the more there is to do, the less each costs. For the same
reason the thread is not woken by each job but once in a round of the event loop: two threads that take turns on one
interpreter lock, job by job, cost a third more.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeGuard, TypeVar

import outcome
import trio

from .sqlite_file import roll_back, unavailable
from .sqlite_ledger import DecisionFailed, Ledger
from .store import StoreUnavailable


LARGEST_GROUP = 256
"""Jobs in one transaction: bounds how long the first of them waits for the last."""

LONGEST_QUEUE = 10_000
"""Jobs waiting; above this the answer is `StoreUnavailable` at once, since memory is bounded."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Job(NamedTuple):
    """Something to do inside a transaction, and who wants to know.

    Attributes:
        run: runs on the writer's thread; it runs again, alone, where a neighbour made the transaction fail.
        answer: gets the result or the exception, on the thread of the event loop.
    """

    run: Callable[[Ledger], Any]
    answer: Callable[[Any], None]


class Writer:
    """Runs jobs on its own thread, in the order of the calls. Made and used on the thread of the event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._round = list[Job]()
        self._waiting: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._unanswered = 0
        self._closed = False
        self._token = trio.lowlevel.current_trio_token()
        # A daemon: a server that crashes must not hang on a thread that nobody will stop.
        self._thread = threading.Thread(target=self._work, name="tocsin-writer", daemon=True)
        self._thread.start()

    def submit(self, run: Callable[[Ledger], Any], answer: Callable[[Any], None]) -> None:
        """Have something done; `answer` is called once, never inside this call where the writer takes it.

        Raises:
            StoreUnavailable: closed, or too much is waiting.
        """
        if self._closed:
            raise StoreUnavailable("The database is closed.", retryable=False)
        if self._unanswered >= LONGEST_QUEUE:
            raise StoreUnavailable("The database has too much to do; try again in a second.")
        self._unanswered += 1
        self._round.append(Job(run, answer))
        if len(self._round) == 1:
            self._token.run_sync_soon(self._end_round)

    def _end_round(self) -> None:
        if self._round:
            self._waiting.put(self._round)
            self._round = []

    async def call(self, run: Callable[[Ledger], T]) -> T:
        """Have something done and wait for it, cancelled or not: a commit nobody knows the end of helps nobody."""
        task = trio.lowlevel.current_task()

        def answer(result: T | Exception) -> None:
            end = outcome.Error(result) if isinstance(result, Exception) else outcome.Value(result)
            trio.lowlevel.reschedule(task, end)

        self.submit(run, answer)
        done: T = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return done

    async def aclose(self) -> None:
        """Do what waits, then end the thread."""
        if not self._closed:
            self._closed = True
            self._end_round()
            self._waiting.put(None)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join)

    # ------------------------------------------------------------------------------------------ the writer's thread

    def _work(self) -> None:
        going = True
        while going:
            jobs, going = self._gather()
            for start in range(0, len(jobs), LARGEST_GROUP):
                group = jobs[start : start + LARGEST_GROUP]
                self._bring(list(zip(group, _run(self._ledger, group), strict=True)))

    def _gather(self) -> tuple[list[Job], bool]:
        """Everything that waits, at least one round of it; and whether there will be more."""
        jobs = list[Job]()
        round_ = self._waiting.get()
        while round_ is not None:
            jobs += round_
            try:
                round_ = self._waiting.get_nowait()
            except Empty:
                return jobs, True
        return jobs, False

    def _bring(self, results: list[tuple[Job, Any]]) -> None:
        try:
            self._token.run_sync_soon(self._answer_all, results)
        except trio.RunFinishedError:
            _log.warning("%d commits ended after the event loop did; they are durable, nobody was told", len(results))

    def _answer_all(self, results: list[tuple[Job, Any]]) -> None:
        self._unanswered -= len(results)
        for job, result in results:
            try:
                job.answer(result)
            except Exception:  # noqa: BLE001 - it is logged with its trace
                # Raised on, it would end the whole event loop; swallowed, nobody would find it.
                _log.exception("an answer to a commit was not taken")


def _run(ledger: Ledger, group: list[Job]) -> list[Any]:
    """Results, or exceptions, in order. Never raises: the thread outlives every failure of its database."""
    try:
        return _run_together(ledger, group)
    except Exception as error:  # noqa: BLE001 - it is not lost: it becomes the answer of those concerned
        roll_back(ledger.connection)
        ledger.drop()
        if _concerns_all(error):
            return [unavailable(error) for _ in group]
        return [error] if len(group) == 1 else [_run(ledger, [job])[0] for job in group]


def _concerns_all(error: Exception) -> TypeGuard[sqlite3.DatabaseError]:
    """Whether it is the database's trouble; anything else is the fault of one job, which is found by running it alone."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def _run_together(ledger: Ledger, group: list[Job]) -> list[Any]:
    ledger.begin()
    results = [_run_one(ledger, job) for job in group]
    ledger.commit()
    return results


def _run_one(ledger: Ledger, job: Job) -> Any:
    try:
        return job.run(ledger)
    except DecisionFailed as failure:
        return failure.cause
