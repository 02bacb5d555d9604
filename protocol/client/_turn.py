"""One step in the making: a rule's scratch pad, and the decorators that make rules out of plain functions.

The machine is immutable; a turn holds the newest version of it and what is to be done, until the rule returns.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, assert_never

from msgspec.structs import replace

from .._facts import Fact
from .._framing import encode
from .._messages import Message
from .._timers import ClientTimer
from .._types import Cursor, Generation, Handle, Mid, Monotonic, Value
from ._machine import ClientMachine, Counts, Storing
from ._outputs import ClientOutput, Ignored, LinkChanged, LinkName, Store, Transmit
from ._states import Backoff, Connecting, Idle, Live, Opening, PollOff, Refreshing, Session, Stopped, Syncing


MOST_STORING = 256
"""How many unanswered `Store`s are told apart; beyond, the newest stand for those before them."""

LARGEST = (1 << 53) - 1
"""Greater integers do not travel (docs/protocol.md#terms-int)."""

MOST_MS = 86_400_000
"""No timer of the protocol is longer than a day, whatever a server announces."""

NO_MID = Mid(0)
"""Below every number."""

POLLING = (ClientTimer.POLL_START_DUE, ClientTimer.POLL_DUE, ClientTimer.POLL_LATE_DUE)
BESIDE = (*POLLING, ClientTimer.RESEND_DUE)
"""Timers that belong to no connection: they go on when one ends."""


class Turn:
    """What one rule does.

    Attributes:
        machine: as it is so far. now: the moment of the step. outputs: so far.
    """

    __slots__ = ("machine", "now", "outputs")

    def __init__(self, machine: ClientMachine, now: Monotonic) -> None:
        self.machine = machine
        self.now = now
        self.outputs: list[ClientOutput] = []

    # --- the machine --------------------------------------------------------------------------------------------------

    def set(self, **changes: Any) -> None:
        """Change fields of the machine."""
        self.machine = replace(self.machine, **changes)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of `Counts`."""
        counts: Counts = self.machine.counts
        self.set(counts=replace(counts, **{name: getattr(counts, name) + by}))

    @property
    def session(self) -> Session | None:
        """What is true since welcome, if there was one."""
        state = self.machine.state
        return state.session if isinstance(state, Syncing | Live) else None

    def in_session(self, **changes: Any) -> None:
        """Change fields of the session."""
        state = self.machine.state
        assert isinstance(state, Syncing | Live)
        self.set(state=replace(state, session=replace(state.session, **changes)))

    def new_gen(self) -> Generation:
        """A generation for an attempt or a request."""
        self.set(gen=Generation(self.machine.gen + 1))
        return self.machine.gen

    def draw(self, low: float, high: float) -> float:
        """A random number."""
        number, chance = self.machine.chance.uniform(low, high)
        self.set(chance=chance)
        return number

    # --- timers -------------------------------------------------------------------------------------------------------

    def later(self, ms: float) -> Monotonic:
        """The moment in so many milliseconds."""
        return Monotonic(self.now + min(max(ms, 0), LARGEST) / 1000)

    def after(self, timer: ClientTimer, ms: float) -> None:
        """Set or move a timer."""
        self.set(timers=self.machine.timers.set(timer, self.later(ms)))

    def clear(self, *timers: ClientTimer) -> None:
        """Unset timers."""
        self.set(timers=self.machine.timers.clear(*timers))

    # --- outputs ------------------------------------------------------------------------------------------------------

    def do(self, *outputs: ClientOutput) -> None:
        """Ask for something."""
        self.outputs.extend(outputs)

    def ignore(self, reason: str) -> None:
        """Say why nothing happens."""
        self.do(Ignored(reason))

    def store(self, fact: Fact, *, cursor: Cursor | None = None, mid: Mid = NO_MID) -> None:
        """Ask for a fact to be kept, and remember what will be on disk then."""
        seq = self.machine.seq + 1
        waiting = self.machine.storing
        entry = Storing(seq, cursor, mid)
        if len(waiting) >= MOST_STORING:
            last = waiting[-1]
            waiting = waiting[:-1]
            entry = Storing(seq, cursor or last.cursor, Mid(max(mid, last.mid)))
        self.set(seq=seq, storing=(*waiting, entry))
        self.do(Store(seq, fact))

    def send(self, message: Message, handle: Handle | None = None) -> None:
        """Send a message on the connection in hand, and count it against the allowance."""
        gen = link_gen(self.machine.state)
        assert gen is not None
        session = self.session
        if session is not None:
            self.in_session(allowance=session.allowance.spend(self.now, self.machine.limits))
        self.do(Transmit(gen, encode(message), handle))

    def show(self, why: str = "") -> None:
        """Tell what the link looks like now."""
        m = self.machine
        retry = next((at for at, timer in m.timers.pending if timer is ClientTimer.RECONNECT_DUE), None)
        self.do(LinkChanged(link_name(m), why, retry, m.sign_in))


def link_gen(state: Value) -> Generation | None:
    """The generation of the attempt in hand."""
    return state.gen if isinstance(state, Refreshing | Connecting | Opening | Syncing | Live) else None


def link_name(machine: ClientMachine) -> LinkName:
    """The state of the link in one word for people."""
    match machine.state:
        case Stopped():
            return "stopped"
        case Syncing():
            return "syncing"
        case Live():
            return "live"
        case Refreshing() | Connecting() | Opening():
            return "connecting" if isinstance(machine.polled, PollOff) else "polling"
        case Idle() | Backoff():
            return "offline" if isinstance(machine.polled, PollOff) else "polling"
        case _:
            assert_never(machine.state)


# --- rules ------------------------------------------------------------------------------------------------------------

I = TypeVar("I")  # noqa: E741 - the input, as in the engine's own words
RuleOf = Callable[[ClientMachine, I, Monotonic], tuple[ClientMachine, list[ClientOutput]]]


def rule(body: Callable[[Turn, I], None]) -> RuleOf[I]:
    """A rule of the table out of a function on a turn."""

    @wraps(body)
    def run(machine: ClientMachine, input: I, now: Monotonic) -> tuple[ClientMachine, list[ClientOutput]]:
        turn = Turn(machine, now)
        body(turn, input)
        return turn.machine, turn.outputs

    return run


def current(body: Callable[[Turn, I], None]) -> RuleOf[I]:
    """The same for facts of a connection: one of another generation is a no-op (docs/protocol.md#life-generation)."""

    @wraps(body)
    def checked(turn: Turn, input: I) -> None:
        gen: Generation = getattr(input, "gen")  # noqa: B009 - every fact of a connection has one
        if gen == link_gen(turn.machine.state):
            body(turn, input)
        else:
            turn.ignore(f"{type(input).__name__} of generation {gen}, which is over")

    return rule(checked)


def due(timer: ClientTimer) -> Callable[[Callable[[Turn], None]], RuleOf[Any]]:
    """The same for a deadline, which is unset before the rule looks."""

    def decorate(body: Callable[[Turn], None]) -> RuleOf[Any]:
        @wraps(body)
        def fired(turn: Turn, _: object) -> None:
            turn.clear(timer)
            body(turn)

        return rule(fired)

    return decorate
