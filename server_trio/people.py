"""One user as the hub sees them: their connections, their long polls, and what is known of their devices."""

from collections import Counter
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from protocol import DeviceId, DevicePresence, Monotonic, Roster, UserId

from .store import DeviceRow


if TYPE_CHECKING:
    from .session import Session


class Person:
    """A user with at least one connection, long poll or lately departed device.

    Attributes:
        roster: who is connected, for the decisions that are the core's.
        sessions: the same connections by their keys.
        viewers: keys of those that want to see the devices.
        polls: long polls that wait now. polling: how many of them for which device; None where there is none.
        changed: set at the next change; None while no long poll waits for one.
        devices: as the store told last. shown: what the viewers were shown last.
    """

    __slots__ = ("changed", "devices", "polling", "polls", "roster", "sessions", "shown", "user", "viewers")

    def __init__(self, user: UserId) -> None:
        self.user = user
        self.roster = Roster()
        self.sessions: dict[int, Session] = {}
        self.viewers: frozenset[int] = frozenset()
        self.polls = 0
        self.polling: Counter[DeviceId] | None = None
        self.changed: trio.Event | None = None
        self.devices: tuple[DeviceRow, ...] = ()
        self.shown: tuple[DevicePresence, ...] | None = None

    def __repr__(self) -> str:
        return f"<Person {self.user!r}, {len(self.sessions)} connections>"

    @property
    def absent(self) -> bool:
        """Nothing is left to be remembered."""
        return not self.sessions and not self.roster.left and not self.polls

    def wake(self) -> None:
        """Tell the long polls that something has changed."""
        if self.changed is not None:
            self.changed.set()
            self.changed = None

    def online(self, now: Monotonic, offline_ms: int) -> frozenset[DeviceId]:
        """Devices to show as online; one with a long poll waiting is connected (docs/protocol.md#presence-polling)."""
        return self.roster.online(now, offline_ms) | frozenset(self.polling or ())

    def poll_begins(self, device: DeviceId | None) -> trio.Event:
        """A long poll waits; returns what it waits for."""
        self.polls += 1
        if device is not None:
            self.polling = self.polling or Counter()
            self.polling[device] += 1
        if self.changed is None:  # an Event has no truth value
            self.changed = trio.Event()
        return self.changed

    def poll_ends(self, device: DeviceId | None, now: Monotonic) -> None:
        """It waits no more: its device has gone like one whose connection ended."""
        self.polls -= 1
        if not self.polls:
            self.changed = None
        if device is None or self.polling is None:
            return
        self.polling[device] -= 1
        if not self.polling[device]:
            del self.polling[device]
            others = tuple(entry for entry in self.roster.left if entry[0] != device)
            self.roster = replace(self.roster, left=(*others, (device, now)))
