"""Both halves under one virtual clock, for tests, the REPL and bug reports: no sockets, no sleeping, no mocks.

    >>> from protocol.testing import Pair
    >>> pair = Pair()
    >>> pair.connect()
    >>> pair.client
    <ClientConnection Live(rev=0), ACK_DUE at 5.04, outbox 0>

`Pair` is one device and its server; `Household` is any number of devices of one user. `DeviceClock`, `Dice`, `Disk`,
`MemoryStore` and `Queue` are what larger worlds are built of.
"""

from ._clock import DeviceClock
from ._device import Device, Event
from ._dice import Dice
from ._disk import Disk
from ._household import Household
from ._pair import Pair
from ._store import MemoryStore
from ._wire import Queue


__all__ = ["Device", "DeviceClock", "Dice", "Disk", "Event", "Household", "MemoryStore", "Pair", "Queue"]
