"""A server's store in memory, for tests of whole histories."""

from msgspec.structs import replace

from protocol._commit import commit
from protocol._edits import Edit
from protocol._errors import Fault
from protocol._log import Account, Change, Found, Outcome, Stored, Submission
from protocol._records import Record
from protocol._settings import DEFAULT_LIMITS
from protocol._submission import read, write
from protocol._types import DeviceId, Epoch, ItemId, Mid, Wall

from .strategies import ITEM, NOW, zones


EPOCH = Epoch("k3v9")
DESK = DeviceId("desk")


class Server:
    """A store in memory: does what an outcome says, and decides nothing."""

    def __init__(self) -> None:
        self.account = Account(EPOCH)
        self.records: dict[ItemId, Record] = {}
        self.deleted: set[ItemId] = set()
        self.last: dict[DeviceId, Mid] = {}
        self.stored: dict[tuple[DeviceId, Mid], Stored] = {}
        self.rows: list[Change] = []

    def found(self, ident: ItemId, device: DeviceId = DESK, mid: int = 0) -> Found:
        return Found(
            self.account,
            self.last.get(device, Mid(0)),
            self.stored.get((device, Mid(mid))),
            self.records.get(ident),
            ident in self.deleted,
            len(self.records),
        )

    def mutate(self, device: DeviceId, mid: int, edit: Edit, now: int = NOW, epoch: Epoch | None = EPOCH) -> Outcome:
        return self.submit(device, replace(read(write(EPOCH, Mid(mid), edit)), epoch=epoch), now)

    def submit(self, device: DeviceId, submission: Submission, now: int = NOW) -> Outcome:
        ident = ITEM if isinstance(submission.edit, Fault) else submission.edit.id
        found = self.found(ident, device, submission.mid)
        outcome = commit(found, submission, device, Wall(now), zones, DEFAULT_LIMITS)
        if outcome.result is not None and not outcome.result.dup:
            self.last[device] = submission.mid
            self.stored[device, submission.mid] = Stored(submission.fingerprint, outcome.result)
        return self.keep(outcome)

    def keep(self, outcome: Outcome) -> Outcome:
        self.account = outcome.account
        if outcome.change is not None:
            self.rows.append(outcome.change)
            if outcome.record is None:
                del self.records[outcome.change.id]
                self.deleted.add(outcome.change.id)
            else:
                self.records[outcome.change.id] = outcome.record
        return outcome
