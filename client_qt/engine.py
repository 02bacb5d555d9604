"""The engine of a device: its copy on disk, its link to the server, its rings. No Qt; no network needed either.

Commands go in by `submit`, events come out through `tell`, `snapshot` says how everything stands. It all happens in
one Trio task tree, so whoever listens hears every change in order, and a ring that is stopped is silent before the
call returns.
"""

from collections.abc import Callable
from functools import partial
from secrets import randbits
from typing import assert_never

import trio

from protocol import App, ItemId, Record, Replica, Snooze, Timing, Zones, client
from protocol.zones import system_zones

from .commands import Command, CommandError
from .database import Database
from .events import (
    Answered,
    Done,
    Event,
    Failed,
    InStep,
    PresenceSeen,
    Problem,
    RingBegan,
    RingEnded,
    Snapshot,
    StatusChanged,
)
from .local_copy import LocalCopy
from .local_state import LocalState, PutSkew, PutUser
from .orders import Orders
from .ringer import Ringer, Surroundings, Told
from .ringing import Ended, Sounding
from .session import Heard, Network, Session
from .standing import over, to_ring
from .storing import Writer, Writes
from .sync_manager import Counts, Status, SyncManager
from .timekeeping import Clocks, Timekeeper, system_clocks


VERSION = "1"
FINISH_S = 5.0
SKEW_STEP_MS = 20
"""A change of the clocks' difference that is worth a write."""


