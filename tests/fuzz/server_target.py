"""A server's connection with any client behind it and a lawful driver beside it: a store that answers late, not, or in any order."""

from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

from protocol import (
    Account,
    App,
    Change,
    DeviceId,
    DevicePresence,
    Epoch,
    Fault,
    Handle,
    Limits,
    Mid,
    Result,
    Rev,
    SessionId,
    UserId,
    Wall,
)
from protocol._deflate import TAG, unpack
from protocol._framing import Unknown, decode_server
from protocol._log import Page, State
from protocol._records import Timer
from protocol._types import ItemId
from protocol.server import (
    Answered,
    Apply,
    Blocked,
    ClassicLive,
    Closed,
    Declined,
    Drain,
    Drained,
    Evicted,
    HeadRead,
    Heard,
    Join,
    Joined,
    Joining,
    Live,
    Malformed,
    Overlong,
    PageRead,
    PresenceIs,
    ReadHead,
    ReadPage,
    ReadState,
    Received,
    ReceivedBinary,
    RenewEpoch,
    Requested,
    Resync,
    ServerConnection,
    ServerOutput,
    StateRead,
    StoreFailed,
    Terms,
    TokenAccepted,
    TokenRejected,
    Transmit,
    TransmitBinary,
    VerifyToken,
    publication,
)

from . import promises
from .framing_target import _deflate
from .program import Program, Step, as_bytes, number, read, unicode, word


LIMITS: Final = Limits(
    frame=4_096, opening_frame=1_024, burst=12, window=4, resume_rows=8, page_rows=3, snapshot_part=1_024, held_events=6,
    held_bytes=3_000, inflate=8_192, devices=5,
)  # fmt: skip
TERMS: Final = Terms(limits=LIMITS, origins=frozenset({"https://ours"}))

MOST_KEPT: Final = 6 * LIMITS.opening_frame + 6_000
"""Bytes of a connection's machine as JSON, whatever was said to it: hello, or what a classic client says before its session
begins (JSON in JSON, so longer than it was), the device list that was told last, terms, timers, names."""

MOST_HELD: Final = MOST_KEPT + 6 * LIMITS.held_bytes
"""The same, with events kept for a slow reader."""

MOST_SAID: Final = 1_500
"""Bytes said to a client for one message of its own, beside as much as it said: an error, a goodbye, an answer."""

MOST_TICKS: Final = 80
"""Deadlines of a silent quarter of an hour."""

Place = tuple[str, ...]
"""The verb, the state before and after it, and what came out."""

_OUTPUTS = frozenset(get_args(ServerOutput))
_WALL = 1_800_000_000_000
_KINDS: tuple[type, ...] = (Join, RenewEpoch, VerifyToken, Apply, ReadPage, ReadState, ReadHead)

WAYS: Final = {
    "New": "",
    "Handshake": "request header v1",
    "AwaitAuth": "request nothing v1",
    "Verifying": 'request nothing v1\ntext {"type":"hello","device":{"id":"desk"},"conn":1,"token":"h"}',
    "AwaitHello": "request header v1\nanswer good",
    "Joining": 'request header v1\nanswer good\ntext {"type":"hello","device":{"id":"desk"},"conn":1,"caps":["presence"]}',
    "Behind": (
        "publish*6\nrequest header v1\nanswer good\n"
        'text {"type":"hello","device":{"id":"desk"},"conn":1,"cursor":{"epoch":"k0","rev":1},"caps":["deflate"]}\nanswer good'
    ),
    "Live": (
        "request header v1\nanswer good\n"
        'text {"type":"hello","device":{"id":"desk"},"conn":1,"cursor":{"epoch":"k0","rev":0},"caps":["deflate","presence"]}\n'
        "answer good"
    ),
    "ClassicJoining": "request query classic\nanswer good",
    "ClassicLive": "request query classic\nanswer good\nanswer good",
    "Draining": "request nothing v1\ndrain",
    "Gone": "request nothing v1\nclosed",
}
"""How each state is reached, in the language of programs."""


class Server:
    """Feeds one connection from its request to its end."""

    name = "server"
    verbs = (
        "request", "answer", "text", "binary", "deflated", "overlong", "malformed", "publish", "lose", "resync", "renew",
        "trim", "presence", "heard", "blocked", "drained", "drain", "evicted", "closed", "fail", "tick", "wait",
    )  # fmt: skip
    openings = tuple(Step("to", state) for state in WAYS)

    def run(self, program: Program, *, thorough: bool = True) -> Iterator[Place]:
        """Play a program, then a while of silence."""
        life = Life(record=thorough)
        for step in program:
            steps = read(WAYS[word(step.text, *WAYS)]) if step.verb == "to" else (step,)
            for verb, text, times in steps:
                for _ in range(times):
                    yield from life.do(verb, text)
        yield from life.end(900 if thorough else 60)


