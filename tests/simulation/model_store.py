"""The simulation's storage in the role of the server's store, so that one contract is held against it and real ones.

What is simulated is what is tested here: nothing is decided in this file. A commit is durable as soon as it is
decided; who asked for it goes on a turn of the event loop later, and others may have been there first.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

import trio

from protocol import (
    Account,
    Cursor,
    DeviceId,
    Epoch,
    ItemId,
    Mid,
    Outcome,
    Page,
    Record,
    Rev,
    SessionId,
    State,
    UserId,
    Wall,
)
from protocol.testing import MemoryStore
from server_trio.store import (
    Answer,
    DeviceRow,
    JoinedDevice,
    Login,
    Outcomes,
    Reused,
    Rotated,
    StoreUnavailable,
    Work,
)

from .storage import Storage


@asynccontextmanager
async def open_model(storage: Storage) -> AsyncIterator["ModelStore"]:
    """Open a storage, which stands for the file: whatever was committed is there when it is opened again."""
    store = ModelStore(storage)
    try:
        yield store
    finally:
        store.close()


class ModelStore:
    """A `server_trio.store.Store` over the simulation's storage; made by `open_model`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._closed = False

    def __repr__(self) -> str:
        return f"<ModelStore over {self._storage!r}>"

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def _open(self) -> Storage:
        if self._closed:
            raise StoreUnavailable("The model is closed.", retryable=False)
        return self._storage

    async def _reading(self) -> Storage:
        """The storage, a little later: by then it may have moved on."""
        await trio.lowlevel.checkpoint()
        return self._open()

    # --- the log ---

    async def head(self, user: UserId) -> Account:
        """See `LogStore.head`."""
        return (await self._reading()).of(user).account

    async def heads(self, users: Collection[UserId]) -> dict[UserId, Account]:
        """See `LogStore.heads`."""
        storage = await self._reading()
        return {user: storage.of(user).account for user in users}

    async def commit(self, user: UserId, work: Work) -> Outcome:
        """See `LogStore.commit`."""
        outcome = _take(self._open().of(user), work)
        await _told()
        return outcome

    def submit(self, user: UserId, works: Sequence[Work], answer: Answer) -> None:
        """See `LogStore.submit`."""
        store, outcomes = self._open().of(user), list[Outcome]()
        end: Outcomes | Exception
        try:
            for work in works:
                outcomes.append(_take(store, work))
                if outcomes[-1].fault is not None:
                    break
            end = tuple(outcomes)
        except Exception as error:  # noqa: BLE001 - it is not lost: it becomes the answer
            end = error
        trio.lowlevel.current_trio_token().run_sync_soon(answer, end)

    async def page(self, user: UserId, after: Rev, limit: int) -> Page:
        """See `LogStore.page`."""
        return (await self._reading()).of(user).page(after, limit)

    async def state(self, user: UserId, device: DeviceId | None, *, with_deleted: bool) -> State:
        """See `LogStore.state`."""
        return (await self._reading()).of(user).state(device, with_deleted=with_deleted)

    async def record(self, user: UserId, item: ItemId) -> Record | None:
        """See `LogStore.record`."""
        return (await self._reading()).of(user).records.get(item)

    # --- devices ---

    async def join(
        self, user: UserId, device: DeviceId, name: str, conn: int, cursor: Cursor | None, now: Wall
    ) -> JoinedDevice:
        """See `LogStore.join`."""
        store = self._open().of(user)
        room = store.has_room(device)
        last_mid = store.join(device, name, cursor, now, conn)
        joined = JoinedDevice(store.account, last_mid, _devices(store), room=room)
        await _told()
        return joined

    async def acked(self, user: UserId, device: DeviceId, epoch: Epoch, rev: Rev, now: Wall) -> None:
        """See `LogStore.acked`."""
        self._open().of(user).acked(device, epoch, rev, now)
        await _told()

    async def devices(self, user: UserId) -> tuple[DeviceRow, ...]:
        """See `LogStore.devices`."""
        return _devices((await self._reading()).of(user))

    async def forget_devices(self, unseen_since: Wall, limit: int = 500) -> int:
        """See `LogStore.forget_devices`."""
        gone = self._open().forget_devices(unseen_since, limit)
        await _told()
        return gone

    # --- epochs and trimming ---

    async def renew_epoch(self, user: UserId, seen: Epoch) -> Account:
        """See `LogStore.renew_epoch`."""
        account = self._open().renew(user, seen)
        await _told()
        return account

    async def renew_all_epochs(self) -> None:
        """See `LogStore.renew_all_epochs`."""
        self._open().renew_all()
        await _told()

    async def trim(self, older_than: Wall, keep_rows: int, limit: int = 2_000) -> int:
        """See `LogStore.trim`."""
        gone = self._open().trim(older_than, keep_rows, limit)
        await _told()
        return gone

    # --- sign-ins ---

    async def add_user(self, name: str, password_hash: str, now: Wall) -> bool:
        """See `AccountStore.add_user`."""
        added = self._open().sign_ins.add_user(name, password_hash, now)
        await _told()
        return added

    async def set_password(self, name: str, password_hash: str) -> bool:
        """See `AccountStore.set_password`."""
        changed = self._open().sign_ins.set_password(name, password_hash)
        await _told()
        return changed

    async def password_of(self, name: str) -> str | None:
        """See `AccountStore.password_of`."""
        return (await self._reading()).sign_ins.passwords.get(name)

    async def logins(self) -> tuple[Login, ...]:
        """See `AccountStore.logins`."""
        logins = (await self._reading()).sign_ins.logins
        return tuple(logins[name] for name in sorted(logins))

    async def open_session(self, session: SessionId, user: UserId, refresh_hash: str, ends: Wall) -> None:
        """See `AccountStore.open_session`."""
        self._open().sign_ins.open_session(session, user, refresh_hash, ends)
        await _told()

    async def rotate(self, refresh_hash: str, next_hash: str, ends: Wall, now: Wall) -> Rotated | Reused | None:
        """See `AccountStore.rotate`."""
        end = self._open().sign_ins.rotate(refresh_hash, next_hash, ends, now)
        await _told()
        return end

    async def revoke_session(self, session: SessionId, user: UserId, ends: Wall, now: Wall) -> None:
        """See `AccountStore.revoke_session`."""
        self._open().sign_ins.revoke_session(session, user, ends)
        await _told()

    async def session_alive(self, session: SessionId) -> bool:
        """See `AccountStore.session_alive`."""
        return (await self._reading()).sign_ins.alive(session)

    async def forget_sessions(self, ended_before: Wall, limit: int = 500) -> int:
        """See `AccountStore.forget_sessions`."""
        gone = self._open().sign_ins.forget(ended_before, limit)
        await _told()
        return gone


async def _told() -> None:
    """Others run before the caller does; not interrupted, since what was asked for is done."""
    await trio.lowlevel.cancel_shielded_checkpoint()


def _take(store: MemoryStore, work: Work) -> Outcome:
    return store.take(work.decide, work.now, work.id, work.device, work.mid, work.fingerprint)


def _devices(store: MemoryStore) -> tuple[DeviceRow, ...]:
    """In order of their identifiers."""
    return tuple(_device(store, device) for device in sorted(store.devices))


def _device(store: MemoryStore, device: DeviceId) -> DeviceRow:
    row = store.devices[device]
    acked = None if row.acked_epoch is None else Cursor(row.acked_epoch, row.acked_rev)
    conn, last_mid = store.conns.get(device, 0), store.last_mids.get(device, Mid(0))
    return DeviceRow(device, row.name, conn, last_mid, acked, row.last_seen)
