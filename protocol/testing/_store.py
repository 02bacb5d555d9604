"""A store in memory that honours the contract of a real one: what `commit` decided is kept whole, or not at all."""

from msgspec.structs import replace

from .._commit import commit, new_epoch
from .._errors import Fault
from .._log import Account, Change, Found, Outcome, Page, State, Stored, Submission
from .._records import Record
from .._roster import DeviceRow
from .._settings import DEFAULT_LIMITS, Limits
from .._types import Cursor, DeviceId, Epoch, ItemId, Mid, Rev, Wall, Zones


class MemoryStore:
    """One user's log, records and devices.

    Args:
        zones: how time zones are looked up.
        limits: what a commit allows.
    """

    def __init__(self, zones: Zones, limits: Limits = DEFAULT_LIMITS) -> None:
        self.zones = zones
        self.limits = limits
        self.account = Account(Epoch("e1"))
        self.rows: list[Change] = []
        self.records: dict[ItemId, Record] = {}
        self.tombstones: set[ItemId] = set()
        self.last_mids: dict[DeviceId, Mid] = {}
        self.answers: dict[tuple[DeviceId, Mid], Stored] = {}
        self.devices: dict[DeviceId, DeviceRow] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore at {self.account.epoch}:{self.account.rev}, {len(self.records)} records>"

    def find(self, item: ItemId | None, device: DeviceId, mid: Mid) -> Found:
        """What a commit reads."""
        return Found(
            self.account,
            self.last_mids.get(device, Mid(0)),
            self.answers.get((device, mid)),
            None if item is None else self.records.get(item),
            item in self.tombstones,
            len(self.records),
        )

    def commit(self, device: DeviceId, submission: Submission, now: Wall) -> Outcome:
        """Decide and keep."""
        item = None if isinstance(submission.edit, Fault) else submission.edit.id
        outcome = commit(self.find(item, device, submission.mid), submission, device, now, self.zones, self.limits)
        if outcome.fault is None and outcome.result is not None and not outcome.result.dup:
            self.last_mids[device] = submission.mid
            self.answers[device, submission.mid] = Stored(submission.fingerprint, outcome.result)
            self.answers.pop((device, Mid(submission.mid - self.limits.results)), None)
        return self.keep(item, outcome)

    def keep(self, item: ItemId | None, outcome: Outcome) -> Outcome:
        """Write what a decision says."""
        self.account = outcome.account
        if outcome.change is None or item is None:
            return outcome
        self.rows.append(outcome.change)
        if outcome.record is None:
            self.records.pop(item, None)
            self.tombstones.add(item)
        else:
            self.records[item] = outcome.record
        return outcome

    def join(self, device: DeviceId, name: str, cursor: Cursor | None, now: Wall) -> Mid:
        """A device says hello; what it has stored is what its cursor says."""
        epoch, rev = (None, Rev(0)) if cursor is None else (cursor.epoch, cursor.rev)
        self.devices[device] = DeviceRow(device, name, epoch, rev, now)
        return self.last_mids.get(device, Mid(0))

    def acked(self, device: DeviceId, epoch: Epoch, rev: Rev, now: Wall) -> None:
        """A device has stored everything up to here."""
        row = self.devices[device]
        self.devices[device] = replace(row, acked_epoch=epoch, acked_rev=rev, last_seen=now)

    def page(self, after: Rev, limit: int) -> Page:
        """Rows after `after`."""
        # The log is dense, so a rev is a place in it.
        first = max(0, after + 1 - self.rows[0].rev) if self.rows else 0
        return Page(after, tuple(self.rows[first : first + limit]), self.account)

    def state(self, device: DeviceId | None, *, with_deleted: bool) -> State:
        """Everything at one rev."""
        last_mid = Mid(0) if device is None else self.last_mids.get(device, Mid(0))
        deleted = tuple(sorted(self.tombstones)) if with_deleted else ()
        return State(self.account, last_mid, tuple(self.records[key] for key in sorted(self.records)), deleted)

    def copy(self) -> "MemoryStore":
        """A backup; changes of one do not show in the other."""
        twin = MemoryStore(self.zones, self.limits)
        twin.account = self.account
        twin.rows, twin.records, twin.tombstones = list(self.rows), dict(self.records), set(self.tombstones)
        twin.last_mids, twin.answers, twin.devices = dict(self.last_mids), dict(self.answers), dict(self.devices)
        return twin

    def renew(self, epoch: Epoch) -> None:
        """A new epoch, as after a restore."""
        self.account = new_epoch(self.account, epoch)
        self.rows.clear()

    def trim(self, floor: Rev) -> None:
        """Forget rows up to `floor`."""
        self.account = replace(self.account, floor=Rev(max(self.account.floor, min(floor, self.account.rev))))
        self.rows = [row for row in self.rows if row.rev > self.account.floor]
