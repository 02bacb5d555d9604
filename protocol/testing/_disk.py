"""A client's database as a model: tables that change by whole transactions, and what waits to be written."""

from collections.abc import Iterable
from typing import assert_never

from .._facts import Entry
from .._records import Record
from .._replica import Replica
from .._types import Cursor, DeviceId, Epoch, ItemId, Mid
from .._writes import (
    DropAside,
    DropEntry,
    DropRecord,
    PutAside,
    PutConn,
    PutDevice,
    PutEntry,
    PutMid,
    PutPlace,
    PutRecord,
    Write,
)


class Disk:
    """The four tables that `protocol.Write` speaks of; `apply` is one transaction, durable when it returns.

    Args:
        device: the name that a new store begins with.
    """

    def __init__(self, device: DeviceId) -> None:
        self.device = device
        self.epoch: Epoch | None = None
        self.cursor: Cursor | None = None
        self.records: dict[ItemId, Record] = {}
        self.aside: dict[ItemId, Record] = {}
        self.entries: dict[Mid, Entry] = {}
        self.last_mid = Mid(0)
        self.conn = 0

    def __repr__(self) -> str:
        return f"<Disk of {self.load()!r}>"

    def copy(self) -> "Disk":
        """A backup; changes of one do not show in the other."""
        twin = Disk(self.device)
        twin.epoch, twin.cursor, twin.last_mid, twin.conn = self.epoch, self.cursor, self.last_mid, self.conn
        twin.records, twin.aside, twin.entries = dict(self.records), dict(self.aside), dict(self.entries)
        return twin

    def load(self) -> Replica:
        """What a program finds when it starts."""
        return Replica(
            device=self.device,
            epoch=self.epoch,
            cursor=self.cursor,
            server=dict(self.records),
            aside=dict(self.aside),
            entries=tuple(self.entries[mid] for mid in sorted(self.entries)),
            last_mid=self.last_mid,
            conn=self.conn,
        )

    def apply(self, writes: Iterable[Write]) -> None:
        """Carry out one transaction."""
        for write in writes:
            self._write(write)

    def _write(self, write: Write) -> None:  # noqa: C901 - one case for each statement
        match write:
            case PutRecord(record):
                self.records[record.id] = record
            case DropRecord(item):
                del self.records[item]
            case PutAside(record):
                self.aside[record.id] = record
            case DropAside(item):
                del self.aside[item]
            case PutEntry(entry):
                self.entries[entry.mid] = entry
            case DropEntry(mid):
                del self.entries[mid]
            case PutPlace(epoch, cursor):
                self.epoch, self.cursor = epoch, cursor
            case PutDevice(device):
                self.device = device
            case PutMid(last_mid):
                self.last_mid = last_mid
            case PutConn(conn):
                self.conn = conn
            case _:
                assert_never(write)
