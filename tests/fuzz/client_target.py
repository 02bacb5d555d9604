"""A client's connection before any server, and everything that a driver and a user may do meanwhile."""

from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

from protocol import (
    Cursor,
    DeviceId,
    Epoch,
    Fault,
    Generation,
    Handle,
    ItemId,
    Limits,
    Replica,
    Rev,
    Timing,
    Wall,
    absorb,
    next_mid,
    next_ring,
    ring_state,
    view,
)
from protocol._deflate import TAG
from protocol._edits import Create
from protocol._facts import Entry, Renamed
from protocol._framing import Unknown, decode_client
from protocol._http import read_batch
from protocol.client import (
    ClientConnection,
    ClientOutput,
    Heard,
    Lost,
    NetworkChanged,
    Opened,
    Poll,
    PollAnswered,
    PollFailed,
    Received,
    ReceivedBinary,
    Refused,
    Start,
    Stop,
    Store,
    Stored,
    Submit,
    SyncNow,
    TakeOver,
    TokenFailed,
    TokenReady,
    Transmit,
    Unreachable,
    Woke,
)
from protocol.client._download import MOST_PARTS
from protocol.client._turn import MOST_STORING
from protocol.client._upkeep import PINGS
from protocol.zones import system_zones

from . import promises
from .framing_target import _deflate
from .program import Program, Step, as_bytes, number, read, unicode, word


LIMITS: Final = Limits(frame=4_096, inflate=8_192)
WALL: Final = 1_800_000_000_000

MOST_KEPT: Final = 100_000
"""Bytes of a client's machine as JSON, beside its outbox and the snapshot that is on its way: 256 unanswered `Store`s, and
twice the longest message."""

MOST_SENT: Final = 2_500
"""Bytes sent for one message of the server, beside the outbox: an ack, a bye, five pings."""

MOST_TICKS: Final = 220
"""Deadlines of a quarter of an hour in which nobody answers, with the timers of this client."""

Place = tuple[str, ...]
"""The verb, the state before and after it, and what came out."""

_OUTPUTS = frozenset(get_args(ClientOutput))
_WELCOME = (
    'text {"type":"welcome","user":"anna","session_id":"s","epoch":"e1","rev":0,"resume":"none","last_mid":0,"server_time":1800000000000,'
    '"timers":{},"limits":{},"caps":["deflate","presence"],"auth_exp":1800003600000}'
)
_SYNCED = 'text {"type":"synced","epoch":"e1","rev":0}'

WAYS: Final = {
    "Idle": "",
    "Refreshing": "start",
    "Connecting": "start\ntoken",
    "Opening": "start\ntoken\nopen",
    "Syncing": f"start\ntoken\nopen\n{_WELCOME}",
    "Live": f"start\ntoken\nopen\n{_WELCOME}\n{_SYNCED}",
    "Sending": f"submit*3\nstored\nstart\ntoken\nopen\n{_WELCOME}\n{_SYNCED}",
    "Gathering": f'start\ntoken\nopen\n{_WELCOME}\ntext {{"type":"sync_required","reason":"asked","epoch":"e1","rev":3}}',
    "Backoff": "start\ntoken\nunreachable",
    "Polling": "start\ntoken\nunreachable\ntick\nunreachable",
    "Pushing": "submit*3\nstored\nstart\ntoken\nunreachable\ntick\nunreachable",
    "Snapshot": "new\nstart\ntoken\nunreachable\ntick\nunreachable",
    "Stopped": "start\nstop",
}
"""How each state is reached, in the language of programs."""


