"""One simulated device: the real connection, copy, ringer and orders of a client, over a modelled disk, clock and link.

What `client_qt.engine.Engine` does with Trio tasks happens here at moments of the virtual clock; the glue between the
parts is the same (see its `_hear`), and nothing else is decided.
"""

from collections import deque
from collections.abc import Callable

from client_qt.commands import Command, CommandError
from client_qt.events import Event as Told
from client_qt.local_copy import LocalCopy
from client_qt.local_state import LocalWrite, PutSkew, PutUser
from client_qt.orders import Orders
from client_qt.ringer import Ringer, Surroundings
from client_qt.ringer import Told as RingTold
from client_qt.sync_manager import SyncManager
from client_qt.timekeeping import Clocks, Timekeeper
from protocol import App, DeviceId, Monotonic, Replica, Snooze, Tick, client
from protocol.testing import DeviceClock, Dice, Disk, Event

from .local import Local
from .network import Link
from .plan import DevicePlan
from .wire import Wired
from .world import Wakeup, World
from .writing import Writer, Writes


CHECK_S = 5.0
"""A program looks at its clocks this often at least (`client_qt.ringer.LOOK_S`): so late a jump is noticed."""


class SimRinger(Ringer):
    """A ringer that is looked at by the virtual clock."""

    poked_now: Callable[[], None] = staticmethod(lambda: None)

    def poke(self) -> None:
        """Look again at once."""
        self.poked_now()


