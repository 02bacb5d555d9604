"""A device for tests: an engine with all that it told, under a clock that tests turn."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio

from client_qt.commands import Command
from client_qt.database import Database
from client_qt.engine import Engine
from client_qt.events import Done, Event, Failed, RingBegan, RingEnded
from client_qt.polling import Requests
from client_qt.server_address import read_address
from client_qt.session import Network
from client_qt.timekeeping import Clocks
from client_qt.tokens import FixedToken, TokenSource
from protocol import ItemId, Zones
from protocol.zones import system_zones


MONDAY_MS = 1_795_392_000_000
"""Monday 23 November 2026, 00:00 UTC: the wall clock when the virtual clock is 0."""

E = TypeVar("E", bound=Event)


class TurnedClocks:
    """Clocks that follow Trio's, until a test lets the device sleep or sets its clock."""

    def __init__(self, start_ms: int = MONDAY_MS) -> None:
        self.start_ns = start_ms * 1_000_000
        self.slept_ns = 0
        self.set_ns = 0

    @property
    def clocks(self) -> Clocks:
        return Clocks(self.wall_ns, trio.current_time, lambda: trio.current_time() + self.slept_ns / 1e9)

    def wall_ns(self) -> int:
        return self.start_ns + round(trio.current_time() * 1e9) + self.slept_ns + self.set_ns

    @property
    def wall_ms(self) -> int:
        return self.wall_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """The lid closes and opens again: everything but Trio's clock has moved on."""
        self.slept_ns += round(seconds * 1e9)

    def set(self, seconds: float) -> None:
        """Somebody moves the hands."""
        self.set_ns += round(seconds * 1e9)


class Desk:
    """An engine and what it told."""

    def __init__(self, engine: Engine, heard: list[Event]) -> None:
        self.engine = engine
        self.heard = heard
        self._ref = 0

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.heard if isinstance(event, kind)]

    @property
    def rings(self) -> list[RingBegan]:
        return self.of(RingBegan)

    @property
    def silences(self) -> list[RingEnded]:
        return self.of(RingEnded)

    def do(self, command: Command) -> int:
        self._ref += 1
        self.engine.submit(command, self._ref)
        return self._ref

    async def done(self, command: Command) -> tuple[ItemId, ...]:
        """Do it, and wait until it is on disk."""
        ref = self.do(command)
        answer = await self.until(lambda event: isinstance(event, Done | Failed) and event.ref == ref)
        assert isinstance(answer, Done), answer
        return answer.items

    async def failed(self, command: Command) -> Failed:
        ref = self.do(command)
        answer = await self.until(lambda event: isinstance(event, Done | Failed) and event.ref == ref)
        assert isinstance(answer, Failed), answer
        return answer

    async def until(self, wanted: Callable[[Event], bool], within_s: float = 20) -> Event:
        """The first event like that, heard already or soon."""
        with trio.fail_after(within_s):
            while True:
                for event in self.heard:
                    if wanted(event):
                        return event
                await trio.sleep(0.005)

    async def reaches(self, wanted: Callable[[], bool], within_s: float = 20) -> None:
        """Wait until something is so."""
        with trio.fail_after(within_s):
            while not wanted():  # noqa: ASYNC110 - whatever it waits for has no event
                await trio.sleep(0.005)


@asynccontextmanager
async def desk(
    folder: Path,
    clocks: TurnedClocks | None = None,
    *,
    url: str | None = None,
    tokens: TokenSource | None = None,
    cut: bool = False,
    zones: Zones = system_zones,
    name: str = "desk",
    **options: Any,
) -> AsyncIterator[Desk]:
    """A running device. With `clocks` in virtual time, without in real time and with a worker thread."""
    network = None
    if url is not None:
        network = Network(Requests(read_address(url)), tokens or FixedToken("token-0"))
        network.is_cut = cut
    heard: list[Event] = []
    engine = Engine(
        Database.open(folder / f"{name}.db"),
        network,
        heard.append,
        name=name,
        clocks=clocks.clocks if clocks else None,
        zones=zones,
        threaded=clocks is None,
        **options,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        try:
            yield Desk(engine, heard)
        finally:
            engine.stop()
    if network is not None:
        await network.requests.aclose()
