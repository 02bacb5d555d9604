"""The driver's parts without a listener: sessions over a wire that only remembers, with clocks that tests move."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import trio

from protocol import DEFAULT_TIMING, Limits, SessionId, Timing, UserId, Wall
from protocol.server import Accept, Profile, Requested
from server_trio.auth import Tokens
from server_trio.config import Config
from server_trio.hidden import Hidden
from server_trio.outbound import Outbound
from server_trio.services import Services
from server_trio.serving import build_services
from server_trio.session import Session
from server_trio.settings import Database
from server_trio.store import Store
from server_trio.store_sqlite import open_sqlite

from .whole_server import SECRET, hello_of


class Wire:
    """Stands where the `Outbound` of a socket would: remembers writes, and is full when told so."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.full = False
        self.session: Session
        self._told = False

    def send(self, wire: bytes) -> None:
        if self.closed is None and not self.aborted:
            self.writes.append(wire)
            if self.full and not self._told:
                self._told = True
                self.session.blocked()

    def read(self) -> None:
        """The peer reads again."""
        self.full = self._told = False
        self.session.drained()

    def close(self, code: int, reason: str = "") -> None:
        self.closed = self.closed or (code, reason)

    def abort(self) -> None:
        self.aborted = True

    @property
    def messages(self) -> list[Any]:
        """What was sent so far, read by the frame rules of RFC 6455."""
        return [json.loads(payload) for payload in frames(b"".join(self.writes))]

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]


def frames(data: bytes) -> list[bytes]:
    """Payloads of unmasked frames."""
    found, at = [], 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif size == 127:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        found.append(data[start : start + size])
        at = start + size
    return found


class Parts:
    """Services over a real database, and sessions on wires.

    Attributes:
        now: the monotonic clock, s. wall: the wall clock, ms.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.wall = 1_800_000_000_000
        self.services: Services
        self.tokens: Tokens

    @property
    def hub(self) -> Any:
        return self.services.hub

    def token(self, user: str = "ada", session: str = "s", ttl: int = 3_600) -> str:
        return self.tokens.issue(UserId(user), SessionId(session), ttl)

    def advance(self, seconds: float) -> None:
        """Time passes, and the sweep that the listener would do is done."""
        self.now += seconds
        self.wall += round(seconds * 1_000)
        self.hub.sweep(self.now)
        self.services.acks.flush()

    async def session(self, user: str = "ada", profile: Profile = "classic", token: str | None = None) -> Wire:
        """A session that was accepted, with its wire."""
        session, hidden = Session(self.services), Hidden()
        handle = hidden.hide(token or self.token(user))
        verdict = await session.request(Requested(profile, "header", handle), hidden)
        assert isinstance(verdict, Accept), verdict
        wire = Wire()
        wire.session = session
        session.opened(cast(Outbound, wire))
        await self.settle()
        return wire

    async def v1(self, user: str = "ada", device: str = "desk", **hello: Any) -> Wire:
        """A v1 session after its hello."""
        wire = await self.session(user, "v1")
        wire.session.received(json.dumps(hello_of(device, **hello)))
        await self.settle()
        return wire

    async def settle(self) -> None:
        """Wait until every errand is done, those in threads included."""
        while self.services.background.running:  # noqa: ASYNC110 - threads of the store know nothing of tests
            await trio.sleep(0.001)


@asynccontextmanager
async def parts(
    folder: Path,
    *,
    limits: Limits | None = None,
    timing: Timing = DEFAULT_TIMING,
    wrap: Any = None,
) -> AsyncIterator[Parts]:
    """Everything but the listener; `wrap` may put something around the store."""
    made = Parts()
    config = Config(database=Database(folder / "tocsin.db"), limits=limits or Limits(), timing=timing)
    async with open_sqlite(config.database.path, limits=config.limits) as store, trio.open_nursery() as nursery:
        made.tokens = Tokens(SECRET, clock=lambda: Wall(made.wall))
        made.services = build_services(
            config,
            cast(Store, store if wrap is None else wrap(store)),
            made.tokens,
            nursery,
            wall=lambda: Wall(made.wall),
            now=lambda: made.now,
        )
        yield made
        nursery.cancel_scope.cancel()
