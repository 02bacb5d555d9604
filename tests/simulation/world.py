"""One process, one thread, one virtual clock: users, devices, server processes, their store and their bus."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from protocol import Handle, Monotonic, SessionId, UserId, Wall, Zones, server
from protocol.testing import Dice, Event, Queue

from .storage import Storage


if TYPE_CHECKING:
    from client_qt.ringer import Told as RingTold

    from .bus import Bus
    from .device import SimDevice
    from .process import Process


Action = Callable[[], None]
Watcher = Callable[[Event], None]


class Token(Struct, frozen=True):
    """What a token service gave out.

    Attributes:
        expires_at: ms of the server's clock.
    """

    device: str
    user: UserId
    session: SessionId
    expires_at: Wall


class World:
    """What devices and processes share.

    Attributes:
        now: true seconds. start: the true time at second 0, ms.
        chance: for what happens in flight.
        tokens: every token given out, by its handle. barred: devices whose tokens are refused, and why.
        watchers: called after every step of a connection, its outputs carried out.
        ring_watchers: called when a ring begins or ends on a device.
        notes: called with what happens beside the machines: (who, what).
        steps: of connections, so far.
    """

    def __init__(self, *, start: Wall, seed: int, zones: Zones, terms: server.Terms, token_s: float) -> None:
        self.now = Monotonic(0.0)
        self.start = start
        self.zones = zones
        self.terms = terms
        self.timing = terms.timing
        self.chance = Dice(seed)
        self.queue = Queue()
        self.storage = Storage(zones, self.terms.limits)
        self.token_s = token_s
        self.tokens: dict[Handle, Token] = {}
        self.barred: dict[str, str] = {}
        self.devices: dict[str, SimDevice] = {}
        self.processes: dict[str, Process] = {}
        self.bus: Bus
        self.watchers: list[Watcher] = []
        self.ring_watchers: list[Callable[[SimDevice, RingTold], None]] = []
        self.notes: list[Callable[[str, str], None]] = []
        self.steps = 0

    def __repr__(self) -> str:
        return f"<World at {self.now:.3f}, {len(self.devices)} devices, {len(self.processes)} processes>"

    @property
    def wall(self) -> Wall:
        """The true clock, which is the server's."""
        return Wall(self.start + round(self.now * 1000))

    # --- time ---

    def at(self, second: float, action: Action) -> None:
        """Let something happen."""
        self.queue.put(max(second, self.now), action)

    def after(self, seconds: float, action: Action) -> None:
        """The same, counted from now."""
        self.queue.put(self.now + seconds, action)

    def run(self, until: float, limit: int = 20_000_000) -> None:
        """Let time pass.

        Raises:
            RuntimeError: more happened than ever should.
        """
        queue = self.queue
        for _ in range(limit):
            at = queue.next_at
            if at is None or at > until:
                self.now = Monotonic(until)
                return
            self.now = max(self.now, at)
            queue.pop()()
        raise RuntimeError(f"still busy after {limit} steps: {self!r}")

    def tell(self, event: Event) -> None:
        """A connection has stepped."""
        self.steps += 1
        for watcher in self.watchers:
            watcher(event)

    def note(self, who: str, what: str) -> None:
        """Something happened that no machine saw."""
        for listener in self.notes:
            listener(who, what)

    # --- tokens ---

    def issue(self, device: str, user: UserId) -> Handle:
        """A new token of a device's session."""
        handle = Handle(f"secret-{device}-{len(self.tokens)}")
        expires = Wall(self.wall + round(self.token_s * 1000))
        self.tokens[handle] = Token(device, user, self.session_of(device), expires)
        return handle

    @staticmethod
    def session_of(device: str) -> SessionId:
        """The sign-in of a device."""
        return SessionId(f"s-{device}")

    def verdict(self, handle: Handle) -> server.TokenAccepted | server.TokenRejected:
        """Whether a token holds now."""
        token = self.tokens[handle]
        why = self.barred.get(token.device)
        if why in {"revoked", "forbidden", "invalid", "expired"}:
            return server.TokenRejected(handle, why)  # type: ignore[arg-type]  # the set above is the literal
        if self.wall > token.expires_at + self.timing.leeway_ms:
            return server.TokenRejected(handle, "expired")
        return server.TokenAccepted(handle, token.user, token.session, token.expires_at, self.wall)

    # --- processes ---

    def choose_process(self) -> "Process | None":
        """Where a new connection goes: any process that is up."""
        up = [process for process in self.processes.values() if process.up]
        return self.chance.pick(up) if up else None


class Wakeup:
    """One deadline that moves: in the queue at most once, late entries go on by themselves.

    Args:
        action: what to do when it is due.
    """

    __slots__ = ("_action", "_queued", "_world", "at")

    def __init__(self, world: World, action: Action) -> None:
        self._world = world
        self._action = action
        self._queued: float | None = None
        self.at: float | None = None

    def set(self, at: float | None) -> None:
        """Move it; None: not at all."""
        self.at = at
        if at is not None and (self._queued is None or at < self._queued):
            self._queued = max(at, self._world.now)
            self._world.queue.put(self._queued, self._fire)

    def _fire(self) -> None:
        # An entry that was overtaken by an earlier one finds another moment queued, or none.
        if self._queued != self._world.now:
            return
        self._queued = None
        if self.at is None:
            return
        if self.at > self._world.now:
            self.set(self.at)
            return
        self.at = None
        self._action()
