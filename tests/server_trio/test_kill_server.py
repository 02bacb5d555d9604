"""The real server, killed at any moment under load: what it acknowledged stays, and what is sent again happens once.

docs/protocol.md#invariant-4, and the half of #invariant-3 that only a crash can break.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import trio

from server_trio.check import findings
from tests import programs
from tests.programs import ITEMS, WS

from .plain_client import handshake
from .whole_server import Socket, hello_of
from .witnesses import Gone, Line, Message, Person, check, new_id, rows_after


LIVES = 26
"""Of each of the two servers that live side by side."""

SLOWEST_START = 0.8
"""Seconds; kills during a start fall before that, so some fall just after it."""


# ------------------------------------------------------------------------------------------------------------ the load


@dataclass
class Life:
    """One process of the server, and after how many answers it is to die, if that is what it dies of."""

    process: trio.Process
    port: int = 0
    answers_left: int = -1
    killed: bool = False
    answers: int = 0

    def answered(self) -> None:
        """Somebody has just read an answer: where it was the one, the server dies before anything else happens here."""
        self.answers += 1
        self.answers_left -= 1
        if self.answers_left == 0:
            self.kill()

    def kill(self) -> None:
        self.killed = True
        self.process.kill()

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """A connection to it."""
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        except OSError:
            raise Gone from None
        try:
            yield Line(stream)
        finally:
            await trio.aclose_forcefully(stream)


Load = Callable[[Life, Line, Person], Awaitable[None]]


async def post(life: Life, line: Line, person: Person) -> None:
    """Classic requests: new items, each renamed once; what has no answer is never sent again."""
    while True:
        body: Message = {"id": new_id(person.random), "kind": "timer", "duration_ms": 60_000}
        for change in (body, {"id": body["id"], "label": "Tea"}):
            person.posting = True
            status, answer = await line.ask(person.token, "POST", ITEMS, change)
            person.posting = False
            assert status == (201 if change is body else 200), answer
            person.promise(answer["rev"], body["id"])
            life.answered()


async def post_batches(life: Life, line: Line, person: Person) -> None:
    """An outbox sent by requests."""
    phone, batch = person.phone, person.phone.again()
    while True:
        if not batch:
            batch = [phone.edit() for _ in range(person.random.randrange(1, 5))]
        body = {"mutations": [{**mutate, "epoch": person.epoch} for mutate in batch]}
        status, answer = await line.ask(person.token, "POST", f"{ITEMS}/mutations?device_id=phone", body)
        assert (status, "error" in answer, len(answer["results"])) == (200, False, len(batch)), answer
        for result in answer["results"]:
            person.take(phone, result)
        batch = []
        life.answered()


async def mutate(life: Life, line: Line, person: Person) -> None:
    """An outbox sent over a socket, which hears of everything that the others do as well."""
    desk, socket = person.desk, Socket(line)
    bearer = f"Authorization: Bearer {person.token}"
    await line.send(handshake(WS, "Sec-WebSocket-Protocol: tocsin.v1", bearer))
    assert (await line.head()).startswith(b"HTTP/1.1 101")
    await socket.say(**hello_of("desk", cursor={"epoch": person.epoch, "rev": len(person.log)}))
    welcome = await socket.hear()
    assert (welcome["type"], welcome["epoch"]) == ("welcome", person.epoch)
    burst = desk.again()
    while True:
        for entry in burst:
            await socket.say(**entry, epoch=person.epoch)
        waiting = len(burst)
        while waiting:
            message = await socket.hear()
            assert message["type"] not in ("error", "sync_required", "goodbye"), message
            if message["type"] == "result":
                waiting -= 1
                person.take(desk, message)
                life.answered()
            elif "origin" in message:
                person.heard.append(message)
        burst = [desk.edit() for _ in range(person.random.randrange(1, 6))]


async def until_gone(life: Life, person: Person, load: Load) -> None:
    """Go on until the server is killed; that it ends otherwise is a failure."""
    try:
        async with life.line() as line:
            await load(life, line, person)
    except Gone:
        assert life.killed, "the server ended a connection by itself"


# ---------------------------------------------------------------------------------------------------------- the server


Moment = Literal["start", "answer", "any"]


class House:
    """A database, those whose data it keeps, and the servers that live and die on it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.database = folder / f"house-{seed}.db"
        self.errors = folder / f"house-{seed}.log"
        limits = {"messages_per_minute": 10**9, "resume_rows": 10**9, "page_rows": 10**4, "max_items": 10**6}
        self.environ = programs.compiled_in(folder / "compiled", programs.environ(log_level="error", **limits))
        self.people = [Person(f"{name}-{seed}", Random(self.random.getrandbits(64))) for name in ("ada", "bob")]
        self.kills: Counter[str] = Counter()
        self.answers = 0

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Life]:
        """A process that is certainly gone afterwards."""
        with self.errors.open("ab") as errors:
            process = await trio.lowlevel.open_process(
                programs.serve(self.database),
                cwd=programs.ROOT,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        try:
            yield Life(process)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            assert process.stdout is not None
            await trio.aclose_forcefully(process.stdout)

    async def ready(self, life: Life) -> None:
        """Wait until it listens, and see that everything is still there."""
        assert life.process.stdout is not None
        line = b""
        with trio.fail_after(30):
            while not line.endswith(b"\n"):
                more = await life.process.stdout.receive_some(4096)
                assert more, self.errors.read_text()
                line += more
        life.port = int(json.loads(line)["ready"].rpartition(":")[2])
        async with life.line() as connection:
            for person in self.people:
                await check(connection, person)

    async def live(self, moment: Moment) -> None:
        """One life, and its death."""
        async with self.server() as life:
            if moment == "start":
                await trio.sleep(self.random.uniform(0, SLOWEST_START))
                life.kill()
            else:
                await self.ready(life)
                await self.work(life, moment)
                self.kills["while something was asked"] += any(person.waiting for person in self.people)
        self.kills[moment] += 1
        self.answers += life.answers

    async def work(self, life: Life, moment: Moment) -> None:
        """Everybody at once, until the server dies under them."""
        if moment == "answer":
            life.answers_left = self.random.randrange(1, 80)
        async with trio.open_nursery() as nursery:
            for person in self.people:
                for load in (post, post_batches, mutate):
                    nursery.start_soon(until_gone, life, person, load)
            if moment == "any":
                # Real time, since the moment must fall anywhere between two system calls of another process.
                await trio.sleep(self.random.uniform(0, 0.25))
                life.kill()

    async def live_and_die(self) -> None:
        moments: list[Moment] = ["start", "answer", "answer", "any", "any", "any"]
        for number in range(LIVES):
            await self.live(moments[number % len(moments)])

    async def last_look(self) -> None:
        """Once more from the first row on: no restart has touched what was there before."""
        async with self.server() as life:
            await self.ready(life)
            async with life.line() as line:
                for person in self.people:
                    assert await rows_after(line, person, 0) == person.log


async def test_a_server_killed_at_any_moment_loses_no_acknowledged_change_and_repeats_none(tmp_path: Path) -> None:
    houses = [House(tmp_path, seed) for seed in (20_270_301, 20_270_302)]
    async with trio.open_nursery() as nursery:
        for house in houses:
            nursery.start_soon(house.live_and_die)
    for house in houses:
        await house.last_look()
        assert findings(house.database) == []
        assert house.errors.read_text() == ""
        assert house.kills["while something was asked"] > LIVES / 2
        assert house.answers > 10 * LIVES, "the kills fell while it was busy"
    assert sum(house.kills[moment] for house in houses for moment in ("start", "answer", "any")) >= 50
