"""A client under test with a scripted server: plain messages in, what the client did out. No second machine, no wire."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from protocol._edits import Create
from protocol._facts import Entry
from protocol._timers import ClientTimer
from protocol._types import Cursor, Epoch, Generation, Handle, ItemId, Mid, Rev
from protocol.client import (
    ClientConnection,
    ClientInput,
    ClientOutput,
    GetToken,
    Ignored,
    LinkChanged,
    Opened,
    Poll,
    PollAnswered,
    PollFailed,
    Received,
    Start,
    Store,
    Stored,
    Submit,
    Tick,
    TokenReady,
    Transmit,
    Unreachable,
)


SERVER_TIME = 1_800_000_000_000
LIFE_MS = 3_600_000

O = TypeVar("O", bound=ClientOutput)  # noqa: E741 - an output


def cursor(rev: int, epoch: str = "e1") -> Cursor:
    return Cursor(Epoch(epoch), Rev(rev))


def entry(mid: int, answered: Cursor | None = None) -> Entry:
    edit = Create(kind="timer", id=ItemId(f"t{mid}"), at=SERVER_TIME + mid, fields={"duration_ms": 1000})
    return Entry(Mid(mid), edit, answered)


def entries(*mids: int) -> tuple[Entry, ...]:
    return tuple(entry(mid) for mid in mids)


def said(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def welcome(**changes: Any) -> dict[str, Any]:
    return {
        "user": "anna",
        "session_id": "s1",
        "epoch": "e1",
        "rev": 0,
        "resume": "replay",
        "last_mid": 0,
        "server_time": SERVER_TIME,
        "timers": {},
        "limits": {},
        "caps": ["deflate", "presence"],
        "auth_exp": SERVER_TIME + LIFE_MS,
        **changes,
    }


def deleted(rev: int, device: str | None = None, mid: int = 1) -> dict[str, Any]:
    """The smallest item event, ready for `says` or a poll's answer."""
    origin = None if device is None else {"device_id": device, "mid": mid}
    return {"type": "timer_deleted", "rev": rev, "at": SERVER_TIME + rev, "id": f"x{rev}", "origin": origin}


def created(rev: int, mid: int, device: str = "desk") -> dict[str, Any]:
    """The event of what `entry(mid)` asks for."""
    origin = {"device_id": device, "mid": mid}
    return {"type": "timer_created", "rev": rev, "at": SERVER_TIME + mid, "data": timer(f"t{mid}"), "origin": origin}


def timer(item: str, rev: int = 1) -> dict[str, Any]:
    return {"kind": "timer", "id": item, "duration_ms": 1000, "rev": rev}


def some(outputs: list[ClientOutput], kind: type[O]) -> list[O]:
    return [output for output in outputs if isinstance(output, kind)]


def one(outputs: list[ClientOutput], kind: type[O]) -> O:
    (found,) = some(outputs, kind)
    return found


def sent(outputs: list[ClientOutput], kind: str | None = None) -> list[dict[str, Any]]:
    """Messages transmitted, or those of one type."""
    messages = [json.loads(output.data) for output in some(outputs, Transmit)]
    return [message for message in messages if kind in {None, message["type"]}]


def mids(outputs: list[ClientOutput]) -> list[int]:
    """Numbers of the mutations transmitted."""
    return [message["mid"] for message in sent(outputs, "mutate")]


def facts(outputs: list[ClientOutput]) -> list[Any]:
    """What was asked to be kept."""
    return [output.fact for output in some(outputs, Store)]


def reasons(outputs: list[ClientOutput]) -> list[str]:
    """Why nothing happened."""
    return [output.reason for output in some(outputs, Ignored)]


def links(outputs: list[ClientOutput]) -> list[str]:
    """How the link was shown."""
    return [output.state for output in some(outputs, LinkChanged)]


