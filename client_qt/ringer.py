"""Makes rings begin and end at their moments: looks at the clock, at most five seconds apart, and says what changed.

It never sleeps for long, because Trio's clock stands still while the machine does, and compares instants instead.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import trio

from protocol import ItemId, Record, Snooze, Zones

from .late_news import LateNews
from .local_state import LocalWrite, Mark, RingKey
from .ringing import Agenda, Book, Ended, NowFor, Open, Sounding, Turn, Why, forget, silence, turn, unsnooze
from .timekeeping import Timekeeper


LOOK_S = 5.0
SHORTEST_S = 0.001
"""Instants are whole milliseconds; what is left of one after a division must not become a busy loop."""

FORGET_S = 3_600.0

Told = Sounding | Ended


class Surroundings(NamedTuple):
    """What the ringer needs of its engine.

    Attributes:
        records: what is shown now. muted: items that stay silent on this device.
        tell: hears what begins and ends, at once. keep: puts writes on disk.
        woke: is called after a jump of the clock, before anything rings.
    """

    records: Callable[[], Mapping[ItemId, Record]]
    muted: Callable[[], frozenset[ItemId]]
    tell: Callable[[Told], None]
    keep: Callable[[tuple[LocalWrite, ...]], None]
    woke: Callable[[], None]


class Ringer:
    """The scheduler of one device.

    Args:
        longest_s: between two looks. A world that knows when a clock jumps needs none in between.

    Attributes:
        book: what rings and has rung here.
    """

    def __init__(
        self,
        time: Timekeeper,
        zones: Zones,
        marks: Mapping[RingKey, Mark],
        around: Surroundings,
        longest_s: float = LOOK_S,
    ) -> None:
        self._longest_s = longest_s
        self._time = time
        self._around = around
        self._agenda = Agenda(zones)
        self._poked = trio.Event()
        self._late_news = LateNews(zones, time.clocks.monotonic)
        self._held_until = float("-inf")
        self._settle_s = 0.0
        self._due_since: dict[RingKey, float] = {}
        self._forget_at = float("-inf")
        self._open: Open = {}
        self.book = Book(marks)

    def __repr__(self) -> str:
        return f"<Ringer, {len(self.book.sounding)} sounding, {len(self.book.marks)} marks>"

    # --- when rings may begin ---

    def hold(self, seconds: float) -> None:
        """News is about to come: begin no ring for so long, or until `release` (docs/protocol.md#ring-start-at-synced)."""
        self._settle_s = seconds
        self._held_until = self._time.clocks.monotonic() + seconds

    def release(self) -> None:
        """The news is here, or there will be none: begin what rings."""
        self._held_until = float("-inf")
        self._late_news.settle(self._around.records())
        self.poke()

    def _held(self, windows: Open, now_for: NowFor) -> dict[RingKey, float]:
        """Rings that wait for news, and until when."""
        late = self._late_news.held(windows, self._around.records(), self.book.marks.keys(), now_for)
        held = self._held_for_all(windows)
        return {key: max(until.get(key, 0.0) for until in (late, held)) for key in late.keys() | held.keys()}

    def _held_for_all(self, windows: Open) -> dict[RingKey, float]:
        """None waits longer than one hold lasts, however often the link comes and goes."""
        now = self._time.clocks.monotonic()
        self._due_since = {key: self._due_since.get(key, now) for key in windows if key not in self.book.sounding}
        held = {key: min(since + self._settle_s, self._held_until) for key, since in self._due_since.items()}
        return {key: until for key, until in held.items() if now < until}

    # --- looking ---

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self._poked = trio.Event()
            with trio.move_on_after(self.look()):
                await self._poked.wait()

    def poke(self) -> None:
        """Records, settings or the clock have changed: look again at once."""
        self._poked.set()

    def notice(self) -> bool:
        """Whether the clock has jumped since anybody asked; to be asked before its moment goes into anything.

        Up to `LOOK_S` after a sleep the estimate still lags by all of it: a snooze made then would end in the past.
        """
        if not self._time.has_jumped():
            return False
        self._around.woke()
        self.poke()
        return True

    def look(self) -> float:
        """Begin and end what is due; returns in how many seconds to look again."""
        self.notice()
        muted = self._around.muted()
        records = {item: record for item, record in self._around.records().items() if item not in muted}
        now_for = self._time.reading()
        windows, wait_ms = self._agenda.look(records, now_for, self.book.sounding.keys())
        self._open = windows
        held = self._held(windows, now_for)
        self._take(turn(self.book, windows, self._around.records(), now_for, held))
        self._forget()
        news = min(held.values(), default=float("inf")) - self._time.clocks.monotonic()
        return max(SHORTEST_S, min(self._longest_s, wait_ms / 1000, news))

    def _forget(self) -> None:
        now = self._time.clocks.monotonic()
        if now >= self._forget_at:
            self._forget_at = now + FORGET_S
            self._take(forget(self.book, self._time.server_now()))

    # --- the user ---

    def items(self) -> list[ItemId]:
        """What rings now, heard here or not."""
        return list(dict.fromkeys(key.item for key in (*self.book.sounding, *self._open)))

    def silence(self, why: Why, item: ItemId | None = None) -> tuple[Ended, ...]:
        """End the rings of one item, or all, on this device and at once; returns what ended."""
        keys = [key for key in self.book.sounding if item is None or key.item == item]
        step = silence(self.book, keys, self._around.records(), why)
        self._take(step)
        return step.ended

    def unsnooze(self, edit: Snooze) -> None:
        """The server refused this snooze."""
        self._take(unsnooze(self.book, edit))
        self.poke()

    def _take(self, step: Turn) -> None:
        self.book = step.book
        if step.writes:
            self._around.keep(step.writes)
        for ended in step.ended:
            self._around.tell(ended)
        for begun in step.begun:
            self._around.tell(begun)
