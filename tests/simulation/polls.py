"""A process's plain requests: snapshot, long poll, mutations (docs/protocol.md#http)."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from protocol import (
    Cursor,
    DeviceId,
    Epoch,
    Fault,
    Mid,
    Outcome,
    Rev,
    UserId,
    changes_text,
    client,
    read_batch,
    read_cursor,
    read_submission,
    results_text,
    resume,
    server,
    snapshot_text,
    sync_required_text,
)
from protocol.testing import MemoryStore

from .process import Process


Reply = Callable[[str | client.PollFailed], None]


class Waiting:
    """A long poll that waits for news. Answered once: by news, by time, or by the end of its process."""

    def __init__(self, answer: Callable[[], None], fail: Callable[[int], None]) -> None:
        self._answer = answer
        self._fail = fail
        self._over = False

    def wake(self) -> None:
        """There is news, or time is up."""
        if not self._over:
            self._over = True
            self._answer()

    def fail(self, status: int) -> None:
        """There will be no answer."""
        if not self._over:
            self._over = True
            self._fail(status)


def answer_poll(process: Process, poll: client.Poll, reply: Reply) -> None:
    """Take a request and answer it once, now or later."""
    verdict = process.world.verdict(poll.handle)
    if isinstance(verdict, server.TokenRejected):
        status = 403 if verdict.why in {"revoked", "forbidden"} else 401
        code = {"expired": "token_expired", "invalid": "token_invalid"}.get(verdict.why, "forbidden")
        reply(client.PollFailed(poll.gen, status, code))
        return
    url = urlsplit(poll.path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    request = _Request(process, poll, verdict.user, DeviceId(query["device_id"]), query, reply)
    if url.path.endswith("/changes"):
        request.changes()
    elif url.path.endswith("/mutations"):
        request.mutations()
    else:
        request.snapshot()


class _Request:
    def __init__(
        self,
        process: Process,
        poll: client.Poll,
        user: UserId,
        device: DeviceId,
        query: dict[str, str],
        reply: Reply,
    ) -> None:
        self.process = process
        self.poll = poll
        self.user = user
        self.device = device
        self.query = query
        self.reply = reply
        self.arrived = process.world.wall

    @property
    def store(self) -> MemoryStore:
        """The user's log as it is now."""
        return self.process.world.storage.of(self.user)

    def _cursor(self) -> Cursor | None:
        cursor = read_cursor(self.query.get("since", ""))
        assert not isinstance(cursor, Fault)
        return cursor

    def _note_seen(self, cursor: Cursor | None) -> None:
        """A request is a sign of life, and its cursor an ack (docs/protocol.md#http-changes-ack)."""
        epoch, rev = (Epoch(""), Rev(0)) if cursor is None else (cursor.epoch, cursor.rev)
        self.store.acked(self.device, epoch, rev, self.arrived)

    def snapshot(self) -> None:
        cursor = self._cursor()
        self._note_seen(cursor)
        elsewhere = cursor is not None and cursor.epoch != self.store.account.epoch
        state = self.store.state(self.device, with_deleted=elsewhere)
        self.reply(snapshot_text(state, self.arrived, self.process.world.wall))

    def changes(self) -> None:
        """Wait only where the cursor is at the head."""
        cursor = self._cursor()
        self._note_seen(cursor)
        account = self.store.account
        decision = resume(cursor, account, self.process.world.terms.limits)
        seconds = min(int(self.query.get("wait", "0")), self.process.world.timing.poll_wait_ms / 1000)
        if decision != account.rev or not seconds:
            self._news(cursor)
            return
        waiting = Waiting(
            lambda: self._news(cursor), lambda status: self.reply(client.PollFailed(self.poll.gen, status))
        )
        self.process.head(self.user)
        self.process.polls.setdefault(self.user, []).append(waiting)
        self.process.later(seconds, waiting.wake)

    def _news(self, cursor: Cursor | None) -> None:
        store, world = self.store, self.process.world
        after = resume(cursor, store.account, world.terms.limits)
        if after == "ahead":
            world.storage.renew(self.user, store.account.epoch)
            self.process.resync(self.user)
            world.bus.nudge(self.process, self.user)
        if isinstance(after, str):
            self.reply(sync_required_text(store.account, after, self.arrived, world.wall))
            return
        rows = store.page(after, world.terms.limits.page_rows).rows
        last_mid = store.last_mids.get(self.device, Mid(0))
        self.reply(changes_text(store.account, last_mid, rows, self.arrived, world.wall))

    def mutations(self) -> None:
        """All in one commit; the works end after the first that is not consumed."""
        batch = read_batch((self.poll.body or "").encode(), self.process.world.terms.limits)
        assert not isinstance(batch, Fault)
        outcomes: list[Outcome] = []
        wall = self.process.world.wall

        def commit() -> None:
            for mutate in batch:
                outcomes.append(self.store.commit(self.device, read_submission(mutate), wall))
                if outcomes[-1].fault is not None:
                    return

        def answer() -> None:
            for outcome in outcomes:
                self.process.published(self.user, outcome)
            fault = outcomes[-1].fault if outcomes else None
            error = None if fault is None else (fault, batch[len(outcomes) - 1].mid)
            results = [outcome.result for outcome in outcomes if outcome.result is not None]
            epoch = outcomes[-1].account.epoch if outcomes else self.store.account.epoch
            self.reply(results_text(epoch, results, error, self.arrived, self.process.world.wall))

        self.process.write(commit, answer)