class Desk:
    """One client, its clock, and its disk, which answers at once while `disk` is true."""

    def __init__(self, *, disk: bool = True, **options: Any) -> None:
        self.c = ClientConnection("desk", **{"seed": 7, **options})
        self.disk = disk
        self.now = 0.0

    @property
    def state(self) -> str:
        return type(self.c.state).__name__

    @property
    def gen(self) -> Generation:
        return self.c.gen

    def step(self, input: ClientInput, after: float = 0.0) -> list[ClientOutput]:
        """One input, and what the disk answers to it."""
        self.now += after
        outputs = self.c.step(input, self.now)
        last = max((output.seq for output in some(outputs, Store)), default=None)
        if self.disk and last is not None:
            outputs = outputs + self.c.step(Stored(last), self.now)
        return outputs

    def wait(self, seconds: float) -> list[ClientOutput]:
        """Let time pass, deadline by deadline."""
        end = self.now + seconds
        outputs: list[ClientOutput] = []
        while self.c.deadline is not None and self.c.deadline.at <= end:
            outputs += self.tick()
        self.now = end
        return outputs

    def tick(self) -> list[ClientOutput]:
        """Go to the next deadline."""
        deadline = self.c.deadline
        assert deadline is not None
        self.now = max(self.now, deadline.at)
        return self.step(Tick())

    def until(self, timer: ClientTimer) -> list[ClientOutput]:
        """Go on until this timer has been due."""
        outputs: list[ClientOutput] = []
        while True:
            pending = self.c.machine.timers
            assert timer in pending, f"{timer.name} is not set"
            outputs += self.tick()
            if any(name is timer and at <= self.now for at, name in pending.pending):
                return outputs

    def due_in(self, timer: ClientTimer) -> float | None:
        """Seconds until a timer is due, None where it is not set."""
        return next((round(at - self.now, 6) for at, name in self.c.machine.timers.pending if name is timer), None)

    # --- the way to a session -----------------------------------------------------------------------------------------

    def start(self) -> list[ClientOutput]:
        """As far as Connecting."""
        return self.step(Start()) + self.token()

    def token(self, name: str = "token", *, fresh: bool = True) -> list[ClientOutput]:
        return self.step(TokenReady(self.gen, Handle(name), fresh))

    def open(self) -> list[ClientOutput]:
        """From Connecting to Opening."""
        return self.step(Opened(self.gen, "tocsin.v1"))

    def says(self, kind: str, **fields: Any) -> list[ClientOutput]:
        """A message of the server."""
        return self.step(Received(self.gen, said(kind, **fields)))

    def event(self, rev: int, device: str | None = None, mid: int = 1) -> list[ClientOutput]:
        return self.step(Received(self.gen, json.dumps(deleted(rev, device, mid))))

    def own(self, rev: int, mid: int) -> list[ClientOutput]:
        """The event of the desk's own entry."""
        return self.step(Received(self.gen, json.dumps(created(rev, mid))))

    def welcome(self, **changes: Any) -> list[ClientOutput]:
        return self.says("welcome", **welcome(**changes))

    def synced(self, rev: int, epoch: str = "e1") -> list[ClientOutput]:
        return self.says("synced", epoch=epoch, rev=rev)

    def snapshot(self, rev: int, epoch: str = "e1", **changes: Any) -> list[ClientOutput]:
        part = {"epoch": epoch, "rev": rev, "last_mid": 0, "part": 0, "last": True, "items": []}
        return self.says("snapshot", **{**part, **changes})

    # --- trouble ------------------------------------------------------------------------------------------------------

    def fail(self) -> list[ClientOutput]:
        """From Connecting to Backoff."""
        return self.step(Unreachable(self.gen, "no route"))

    def again(self) -> list[ClientOutput]:
        """From Backoff to Connecting, whatever else is due before."""
        return self.until(ClientTimer.RECONNECT_DUE)

    def offline_until(self, timer: ClientTimer) -> list[ClientOutput]:
        """Go on until this timer is due, every attempt in between failing at once."""
        outputs: list[ClientOutput] = []
        while True:
            deadline = self.c.deadline
            assert deadline is not None, f"{timer.name} is not set"
            outputs += self.tick()
            if deadline.timer is timer:
                return outputs
            if self.state == "Connecting":
                self.fail()

    # --- polling ------------------------------------------------------------------------------------------------------

    def answers(self, poll: Poll, **body: Any) -> list[ClientOutput]:
        clock = {"t1": SERVER_TIME, "t2": SERVER_TIME}
        return self.step(PollAnswered(poll.gen, json.dumps({"epoch": "e1", **clock, **body})))

    def refuses(self, poll: Poll, status: int, code: str | None = None, retry_after_ms: int | None = None) -> Any:
        return self.step(PollFailed(poll.gen, status, code, retry_after_ms))

    def submit(self, mid: int) -> list[ClientOutput]:
        return self.step(Submit(entry(mid)))


def connecting(**options: Any) -> Desk:
    desk = Desk(**options)
    desk.start()
    return desk


def opening(**options: Any) -> Desk:
    desk = connecting(**options)
    desk.open()
    return desk


def syncing(**options: Any) -> Desk:
    """Welcomed, with a cursor at rev 41 unless told otherwise."""
    desk = opening(**{"cursor": cursor(41), **options})
    desk.welcome()
    return desk


def live(**options: Any) -> Desk:
    """In step at rev 41."""
    desk = syncing(**options)
    desk.synced(41)
    return desk


def backoff(**options: Any) -> Desk:
    desk = connecting(**{"cursor": cursor(41), **options})
    desk.fail()
    return desk


def polling(**options: Any) -> tuple[Desk, Poll]:
    """In Backoff after two failed attempts, with the first poll out."""
    desk = backoff(**options)
    desk.again()
    polls = some(desk.fail(), Poll)
    return desk, next(poll for poll in polls if poll.method == "GET")


def asked(outputs: list[ClientOutput]) -> GetToken:
    return one(outputs, GetToken)


Make = Callable[..., Desk]
"""One of the ways above to a client in some state."""