class Engine:
    """One device.

    Args:
        database: opened; the engine closes it when it ends.
        network: the roads to the server; None for a device on its own.
        tell: hears every event, in Trio's thread and in order; the `send_nowait` of an unbounded channel will do.
        name: of the device, for people.
        clocks, zones, threaded: for tests; see `timekeeping` and `storing`.
    """

    def __init__(
        self,
        database: Database,
        network: Network | None,
        tell: Callable[[Event], None],
        *,
        name: str = "",
        clocks: Clocks | None = None,
        zones: Zones = system_zones,
        threaded: bool = True,
    ) -> None:
        replica, local = database.load()
        self._database = database
        self._tell = tell
        self._presence: PresenceSeen = PresenceSeen(())
        self._user = local.user
        self._zones = zones
        self.time = Timekeeper(clocks or system_clocks(), local.skew_ms)
        self._kept_skew_ms = local.skew_ms
        self._was_far = False
        self.copy = LocalCopy(replica, local, tell)
        connection = _connection(replica, local, name)
        self.session = Session(connection, network, self._store, self._hear)
        self._writer = Writer(database, self._problem, threaded=threaded)
        around = Surroundings(
            records=lambda: self.copy.records,
            muted=lambda: self.copy.muted,
            tell=self._rings,
            keep=self._keep,
            woke=self._woke,
        )
        self.ringer = Ringer(self.time, zones, local.marks, around)
        self.sync = SyncManager(
            connection if network else None, self.session.feed, self.time.clocks.monotonic, lambda: self.time.wall_ms
        )
        self._orders = Orders(self.copy, self.session, self.ringer, self.sync, self.time, zones, self._keep)
        self._status = self._status_now()
        self._stopping = trio.Event()

    def __repr__(self) -> str:
        return f"<Engine {self.session.connection!r}, {self.copy!r}, {self.ringer!r}>"

    # --- its life ---

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop` or until cancelled; what was changed is on disk when it returns."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._writer.run)
                await nursery.start(self.session.run)
                if self._database.set_aside is not None:
                    where = self._database.set_aside.name
                    self._problem("damaged", f"The local copy was damaged; it was moved to {where} and begun anew.")
                self._begin()
                nursery.start_soon(self.ringer.run)
                task_status.started()
                await self._stopping.wait()
                self.session.feed(client.Stop("closing"))
                await self.session.hung_up()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + FINISH_S):
                await self._writer.drain()
            self._database.close()

    def stop(self) -> None:
        """Finish: say goodbye to the server, and return from `run`; in bounded time."""
        self._stopping.set()

    def _begin(self) -> None:
        if self.session.network is not None:
            self._settle()
            self.session.feed(client.Start())

    def _settle(self) -> None:
        self.ringer.hold(self._timing.settle_ms / 1000)

    @property
    def _timing(self) -> Timing:
        return self.session.connection.machine.timing

    # --- commands ---

    def submit(self, command: Command, ref: int = 0) -> None:
        """Do what the user asks, now; `Done` with this `ref` follows when it is on disk, or `Failed`."""
        self.ringer.notice()
        try:
            items = self._orders.do(command)
        except CommandError as error:
            self._tell(Failed(ref, error.code, str(error), error.field))
        else:
            self._writer.put((), lambda: self._tell(Done(ref, items)))
        self._refresh()

    # --- how it stands ---

    @property
    def snapshot(self) -> Snapshot:
        """Everything there is to show, as one frozen value."""
        copy = self.copy
        return Snapshot(
            device=copy.replica.device,
            epoch=copy.replica.epoch,
            status=self._status_now(),
            records=copy.records,
            waiting=copy.waiting,
            aside=frozenset(copy.replica.aside),
            muted=copy.muted,
            sounding=tuple(self.ringer.book.sounding.values()),
            rejections=copy.rejections,
            devices=self._presence.devices,
        )

    def over(self) -> frozenset[ItemId]:
        """Timers that have ended and will not ring any more."""
        return over(self.copy.records.values(), self.time.now_for, self._zones)

    def to_ring(self) -> tuple[Record, ...]:
        """Records that ring now, or will if nothing is changed."""
        return to_ring(self.copy.records.values(), self.time.now_for, self._zones)

    def _status_now(self) -> Status:
        return self.sync.status(Counts(self.copy.unanswered, len(self.copy.rejections), self.time.skew_ms))

    def _refresh(self) -> None:
        """Tell how it stands, if that reads differently; how it ends is no news."""
        if self._stopping.is_set():
            return
        status = self._status_now()
        if _read(status) != _read(self._status):
            self._status = status
            self._tell(StatusChanged(status))

    # --- what the connection asks and tells ---

    def _store(self, asked: client.Store) -> None:
        writes = self.copy.absorb(asked.fact)
        self._writer.put(writes, partial(self._stored, asked.seq))
        self.sync.heard_changes()
        self.ringer.poke()
        self._refresh()

    def _stored(self, seq: int) -> None:
        self.session.feed(client.Stored(seq))
        self._refresh()

    def _hear(self, heard: Heard) -> None:  # noqa: C901 - one case for each output
        match heard:
            case client.LinkChanged():
                self._link_changed(heard)
            case client.Welcomed(user=user):
                self._settle()
                if user != self._user:
                    self._user = user
                    self._keep((PutUser(user),))
            case client.Synced():
                self.sync.synced()
                self.ringer.release()
                self._tell(InStep())
            case client.Answered(result=result):
                if result.status == "rejected":
                    # Its entry left in a write that still waits, so both are committed together.
                    self._keep(self.copy.reject(result))
                    if isinstance(edit := self.copy.refused(result), Snooze):
                        self.ringer.unsnooze(edit)
                self._tell(Answered(result))
            case client.PresenceHeard(devices=devices):
                self._presence = PresenceSeen(devices)
                self._tell(self._presence)
            case client.ClockSampled():
                self._sampled(heard)
            case client.Faulted(fault=fault):
                self._problem(fault.code, fault.message)
            case client.HeartbeatHeard() | client.Ignored():
                pass  # signs of life and of lateness: nothing to show
            case _:
                assert_never(heard)
        self._refresh()

    def _link_changed(self, link: client.LinkChanged) -> None:
        self.sync.link_changed(link)
        if link.state in {"offline", "stopped"}:
            # Rings wait for news, and there will be none.
            self.ringer.release()

    # --- time ---

    def _sampled(self, heard: client.ClockSampled) -> None:
        if self.ringer.notice():
            return  # its other samples are from before the jump
        self.time.sampled(heard.clock)
        self.sync.sampled(heard.round_trip_ms)
        self._keep_skew()
        self.ringer.poke()

    def _woke(self) -> None:
        """The device slept, or its clock was set: nothing of the network is to be believed (docs/protocol.md#life-suspend)."""
        self._keep_skew()
        if self.session.network is not None:
            self._settle()
        self.session.feed(client.Woke())

    def _keep_skew(self) -> None:
        if abs(self.time.skew_ms - self._kept_skew_ms) >= SKEW_STEP_MS:
            self._kept_skew_ms = self.time.skew_ms
            self._keep((PutSkew(self._kept_skew_ms),))
        if self.time.is_far and not self._was_far:
            minutes = abs(self.time.skew_ms) // 60_000
            sentence = f"This device's clock and the server's are {minutes} min apart; alarms ring by this device's."
            self._problem("clock_far", f"{sentence} Set the clock.")
        self._was_far = self.time.is_far

    # --- rings, disk, trouble ---

    def _rings(self, told: Told) -> None:
        local_ns = self.time.clocks.wall_ns()
        match told:
            case Sounding():
                self._tell(RingBegan(told, self.time.now_for(told.record), local_ns))
            case Ended(sounding=sounding, why=why, here=here):
                by_time = why in {"window", "early"}
                by = self.copy.replica.device if here else None if by_time else self.copy.author(sounding.key.item)
                self._tell(RingEnded(sounding, why, by, by == self.copy.replica.device, local_ns))
            case _:
                assert_never(told)

    def _keep(self, writes: Writes) -> None:
        self._writer.put(writes)

    def _problem(self, code: str, message: str) -> None:
        self._tell(Problem(code, message))


def _connection(replica: Replica, local: LocalState, name: str) -> client.ClientConnection:
    return client.ClientConnection(
        replica.device,
        name=name,
        cursor=replica.cursor,
        outbox=replica.entries,
        conn=replica.conn,
        seed=randbits(64),
        user=local.user,
        app=App("tocsin", VERSION),
        record=False,
    )


def _read(status: Status) -> tuple[object, ...]:
    """What a reader of the status line would notice; a countdown and a round trip move without news."""
    return status.link, status.why, status.data, status.sign_in, status.waiting, status.rejected
