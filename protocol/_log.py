"""The log of a user: its head, its rows, and what a commit needs to know and decides.

A store loads `Found`, calls `commit`, and writes what `Outcome` says in the same transaction. It decides nothing.
"""

from typing import Any

from msgspec import Struct, field

from ._edits import Edit
from ._errors import Fault
from ._messages import Result
from ._records import Record
from ._types import DeviceId, Epoch, ItemId, Kind, Mid, Origin, Rev, Wall


class Account(Struct, frozen=True):
    """The head of one user's log.

    Attributes:
        epoch: its history. rev: its newest change. floor: rows at or below are trimmed.
        newest_at: greatest `at` ever accepted; survives trim and epoch.
    """

    epoch: Epoch
    rev: Rev = Rev(0)
    floor: Rev = Rev(0)
    newest_at: int = 0


class Change(Struct, frozen=True, repr_omit_defaults=True):
    """One row of the log.

    Attributes:
        op: the edit's op; `create` only where a record came to be, `delete` only where one went.
        changed: fields whose value or stamp changed; for `create` the whole record without stamps; for `delete` empty.
        at, device_id, mid: the stamp; no device is `""`, 0.
        when: commit time on the server's clock.
    """

    rev: Rev
    kind: Kind
    id: ItemId
    op: str
    changed: dict[str, Any]
    at: int
    device_id: DeviceId = DeviceId("")
    mid: Mid = Mid(0)
    when: Wall = Wall(0)

    @property
    def origin(self) -> Origin | None:
        """The device behind the change, if one is."""
        return Origin(self.device_id, self.mid) if self.device_id else None


class Submission(Struct, frozen=True):
    """A `mutate` as it reached the server.

    Attributes:
        epoch: the history its author believed in; None where it named none, and `edit` is the fault.
        edit: what it asks, or why it cannot be understood.
        fingerprint: digest of the mutation as sent; tells a repeat from a reuse of its number.
    """

    epoch: Epoch | None
    mid: Mid
    edit: Edit | Fault
    fingerprint: str


class Stored(Struct, frozen=True):
    """An answer kept, to be given again to a repeat."""

    fingerprint: str
    result: Result


class Found(Struct, frozen=True):
    """What a commit reads, all under the user's lock.

    Attributes:
        last_mid: of the device. stored: its kept answer to the submission's number, if kept.
        record: the record named, if it lives. deleted: whether its identifier was used up.
        items: how many records the user has.
        room: whether the device is known, or one more may become so.
    """

    account: Account
    last_mid: Mid = Mid(0)
    stored: Stored | None = None
    record: Record | None = None
    deleted: bool = False
    items: int = 0
    room: bool = True


class Outcome(Struct, frozen=True):
    """What a commit decided; everything in it is written in one transaction.

    Attributes:
        account: the new head (equal to the old where nothing changed).
        change: the new row, None when nothing changed.
        record: the record afterwards, None when it is gone or never was.
        result: the answer; None where `fault` is set.
        fault: the mutation was not consumed (`epoch`, `mid_reused`, `out_of_order`), or a classic request was refused.
    """

    account: Account
    change: Change | None = None
    record: Record | None = None
    result: Result | None = None
    fault: Fault | None = None


class Page(Struct, frozen=True):
    """Rows with a greater rev than `after`, in order, and the head they were read at."""

    after: Rev
    rows: tuple[Change, ...]
    account: Account


class State(Struct, frozen=True):
    """All records of a user at one rev, for a snapshot.

    Attributes:
        last_mid: of the device that asked. deleted: tombstones, where asked for.
    """

    account: Account
    last_mid: Mid
    records: tuple[Record, ...]
    deleted: tuple[ItemId, ...] = field(default=())
