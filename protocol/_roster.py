"""Who of one user is connected: which connection wins, who must leave, and what the others are shown.

Pure decisions over a frozen value; the hub keeps one `Roster` per user and carries out what is said here.
"""

from collections.abc import Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

from ._messages import DevicePresence
from ._types import DeviceId, Epoch, Monotonic, Rev, Wall


class Member(Struct, frozen=True):
    """One connection.

    Attributes:
        key: the hub's name for it, unique for the life of the process, growing.
        device, conn: None and 0 for classic.
        heard: when its peer last said something.
    """

    key: int
    device: DeviceId | None
    conn: int
    heard: Monotonic


class Verdict(Struct, frozen=True):
    """Who must leave: a member's key, the close code, why, and for 4005 the winner's `conn`."""

    key: int
    code: int
    reason: str
    conn: int | None = None


class Roster(Struct, frozen=True):
    """The connections of one user, oldest first.

    Attributes:
        left: when each device that is no longer connected went.
    """

    members: tuple[Member, ...] = ()
    left: tuple[tuple[DeviceId, Monotonic], ...] = ()

    def join(self, newcomer: Member, sockets: int) -> "tuple[Roster, tuple[Verdict, ...]]":
        """Take a connection in, or not (docs/protocol.md#life-replaced, docs/protocol.md#limit-sockets).

        The same device twice: the higher `conn` wins, equal → the later. At the limit of `sockets` the v1 connection
        silent longest goes; where there is none, the newcomer.
        """
        rival = self._rival(newcomer)
        if rival is not None and rival.conn > newcomer.conn:
            return self, (_replaced(newcomer.key, rival.conn),)
        verdicts: tuple[Verdict, ...] = () if rival is None else (_replaced(rival.key, newcomer.conn),)
        members = tuple(member for member in self.members if member is not rival)
        if len(members) >= sockets:
            silent = min((m for m in members if m.device is not None), key=_heard, default=newcomer)
            verdicts += (Verdict(silent.key, 4104, f"at most {sockets} connections"),)
            if silent is newcomer:
                return self, verdicts[-1:]
            # One who must leave may come back soon: it is shown as offline no earlier than one who left by itself.
            return self.leave(silent.key, newcomer.heard)._admit(newcomer), verdicts
        return self._admit(newcomer), verdicts

    def _admit(self, newcomer: Member) -> "Roster":
        rival = self._rival(newcomer)
        members = tuple(member for member in self.members if member is not rival)
        left = tuple(entry for entry in self.left if entry[0] != newcomer.device)
        return Roster((*members, newcomer), left)

    def _rival(self, newcomer: Member) -> Member | None:
        if newcomer.device is None:
            return None
        return next((member for member in self.members if member.device == newcomer.device), None)

    def leave(self, key: int, now: Monotonic) -> "Roster":
        """A connection is over."""
        gone = next((member for member in self.members if member.key == key), None)
        if gone is None:
            return self
        members = tuple(member for member in self.members if member is not gone)
        if gone.device is None:
            return Roster(members, self.left)
        return Roster(members, (*self.left, (gone.device, now)))

    def heard(self, key: int, now: Monotonic) -> "Roster":
        """A peer said something."""
        members = tuple(replace(m, heard=now) if m.key == key else m for m in self.members)
        return Roster(members, self.left)

    def online(self, now: Monotonic, offline_ms: int) -> frozenset[DeviceId]:
        """Devices to show as online: connected, or gone for so short that it may be a reconnect."""
        lately = {device for device, when in self.left if now - when < offline_ms / 1000}
        return frozenset({m.device for m in self.members if m.device is not None} | lately)

    def settled(self, now: Monotonic, offline_ms: int) -> "Roster":
        """Forgets departures that everybody has been shown; an unequal result means that presence changed."""
        return Roster(self.members, tuple(entry for entry in self.left if now - entry[1] < offline_ms / 1000))


class DeviceRow(Struct, frozen=True):
    """What the store knows of a device."""

    device_id: DeviceId
    name: str
    acked_epoch: Epoch | None
    acked_rev: Rev
    last_seen: Wall


def presence(rows: Iterable[DeviceRow], online: frozenset[DeviceId]) -> tuple[DevicePresence, ...]:
    """What the user's devices are shown, in a fixed order."""
    return tuple(
        DevicePresence(
            device_id=row.device_id,
            name=row.name,
            online=row.device_id in online,
            acked_epoch=row.acked_epoch,
            acked_rev=row.acked_rev,
            last_seen=row.last_seen,
        )
        for row in sorted(rows, key=_device_id)
    )


def has_room(device: DeviceId, known: Collection[DeviceId], most: int) -> bool:
    """Whether a device may be kept: none that is known goes for one that is not (docs/protocol.md#limit-devices).

    A forgotten device begins again at mid 1, so what it sends twice would take effect twice.
    """
    return device in known or len(known) < most


def will_ring(device: DevicePresence, epoch: Epoch, rev: Rev) -> bool:
    """The armed receipt: online, and has stored the item's rev of this epoch (docs/protocol.md#presence-armed)."""
    return device.online and has_it(device, epoch, rev)


def has_it(device: DevicePresence, epoch: Epoch, rev: Rev) -> bool:
    """Has stored the item, whether it is online or not."""
    return device.acked_epoch == epoch and device.acked_rev >= rev


def _replaced(key: int, conn: int) -> Verdict:
    return Verdict(key, 4005, "a newer connection of this device", conn)


def _heard(member: Member) -> Monotonic:
    return member.heard


def _device_id(row: DeviceRow) -> str:
    return row.device_id