class SimDevice(Wired):
    """One device of a world.

    Attributes:
        up: its program runs. asleep: it is suspended.
        disk, local: what survives a crash. written: called after every transaction.
        looked: called after every look of the ringer.
        commanded: called after every order of the user, with the code of what forbids it; empty where it was done.
        link_name: what the user is told of its connection.
    """

    def __init__(self, world: World, plan: DevicePlan, seed: int) -> None:
        super().__init__(world, plan.name, plan.user, Link(plan.latency, plan.jitter, sockets=plan.sockets))
        self.plan = plan
        self.clock = DeviceClock(world.start, plan.offset_ms, plan.drift_ppm)
        self.dice = Dice(seed)
        self.disk = Disk(DeviceId(plan.name))
        self.local = Local()
        self.up = False
        self.asleep = False
        self.looked: Callable[[SimDevice], None] = lambda _: None
        self.written: Callable[[SimDevice], None] = lambda _: None
        self.commanded: Callable[[SimDevice, Command, str], None] = lambda _, __, ___: None
        self.link_name: client.LinkName = "offline"
        self._inbox: list[Callable[[], None]] = []
        self._ids = 0
        self._wake_client = Wakeup(world, self._tick)
        self._wake_ringer = Wakeup(world, self._look)
        self._begin_program()

    def __repr__(self) -> str:
        how = "down" if not self.up else "asleep" if self.asleep else "awake"
        return f"<SimDevice {self.name} {how} {self.client!r}>"

    @property
    def awake(self) -> bool:
        """Whether its program runs now."""
        return self.up and not self.asleep

    @property
    def wants_start(self) -> bool:
        """Whether only the user makes it connect again."""
        return "Start" in self.client.accepts

    @property
    def replica(self) -> Replica:
        """Its copy in memory."""
        return self.copy.replica

    @property
    def now(self) -> Monotonic:
        """Its monotonic clock, which is Trio's."""
        return self.clock.monotonic(self.world.now)

    # --- its program ---

    def _begin_program(self) -> None:
        world = self.world
        replica, local = self.disk.load(), self.local.load()
        self.client = client.ClientConnection(
            replica.device,
            name=self.name,
            cursor=replica.cursor,
            outbox=replica.entries,
            conn=replica.conn,
            seed=self.dice.below(1 << 62),
            user=local.user,
            app=App("sim", "1"),
            timing=world.timing,
            caps=("deflate",),
            record=False,
        )
        self.copy = LocalCopy(replica, local, self._ignore)
        clocks = Clocks(lambda: self.clock.wall_ms(world.now) * 1_000_000, lambda: self.now, self._elapsed())
        self.time = Timekeeper(clocks, local.skew_ms)
        self._kept_skew_ms = local.skew_ms
        around = Surroundings(
            records=lambda: self.copy.records,
            muted=lambda: self.copy.muted,
            tell=self._rings,
            keep=self._keep,
            woke=self._woke,
        )
        self.ringer = SimRinger(self.time, world.zones, local.marks, around, longest_s=float("inf"))
        self.ringer.poked_now = lambda: self._wake_ringer.set(world.now)
        self.sync = SyncManager(
            self.client, self.feed, self.time.clocks.monotonic, lambda: self.clock.wall_ms(world.now)
        )
        self.orders = Orders(
            self.copy, self._line(), self.ringer, self.sync, self.time, world.zones, self._keep, self._new_id
        )
        self._inputs: deque[client.ClientInput] = deque()
        self._is_stepping = False
        self._writer = Writer(self._disk_turns, self._commit)

    def _line(self) -> "_Line":
        return _Line(self)

    def _elapsed(self) -> Callable[[], float] | None:
        # One system in three cannot say how long it slept.
        return None if self.name.endswith("2") else lambda: self.clock.elapsed(self.world.now)

    def _ignore(self, _: Told) -> None:
        pass

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.name}-{self._ids}"

    def boot(self) -> None:
        """The program starts from what is on disk, and connects."""
        if self.up:
            return
        self.up = True
        self.asleep = False
        self.clock.wake(self.world.now)
        self.boots += 1
        self._begin_program()
        self.world.note(self.name, "starts")
        self._settle()
        self.feed(client.Start())
        self.ringer.poke()

    def crash(self) -> None:
        """Power cut: what was being written is on disk as a whole or not at all, and what waited behind it is gone."""
        if not self.up:
            return
        self.up = False
        self._writer.lose_power(reached=self._writer.is_busy and self.world.chance.hit(0.5))
        self.boots += 1
        self._inbox.clear()
        self.world.note(self.name, "crashes")
        self._wake_client.set(None)
        self._wake_ringer.set(None)
        self.ringer.book = type(self.ringer.book)()
        self.drop_transport(deliver=False)
        self.link_name = "offline"

    def suspend(self) -> None:
        """The lid closes."""
        if self.awake:
            self.asleep = True
            self.clock.sleep(self.world.now)
            self.world.note(self.name, "is suspended")

    def resume(self) -> None:
        """The lid opens: what arrived meanwhile is read, and some seconds later the clocks are looked at."""
        if not self.up or not self.asleep:
            return
        self.asleep = False
        self.clock.wake(self.world.now)
        self.world.note(self.name, "wakes")
        inbox, self._inbox = self._inbox, []
        for action in inbox:
            self.later(0.0, action)
        self._wake_ringer.set(self.world.now + self.world.chance.uniform(0.0, CHECK_S))
        self._arm()

    def set_clock(self, ms: int) -> None:
        """Somebody sets the wall clock; the program notices at its next look."""
        self.clock.jump(ms)
        self.world.note(self.name, f"its clock is set by {ms:+} ms")
        if self.awake:
            self._wake_ringer.set(self.world.now + self.world.chance.uniform(0.0, CHECK_S))

    def copy_from(self, other: "SimDevice") -> None:
        """Its disk becomes a copy of another device's, and its program starts from it."""
        self.crash()
        self.disk, self.local = other.disk.copy(), other.local.copy()
        self.world.note(self.name, f"becomes a copy of {other.name}")
        self.boot()

    def backup(self) -> tuple[Disk, Local]:
        """Its disk as it is now."""
        return self.disk.copy(), self.local.copy()

    def restore(self, backup: tuple[Disk, Local]) -> None:
        """An older disk comes back, and the program starts from it."""
        self.crash()
        self.disk, self.local = backup[0].copy(), backup[1].copy()
        self.world.note(self.name, "gets an older disk back")
        self.boot()

    # --- time ---

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen to this run of the program: in sleep it waits, and after a crash it never comes."""
        boots = self.boots

        def arrive() -> None:
            if self.boots != boots or not self.up:
                return
            if self.asleep:
                self._inbox.append(arrive)
            else:
                action()

        self.world.after(seconds, arrive)

    def _arm(self) -> None:
        deadline = self.client.deadline
        self._wake_client.set(None if deadline is None else self.clock.true_at(deadline.at))

    def _tick(self) -> None:
        if self.awake and self.client.deadline is not None:
            # The last bit of a clock's reading must not make a tick come early for ever.
            due, now = self.client.deadline.at, self.now
            self.feed(Tick(), due if 0 < due - now < 1e-6 else now)

    def _look(self) -> None:
        if not self.awake:
            return
        wait = self.ringer.look()
        if wait != float("inf"):
            # The clock may be corrected or drift meanwhile: go most of a long way and look again.
            self._wake_ringer.set(self.world.now + (wait if wait < CHECK_S else wait * 0.999))
        self.looked(self)

    # --- the connection ---

    def feed(self, stimulus: client.ClientInput, now: float | None = None) -> None:
        """One input, and all that follows; an input that arises meanwhile has its turn afterwards."""
        self._inputs.append(stimulus)
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._inputs:
                self._step(self._inputs.popleft(), self.now if now is None else now)
        finally:
            self._is_stepping = False

    def _step(self, stimulus: client.ClientInput, now: float) -> None:
        outputs = self.client.step(stimulus, now)
        for output in outputs:
            self._perform(output)
        self._arm()
        self.world.tell(Event(self.world.now, self.name, stimulus, tuple(outputs)))

    def _perform(self, output: client.ClientOutput) -> None:
        match output:
            case (
                client.Transmit() | client.GetToken() | client.OpenTransport() | client.CloseTransport() | client.Poll()
            ):  # fmt: skip
                self.ask(output)
            case client.Store(seq=seq, fact=fact):
                writes = self.copy.absorb(fact)
                self._writer.put(writes, lambda: self.feed(client.Stored(seq)))
                self.ringer.poke()
            case _:
                self._hear(output)

    def _hear(self, output: client.ClientOutput) -> None:
        """The glue of `Engine._hear`."""
        match output:
            case client.LinkChanged(state=state):
                self.link_name = state
                self.sync.link_changed(output)
                if state in {"offline", "stopped"}:
                    self.ringer.release()
            case client.Welcomed(user=user):
                self._settle()
                self._keep((PutUser(user),))
            case client.Synced():
                self.sync.synced()
                self.ringer.release()
            case client.Answered(result=result):
                if result.status == "rejected":
                    self._keep(self.copy.reject(result))
                    if isinstance(edit := self.copy.refused(result), Snooze):
                        self.ringer.unsnooze(edit)
            case client.ClockSampled(clock=clock):
                if not self.ringer.notice():
                    self.time.sampled(clock)
                    self._keep_skew()
                    self.ringer.poke()
            case _:
                pass

    def _settle(self) -> None:
        self.ringer.hold(self.client.machine.timing.settle_ms / 1000)

    def _woke(self) -> None:
        self._keep_skew()
        self._settle()
        self.feed(client.Woke())

    def _keep_skew(self) -> None:
        if abs(self.time.skew_ms - self._kept_skew_ms) >= 20:
            self._kept_skew_ms = self.time.skew_ms
            self._keep((PutSkew(self._kept_skew_ms),))

    def _rings(self, told: RingTold) -> None:
        for listener in self.world.ring_watchers:
            listener(self, told)

    # --- the disk ---

    def _keep(self, writes: Writes) -> None:
        self._writer.put(writes)

    def _disk_turns(self, done: Callable[[], None]) -> None:
        self.later(self.world.chance.uniform(0.0002, 0.004), done)

    def _commit(self, writes: Writes) -> None:
        for write in writes:
            if isinstance(write, LocalWrite):
                self.local.apply(write)
            else:
                self.disk.apply((write,))
        self.written(self)

    # --- the user ---

    def command(self, command: Command) -> bool:
        """The user asks for something; False where it cannot be done."""
        if not self.awake:
            return False
        self.ringer.notice()
        try:
            self.orders.do(command)
        except CommandError as error:
            self.commanded(self, command, error.code)
            return False
        self.commanded(self, command, "")
        return True


class _Line:
    """What `client_qt.orders` needs of a session."""

    network = "simulated"

    def __init__(self, device: SimDevice) -> None:
        self._device = device

    @property
    def connection(self) -> client.ClientConnection:
        """The device's."""
        return self._device.client

    def feed(self, stimulus: client.ClientInput) -> None:
        """The connection's one way in."""
        self._device.feed(stimulus)

    def pull(self) -> None:
        """The user cuts the network."""
        self._device.cut()

    def plug(self) -> None:
        """And lets it be."""
        self._device.heal()