class Life:
    """A connection, the log of its user, and what its driver has been asked and has not answered."""

    def __init__(self, *, record: bool) -> None:
        self.c = ServerConnection(TERMS, record=record)
        self.now = 100.0
        self.asked: list[Any] = []
        self.epoch, self.head, self.floor, self.epochs = Epoch("k0"), 0, 0, 0
        self._do: dict[str, Callable[[str], Any]] = {
            "request": self._request, "answer": self._answer, "publish": self._publish, "presence": self._presence,
            "resync": lambda text: Resync(self.epoch, Rev(self.head), "asked" if text == "asked" else "epoch"),
            "text": lambda text: Received(unicode(text), self.wall),
            "binary": lambda text: ReceivedBinary(as_bytes(text), self.wall),
            "deflated": lambda text: ReceivedBinary(TAG + _deflate(text.encode(errors="replace")), self.wall),
            "overlong": lambda text: Overlong(number(text)),
            "malformed": lambda text: Malformed(1007 if number(text) % 2 else 1002, unicode(text)[:100]),
            "heard": lambda _: Heard(), "blocked": lambda _: Blocked(), "drained": lambda _: Drained(),
            "drain": lambda text: Drain(abs(number(text)) % 100_000),
            "evicted": lambda text: Evicted((4003, 4005, 4104)[number(text) % 3], "evicted", number(text) or None),
            "closed": lambda text: Closed(number(text, 1006) % 5_000, unicode(text)[:123]),
            "fail": self._failure,
        }  # fmt: skip

    @property
    def wall(self) -> Wall:
        return Wall(_WALL + round(self.now * 1000))

    def do(self, verb: str, text: str) -> Iterator[Place]:
        """One step of a program."""
        state = type(self.c.state).__name__
        match verb:
            case "tick":
                deadline = self.c.deadline
                self.now = max(self.now, deadline.at if deadline is not None else self.now)
                outputs = promises.tick(self.c, self.now)
            case "wait":
                self.now += min(abs(number(text)), 3_600_000) / 1000
                outputs = promises.tick(self.c, self.now)
            case "lose" | "renew" | "trim":
                self._world(verb)
                return
            case _ if verb in self._do:
                stimulus = self._do[verb](text)
                if stimulus is None:
                    return
                outputs = promises.step(self.c, stimulus, self.now)
                self._bounded(stimulus, outputs)
            case _:
                return
        yield verb, state, type(self.c.state).__name__, *(type(output).__name__ for output in outputs[:4])
        self._check(outputs)

    def end(self, seconds: float) -> Iterator[Place]:
        """Nothing more is said: every deadline leads on, and not too often."""
        until, ticks = self.now + seconds, 0
        while self.c.deadline is not None and self.c.deadline.at <= until:
            yield from self.do("tick", "")
            ticks += 1
            assert ticks <= MOST_TICKS, "too many deadlines"
        if self.c.trace is not None:
            promises.replays(self.c)

    # --- the promises -------------------------------------------------------------------------------------------------

    def _check(self, outputs: list[Any]) -> None:
        promises.closed(outputs, _OUTPUTS)
        promises.timers(self.c, self.now)
        kept = promises.size(self.c.machine)
        assert kept <= (MOST_HELD if isinstance(self.c.state, Live | ClassicLive) else MOST_KEPT), (
            f"{kept} bytes are kept in {type(self.c.state).__name__}"
        )
        self._counts()
        for output in outputs:
            if isinstance(output, _KINDS):
                self.asked.append(output)
        del self.asked[:-32]
        for text in _texts(outputs):
            told = decode_server(text, 1 << 24)
            assert not isinstance(told, Fault | Unknown), f"no client can read {text[:200]}"

    def _counts(self) -> None:
        """What is kept for a peer, or waits because of it, has a bound of its own."""
        match self.c.state:
            case Joining(said=said):
                assert len(said) <= LIMITS.burst
                assert sum(len(one.data.encode()) for one in said) <= LIMITS.opening_frame
            case (
                Live(held=held, held_bytes=size, blocked=blocked)
                | ClassicLive(held=held, held_bytes=size, blocked=blocked)
            ):
                assert len(held) <= LIMITS.held_events
                assert size <= LIMITS.held_bytes
                assert blocked or not held
            case _:
                pass
        peer = getattr(self.c.state, "peer", None)
        assert peer is None or 0 <= peer.unanswered <= LIMITS.window

    def _bounded(self, stimulus: Any, outputs: list[Any]) -> None:
        """What a peer says makes little more flow back than it said (docs/protocol.md#invariant-12)."""
        if isinstance(stimulus, Received | ReceivedBinary):
            said = sum(len(text.encode()) for text in _texts(outputs))
            assert said <= MOST_SAID + 2 * len(stimulus.data), f"{said} bytes for {len(stimulus.data)}"

    # --- what the driver says -----------------------------------------------------------------------------------------

    def _request(self, text: str) -> Requested:
        said = [*text.split(), "", "", ""]
        via: Any = said[0] if said[0] in ("header", "subprotocol", "query") else "nothing"
        profile: Any = "classic" if said[1] == "classic" else "v1"
        return Requested(profile, via, None if via == "nothing" else Handle("h"), unicode(said[2]) or None)

    def _publish(self, text: str) -> Any:
        self.head += 1
        row, record = self._row(self.head, text), self._record(text)
        return publication(row, record, LIMITS)

    def _world(self, verb: str) -> None:
        match verb:
            case "lose":
                self.head += 1
            case "trim":
                self.floor = self.head - self.head // 3
            case _:
                self.epochs += 1
                self.epoch, self.floor = Epoch(f"k{self.epochs}"), self.head

    def _row(self, rev: int, label: str = "") -> Change:
        fields = {"label": unicode(label)[:300]}
        return Change(
            Rev(rev), "timer", ItemId("t1"), "patch", fields, _WALL + rev, DeviceId("lap"), Mid(rev), self.wall
        )

    def _record(self, label: str) -> Timer:
        return Timer(id=ItemId("t1"), duration_ms=1_000, label=unicode(label)[:300])

    def _presence(self, text: str) -> PresenceIs:
        some = abs(number(text, 1)) % LIMITS.devices
        device = DevicePresence(DeviceId("desk"), "Desk", True, self.epoch, Rev(self.head), self.wall)
        return PresenceIs((device,) * some)

    def _answer(self, text: str) -> Any:
        """The answer to one of the open questions: the newest, or the one that the text counts back to."""
        how = word(text, "good", "bad", "late", "none")
        if not self.asked:
            return None
        question = self.asked.pop(-1 - (abs(number(text.partition(" ")[2])) % len(self.asked)))
        return None if how == "none" else self._said_to(question, good=how == "good")

    def _said_to(self, question: Any, *, good: bool) -> Any:
        account = Account(self.epoch, Rev(self.head), Rev(self.floor))
        match question:
            case VerifyToken(handle):
                life = 3_600_000 if good else 10
                return TokenAccepted(handle, UserId("anna"), SessionId("s"), Wall(self.wall + life), self.wall)
            case Join(app=app):
                assert isinstance(app, App)
                return Joined(account, Mid(3), self.wall) if good else StoreFailed("join")
            case RenewEpoch():
                self._world("renew")
                return Joined(Account(self.epoch, Rev(self.head), Rev(self.floor)), Mid(3), self.wall)
            case Apply(submission=submission):
                return self._decided(submission.mid, submission.edit, good=good)
            case ReadPage(after=after, limit=limit):
                first = max(after, self.floor)
                rows = tuple(self._row(rev) for rev in range(first + 1, min(self.head, first + limit) + 1))
                return PageRead(Page(after, rows if first == after else (), account))
            case ReadState(with_deleted=deleted):
                gone = tuple(ItemId(f"x{n}") for n in range(40)) if deleted else ()
                return StateRead(State(account, Mid(3), (self._record("a"),) * (30 if good else 0), gone))
            case _:
                return HeadRead(account, self.wall)

    def _decided(self, mid: Mid, edit: Any, *, good: bool) -> Any:
        if isinstance(edit, Fault):
            return Answered(
                Result(mid=mid, status="rejected", rev=Rev(self.head), code=edit.code, message=edit.message)
            )
        if good:
            return Answered(Result(mid=mid, status="applied", rev=Rev(self.head)))
        return Declined(mid, Fault("out_of_order", "Another first.", retryable=True, want=max(1, mid - 1)))

    def _failure(self, text: str) -> Any:
        """A store that fails, or a token that does not hold."""
        what: Any = word(
            text, "join", "apply", "page", "state", "head", "ack", "expired", "invalid", "revoked", "forbidden"
        )
        if what in ("expired", "invalid", "revoked", "forbidden"):
            return TokenRejected(Handle("h"), what)
        return StoreFailed(what, Mid(number(text.partition(" ")[2], 1)) if what == "apply" else None)


def _texts(outputs: list[Any]) -> Iterator[str]:
    for output in outputs:
        if isinstance(output, Transmit):
            yield output.data
        elif isinstance(output, TransmitBinary):
            text = unpack(output.data, LIMITS)
            assert isinstance(text, str), "a frame that the client would refuse"
            yield text
