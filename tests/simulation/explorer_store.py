"""The explorer's server-side store: one user's log as one immutable value, decided on by the real `commit`.

Between two looks at it a real store is somewhere inside a transaction, and what is inside one nobody can see. So there
are three moments here: a question waits, the writer has committed it (durable, readable, nobody told), and it is
published and its author told. Nothing is awaited between the last two (`server_trio.commits`), so they are one.
"""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from protocol import (
    Account,
    Change,
    DeviceId,
    Edit,
    Epoch,
    Fault,
    Found,
    ItemId,
    Limits,
    Mid,
    Outcome,
    Page,
    Record,
    Result,
    Rev,
    State,
    Stored,
    Submission,
    Wall,
    commit,
    new_epoch,
)
from protocol._commit import commit_plain
from protocol.testing._household import utc_only


NOON = Wall(1_790_000_000_000)
"""The server's clock. It stands still: no rule asks how long anything took, only whether it was too long."""


class Decided(Struct, frozen=True):
    """A mutation that is committed and that nobody has been told of.

    Attributes:
        device, key: which connection asked: number of the device, and the connection's key in its line.
    """

    device: int
    key: int
    mid: Mid
    change: Change | None
    record: Record | None
    result: Result | None
    fault: Fault | None


class Vault(Struct, frozen=True):
    """All that the server keeps of the user.

    Attributes:
        rows: the whole log, whatever was trimmed: the checks look at it, `page` only at what is above the floor.
        answers: kept results, by `device mid`. past: the records as they were, by `epoch:rev`; for the checks.
        decided: committed, oldest first, and not told.
        earlier: the store as it was before each commit, where it may be restored to that.
        lost: fingerprints of what was answered in a history that a restore has ended.
    """

    account: Account
    rows: tuple[Change, ...] = ()
    records: Mapping[ItemId, Record] = field(default_factory=dict[ItemId, Record])
    tombstones: tuple[ItemId, ...] = ()
    last_mids: Mapping[DeviceId, Mid] = field(default_factory=dict[DeviceId, Mid])
    answers: Mapping[str, Stored] = field(default_factory=dict[str, Stored])
    past: Mapping[str, Mapping[ItemId, Record]] = field(default_factory=dict[str, Mapping[ItemId, Record]])
    decided: tuple[Decided, ...] = ()
    earlier: "tuple[Vault, ...]" = ()
    lost: tuple[str, ...] = ()


def founded() -> Vault:
    """A log without rows."""
    return Vault(Account(Epoch("e1")), past={"e1:0": {}})


def place(epoch: Epoch, rev: Rev) -> str:
    """The key of `Vault.past`."""
    return f"{epoch}:{rev}"


def _find(vault: Vault, item: ItemId | None, device: DeviceId, mid: Mid) -> Found:
    return Found(
        vault.account,
        vault.last_mids.get(device, Mid(0)),
        vault.answers.get(f"{device} {mid}"),
        None if item is None else vault.records.get(item),
        item in vault.tombstones,
        len(vault.records),
    )


def decide(vault: Vault, device: DeviceId, submission: Submission, limits: Limits) -> tuple[Vault, Outcome]:
    """Commit a mutation: the effect, its row, its number and its answer together."""
    item = None if isinstance(submission.edit, Fault) else submission.edit.id
    outcome = commit(_find(vault, item, device, submission.mid), submission, device, NOON, utc_only, limits)
    if outcome.fault is None and outcome.result is not None and not outcome.result.dup:
        answers = {**vault.answers, f"{device} {submission.mid}": Stored(submission.fingerprint, outcome.result)}
        vault = replace(vault, last_mids={**vault.last_mids, device: submission.mid}, answers=answers)
    return _keep(vault, item, outcome), outcome


def plant(vault: Vault, edit: Edit, limits: Limits) -> Vault:
    """A change that no device made."""
    found = _find(vault, edit.id, DeviceId(""), Mid(0))
    return _keep(vault, edit.id, commit_plain(found, lambda at: replace(edit, at=at), NOON, utc_only, limits))


def _keep(vault: Vault, item: ItemId | None, outcome: Outcome) -> Vault:
    if outcome.change is None or item is None:
        return vault
    records = {other: record for other, record in vault.records.items() if other != item}
    if outcome.record is not None:
        records[item] = outcome.record
    gone = () if outcome.record is not None else (item,)
    return replace(
        vault,
        account=outcome.account,
        rows=(*vault.rows, outcome.change),
        records=records,
        tombstones=(*vault.tombstones, *gone),
        past={**vault.past, place(outcome.account.epoch, outcome.account.rev): records},
    )


def page(vault: Vault, after: Rev, limit: int) -> Page:
    """Rows after `after` that are still kept."""
    rows = [row for row in vault.rows if row.rev > max(after, vault.account.floor)]
    return Page(after, tuple(rows[:limit]), vault.account)


def whole(vault: Vault, device: DeviceId, *, with_deleted: bool) -> State:
    """Everything at one rev."""
    records = tuple(vault.records[item] for item in sorted(vault.records))
    deleted = tuple(sorted(vault.tombstones)) if with_deleted else ()
    return State(vault.account, vault.last_mids.get(device, Mid(0)), records, deleted)


def trimmed(vault: Vault) -> Vault:
    """Every row forgotten: the harshest trim there is."""
    return replace(vault, account=replace(vault.account, floor=vault.account.rev))


def noted(before: Vault, after: Vault) -> Vault:
    """The store after a commit, remembering what a backup taken before it would hold."""
    backup = replace(before, earlier=(), decided=(), past={})
    return replace(after, earlier=(*before.earlier, backup))


def restored(vault: Vault, backup: Vault) -> Vault:
    """A backup in the place of what there is; since commits may be lost, under a new epoch."""
    epoch = Epoch(f"{vault.account.epoch}+")
    account = new_epoch(backup.account, epoch)
    lost = {stored.fingerprint for key, stored in vault.answers.items() if key not in backup.answers}
    return replace(
        backup,
        account=account,
        past={**vault.past, place(epoch, account.rev): backup.records},
        lost=tuple(sorted({*vault.lost, *lost})),
    )
