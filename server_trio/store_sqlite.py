"""The embedded store: one SQLite file, no set-up. The default of a server for one machine."""

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from protocol import (
    DEFAULT_LIMITS,
    Account,
    Cursor,
    DeviceId,
    Epoch,
    ItemId,
    Limits,
    Mid,
    Outcome,
    Page,
    Record,
    Rev,
    SessionId,
    State,
    UserId,
    Wall,
    new_epoch,
    trim,
)

from . import sqlite_accounts as accounts
from . import sqlite_reader as reader
from .sqlite_file import FileLock, connect, migrate
from .sqlite_ledger import Ledger
from .sqlite_reader import Readers
from .sqlite_rows import devices_of
from .sqlite_writer import Writer
from .store import Answer, DeviceRow, JoinedDevice, Login, Outcomes, Reused, Rotated, Work


T = TypeVar("T")


def random_epoch() -> Epoch:
    """A name no history had before."""
    return Epoch(secrets.token_hex(8))


@asynccontextmanager
async def open_sqlite(
    path: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    exclusive: bool = True,
    fresh_epoch: Callable[[], Epoch] = random_epoch,
) -> AsyncIterator["SqliteStore"]:
    """Open the database, made or brought up to date first; closed again, durable, at the end.

    Args:
        path: of the file; its folder must exist.
        limits: `devices` and `results` bound what is kept.
        exclusive: refuse where another server has it; a command that only touches sign-ins need not.
        fresh_epoch: names new histories.

    Raises:
        StoreUnusable: in use, foreign, damaged, or newer than this program.
    """
    lock = FileLock(path)
    if exclusive:
        await trio.to_thread.run_sync(lock.acquire)
    try:
        await trio.to_thread.run_sync(migrate, path)
        connection = await trio.to_thread.run_sync(connect, path)
        store = SqliteStore(path, Ledger(connection, kept_answers=limits.results, devices=limits.devices), fresh_epoch)
        try:
            await store.load()
            yield store
        finally:
            await store.aclose()
    finally:
        lock.release()


