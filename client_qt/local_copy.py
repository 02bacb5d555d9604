"""A device's copy while the program runs: what it holds, what it shows, and what changes with each fact."""

from collections.abc import Callable

from msgspec import to_builtins

from protocol import (
    Create,
    DeviceId,
    Edit,
    Edited,
    Entry,
    Fact,
    ItemId,
    Mid,
    Patch,
    Record,
    Replica,
    Result,
    Write,
    absorb,
    discard_aside,
    view,
)

from .events import Changed, Deleted, Event, Rejected
from .local_state import DropRejection, LocalState, LocalWrite, PutMuted, PutRejection, Rejection


MOST_REJECTIONS = 200


class LocalCopy:
    """The replica, what is shown of it, and the device's own settings.

    Attributes:
        replica: as the protocol sees it. records: as the user does.
        muted: items that stay silent here. rejections: refused changes that the user has not seen.
    """

    def __init__(self, replica: Replica, local: LocalState, tell: Callable[[Event], None]) -> None:
        self.replica = replica
        self.records: dict[ItemId, Record] = view(replica)
        self.muted = local.muted
        self.rejections = local.rejections
        self._authors: dict[ItemId, DeviceId | None] = {}
        self._retired: dict[Mid, Entry] = {}
        self._tell = tell

    def __repr__(self) -> str:
        return f"<LocalCopy {self.replica!r}, shows {len(self.records)}>"

    # --- what is learned ---

    def absorb(self, fact: Fact) -> tuple[Write, ...]:
        """Take a fact over and tell what looks different; returns what to write, in one transaction."""
        before = self.replica
        self.replica, writes = absorb(before, fact)
        kept = {entry.mid for entry in self.replica.entries}
        self._retired = {entry.mid: entry for entry in before.entries if entry.mid not in kept}
        self._note_authors(fact)
        self._show()
        return writes

    def discard(self, item: ItemId) -> tuple[Write, ...]:
        """Forget a record aside."""
        self.replica, writes = discard_aside(self.replica, item)
        self._show()
        return writes

    def _show(self) -> None:
        before, self.records = self.records, view(self.replica)
        for item in before:
            if item not in self.records:
                self._tell(Deleted(item))
        for item, record in self.records.items():
            old = before.get(item)
            if old is not record and old != record:
                self._tell(Changed(record))

    # --- who did it ---

    def author(self, item: ItemId) -> DeviceId | None:
        """The device that changed an item last, as far as is known."""
        record = self.records.get(item)
        known = self._authors.get(item)
        return (
            known if known is not None or record is None or record.updated_by is None else record.updated_by.device_id
        )

    def _note_authors(self, fact: Fact) -> None:
        if isinstance(fact, Edited):
            self._authors[fact.entry.edit.id] = self.replica.device
            return
        # Of the facts only those that carry events say who made each change.
        for event in getattr(fact, "events", ()):
            item = getattr(event, "id", None) or event.data.get("id")
            self._authors[item] = event.origin.device_id if event.origin else None

    # --- rejections ---

    def refused(self, result: Result) -> Edit | None:
        """The edit of a refusal that was just absorbed."""
        entry = self._retired.get(result.mid)
        return None if entry is None else entry.edit

    def reject(self, result: Result) -> tuple[LocalWrite, ...]:
        """Remember a refusal that was just absorbed, with what was wanted and what is, until the user has seen it."""
        entry = self._retired.get(result.mid)
        if entry is None:
            return ()
        rejection = self._rejection(entry, result)
        kept = (*self.rejections, rejection)
        self.rejections = kept[-MOST_REJECTIONS:]
        self._tell(Rejected(rejection))
        return (PutRejection(rejection), *(DropRejection(old.number) for old in kept[:-MOST_REJECTIONS]))

    def _rejection(self, entry: Entry, result: Result) -> Rejection:
        edit = entry.edit
        record = self.records.get(edit.id)
        wanted = dict(edit.fields) if isinstance(edit, Create | Patch) else {}
        standing = to_builtins(record) or {}
        number = 1 + max((old.number for old in self.rejections), default=0)
        return Rejection(
            number=number,
            item=edit.id,
            label=record.label if record is not None else str(wanted.get("label", "")),
            op=str(edit.__struct_config__.tag),
            at=edit.at,
            code=result.code or "rejected",
            message=result.message or "The server refused this change.",
            field=result.field or None,
            wanted=wanted,
            kept={name: standing[name] for name in wanted if name in standing},
        )

    def forget_rejection(self, number: int) -> tuple[LocalWrite, ...]:
        """The user has seen it."""
        self.rejections = tuple(one for one in self.rejections if one.number != number)
        return (DropRejection(number),)

    # --- this device's settings ---

    def mute(self, item: ItemId, *, muted: bool) -> tuple[LocalWrite, ...]:
        """Whether an item stays silent here."""
        self.muted = self.muted | {item} if muted else self.muted - {item}
        return (PutMuted(item, muted),)

    # --- what waits ---

    @property
    def unanswered(self) -> int:
        """How many changes of this device wait for an answer."""
        return sum(entry.answered is None for entry in self.replica.entries)

    @property
    def waiting(self) -> frozenset[ItemId]:
        """Items with changes that the server's copy here does not contain yet."""
        return frozenset(entry.edit.id for entry in self.replica.entries)
