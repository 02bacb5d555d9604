"""What all server processes share and what outlives them: every user's log, and the sign-ins."""

from collections.abc import Mapping

from protocol import DEFAULT_LIMITS, Account, Epoch, Limits, UserId, Wall, Zones
from protocol.testing import MemoryStore

from .sign_ins import SignIns


class Storage:
    """Every user's log, records and devices.

    Args:
        zones: how time zones are looked up.
        limits: what a commit allows, how many devices and answers are kept.

    Attributes:
        users: by name. sign_ins: who may come in.
        renewals: how many epochs were begun, so that each gets a name of its own.
        epoch: of every log that nothing was written to and that was never renewed.
    """

    def __init__(self, zones: Zones, limits: Limits = DEFAULT_LIMITS) -> None:
        self._zones = zones
        self._limits = limits
        self.users: dict[UserId, MemoryStore] = {}
        self.sign_ins = SignIns()
        self.renewals = 0
        self.epoch = self.new_epoch()

    def __repr__(self) -> str:
        return f"<Storage of {len(self.users)} users>"

    def of(self, user: UserId) -> MemoryStore:
        """One user's."""
        store = self.users.get(user)
        if store is None:
            store = self.users[user] = MemoryStore(self._zones, self._limits, self.epoch)
        return store

    def new_epoch(self) -> Epoch:
        """A name never given before."""
        self.renewals += 1
        return Epoch(f"e{self.renewals}")

    def renew(self, user: UserId, seen: Epoch) -> Account:
        """A new name for a log, unless it no longer goes by the one that was seen; the head afterwards."""
        store = self.of(user)
        return store.renew(self.new_epoch()) if store.account.epoch == seen else store.account

    def renew_all(self) -> None:
        """Every log under a new name, those not begun included (docs/protocol.md#log-new-epoch)."""
        self.epoch = self.new_epoch()
        for store in self.users.values():
            store.renew(self.epoch)

    def backup(self) -> dict[UserId, MemoryStore]:
        """All logs as they are now."""
        return {user: store.copy() for user, store in self.users.items()}

    def restore(self, backup: Mapping[UserId, MemoryStore]) -> None:
        """All logs as they were then, under a new name."""
        self.users = {user: store.copy() for user, store in backup.items()}
        self.renew_all()

    # --- housekeeping: bounded steps over all users ---

    def trim(self, older_than: Wall, keep_rows: int, limit: int) -> int:
        """Drop rows that are old and not among the newest of their user; how many went."""
        gone = 0
        for user in sorted(self.users):
            gone += self.users[user].expire(older_than, keep_rows, limit - gone)
        return gone

    def forget_devices(self, unseen_since: Wall, limit: int) -> int:
        """Drop devices not seen since then; how many went."""
        unseen = [
            (user, device)
            for user, store in sorted(self.users.items())
            for device, row in sorted(store.devices.items())
            if row.last_seen < unseen_since
        ][:limit]
        for user, device in unseen:
            self.users[user].forget(device)
        return len(unseen)