class Client:
    """Plays one device from its start."""

    name = "client"
    verbs = (
        "text", "binary", "deflated", "heard", "lost", "open", "refused", "unreachable", "token", "notoken", "poll", "pollfail",
        "start", "stop", "woke", "network", "sync", "takeover", "submit", "stored", "tick", "wait", "stale",
    )  # fmt: skip
    openings = tuple(Step("to", state) for state in WAYS)

    def run(self, program: Program, *, thorough: bool = True) -> Iterator[Place]:
        """Play a program, then a while in which nobody answers."""
        steps = [inner for step in program for inner in _spelled(step)]
        life = Life(fresh=steps[:1] == [Step("new")], record=thorough)
        for verb, text, times in steps:
            for _ in range(times):
                yield from life.do(verb, text)
        yield from life.end(900 if thorough else 30)


def _spelled(step: Step) -> Program:
    return read(WAYS[word(step.text, *WAYS)]) if step.verb == "to" else (step,)


class Life:
    """A client, its replica, its disk that answers when told, and the requests that it has out."""

    def __init__(self, *, fresh: bool, record: bool) -> None:
        place = None if fresh else Cursor(Epoch("e1"), Rev(0))
        self.c = ClientConnection("desk", cursor=place, limits=LIMITS, seed=7, record=record)
        self.replica = Replica(device=DeviceId("desk"), epoch=None if fresh else Epoch("e1"), cursor=place)
        self.now, self.longest, self.back = 100.0, 0, 0
        self.seqs: list[int] = []
        self.polls: list[Generation] = []
        self._do: dict[str, Callable[[str], Any]] = {
            "text": lambda text: Received(self.gen, unicode(text)),
            "binary": lambda text: ReceivedBinary(self.gen, as_bytes(text)),
            "deflated": lambda text: ReceivedBinary(self.gen, TAG + _deflate(text.encode(errors="replace"))),
            "heard": lambda _: Heard(self.gen),
            "lost": lambda text: Lost(self.gen, number(text, 1006) % 5_000, unicode(text)[:123]),
            "open": lambda text: Opened(self.gen, unicode(text) or "tocsin.v1"),
            "refused": lambda text: Refused(self.gen, *_refusal(text)),
            "unreachable": lambda text: Unreachable(self.gen, unicode(text)[:100]),
            "token": lambda text: TokenReady(self.gen, Handle(f"h{number(text)}"), text != "same"),
            "notoken": lambda text: TokenFailed(self.gen, text == "rejected", "no"),
            "poll": lambda text: PollAnswered(self._poll(), unicode(text)),
            "pollfail": lambda text: PollFailed(self._poll(), *_refusal(text)),
            "start": lambda _: Start(), "stop": lambda _: Stop(), "woke": lambda _: Woke(),
            "network": lambda _: NetworkChanged(), "sync": lambda _: SyncNow(), "takeover": lambda _: TakeOver(),
            "submit": self._submit, "stored": self._stored,
        }  # fmt: skip

    @property
    def gen(self) -> Generation:
        """That of the connection in hand, unless `stale` was said before."""
        back, self.back = self.back, 0
        return Generation(self.c.gen - back)

    def do(self, verb: str, text: str) -> Iterator[Place]:
        """One step of a program."""
        state = self._state()
        match verb:
            case "tick":
                deadline = self.c.deadline
                self.now = max(self.now, deadline.at if deadline is not None else self.now)
                outputs = promises.tick(self.c, self.now)
            case "wait":
                self.now += min(abs(number(text)), 3_600_000) / 1000
                outputs = promises.tick(self.c, self.now)
            case "stale":
                self.back = 1 + abs(number(text)) % 3
                return
            case _ if verb in self._do:
                stimulus = self._do[verb](text)
                outputs = promises.step(self.c, stimulus, self.now)
                if isinstance(stimulus, Received | ReceivedBinary | PollAnswered):
                    self.longest = max(self.longest, len(text.encode(errors="replace")))
                    self._bounded(outputs)
            case _:
                return
        yield verb, *state, *self._state(), *(type(output).__name__ for output in outputs[:4])
        self._check(outputs)

    def _state(self) -> tuple[str, str]:
        machine = self.c.machine
        return type(machine.state).__name__, type(machine.polled).__name__

    def end(self, seconds: float) -> Iterator[Place]:
        """Nobody answers any more: every deadline leads on, and not too often."""
        until, ticks = self.now + seconds, 0
        # Who announces other timers gets what it asked for.
        quick = self.c.machine.timing != Timing()
        while self.c.deadline is not None and self.c.deadline.at <= until and not (quick and ticks > 20):
            yield from self.do("tick", "")
            ticks += 1
            assert ticks <= MOST_TICKS, "too many deadlines"
        if self.c.trace is not None:
            promises.replays(self.c)
        self._rings()

    # --- the promises -------------------------------------------------------------------------------------------------

    def _check(self, outputs: list[Any]) -> None:
        promises.closed(outputs, _OUTPUTS)
        promises.timers(self.c, self.now)
        self._counts()
        for output in outputs:
            match output:
                case Store(seq, fact):
                    self.seqs.append(seq)
                    self.replica, _ = absorb(self.replica, fact)
                    assert not isinstance(fact, Renamed) or self.replica.device == self.c.machine.device
                case Poll(gen=gen, body=body):
                    self.polls = [*self.polls[-15:], gen]
                    assert body is None or not isinstance(read_batch(body.encode(), Limits(batch=1 << 40)), Fault)
                case Transmit(data=data):
                    told = decode_client(data, 1 << 24)
                    assert not isinstance(told, Fault | Unknown), f"no server can read {data[:200]}"
                case _:
                    pass
        assert [entry.mid for entry in self.c.machine.outbox] == [e.mid for e in self.replica.entries if e.mid >= 1]
        assert self.c.machine.cursor == self.replica.cursor

    def _counts(self) -> None:
        m = self.c.machine
        session = getattr(m.state, "session", None)
        gathering = None if session is None else session.gathering
        beside = promises.size(m.outbox) + (0 if gathering is None else promises.size(gathering))
        kept = promises.size(m) - beside
        assert kept <= MOST_KEPT + 6 * self.longest, f"{kept} bytes are kept in {self._state()}"
        assert len(m.storing) <= MOST_STORING
        assert len(m.history.marks) <= 32
        assert len(m.clock.samples) <= 8
        if session is not None:
            assert len(session.unanswered) <= m.limits.window
            assert len(session.pings) <= PINGS
        if gathering is not None:
            assert len(gathering.items) <= MOST_PARTS

    def _bounded(self, outputs: list[Any]) -> None:
        sent = sum(len(o.data.encode()) for o in outputs if isinstance(o, Transmit))
        room = MOST_SENT + 2 * promises.size(self.c.machine.outbox)
        assert sent <= room, f"{sent} bytes are sent for one message"

    def _rings(self) -> None:
        """Whatever a server let us keep, when it rings can be worked out."""
        now = Wall(WALL)
        for record in view(self.replica).values():
            ring_state(record, now, system_zones)
            next_ring(record, now, system_zones)

    # --- what the driver and the user say -----------------------------------------------------------------------------

    def _poll(self) -> Generation:
        back = self.back
        if not self.polls:
            return self.gen
        self.back = 0
        return self.polls[-1 - back % len(self.polls)]

    def _submit(self, text: str) -> Submit:
        mid = next_mid(self.replica)
        fields = {"duration_ms": 1_000, "label": unicode(text)[:100]}
        return Submit(Entry(mid, Create(kind="timer", id=ItemId(f"t{mid}"), at=WALL + mid, fields=fields)))

    def _stored(self, text: str) -> Stored:
        """Everything is on disk, or only the first so many."""
        some = number(text)
        upto = self.seqs[min(some, len(self.seqs)) - 1] if self.seqs and some > 0 else max(self.seqs, default=0)
        self.seqs = [seq for seq in self.seqs if seq > upto]
        return Stored(upto)


def _refusal(text: str) -> tuple[int, str | None, int | None]:
    said = [*text.split(), "", "", ""]
    return abs(number(said[0])) % 1_000, unicode(said[1]) or None, number(said[2]) if said[2] else None
