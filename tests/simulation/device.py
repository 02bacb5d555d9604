"""One simulated device: the real connection, copy, ringer and orders of a client, over a modelled disk, clock and link.

What `client_qt.engine.Engine` does with Trio tasks happens here at moments of the virtual clock; the glue between the
parts is the same (see its `_hear`), and nothing else is decided.
"""

from collections import deque
from collections.abc import Callable
from typing import assert_never

from client_qt.commands import Command, CommandError
from client_qt.events import Event as Told
from client_qt.local_copy import LocalCopy
from client_qt.local_state import (
    DropMark,
    DropRejection,
    LocalState,
    LocalWrite,
    Mark,
    PutMark,
    PutMuted,
    PutRejection,
    PutSkew,
    PutUser,
    RingKey,
)
from client_qt.orders import Orders
from client_qt.ringer import Ringer, Surroundings
from client_qt.ringer import Told as RingTold
from client_qt.sync_manager import SyncManager
from client_qt.timekeeping import Clocks, Timekeeper
from protocol import (
    App,
    DeviceId,
    Generation,
    Handle,
    ItemId,
    Monotonic,
    Replica,
    Snooze,
    Tick,
    UserId,
    Write,
    client,
    server,
)
from protocol.testing import DeviceClock, Dice, Disk, Event

from .network import Link, Noticed, Refusal, Transport
from .plan import DevicePlan
from .polls import answer_poll
from .world import Wakeup, World


CHECK_S = 5.0
"""A program looks at its clocks this often at least (`client_qt.ringer.LOOK_S`): so late a jump is noticed."""

Writes = tuple[Write | LocalWrite, ...]


class Local:
    """What a device keeps beside its replica, as a table on disk."""

    def __init__(self) -> None:
        self.marks: dict[RingKey, Mark] = {}
        self.muted: frozenset[ItemId] = frozenset()
        self.skew_ms = 0
        self.user: UserId | None = None

    def copy(self) -> "Local":
        """A backup."""
        twin = Local()
        twin.marks, twin.muted, twin.skew_ms, twin.user = dict(self.marks), self.muted, self.skew_ms, self.user
        return twin

    def load(self) -> LocalState:
        """What a program finds when it starts."""
        return LocalState(marks=dict(self.marks), muted=self.muted, skew_ms=self.skew_ms, user=self.user)

    def apply(self, write: LocalWrite) -> None:
        """One statement."""
        match write:
            case PutMark(mark):
                self.marks[mark.key] = mark
            case DropMark(key):
                self.marks.pop(key, None)
            case PutMuted(item, muted):
                self.muted = self.muted | {item} if muted else self.muted - {item}
            case PutSkew(skew_ms):
                self.skew_ms = skew_ms
            case PutUser(user):
                self.user = user
            case PutRejection() | DropRejection():
                pass
            case _:
                assert_never(write)


class SimRinger(Ringer):
    """A ringer that is looked at by the virtual clock."""

    poked_now: Callable[[], None] = staticmethod(lambda: None)

    def poke(self) -> None:
        """Look again at once."""
        self.poked_now()


