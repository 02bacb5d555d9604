"""What the devices of a user are shown of each other: read from the store when it changed, shown when it differs."""

from collections.abc import Iterable

from protocol import DeviceRow, Monotonic, Rev, presence
from protocol.server import PresenceIs, Terms

from .background import Background
from .people import Person
from .store import DeviceRow as StoredDevice
from .store import LogStore, StoreUnavailable


class Presence:
    """Keeps what viewers are shown up to date; users whom nobody views cost nothing."""

    __slots__ = ("_background", "_changed", "_store", "_terms")

    def __init__(self, store: LogStore, background: Background, terms: Terms) -> None:
        self._store = store
        self._background = background
        self._terms = terms
        self._changed: set[Person] = set()

    def __repr__(self) -> str:
        return f"<Presence {len(self._changed)} users to look at>"

    def changed(self, person: Person) -> None:
        """A device of this user has come or gone."""
        if person.viewers:
            self._changed.add(person)

    def know(self, person: Person, devices: tuple[StoredDevice, ...]) -> None:
        """The store has told about the devices."""
        person.devices = devices
        self.changed(person)

    def refresh(self, people: Iterable[Person]) -> None:
        """The store knows something new of these users' devices."""
        for person in people:
            if person.viewers:
                self._background.start(self._read, person)

    async def _read(self, person: Person) -> None:
        try:
            devices = await self._store.devices(person.user)
        except StoreUnavailable:
            return  # the next ack asks again
        self.know(person, devices)

    def sweep(self, now: float) -> None:
        """Show what has changed."""
        if not self._changed:
            return
        people, self._changed = self._changed, set()
        for person in people:
            self._show(person, now)

    def _show(self, person: Person, now: float) -> None:
        online = person.online(Monotonic(now), self._terms.timing.offline_ms)
        devices = presence(map(_row, person.devices), online)
        if devices == person.shown:
            return
        person.shown = devices
        shown = PresenceIs(devices)
        for key in person.viewers:
            if (session := person.sessions.get(key)) is not None:
                session.take(shown, now)


def _row(device: StoredDevice) -> DeviceRow:
    acked = device.acked
    epoch, rev = (None, Rev(0)) if acked is None else (acked.epoch, acked.rev)
    return DeviceRow(device.id, device.name, epoch, rev, device.seen)
