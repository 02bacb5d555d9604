"""Carries out what the user asks: edits into the outbox, rings silenced at once, settings kept."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, assert_never

from protocol import (
    Edit,
    ItemId,
    Missed,
    Quiet,
    Record,
    Ring,
    Ringing,
    SnoozedTill,
    Zones,
    client,
    dismissal,
    next_at,
    postponement,
    ring_state,
    ringing,
)

from .commands import (
    AddTime,
    Command,
    CommandError,
    CreateItem,
    CutNetwork,
    DeleteItem,
    DiscardAside,
    EditItem,
    ForgetRejection,
    ItemCommand,
    PauseTimer,
    QuietHere,
    ResetTimer,
    RestoreAside,
    ResumeTimer,
    RingHere,
    SkipNext,
    SnoozeRing,
    StartTimer,
    StopRing,
    SyncNow,
    TakeOver,
)
from .edits import Desk, creation, edit_of, entry_for, name_of, random_id
from .local_copy import LocalCopy
from .ringer import Ringer
from .ringing import Why
from .storing import Writes
from .sync_manager import SyncManager
from .timekeeping import Timekeeper


Items = tuple[ItemId, ...]


class Line(Protocol):
    """What orders need of a session."""

    @property
    def connection(self) -> client.ClientConnection:
        """It knows what the server allows."""
        ...

    @property
    def network(self) -> object:
        """None for a device without a server."""
        ...

    def feed(self, stimulus: client.ClientInput) -> None:
        """The connection's one way in."""

    def pull(self) -> None:
        """Cut the network."""

    def plug(self) -> None:
        """Let everything pass again."""


class Orders(NamedTuple):
    """Everything that a command may touch.

    Attributes:
        new_id: where names of items and runs come from; a simulation that must repeat itself gives its own.
    """

    copy: LocalCopy
    session: Line
    ringer: Ringer
    sync: SyncManager
    time: Timekeeper
    zones: Zones
    keep: Callable[[Writes], None]
    new_id: Callable[[], str] = random_id

    def do(self, command: Command) -> Items:
        """Carry out a command; returns the items it concerned. What it changed is kept in order, but not on disk yet.

        Raises:
            CommandError: why it cannot be done; then nothing was changed, except that a ring told to stop is silent.
        """
        match command:
            case CreateItem():
                return self._submit(creation(self._desk(), command))
            case (
                EditItem() | DeleteItem() | StartTimer() | PauseTimer() | ResumeTimer() | AddTime() | ResetTimer()
                | SkipNext() | RestoreAside()
            ):  # fmt: skip
                return self._edit(command)
            case StopRing(item=item):
                return self._each(item, self._stop)
            case SnoozeRing(item=item, length_ms=length_ms):
                return self._each(item, lambda one: self._snooze(one, length_ms))
            case QuietHere(item=item):
                return self._quiet(item)
            case _:
                return self._here(command)

    def _here(self, command: RingHere | DiscardAside | ForgetRejection | SyncNow | TakeOver | CutNetwork) -> Items:
        """What concerns this device alone."""
        match command:
            case RingHere(item=item, rings=rings):
                self._desk().record(item)
                self.keep(self.copy.mute(item, muted=not rings))
                self._quiet_muted(item, rings)
                return (item,)
            case DiscardAside(item=item):
                self.keep(self.copy.discard(item))
                self.ringer.poke()
                return (item,)
            case ForgetRejection(number=number):
                self.keep(self.copy.forget_rejection(number))
            case SyncNow():
                self.sync.sync_now()
            case TakeOver():
                self.sync.take_over()
            case CutNetwork(cut=cut):
                self._cut(cut)
            case _:
                assert_never(command)
        return ()

    # --- edits ---

    def _desk(self) -> Desk:
        limits = self.session.connection.machine.limits
        return Desk(self.copy.replica, self.copy.records, self.time.server_now(), self.zones, limits, self.new_id)

    def _edit(self, command: ItemCommand) -> Items:
        desk = self._desk()
        edit = edit_of(desk, command)
        if edit is None:
            return (command.item,)
        items = self._submit(edit)
        if not items:
            record = desk.record(command.item)
            standing = getattr(record, "phase", "as asked")
            raise CommandError(
                "no_effect", f"{name_of(record)} is {standing}; {edit.__struct_config__.tag} does nothing."
            )
        return items

    def _submit(self, edit: Edit) -> Items:
        """Put an edit into the outbox; none is made of one that changes nothing."""
        entry = entry_for(self._desk(), edit)
        if entry is None:
            return ()
        self.session.feed(client.Submit(entry))
        return (edit.id,)

    # --- rings ---

    def _each(self, item: ItemId | None, act: Callable[[ItemId], None]) -> Items:
        items = [item] if item is not None else self.ringer.items()
        if not items:
            raise CommandError("not_ringing", "Nothing rings.")
        for one in items:
            act(one)
        return tuple(items)

    def _stop(self, item: ItemId) -> None:
        """Silent here at once, whatever the server will say; then everywhere (docs/protocol.md#ring-stop-local)."""
        record = self._desk().record(item)
        ring = self._silenced(record, "dismissed") or self._standing(record)
        self._submit(dismissal(record, ring, next_at(self.copy.replica, item, self.time.server_now())))

    def _snooze(self, item: ItemId, length_ms: int | None) -> None:
        record = self._desk().record(item)
        length_ms = length_ms if length_ms is not None else record.snooze_s * 1000
        if length_ms <= 0:
            raise CommandError(
                "invalid", f"{name_of(record)} has no snooze length of its own; say how long.", "length_ms"
            )
        ring = self._silenced(record, "snoozed")
        if ring is None:
            raise CommandError("not_ringing", f"{name_of(record)} does not ring.")
        at = next_at(self.copy.replica, item, self.time.server_now())
        edit = postponement(record, ring, length_ms, self.time.now_for(record), at)
        try:
            self._submit(edit)
        except CommandError:
            self.ringer.unsnooze(edit)
            raise

    def _silenced(self, record: Record, why: Why) -> Ring | None:
        """End its rings here; the one to acknowledge is the latest due (docs/protocol.md#ring-stop-greatest)."""
        ended = self.ringer.silence(why, record.id)
        rings = [*ringing(record, self.time.now_for(record), self.zones), *(end.sounding.ring for end in ended)]
        return max(rings, key=lambda ring: ring.due, default=None)

    def _standing(self, record: Record) -> Ring | Missed:
        match ring_state(record, self.time.now_for(record), self.zones):
            case Ringing(ring=ring) | SnoozedTill(ring=ring):
                return ring
            case Missed() as missed:
                return missed
            case Quiet():
                raise CommandError("not_ringing", f"{name_of(record)} does not ring.")

    def _quiet(self, item: ItemId | None) -> Items:
        ended = self.ringer.silence("quiet", item)
        if not ended:
            raise CommandError("not_ringing", "Nothing rings here.")
        return tuple(dict.fromkeys(end.sounding.key.item for end in ended))

    def _quiet_muted(self, item: ItemId, rings: bool) -> None:
        if not rings:
            self.ringer.silence("quiet", item)
        self.ringer.poke()

    # --- the cable ---

    def _cut(self, cut: bool) -> None:
        if self.session.network is None:
            raise CommandError("no_server", "This device has no server, so there is no network to cut.")
        if cut:
            self.session.pull()
        else:
            self.session.plug()
