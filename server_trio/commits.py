"""The one door to the log: whatever a change came by, it is decided here and published from here.

A change is published when it is durable, before its author is told, in the order of the log: the store calls back in
that order, and nothing is awaited between its call and the publication.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import trio

from protocol import (
    Change,
    Create,
    Delete,
    DeviceId,
    Edit,
    Fault,
    Found,
    ItemId,
    Kind,
    Limits,
    Outcome,
    Patch,
    Record,
    RunId,
    Submission,
    UserId,
    Wall,
    Zones,
    commit,
    commit_delete,
    commit_plain,
    commit_post,
)

from .store import Answer, LogStore, Outcomes, Work


Publisher = Callable[[UserId, Change, Record | None], None]


class Commits:
    """Takes changes to the store and, once they are durable, to everybody concerned."""

    __slots__ = ("_default_zone", "_limits", "_publish", "_store", "_wall", "_zones")

    def __init__(
        self,
        store: LogStore,
        publish: Publisher,
        *,
        limits: Limits,
        zones: Zones,
        wall: Callable[[], Wall],
        default_zone: str = "UTC",
    ) -> None:
        self._store = store
        self._publish = publish
        self._limits = limits
        self._zones = zones
        self._wall = wall
        self._default_zone = default_zone

    def __repr__(self) -> str:
        return f"<Commits to {self._store!r}>"

    # ------------------------------------------------------------------------------------------------------- the door

    def submit(self, user: UserId, works: tuple[Work, ...], answer: Answer) -> None:
        """Have works decided in order; `answer` is called when all is durable and published.

        Raises:
            StoreUnavailable: nothing was taken.
        """
        self._store.submit(user, works, partial(self._published, user, answer))

    async def decide(self, user: UserId, *works: Work) -> Outcomes:
        """The same for a task that waits. Cancelled, it only loses the answer.

        Raises:
            StoreUnavailable: nothing of it happened.
        """
        waiting = _Waiting()
        self.submit(user, works, waiting.answer)
        await waiting.done.wait()
        if isinstance(waiting.outcomes, Exception):
            raise waiting.outcomes
        return waiting.outcomes

    def _published(self, user: UserId, answer: Answer, outcomes: Outcomes | Exception) -> None:
        if not isinstance(outcomes, Exception):
            for outcome in outcomes:
                if outcome.change is not None:
                    self._publish(user, outcome.change, outcome.record)
        answer(outcomes)

    # ------------------------------------------------------------------------------------------- what can be decided

    def mutation(self, device: DeviceId, submission: Submission) -> Work:
        """A numbered mutation of a device."""
        now, zones, limits = self._wall(), self._zones, self._limits

        def decide(found: Found) -> Outcome:
            return commit(found, submission, device, now, zones, limits)

        item = None if isinstance(submission.edit, Fault) else submission.edit.id
        return Work(
            decide=decide, now=now, id=item, device=device, mid=submission.mid, fingerprint=submission.fingerprint
        )

    def post(self, body: Mapping[str, Any], item: ItemId) -> Work:
        """A classic POST, `item` as `post_id` gave it."""
        now, run = self._wall(), RunId(str(uuid4()))
        zones, limits, default_zone = self._zones, self._limits, self._default_zone

        def decide(found: Found) -> Outcome:
            return commit_post(found, body, item, now, zones, limits, run, default_zone)

        return Work(decide=decide, now=now, id=item)

    def delete(self, item: ItemId) -> Work:
        """A classic DELETE."""
        now = self._wall()
        return Work(decide=lambda found: commit_delete(found, now), now=now, id=item)

    def plain(self, kind: Kind, item: ItemId, fields: Mapping[str, Any] | None) -> Work:
        """A change that no device made: a record created or patched with `fields`; None deletes it."""
        now, zones, limits = self._wall(), self._zones, self._limits

        def decide(found: Found) -> Outcome:
            def make(at: int) -> Edit:
                if fields is None:
                    return Delete(kind=kind, id=item, at=at)
                edit = Create if found.record is None else Patch
                return edit(kind=kind, id=item, at=at, fields=dict(fields))

            return commit_plain(found, make, now, zones, limits)

        return Work(decide=decide, now=now, id=item)


class _Waiting:
    """A task that waits for the store's answer."""

    __slots__ = ("done", "outcomes")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.outcomes: Outcomes | Exception = ()

    def answer(self, outcomes: Outcomes | Exception) -> None:
        self.outcomes = outcomes
        self.done.set()
