"""A server process without its sockets: real connections, a real roster, and what a hub does with both."""

from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from protocol import (
    Epoch,
    Generation,
    Handle,
    Member,
    Outcome,
    Rev,
    Roster,
    SessionId,
    Tick,
    UserId,
    client,
    server,
)
from protocol.testing import Event

from .network import Transport
from .world import Wakeup, World


if TYPE_CHECKING:
    from .polls import Waiting


Answer = Callable[[], None]


class Head:
    """How far one process has published one user's log."""

    __slots__ = ("epoch", "rev")

    def __init__(self, epoch: Epoch, rev: Rev) -> None:
        self.epoch = epoch
        self.rev = rev


class Process:
    """One of the server's processes.

    Attributes:
        up: whether it runs. life: how often it was started.
        ends: open transports by key. rosters: who of each user is connected. heads: what was published.
        polls: long polls that wait, by user.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.up = True
        self.life = 0
        self.ends: dict[int, Transport] = {}
        self.rosters: dict[UserId, Roster] = {}
        self.members: dict[UserId, dict[int, Transport]] = {}
        self.heads: dict[UserId, Head] = {}
        self.polls: dict[UserId, list[Waiting]] = {}
        self._wakeups: dict[int, Wakeup] = {}
        self._joins: dict[int, server.Join] = {}
        self._keys = 0
        self._writing: list[tuple[float, Answer, Answer]] = []
        self._busy_until = 0.0

    def __repr__(self) -> str:
        return f"<Process {self.name}{'' if self.up else ', down'}, {len(self.ends)} transports>"

    # --- its life ---

    def start(self) -> None:
        """Run again, knowing nothing."""
        if not self.up:
            self.up = True
            self.life += 1
            self.world.note(self.name, "starts")

    def crash(self, *, keep_tail: bool) -> None:
        """Die at once. keep_tail: what was being committed is durable, though nobody will be told."""
        if not self.up:
            return
        self.up = False
        self.life += 1
        writing, self._writing = self._writing, []
        if keep_tail:
            for _, commit, _ in writing:
                commit()
        self.world.note(self.name, f"crashes, {len(writing)} commits {'kept' if keep_tail else 'lost'}")
        for transport in list(self.ends.values()):
            transport.server_open = False
            transport.break_at(self.world.now, delivers=True)
            self._tell_lost(transport, 1006, "")
        for waiting in [one for polls in self.polls.values() for one in polls]:
            waiting.fail(0)
        self.ends.clear()
        self.rosters.clear()
        self.members.clear()
        self.heads.clear()
        self.polls.clear()
        self._wakeups.clear()
        self._joins.clear()

    def drain(self) -> None:
        """Say goodbye to everybody, and stop a little later."""
        self.world.note(self.name, "drains")
        sockets = len(self.ends)
        for transport in list(self.ends.values()):
            self.feed(transport, server.Drain(sockets))
        life = self.life
        self.world.after(5.0, lambda: self.crash(keep_tail=True) if self.life == life else None)

    # --- transports ---

    def accept(self, device: str, life: int, gen: Generation, handle: Handle) -> Transport:
        """A request for a socket arrives."""
        self._keys += 1
        end = server.ServerConnection(self.world.terms, record=False)
        transport = Transport(device, life, gen, self, end, self._keys)
        self.ends[transport.key] = transport
        self._wakeups[transport.key] = Wakeup(self.world, lambda: self._tick(transport))
        self.feed(transport, server.Requested("v1", "header", handle))
        return transport

    def _tick(self, transport: Transport) -> None:
        if transport.server_open:
            self.feed(transport, Tick())

    def feed(self, transport: Transport, stimulus: server.ServerInput) -> None:
        """One step of the server's end of a transport, and all that follows from it here."""
        world = self.world
        if not transport.server_open:
            return
        outputs = transport.end.step(stimulus, world.now)
        for output in outputs:
            self._perform(transport, output)
        wakeup = self._wakeups.get(transport.key)
        if wakeup is not None:
            deadline = transport.end.deadline
            wakeup.set(None if deadline is None else deadline.at)
        world.tell(Event(world.now, f"{transport.device}'s", stimulus, tuple(outputs)))

    def closed(self, transport: Transport, code: int) -> None:
        """The server notices that a transport is over."""
        if transport.server_open:
            self.feed(transport, server.Closed(code))
            self._forget(transport)

    def _forget(self, transport: Transport) -> None:
        transport.server_open = False
        self.ends.pop(transport.key, None)
        self._wakeups.pop(transport.key, None)
        self._joins.pop(transport.key, None)

    # --- what an end asks ---

    def _perform(self, transport: Transport, output: server.ServerOutput) -> None:
        gen = transport.gen
        match output:
            case server.Transmit(data=data):
                self._send(transport, client.Received(gen, data))
            case server.TransmitBinary(data=binary):
                self._send(transport, client.ReceivedBinary(gen, binary))
            case server.Accept(subprotocol=subprotocol):
                self._send(transport, client.Opened(gen, subprotocol))
            case server.Refuse(status=status, code=code):
                self._forget(transport)
                self._send(transport, client.Refused(gen, status, code))
            case server.CloseTransport(code=code, reason=reason):
                self._close(transport, code, reason)
            case server.AbortTransport():
                self._tell_lost(transport, 1006, "")
                self.world.after(0.0, lambda: self.closed(transport, 1006))
            case server.Leave():
                self._leave(transport)
            case server.Ignored():
                pass
            case _:
                self._ask(transport, output)

    def _send(self, transport: Transport, stimulus: client.ClientInput) -> None:
        device = self.world.devices[transport.device]
        if device.link.stalled and not isinstance(stimulus, client.Opened | client.Refused):
            transport.held.append(stimulus)
            self.later(0.0, lambda: self.feed(transport, server.Blocked()) if transport.held else None)
            return
        device.carry(transport, stimulus)

    def release(self, transport: Transport) -> None:
        """The device reads again."""
        held, transport.held = transport.held, []
        device = self.world.devices[transport.device]
        for stimulus in held:
            device.carry(transport, stimulus)  # type: ignore[arg-type]  # only client inputs are held
        if held:
            self.feed(transport, server.Drained())

    def _close(self, transport: Transport, code: int, reason: str) -> None:
        """A close frame goes out; where the peer answers it, the transport is over one round trip later."""
        self._tell_lost(transport, code, reason)
        device = self.world.devices[transport.device]
        if device.link.up and transport.broken_at is None and device.awake:
            self.world.after(2 * device.link.latency, lambda: self.closed(transport, code))

    def _tell_lost(self, transport: Transport, code: int, reason: str) -> None:
        device = self.world.devices[transport.device]
        device.carry(transport, client.Lost(transport.gen, code, reason))

    def _leave(self, transport: Transport) -> None:
        for user, members in self.members.items():
            if members.pop(transport.key, None) is not None:
                self.rosters[user] = self.rosters[user].leave(transport.key, self.world.now)

    def _ask(
        self,
        transport: Transport,
        question: server.VerifyToken | server.Join | server.RenewEpoch | server.ReadPage | server.ReadState
        | server.ReadHead | server.Apply | server.StoreAck,
    ) -> None:  # fmt: skip
        storage = self.world.storage
        match question:
            case server.VerifyToken(handle=handle):
                self._answer(transport, lambda: self.world.verdict(handle))
            case server.Join():
                self._join(transport, question)
            case server.RenewEpoch(user=user, seen=seen):
                join = self._joins[transport.key]
                self._answer(transport, lambda: self._renewed(join, user, seen))
            case server.ReadPage(user=user, after=after, limit=limit):
                self._answer(transport, lambda: server.PageRead(storage.of(user).page(after, limit)))
            case server.ReadState(user=user, device=device, with_deleted=all_of_it):
                self._answer(
                    transport, lambda: server.StateRead(storage.of(user).state(device, with_deleted=all_of_it))
                )
            case server.ReadHead(user=user):
                self._answer(transport, lambda: server.HeadRead(storage.of(user).account, self.world.wall))
            case server.Apply():
                self._apply(transport, question)
            case server.StoreAck(user=user, device=device, epoch=epoch, rev=rev):
                storage.of(user).acked(device, epoch, rev, self.world.wall)
            case _:
                assert_never(question)

    # --- the store ---

    def later(self, seconds: float, action: Answer) -> None:
        """Do something then, unless this process has died meanwhile."""
        life = self.life
        self.world.after(seconds, lambda: action() if self.life == life else None)

    def _answer(self, transport: Transport, read: Callable[[], server.ServerInput]) -> None:
        """Read now or a little later, and answer a little later still: by then the answer may be old."""
        delay = self.world.chance.uniform(0.0005, 0.006)

        def look() -> None:
            answer = read()
            self.later(delay / 2, lambda: self.feed(transport, answer))

        self.later(delay / 2, look)

    def _join(self, transport: Transport, join: server.Join) -> None:
        assert join.device is not None
        world, device = self.world, join.device.id
        member = Member(transport.key, device, join.conn, world.now)
        roster, verdicts = self.rosters.get(join.user, Roster()).join(member, world.terms.limits.sockets)
        self.rosters[join.user] = roster
        members = self.members.setdefault(join.user, {})
        losers = [(members.get(verdict.key, transport), verdict) for verdict in verdicts]
        if all(loser is not transport for loser, _ in losers):
            members[transport.key] = transport
            self._joins[transport.key] = join
            self._answer(transport, lambda: self._joined(join))
        for loser, verdict in losers:
            evicted = server.Evicted(verdict.code, verdict.reason, verdict.conn)
            self.later(0.0, lambda loser=loser, evicted=evicted: self.feed(loser, evicted))  # type: ignore[misc]  # bound

    def _joined(self, join: server.Join) -> server.ServerInput:
        device, store = join.device, self.world.storage.of(join.user)
        assert device is not None
        if self.world.barred.get(join.session.removeprefix("s-")) == "revoked":
            return server.SIGNED_OUT
        if not store.has_room(device.id):
            return server.CROWDED
        last_mid = store.join(device.id, device.name, join.cursor, self.world.wall, join.conn)
        self.head(join.user)
        return server.Joined(store.account, last_mid, self.world.wall)

    def _renewed(self, join: server.Join, user: UserId, seen: Epoch) -> server.ServerInput:
        self.world.storage.renew(user, seen)
        self.resync(user)
        self.world.bus.nudge(self, user)
        return self._joined(join)

    def write(self, commit: Answer, answer: Answer) -> None:
        """Commit in the order of the calls, some milliseconds from now; then answer."""
        self._busy_until = max(self._busy_until, self.world.now) + self.world.chance.uniform(0.0005, 0.008)
        job = (self._busy_until, commit, answer)
        self._writing.append(job)

        def done() -> None:
            self._writing.remove(job)
            commit()
            answer()

        self.later(self._busy_until - self.world.now, done)

    def _apply(self, transport: Transport, asked: server.Apply) -> None:
        store, outcomes = self.world.storage, list[Outcome]()
        wall = self.world.wall

        def commit() -> None:
            outcomes.append(store.of(asked.user).commit(asked.device, asked.submission, wall))

        def answer() -> None:
            (outcome,) = outcomes
            self.published(asked.user, outcome)
            if outcome.fault is not None:
                self.feed(transport, server.Declined(asked.submission.mid, outcome.fault))
            elif outcome.result is not None:
                self.feed(transport, server.Answered(outcome.result))

        self.write(commit, answer)

    # --- what changes, and who is told ---

    def published(self, user: UserId, outcome: Outcome) -> None:
        """A commit of this process is durable."""
        if outcome.change is None:
            return
        head = self.head(user)
        head.rev = max(head.rev, outcome.change.rev)
        self._publish(user, server.publication(outcome.change, outcome.record, self.world.terms.limits))
        self.world.bus.nudge(self, user)

    def head(self, user: UserId) -> Head:
        """What this process has published of a user's log; at first, all there is."""
        if user not in self.heads:
            account = self.world.storage.of(user).account
            self.heads[user] = Head(account.epoch, account.rev)
        return self.heads[user]

    def nudged(self, user: UserId) -> None:
        """A sibling says that a log has grown: read on from what was published here."""
        if not self.members.get(user) and not self.polls.get(user):
            self.heads.pop(user, None)
            return
        store, head = self.world.storage.of(user), self.head(user)
        if store.account.epoch != head.epoch or store.account.floor > head.rev:
            self.resync(user)
            return
        for row in store.page(head.rev, 1_000).rows:
            head.rev = row.rev
            self._publish(user, server.publication(row, store.records.get(row.id), self.world.terms.limits))

    def _publish(self, user: UserId, change: server.Publish) -> None:
        for transport in list(self.members.get(user, {}).values()):
            self.feed(transport, change)
        self._wake(user)

    def resync(self, user: UserId) -> None:
        """A log has another name, or more is missing than can be passed on."""
        account = self.world.storage.of(user).account
        self.heads[user] = Head(account.epoch, account.rev)
        for transport in list(self.members.get(user, {}).values()):
            self.feed(transport, server.Resync(account.epoch, account.rev))
        self._wake(user)

    def _wake(self, user: UserId) -> None:
        for waiting in self.polls.pop(user, []):
            waiting.wake()

    def sign_out(self, session: SessionId) -> None:
        """Every socket of a session is closed."""
        for transport in list(self.ends.values()):
            state = transport.end.state
            login = (
                state.peer.login if isinstance(state, server.Behind | server.Live) else getattr(state, "login", None)
            )
            if login is not None and login.session == session and "Evicted" in transport.end.accepts:
                self.feed(transport, server.SIGNED_OUT)