class SqliteStore:
    """A `Store` over one SQLite file; made by `open_sqlite`."""

    def __init__(self, path: Path, ledger: Ledger, fresh_epoch: Callable[[], Epoch]) -> None:
        self._path = path
        self._ledger = ledger
        self._fresh_epoch = fresh_epoch
        self._readers = Readers(path)
        self._writer = Writer(ledger)
        self._revoked = set[SessionId]()

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path.name}, {len(self._ledger.heads)} heads in memory>"

    async def load(self) -> None:
        """Read what is kept in memory throughout."""
        self._revoked = await self._readers.read(accounts.revoked_sessions)

    async def aclose(self) -> None:
        """Finish what waits, then close the file."""
        await self._writer.aclose()
        self._readers.close()
        self._ledger.connection.close()

    # ------------------------------------------------------------------------------------------------------ the log

    async def head(self, user: UserId) -> Account:
        """See `LogStore.head`."""
        known = self._ledger.heads.get(user)
        return known if known is not None else await self._readers.read(partial(reader.head, user=user))

    async def heads(self, users: Collection[UserId]) -> dict[UserId, Account]:
        """See `LogStore.heads`."""
        known = {user: account for user in users if (account := self._ledger.heads.get(user)) is not None}
        missing = [user for user in users if user not in known]
        if missing:
            known |= await self._readers.read(partial(reader.heads, users=missing))
        return known

    async def commit(self, user: UserId, work: Work) -> Outcome:
        """See `LogStore.commit`."""
        outcomes = await self._writer.call(lambda ledger: ledger.decide(user, (work,)))
        return outcomes[0]

    def submit(self, user: UserId, works: Sequence[Work], answer: Answer) -> None:
        """See `LogStore.submit`."""

        def decide(ledger: Ledger) -> Outcomes:
            return ledger.decide(user, works)

        self._writer.submit(decide, answer)

    async def page(self, user: UserId, after: Rev, limit: int) -> Page:
        """See `LogStore.page`."""
        return await self._readers.read(partial(reader.page, user=user, after=after, limit=limit))

    async def state(self, user: UserId, device: DeviceId | None, *, with_deleted: bool) -> State:
        """See `LogStore.state`."""
        return await self._readers.read(partial(reader.state, user=user, device=device, with_deleted=with_deleted))

    async def record(self, user: UserId, item: ItemId) -> Record | None:
        """See `LogStore.record`."""
        return await self._readers.read(partial(reader.record, user=user, item=item))

    # ------------------------------------------------------------------------------------------------------ devices

    async def join(
        self, user: UserId, device: DeviceId, name: str, conn: int, cursor: Cursor | None, now: Wall
    ) -> JoinedDevice:
        """See `LogStore.join`."""

        def run(ledger: Ledger) -> JoinedDevice:
            row = ledger.join(user, device, name, conn, cursor, now)
            known = ledger.devices(user)
            last_mid = Mid(0) if row is None else row.last_mid
            rows = tuple(known[key] for key in sorted(known))
            return JoinedDevice(ledger.account(user), last_mid, rows, room=row is not None)

        return await self._writer.call(run)

    async def acked(self, user: UserId, device: DeviceId, epoch: Epoch, rev: Rev, now: Wall) -> None:
        """See `LogStore.acked`."""
        await self._writer.call(lambda ledger: ledger.acked(user, device, epoch, rev, now))

    async def devices(self, user: UserId) -> tuple[DeviceRow, ...]:
        """See `LogStore.devices`."""
        return await self._readers.read(partial(devices_of, user=user))

    async def forget_devices(self, unseen_since: Wall, limit: int = 500) -> int:
        """See `LogStore.forget_devices`."""
        unseen = await self._readers.read(partial(reader.unseen, since=unseen_since, limit=limit))

        def run(ledger: Ledger) -> int:
            # One may have come back since it was found.
            gone = [
                (user, device)
                for user, device in unseen
                if (row := ledger.devices(user).get(device)) is not None and row.seen < unseen_since
            ]
            for user, device in gone:
                ledger.forget_device(user, device)
            return len(gone)

        return await self._writer.call(run)

    # ------------------------------------------------------------------------------------------- epochs and trimming

    async def renew_epoch(self, user: UserId, seen: Epoch) -> Account:
        """See `LogStore.renew_epoch`."""
        fresh = self._fresh_epoch()

        def run(ledger: Ledger) -> Account:
            account = ledger.account(user)
            if account.epoch != seen:
                return account
            renewed = new_epoch(account, fresh)
            ledger.move_floor(user, renewed)
            return renewed

        return await self._writer.call(run)

    async def renew_all_epochs(self) -> None:
        """See `LogStore.renew_all_epochs`."""
        fresh = self._fresh_epoch()
        await self._writer.call(lambda ledger: ledger.renew_all(fresh))

    async def trim(self, older_than: Wall, keep_rows: int, limit: int = 2_000) -> int:
        """See `LogStore.trim`."""
        found = await self._readers.read(
            partial(reader.trimmable, older_than=older_than, keep_rows=keep_rows, limit=limit)
        )

        def run(ledger: Ledger) -> int:
            gone = 0
            for user, epoch, expired in found:
                account = ledger.account(user)
                if account.epoch == epoch:
                    gone += ledger.move_floor(user, trim(account, expired, keep_rows))
            return gone

        return await self._writer.call(run)

    # ------------------------------------------------------------------------------------------------------ sign-ins

    async def add_user(self, name: str, password_hash: str, now: Wall) -> bool:
        """See `AccountStore.add_user`."""
        return await self._writer.call(lambda ledger: accounts.add_user(ledger.connection, name, password_hash, now))

    async def set_password(self, name: str, password_hash: str) -> bool:
        """See `AccountStore.set_password`."""
        return await self._writer.call(lambda ledger: accounts.set_password(ledger.connection, name, password_hash))

    async def password_of(self, name: str) -> str | None:
        """See `AccountStore.password_of`."""
        return await self._readers.read(partial(accounts.password_of, name=name))

    async def logins(self) -> tuple[Login, ...]:
        """See `AccountStore.logins`."""
        return await self._readers.read(accounts.logins)

    async def open_session(self, session: SessionId, user: UserId, refresh_hash: str, ends: Wall) -> None:
        """See `AccountStore.open_session`."""
        await self._writer.call(
            lambda ledger: accounts.open_session(ledger.connection, session, user, refresh_hash, ends)
        )

    async def rotate(self, refresh_hash: str, next_hash: str, ends: Wall, now: Wall) -> Rotated | Reused | None:
        """See `AccountStore.rotate`."""
        end = await self._writer.call(
            lambda ledger: accounts.rotate(ledger.connection, refresh_hash, next_hash, ends, now)
        )
        if isinstance(end, Reused):
            self._revoked.add(end.session)
        return end

    async def revoke_session(self, session: SessionId, user: UserId, ends: Wall, now: Wall) -> None:
        """See `AccountStore.revoke_session`."""
        await self._writer.call(lambda ledger: accounts.revoke_session(ledger.connection, session, user, ends, now))
        self._revoked.add(session)

    async def session_alive(self, session: SessionId) -> bool:
        """See `AccountStore.session_alive`. Answered from memory: every request asks."""
        return session not in self._revoked

    async def forget_sessions(self, ended_before: Wall, limit: int = 500) -> int:
        """See `AccountStore.forget_sessions`."""
        gone, sessions = await self._writer.call(
            lambda ledger: accounts.forget_sessions(ledger.connection, ended_before, limit)
        )
        self._revoked -= sessions
        return gone
