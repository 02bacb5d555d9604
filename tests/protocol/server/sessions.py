"""Server connections in every state, a log to serve them from, and outputs as a client reads them."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from protocol._deflate import unpack
from protocol._log import Account, Change, Page, State
from protocol._records import Alarm, Record
from protocol._settings import Limits, Timing
from protocol._types import DeviceId, Epoch, Handle, ItemId, Mid, Rev, SessionId, Stamp, UserId, Value, Wall
from protocol.server import (
    Behind,
    Closed,
    Drain,
    Joined,
    PageRead,
    Publish,
    ReadPage,
    Received,
    Requested,
    ServerConnection,
    ServerOutput,
    StateRead,
    Terms,
    TokenAccepted,
    Transmit,
    TransmitBinary,
    publication,
)


WALL = Wall(1_800_000_000_000)
EPOCH = Epoch("k3v9")
OTHER = Epoch("p0q4")
ANNA = UserId("anna")
SESSION = SessionId("s-1")
HANDLE = Handle("h-1")
LIFE_MS = 3_600_000
EXPIRES = Wall(WALL + LIFE_MS)
TERMS = Terms()
SMALL = Terms(limits=Limits(held_events=3, page_rows=2, resume_rows=5))
QUICK = Timing(heartbeat_ms=1_000, liveness_ms=2_500, unwritable_ms=500)


# --- what a client says ----------------------------------------------------------------------------------------------


def hello(**members: Any) -> str:
    """A hello without token and cursor, unless `members` say otherwise."""
    said: dict[str, Any] = {"type": "hello", "device": {"id": "desk", "name": "Desk"}, "conn": 7}
    said |= {"app": {"name": "t", "version": "1"}, "cursor": None, "caps": []}
    return json.dumps(said | members)


def cursor(rev: int, epoch: str = EPOCH) -> dict[str, Any]:
    return {"epoch": epoch, "rev": rev}


def mutate(mid: int, **members: Any) -> str:
    said = {"type": "mutate", "epoch": EPOCH, "mid": mid, "op": "delete", "kind": "alarm", "id": "a", "at": WALL}
    return json.dumps(said | members)


def text(message: str | dict[str, Any]) -> Received:
    return Received(message if isinstance(message, str) else json.dumps(message), WALL)


def say(c: ServerConnection, message: str | dict[str, Any], now: float = 0.0) -> list[ServerOutput]:
    return c.step(text(message), now)


# --- what a client reads ---------------------------------------------------------------------------------------------


def messages(outputs: Sequence[Value]) -> list[dict[str, Any]]:
    """Everything transmitted, decoded, in order."""
    return [json.loads(frame) for frame in frames(outputs)]


def frames(outputs: Sequence[Value]) -> list[str]:
    """The text of everything transmitted."""
    texts: list[str] = []
    for output in outputs:
        match output:
            case Transmit(data=data):
                texts.append(data)
            case TransmitBinary(data=binary):
                plain = unpack(binary, Limits())
                assert isinstance(plain, str)
                texts.append(plain)
    return texts


def kinds(outputs: Sequence[Value]) -> list[str]:
    """One word per output: the type of a message, the class of anything else."""
    words = []
    for output in outputs:
        sent = messages([output])
        words.append(str(sent[0]["type"]) if sent else type(output).__name__)
    return words


def only(outputs: Sequence[Value]) -> dict[str, Any]:
    """The one message transmitted."""
    (message,) = messages(outputs)
    return message


# --- a log -----------------------------------------------------------------------------------------------------------


def item(name: str = "a", label: str = "Work", rev: int = 1) -> Alarm:
    stamps = {"time": Stamp(WALL, "desk", 1)}
    return Alarm(id=ItemId(name), time="07:00", label=label, rev=Rev(rev), stamps=stamps)


def row(rev: int, label: str | None = None) -> Change:
    changed = {"label": f"label {rev}" if label is None else label}
    return Change(Rev(rev), "alarm", ItemId("a"), "patch", changed, WALL + rev, DeviceId("desk"), Mid(rev), WALL)


def published(rev: int, label: str | None = None) -> Publish:
    return publication(row(rev, label), item("a", label or f"label {rev}", rev), Limits())


def account(rev: int, floor: int = 0, epoch: Epoch = EPOCH) -> Account:
    return Account(epoch, Rev(rev), Rev(floor))


def page(after: int, upto: int, head: int | None = None, floor: int = 0, epoch: Epoch = EPOCH) -> PageRead:
    """Rows `after + 1` to `upto` of a log whose head is `head`."""
    rows = tuple(row(rev) for rev in range(after + 1, upto + 1))
    return PageRead(Page(Rev(after), rows, account(upto if head is None else head, floor, epoch)))


def snapshot(rev: int, records: Sequence[Record] = (), deleted: Sequence[str] = (), epoch: Epoch = EPOCH) -> StateRead:
    gone = tuple(ItemId(name) for name in deleted)
    return StateRead(State(account(rev, epoch=epoch), Mid(3), tuple(records), gone))


def serve(c: ServerConnection, outputs: list[ServerOutput], head: int, now: float = 0.0) -> list[ServerOutput]:
    """Answer every page asked for until none is; all outputs in order."""
    everything = list(outputs)
    while asked := [output for output in outputs if isinstance(output, ReadPage)]:
        after = asked[-1].after
        outputs = c.step(page(after, min(head, after + asked[-1].limit), head), now)
        everything += outputs
    return everything


# --- connections -----------------------------------------------------------------------------------------------------


def verdict(user: str = ANNA, expires: int = EXPIRES, handle: Handle = HANDLE) -> TokenAccepted:
    return TokenAccepted(handle, UserId(user), SESSION, Wall(expires), WALL)


def handshake(terms: Terms = TERMS, via: Any = "header", profile: Any = "v1") -> ServerConnection:
    c = ServerConnection(terms)
    c.step(Requested(profile, via, HANDLE), 0.0)
    return c


def awaiting_auth(terms: Terms = TERMS) -> ServerConnection:
    c = ServerConnection(terms)
    c.step(Requested("v1"), 0.0)
    return c


def verifying(terms: Terms = TERMS) -> ServerConnection:
    c = awaiting_auth(terms)
    say(c, hello(token=HANDLE))
    return c


def awaiting_hello(terms: Terms = TERMS) -> ServerConnection:
    c = handshake(terms)
    c.step(verdict(), 0.0)
    return c


def joining(terms: Terms = TERMS, **members: Any) -> ServerConnection:
    c = awaiting_hello(terms)
    say(c, hello(**members))
    return c


def join(c: ServerConnection, rev: int, floor: int = 0, epoch: Epoch = EPOCH, now: float = 0.0) -> list[ServerOutput]:
    return c.step(Joined(account(rev, floor, epoch), Mid(3), WALL), now)


def live(rev: int = 41, terms: Terms = TERMS, **members: Any) -> ServerConnection:
    c = joining(terms, **({"cursor": cursor(rev)} | members))
    join(c, rev)
    return c


def behind(rev: int = 41, head: int = 43, terms: Terms = TERMS, **members: Any) -> ServerConnection:
    """Has asked for the page after `rev`."""
    c = joining(terms, **({"cursor": cursor(rev)} | members))
    join(c, head)
    assert isinstance(c.state, Behind)
    return c


def classic_joining(terms: Terms = TERMS) -> ServerConnection:
    c = handshake(terms, "query", "classic")
    c.step(verdict(), 0.0)
    return c


def classic(rev: int = 41, terms: Terms = TERMS) -> ServerConnection:
    c = classic_joining(terms)
    join(c, rev)
    return c


def draining(terms: Terms = TERMS) -> ServerConnection:
    c = live(terms=terms)
    c.step(Drain(1), 0.0)
    return c


def gone(terms: Terms = TERMS) -> ServerConnection:
    c = live(terms=terms)
    c.step(Closed(1006), 0.0)
    return c


STATES: dict[str, Callable[[], ServerConnection]] = {
    "New": ServerConnection,
    "Handshake": handshake,
    "AwaitAuth": awaiting_auth,
    "Verifying": verifying,
    "AwaitHello": awaiting_hello,
    "Joining": joining,
    "Behind": behind,
    "Live": live,
    "ClassicLive": classic,
    "Draining": draining,
    "Gone": gone,
}
"""A representative connection for each state."""

V1_OPEN = ("AwaitAuth", "Verifying", "AwaitHello", "Joining", "Behind", "Live")
"""States whose peer understands goodbye."""