class SimDevice:
    """One device of a world.

    Attributes:
        up: its program runs. asleep: it is suspended.
        boots: how often its program was started; what belongs to an earlier one is dropped.
        disk, local: what survives a crash. written: called after every transaction.
        rung: rings that began or ended, with the virtual second; newest last.
        looked: called after every look of the ringer. faults: commands that could not be done, by code.
    """

    def __init__(self, world: World, plan: DevicePlan, seed: int) -> None:
        self.world = world
        self.plan = plan
        self.name = plan.name
        self.user = UserId(plan.user)
        self.link = Link(plan.latency, plan.jitter, sockets=plan.sockets)
        self.clock = DeviceClock(world.start, plan.offset_ms, plan.drift_ppm)
        self.dice = Dice(seed)
        self.disk = Disk(DeviceId(plan.name))
        self.local = Local()
        self.up = False
        self.asleep = False
        self.boots = 0
        self.transport: Transport | None = None
        self.rung: list[tuple[float, RingTold]] = []
        self.looked: Callable[[SimDevice], None] = lambda _: None
        self.written: Callable[[SimDevice], None] = lambda _: None
        self.commanded: Callable[[SimDevice, Command, str], None] = lambda _, __, ___: None
        self.link_name: client.LinkName = "offline"
        self._token: Handle | None = None
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
        self.ringer.poked_now = lambda: self._wake_ringer.set(world.now)  # type: ignore[method-assign]  # one for each
        self.sync = SyncManager(
            self.client, self.feed, self.time.clocks.monotonic, lambda: self.clock.wall_ms(world.now)
        )
        self.orders = Orders(
            self.copy, self._line(), self.ringer, self.sync, self.time, world.zones, self._keep, self._new_id
        )
        self._inputs: deque[client.ClientInput] = deque()
        self._is_stepping = False
        self._unwritten: list[tuple[Writes, Callable[[], None]]] = []
        self._is_writing = False

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
        # The one transaction under way has reached the disk or it has not.
        if self._is_writing and self.world.chance.hit(0.5):
            self._commit(len(self._batch))
        self.boots += 1
        self._inbox.clear()
        self.world.note(self.name, "crashes")
        self._wake_client.set(None)
        self._wake_ringer.set(None)
        self.ringer.book = type(self.ringer.book)()
        self._drop_transport(deliver=False)
        self.link_name = "offline"

    def _drop_transport(self, *, deliver: bool) -> None:
        """Its socket vanishes; the server hears of it when the system closes it, or by silence."""
        transport, self.transport = self.transport, None
        if transport is None:
            return
        transport.client_open = False
        transport.break_at(self.world.now, delivers=deliver)
        if self.link.up and self.world.chance.hit(0.5):
            self.world.after(self.link.latency, lambda: transport.process.closed(transport, 1006))

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
            self._later(0.0, action)
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

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
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
            case client.Transmit(gen=gen, data=data):
                self._transmit(gen, data)
            case client.GetToken(gen=gen, fresh=fresh):
                self._get_token(gen, fresh)
            case client.OpenTransport(gen=gen, handle=handle):
                self._open(gen, handle)
            case client.CloseTransport(gen=gen, code=code):
                self._close(gen, code)
            case client.Store(seq=seq, fact=fact):
                writes = self.copy.absorb(fact)
                self._put(writes, lambda: self.feed(client.Stored(seq)))
                self.ringer.poke()
            case client.Poll():
                self._poll(output)
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
        self.rung.append((self.world.now, told))
        for listener in self.world.ring_watchers:
            listener(self, told)

    # --- the disk ---

    def _keep(self, writes: Writes) -> None:
        self._put(writes, lambda: None)

    def _put(self, writes: Writes, done: Callable[[], None]) -> None:
        self._unwritten.append((writes, done))
        if not self._is_writing:
            self._begin_transaction()

    def _begin_transaction(self) -> None:
        """All that waits goes to disk together, as `client_qt.storing.Writer` does it."""
        self._is_writing = True
        self._batch = list(self._unwritten)
        self._later(self.world.chance.uniform(0.0002, 0.004), self._written)

    def _written(self) -> None:
        self._is_writing = False
        for done in self._commit(len(self._batch)):
            done()
        if self._unwritten and not self._is_writing:
            self._begin_transaction()

    def _commit(self, count: int) -> list[Callable[[], None]]:
        batch, self._unwritten = self._unwritten[:count], self._unwritten[count:]
        for writes, _ in batch:
            for write in writes:
                if isinstance(write, LocalWrite):
                    self.local.apply(write)
                else:
                    self.disk.apply((write,))
        self.written(self)
        return [done for _, done in batch]

    # --- tokens ---

    def _get_token(self, gen: Generation, fresh: bool) -> None:
        token = self._token
        if token is not None and not fresh:
            self._later(0.0, lambda: self.feed(client.TokenReady(gen, token, fresh=False)))
            return
        self._later(2 * self.link.delay(self.world.chance), lambda: self._token_answered(gen))

    def _token_answered(self, gen: Generation) -> None:
        why = self.world.barred.get(self.name)
        if not self.link.up:
            self.feed(client.TokenFailed(gen, rejected=False, why="no network"))
        elif why in {"revoked", "forbidden"}:
            self.feed(client.TokenFailed(gen, rejected=True, why=why))
        else:
            self._token = self.world.issue(self.name, self.user)
            self.feed(client.TokenReady(gen, self._token, fresh=True))

    # --- sockets ---

    def _open(self, gen: Generation, handle: Handle) -> None:
        delay = self.link.delay(self.world.chance) + self.link.slow_connect
        self._later(delay, lambda: self._reach(gen, handle))

    def _reach(self, gen: Generation, handle: Handle) -> None:
        """The request for a socket arrives somewhere, or nowhere."""
        link, world = self.link, self.world
        if not link.up:
            # Half of the networks that are gone say so; the others keep silent.
            if world.chance.hit(0.5):
                self.feed(client.Unreachable(gen, "no route"))
            return
        process = world.choose_process()
        refusal = link.refusals.pop(0) if link.refusals else None if link.sockets else Refusal(502)
        if process is None:
            refusal = Refusal(503, None, 2_000)
        if refusal is not None:
            refused = client.Refused(gen, refusal.status, refusal.code, refusal.retry_after_ms)
            self._later(link.delay(world.chance), lambda: self.feed(refused))
            return
        assert process is not None
        self.transport = process.accept(self.name, self.boots, gen, handle)

    def carry(self, transport: Transport, stimulus: client.ClientInput) -> None:
        """Something from a server's end travels to this device."""
        world, sent_at = self.world, self.world.now
        at = transport.arrival("client", sent_at, self.link.delay(world.chance))
        frame = isinstance(stimulus, client.Received | client.ReceivedBinary)

        def arrive() -> None:
            if transport.life != self.boots or (not self.link.up and not transport.delivers):
                return
            if not transport.passes(sent_at):
                return
            # After its own close a program may still read what had arrived before.
            if not transport.client_open and not (frame and world.chance.hit(0.5)):
                return
            for _ in range(self.link.copies("client") if frame else 1):
                self.feed(stimulus)
            if isinstance(stimulus, client.Lost | client.Refused):
                transport.client_open = False

        self._arriving(transport, at - sent_at, arrive)

    def _arriving(self, transport: Transport, seconds: float, arrive: Callable[[], None]) -> None:
        if transport.life == self.boots:
            self._later(seconds, arrive)

    def _transmit(self, gen: Generation, data: str) -> None:
        transport = self.transport
        if transport is None or transport.gen != gen or not transport.client_open:
            return
        world, sent_at = self.world, self.world.now
        if transport.broken_at is not None:
            self._reset(transport)
            return
        at = transport.arrival("server", sent_at, self.link.delay(world.chance))
        process, life = transport.process, transport.process.life

        def arrive() -> None:
            if process.life != life or not transport.passes(sent_at):
                return
            if not self.link.up and not transport.delivers:
                return
            for _ in range(self.link.copies("server")):
                process.feed(transport, server.Received(data, world.wall))

        world.at(at, arrive)

    def _reset(self, transport: Transport) -> None:
        """Nobody is there any more: where the network works, the first frame into the void is answered by a reset."""
        if self.link.up:
            self._later(2 * self.link.latency, lambda: self._lost(transport))

    def _lost(self, transport: Transport, code: int = 1006) -> None:
        if transport.client_open and transport.life == self.boots:
            transport.client_open = False
            self.feed(client.Lost(transport.gen, code))

    def _close(self, gen: Generation, code: int) -> None:
        transport = self.transport
        if transport is None or transport.gen != gen:
            return
        transport.client_open = False
        process = transport.process
        if self.link.up and transport.broken_at is None:
            at = transport.arrival("server", self.world.now, self.link.delay(self.world.chance))
            self.world.at(at, lambda: process.closed(transport, code))

    # --- the network ---

    def cut(self, *, deliver: bool = False, noticed: Noticed = "both") -> None:
        """The link breaks. deliver: what is in flight still arrives. noticed: which ends learn of it at once."""
        self.link.up = False
        self.lose(deliver=deliver, noticed=noticed)

    def lose(self, *, deliver: bool = False, noticed: Noticed = "both") -> None:
        """The connection breaks, the link stays as it is."""
        transport = self.transport
        if transport is None or transport.broken_at is not None:
            return
        transport.break_at(self.world.now, delivers=deliver)
        self.world.note(self.name, f"its connection breaks, noticed by {noticed}")
        if noticed in {"both", "client"}:
            # After what was in flight, where that still arrives.
            behind = max(0.0, transport.last["client"] - self.world.now) if deliver else 0.0
            self._later(behind, lambda: self._lost(transport))
        if noticed in {"both", "server"}:
            behind = max(0.0, transport.last["server"] - self.world.now) if deliver else 0.0
            self.world.after(behind, lambda: transport.process.closed(transport, 1006))

    def heal(self) -> None:
        """The link works again; the system says so, sometimes."""
        if not self.link.up:
            self.link.up = True
            self.world.note(self.name, "its network is back")
            if self.awake and self.world.chance.hit(0.5):
                self._later(0.0, lambda: self.feed(client.NetworkChanged()))

    def stall(self) -> None:
        """The program stops reading its socket."""
        self.link.stalled = True

    def read_on(self) -> None:
        """It reads again."""
        self.link.stalled = False
        if self.transport is not None and self.transport.process.up:
            self.transport.process.release(self.transport)

    def sign_in(self) -> None:
        """The user signs in again."""
        self.world.barred.pop(self.name, None)
        if self.awake:
            self._token = None
            self.feed(client.Start() if "Start" in self.client.accepts else client.SyncNow())

    def sign_out(self, why: str) -> None:
        """Its tokens hold no more."""
        self.world.barred[self.name] = why
        for process in self.world.processes.values():
            if process.up and why == "revoked":
                process.sign_out(self.world.session_of(self.name))

    # --- requests ---

    def _poll(self, poll: client.Poll) -> None:
        world, boots = self.world, self.boots
        process = world.choose_process()

        def answer(said: str | client.PollFailed) -> None:
            def arrive() -> None:
                if not self.link.up:
                    self.feed(client.PollFailed(poll.gen, 0))
                else:
                    self.feed(client.PollAnswered(poll.gen, said) if isinstance(said, str) else said)

            if self.boots == boots:
                self._later(self.link.delay(world.chance), arrive)

        def reach() -> None:
            if not self.link.up:
                answer(client.PollFailed(poll.gen, 0))
            elif process is None or not process.up:
                answer(client.PollFailed(poll.gen, 503))
            else:
                answer_poll(process, poll, answer)

        world.after(self.link.delay(world.chance), reach)

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
