"""A store in memory that honours the contract of a real one: what a decision says is kept whole, or not at all."""

from collections.abc import Callable
from itertools import takewhile
from typing import Final

from msgspec.structs import replace

from .._commit import NO_MID, NOBODY, commit, new_epoch
from .._commit import trim as trimmed
from .._errors import Fault
from .._log import Account, Change, Found, Outcome, Page, State, Stored, Submission
from .._messages import Result
from .._records import Record
from .._roster import DeviceRow, has_room
from .._settings import DEFAULT_LIMITS, Limits
from .._types import Cursor, DeviceId, Epoch, ItemId, Mid, Rev, Wall, Zones


FIRST_EPOCH: Final = Epoch("e1")

LARGEST: Final = 2**63 - 1
"""What a column of a database holds. A number beyond it gets past every decision, and fails when it is written."""


class MemoryStore:
    """One user's log, records and devices.

    Args:
        zones: how time zones are looked up.
        limits: what a commit allows; `devices` and `results` bound what is kept.
        epoch: the first name of the log.

    Attributes:
        account, rows, records, tombstones: the log and what it made.
        last_mids, answers: how far each device was answered, and its newest answers.
        devices, conns: what is known of each device, and the greatest connection counter it came with.
    """

    def __init__(self, zones: Zones, limits: Limits = DEFAULT_LIMITS, epoch: Epoch = FIRST_EPOCH) -> None:
        self.zones = zones
        self.limits = limits
        self.account = Account(epoch)
        self.rows: list[Change] = []
        self.records: dict[ItemId, Record] = {}
        self.tombstones: set[ItemId] = set()
        self.last_mids: dict[DeviceId, Mid] = {}
        self.answers: dict[tuple[DeviceId, Mid], Stored] = {}
        self.devices: dict[DeviceId, DeviceRow] = {}
        self.conns: dict[DeviceId, int] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore at {self.account.epoch}:{self.account.rev}, {len(self.records)} records>"

    def copy(self) -> "MemoryStore":
        """A backup; changes of one do not show in the other."""
        twin = MemoryStore(self.zones, self.limits)
        twin.account = self.account
        twin.rows, twin.records, twin.tombstones = list(self.rows), dict(self.records), set(self.tombstones)
        twin.last_mids, twin.answers = dict(self.last_mids), dict(self.answers)
        twin.devices, twin.conns = dict(self.devices), dict(self.conns)
        return twin

    # --- decisions ---

    def find(self, item: ItemId | None, device: DeviceId, mid: Mid) -> Found:
        """What a commit reads. No device: nobody is asked for room."""
        return Found(
            self.account,
            self.last_mids.get(device, NO_MID),
            self.answers.get((device, mid)),
            None if item is None else self.records.get(item),
            item in self.tombstones,
            len(self.records),
            not device or self.has_room(device),
        )

    def take(
        self,
        decide: Callable[[Found], Outcome],
        now: Wall,
        item: ItemId | None = None,
        device: DeviceId = NOBODY,
        mid: Mid = NO_MID,
        fingerprint: str = "",
    ) -> Outcome:
        """Load, decide, write: the one door, whatever the decision. One that raises has changed nothing.

        Args:
            decide: gets what was found, says what is to be kept.
            now: the server's clock; the device counts as seen then.
            item: the record to load.
            device: who numbered it. Nobody: no answer is kept.
            mid: under which number.
            fingerprint: digest of what was asked, kept beside the answer.
        """
        outcome = self.keep(item, decide(self.find(item, device, mid)))
        if device and outcome.result is not None and not outcome.result.dup:
            self._answered(device, fingerprint, outcome.result, now)
        return outcome

    def commit(self, device: DeviceId, submission: Submission, now: Wall) -> Outcome:
        """Decide a numbered mutation, and keep what comes of it."""
        item = None if isinstance(submission.edit, Fault) else submission.edit.id
        return self.take(
            lambda found: commit(found, submission, device, now, self.zones, self.limits),
            now,
            item,
            device,
            submission.mid,
            submission.fingerprint,
        )

    def keep(self, item: ItemId | None, outcome: Outcome) -> Outcome:
        """Write the change that a decision says, where there is one.

        Raises:
            OverflowError: a number in it is too large to be stored; nothing was written.
        """
        if outcome.change is None or item is None:
            return outcome
        if outcome.account.newest_at > LARGEST:
            raise OverflowError(f"newest_at {outcome.account.newest_at} is more than a database holds")
        self.account = outcome.account
        self.rows.append(outcome.change)
        if outcome.record is None:
            self.records.pop(item, None)
            self.tombstones.add(item)
        else:
            self.records[item] = outcome.record
        return outcome

    def _answered(self, device: DeviceId, fingerprint: str, result: Result, now: Wall) -> None:
        """Keep an answer for a repeat, and drop the one that has fallen out of the window."""
        self.last_mids[device] = result.mid
        self.answers[device, result.mid] = Stored(fingerprint, result)
        self.answers.pop((device, Mid(result.mid - self.limits.results)), None)
        row = self.devices.get(device)
        if row is None or row.last_seen < now:
            self.devices[device] = _unheard(device, now) if row is None else replace(row, last_seen=now)

    # --- reading ---

    def page(self, after: Rev, limit: int) -> Page:
        """Rows after `after`."""
        # The log is dense, so a rev is a place in it.
        first = max(0, after + 1 - self.rows[0].rev) if self.rows else 0
        return Page(after, tuple(self.rows[first : first + limit]), self.account)

    def state(self, device: DeviceId | None, *, with_deleted: bool) -> State:
        """Everything at one rev."""
        last_mid = NO_MID if device is None else self.last_mids.get(device, NO_MID)
        deleted = tuple(sorted(self.tombstones)) if with_deleted else ()
        return State(self.account, last_mid, tuple(self.records[key] for key in sorted(self.records)), deleted)

    # --- devices ---

    def has_room(self, device: DeviceId) -> bool:
        """Whether a device is known, or may become so."""
        return has_room(device, self.devices, self.limits.devices)

    def join(self, device: DeviceId, name: str, cursor: Cursor | None, now: Wall, conn: int = 0) -> Mid:
        """A device says hello; what it has stored is what its cursor says, be it less than before.

        Returns its `last_mid`. One without room is not noted: ask `has_room` first.
        """
        if self.has_room(device):
            epoch, rev = (None, Rev(0)) if cursor is None else (cursor.epoch, cursor.rev)
            known = self.devices.get(device)
            seen = now if known is None else max(now, known.last_seen)
            self.devices[device] = DeviceRow(device, name, epoch, rev, seen)
            self.conns[device] = max(conn, self.conns.get(device, 0))
        return self.last_mids.get(device, NO_MID)

    def acked(self, device: DeviceId, epoch: Epoch, rev: Rev, now: Wall) -> None:
        """A device has stored everything up to here; another epoch, or less than before, only counts as seen."""
        if not self.has_room(device):
            return
        row = self.devices.get(device) or _unheard(device, now)
        if epoch == self.account.epoch and (row.acked_epoch != epoch or row.acked_rev < rev):
            row = replace(row, acked_epoch=epoch, acked_rev=rev)
        self.devices[device] = replace(row, last_seen=max(now, row.last_seen))

    def forget(self, device: DeviceId) -> None:
        """Drop a device with its answers: if it comes back, its numbers start at 1."""
        self.devices.pop(device, None)
        self.conns.pop(device, None)
        self.last_mids.pop(device, None)
        for key in [key for key in self.answers if key[0] == device]:
            del self.answers[key]

    # --- epochs and trimming ---

    def renew(self, epoch: Epoch) -> Account:
        """A new epoch, as after a restore; the head afterwards."""
        self.account = new_epoch(self.account, epoch)
        self.rows.clear()
        return self.account

    def expire(self, older_than: Wall, keep_rows: int, limit: int) -> int:
        """Drop at most `limit` rows made before then and beyond the newest `keep_rows`; how many went."""
        last = self.account.floor + limit
        old = list(takewhile(lambda row: row.rev <= last and row.when < older_than, self.rows))
        return self._raise_floor(trimmed(self.account, old[-1].rev, keep_rows)) if old else 0

    def trim(self, floor: Rev) -> int:
        """Forget rows up to `floor`, old or not; how many went."""
        return self._raise_floor(trimmed(self.account, floor, 0))

    def _raise_floor(self, account: Account) -> int:
        self.account, before = account, len(self.rows)
        self.rows = [row for row in self.rows if row.rev > account.floor]
        return before - len(self.rows)


def _unheard(device: DeviceId, now: Wall) -> DeviceRow:
    """A device that has never joined."""
    return DeviceRow(device, "", None, Rev(0), now)
