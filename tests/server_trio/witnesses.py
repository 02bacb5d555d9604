"""People who write down what a server told them, and hold it against what they find after it was killed."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import trio

from server_trio.auth import wall_clock
from tests import programs
from tests.programs import ITEMS

from .plain_client import Peer


Message = dict[str, Any]


class Gone(Exception):
    """The server is not there any more."""


class Line(Peer):
    """A connection to a server that may die at any moment."""

    async def send(self, data: bytes) -> None:
        try:
            await super().send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Gone from None

    async def _more(self) -> bytes:
        try:
            more = await super()._more()
        except trio.BrokenResourceError:
            raise Gone from None
        if not more:
            raise Gone
        return more

    async def ask(self, token: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request on this connection, which stays open."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        await self.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        status, answer = await self.answer()
        return status, json.loads(answer)


# ---------------------------------------------------------------------------------------------------------- one person


class Promise(NamedTuple):
    """What an acknowledgement said: the row `rev` is about `item` and came from `origin`."""

    rev: int
    item: str
    origin: Message | None


@dataclass
class Device:
    """Numbers its mutations, keeps what is not answered, and knows what was."""

    name: str
    random: Random
    items: list[str] = field(default_factory=list)
    outbox: list[Message] = field(default_factory=list)
    answered: list[tuple[Message, Message]] = field(default_factory=list)
    newest_at: int = 0

    def edit(self) -> Message:
        """A mutation that surely changes something: a new item mostly, else an own one renamed or deleted."""
        mid = len(self.answered) + len(self.outbox) + 1
        self.newest_at = max(wall_clock(), self.newest_at + 1)
        mutate = {"type": "mutate", "mid": mid, "at": self.newest_at, "kind": "alarm"}
        op = self.random.choice(["create", "create", "patch", "delete"]) if self.items else "create"
        fields: Message = {} if op == "delete" else {"fields": {"label": f"{self.name} {mid}"}}
        if op == "create":
            self.items.append(new_id(self.random))
            fields["fields"]["time"] = "07:00"
        mutate |= {"op": op, "id": self.items[-1], **fields}
        if op == "delete":
            self.items.pop()
        self.outbox.append(mutate)
        return mutate

    def again(self) -> list[Message]:
        """What is sent first after a restart: two that were answered, as if the answers were lost, and all that were not."""
        return [mutate for mutate, _ in self.answered[-2:]] + self.outbox


@dataclass
class Person:
    """One user: all devices, everything they were told, and the log as it was found after the last restart."""

    name: str
    random: Random
    epoch: str = ""
    log: list[Message] = field(default_factory=list)
    items: dict[str, Message] = field(default_factory=dict)
    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    promises: list[Promise] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    posting: bool = False

    def __post_init__(self) -> None:
        self.token = programs.token(self.name)
        self.desk, self.phone = Device("desk", self.random), Device("phone", self.random)

    @property
    def waiting(self) -> bool:
        """Whether something was asked that has no answer."""
        return bool(self.posting or self.desk.outbox or self.phone.outbox)

    def take(self, device: Device, result: Message) -> None:
        """Hold an answer against what is known of its mutation: from before the restart, or from an earlier answer."""
        known, mid = self.rows.get((device.name, result["mid"])), result["mid"]
        assert result["status"] == "applied", result
        assert result.get("dup", False) == (known is not None), (result, known)
        if mid <= len(device.answered):
            mutate, first = device.answered[mid - 1]
            assert result == {**first, "dup": True}
        else:
            mutate = device.outbox.pop(0)
            assert mutate["mid"] == mid
            device.answered.append((mutate, result))
        assert known in (None, result["rev"])
        self.promise(result["rev"], mutate["id"], {"device_id": device.name, "mid": mid})

    def promise(self, rev: int, item: str, origin: Message | None = None) -> None:
        """Note what an acknowledgement said."""
        self.promises.append(Promise(rev, item, origin))


def new_id(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128)))


# ------------------------------------------------------------------------------------------------- what must still hold


async def check(line: Line, person: Person) -> None:
    """Read what is new in the log, and hold it against everything that this person was told before the kill."""
    watcher = f"device_id=watcher&since={person.epoch}:"
    if not person.epoch:
        _, answer = await line.ask(person.token, "GET", f"{ITEMS}?device_id=watcher")
        person.epoch = answer["epoch"]
        return
    before = len(person.log)
    person.log += await rows_after(line, person, before)
    for row in person.log[before:]:
        fold(person, row)
    told = [promise.rev for promise in person.promises] + [event["rev"] for event in person.heard]
    assert max(told, default=0) <= len(person.log), "rows that somebody was told of are lost"
    for rev, item, origin in person.promises:
        row = person.log[rev - 1]
        assert (item_of(row), row["origin"]) == (item, origin)
    for event in person.heard:
        assert person.log[event["rev"] - 1] == event
    person.promises.clear()
    person.heard.clear()
    _, state = await line.ask(person.token, "GET", f"{ITEMS}?{watcher}{len(person.log)}")
    assert (state["epoch"], state["rev"]) == (person.epoch, len(person.log))
    assert {item.pop("id"): bare(item) for item in state["items"]} == person.items


async def rows_after(line: Line, person: Person, rev: int) -> list[Message]:
    """The log from a place on, which must have no gap."""
    rows = list[Message]()
    while True:
        since = f"device_id=watcher&since={person.epoch}:{rev + len(rows)}"
        status, page = await line.ask(person.token, "GET", f"{ITEMS}/changes?{since}")
        assert (status, page["epoch"]) == (200, person.epoch), page
        if not page["events"]:
            break
        rows += page["events"]
    assert [row["rev"] for row in rows] == list(range(rev + 1, rev + 1 + len(rows)))
    return rows


def fold(person: Person, row: Message) -> None:
    """Carry one row out, and see that nobody's mutation has two."""
    origin = row["origin"]
    if origin is not None:
        number = (origin["device_id"], origin["mid"])
        assert number not in person.rows, f"{number} happened twice"
        person.rows[number] = row["rev"]
    match row["type"].partition("_")[2]:
        case "created":
            assert row["data"]["id"] not in person.items
            person.items[row["data"]["id"]] = bare(row["data"])
        case "updated":
            person.items[row["id"]] |= row["changed"]
        case _:
            del person.items[row["id"]]


def item_of(row: Message) -> str:
    item: str = row["id"] if "id" in row else row["data"]["id"]
    return item


def bare(record: Message) -> Message:
    """A record without what only describes its last change."""
    described = ("id", "stamps", "rev", "updated_at", "updated_by")
    return {name: value for name, value in record.items() if name not in described}
