"""What holds for the log of a user, whatever happens to devices and processes (invariants 3, 4, 6 and 12)."""

from itertools import takewhile

from protocol import Account, Change, DeviceId, Epoch, ItemId, Mid, UserId
from protocol.testing import MemoryStore

from .checks_records import Decided, RecordsCheck
from .fates import Fates
from .run import Violation
from .world import World


Key = tuple[DeviceId, Mid]


class LogCheck:
    """Watches one user's log; after each step it looks at what is new in it.

    Attributes:
        fates: what became of the user's edits.
    """

    def __init__(self, world: World, user: UserId) -> None:
        self._world = world
        self._user = user
        self.fates = Fates(user)
        self._records = RecordsCheck(world, user)
        self._store: MemoryStore | None = None
        self._account = Account(Epoch(""))
        self._answer: Key | None = None
        self._mids: dict[DeviceId, Mid] = {}
        self._acked: dict[ItemId, int] = {}
        self._deleted: set[ItemId] = set()

    def after(self) -> None:
        """Look at what is new."""
        store = self._world.storage.users.get(self._user)
        if store is not self._store:
            if store is not None:
                self._restored(store)
        elif store is not None and (
            store.account is not self._account or next(reversed(store.answers), None) is not self._answer
        ):
            self._grown(store)

    def _broken(self, rule: str, expected: str, happened: str) -> Violation:
        return Violation(rule, self._user, self._world.now, expected, happened)

    # --- a log that is another one ---

    def _restored(self, store: MemoryStore) -> None:
        """The first look, or a backup took the place of the log: what it holds is where we go on from."""
        if self._store is not None and store.account.epoch == self._account.epoch:
            raise self._broken(
                "invariant-2", "a new epoch after a restore", f"the log goes on as {self._account.epoch}"
            )
        self._store, self._account = store, store.account
        self._answer = next(reversed(store.answers), None)
        self._mids = dict(store.last_mids)
        self._acked = {i: r.acked for i, r in store.records.items() if isinstance(r.acked, int)}
        self._deleted = set(store.tombstones)
        self._records.restored(store)
        self.fates.restored((kept.fingerprint, kept.result.status == "applied") for kept in store.answers.values())

    # --- a log that has grown ---

    def _grown(self, store: MemoryStore) -> None:
        before, after = self._account, store.account
        if after.rev < before.rev or (after.floor < before.floor and after.epoch == before.epoch):
            raise self._broken("invariant-6", "that head and floor of the log never fall", f"{before} became {after}")
        fresh = list(takewhile(lambda row: row.rev > before.rev, reversed(store.rows)))[::-1]
        self._dense(fresh, before, after)
        by_key = {(row.device_id, row.mid): row for row in fresh if row.device_id}
        decided = [self._answered(store, key, by_key.pop(key, None)) for key in self._new_answers(store)]
        if by_key:
            raise self._broken("outbox-once", "an answer kept beside each row", f"rows {by_key} came without one")
        for row in fresh:
            self._monotone(row)
        self._records.after(store, fresh, decided)
        self._account = after

    def _dense(self, fresh: list[Change], before: Account, after: Account) -> None:
        revs = [row.rev for row in fresh]
        if revs != list(range(max(before.rev, after.floor) + 1, after.rev + 1)):
            raise self._broken(
                "invariant-6", f"rows without a hole from {before.rev} to {after.rev}", f"the log has {revs}"
            )

    def _new_answers(self, store: MemoryStore) -> list[Key]:
        last = self._answer
        keys = list(takewhile(lambda key: key is not last, reversed(store.answers)))[::-1]
        self._answer = keys[-1] if keys else last
        return keys

    def _answered(self, store: MemoryStore, key: Key, row: Change | None) -> Decided:
        """Numbers count on without a hole; what is answered `applied` is in the log."""
        device, mid = key
        expected = self._mids.get(device, 0) + 1
        if mid != expected:
            raise self._broken(
                "invariant-3",
                f"that {device} is consumed in the order of its numbers, now {expected}",
                f"{mid} was consumed",
            )
        self._mids[device] = mid
        kept = store.answers[key]
        applied = kept.result.status == "applied"
        floor = store.account.floor
        if applied != (row is not None) and not (applied and kept.result.rev <= floor):
            raise self._broken(
                "outbox-once",
                "a row exactly where the answer is `applied`",
                f"{device}:{mid} has {kept.result}, row {row}",
            )
        edit = self.fates.consumed(kept.fingerprint, effect=applied, device=device, mid=mid, now=self._world.now)
        return Decided(device, mid, edit, row)

    def _monotone(self, row: Change) -> None:
        if row.id in self._deleted:
            raise self._broken(
                "invariant-6", f"that {row.id}, once deleted, never returns", f"row {row.rev} is a {row.op}"
            )
        if row.op == "delete":
            self._deleted.add(row.id)
        acked = row.changed.get("acked")
        if row.kind == "alarm" and "acked" in row.changed and row.op != "create":
            known = self._acked.get(row.id, -1)
            if not isinstance(acked, int) or acked < known:
                raise self._broken(
                    "invariant-6",
                    f"that `acked` of {row.id} never falls below {known}",
                    f"row {row.rev} sets it to {acked}",
                )
            self._acked[row.id] = acked

    # --- what a device was told ---

    def heard_applied(self, who: str, device: DeviceId, epoch: Epoch, mid: Mid, rev: int) -> None:
        """A device hears that its mutation is in the log: so it is, unless that is past or trimmed."""
        store = self._store
        if store is not None and store.account.epoch != epoch:
            self.fates.lost(device, mid)
            return
        if store is None or rev <= store.account.floor:
            return
        place = rev - (store.rows[0].rev if store.rows else 0)
        row = store.rows[place] if 0 <= place < len(store.rows) else None
        if row is None or (row.device_id, row.mid) != (device, mid):
            raise Violation(
                "invariant-4", who, self._world.now, f"row {rev} by {device}:{mid} in the log, since it was told so",
                f"the log has {row!r} there",
            )  # fmt: skip

    def at_peace(self) -> None:
        """Nothing has grown beyond its bound, nothing was lost."""
        store = self._store
        if store is None:
            return
        limits = store.limits
        most = limits.results * max(1, len(store.last_mids))
        if len(store.devices) > limits.devices or len(store.answers) > most:
            raise self._broken(
                "invariant-12", f"at most {limits.devices} devices and {limits.results} answers each",
                f"there are {len(store.devices)} and {len(store.answers)}",
            )  # fmt: skip
        self.fates.at_peace(store.last_mids, self._world.now)
