"""What holds for the rings of one device: nothing stays silent, nothing sounds that must not, nothing rings twice.

After every look of its ringer, what sounds is compared with the oracle, by the time that the device believes it is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from client_qt.local_state import RingKey
from client_qt.ringing import BACK_MS, Ended, Sounding
from protocol import Alarm, ItemId, Record, Wall, client

from . import oracle
from .device import SimDevice
from .run import Violation


NEWS_S = 1.0
"""A ring heard of late waits this long for the rest of the news (`client_qt.late_news`)."""

SLACK_S = 0.05
HORIZON_MS = 30 * oracle.DAY
LATE_MS = 250.0
"""A look comes this soon after the moment at which the rings change, where nothing has moved the clocks."""

WAKE_MS = 5_000.0
"""After sleep, and after somebody set the clock, a program may take so long to notice (`client_qt.ringer.LOOK_S`)."""


class Page(NamedTuple):
    """What the oracle says of one record, in `[since, until)`."""

    record: Record
    since: int
    until: int
    windows: frozenset[oracle.Window]


class Begun:
    """A ring that began here.

    Attributes:
        boots: in which run of the program. at: by its monotonic clock. over_at: when it ended, None while it has not.
        snoozed: the user of this device postponed it; where the server refuses that, it goes on.
    """

    __slots__ = ("at", "boots", "over_at", "snoozed", "until")

    def __init__(self, boots: int, at: float, until: int) -> None:
        self.boots = boots
        self.at = at
        self.until = until
        self.over_at: float | None = None
        self.snoozed = False


class RingCheck:
    """Watches the rings of one device.

    Attributes:
        welcomed_at: when its last session began, by its monotonic clock; synced: it has been in step since.
    """

    def __init__(self, device: SimDevice) -> None:
        self._device = device
        self._zones = device.world.zones
        self._begun: dict[RingKey, Begun] = {}
        self._ended: list[Ended] = []
        self._disk = device.local
        self._crashed_at: float | None = None
        self.welcomed_at = float("-inf")
        self.synced = True
        self._ringer = device.ringer
        self._forget_pages()

    def _forget_pages(self) -> None:
        self._pages: dict[ItemId, Page] = {}
        self._owed: dict[RingKey, float] = {}
        self._last: tuple[float, float, float, float] | None = None

    def _broken(self, rule: str, expected: str, happened: str) -> Violation:
        return Violation(rule, self._device.name, self._device.world.now, expected, happened)

    # --- from one run of its program to the next ---

    def crashed(self) -> None:
        """The power went."""
        self._crashed_at = self._device.now

    def _rebooted(self) -> None:
        """What began or ended clearly before the power went is known afterwards."""
        device, self._ringer = self._device, self._device.ringer
        marks = device.local.marks
        if device.local is self._disk and self._crashed_at is not None:
            for key, begun in self._begun.items():
                mark = marks.get(key)
                if (
                    mark is None
                    and begun.at < self._crashed_at - SLACK_S
                    and begun.until + 5 * oracle.DAY > device.world.wall
                ):
                    raise self._broken(
                        "invariant-8", f"that the ring {key} is known after a restart", "its mark is gone"
                    )
                over = begun.over_at is not None and begun.over_at < self._crashed_at - SLACK_S
                if over and not begun.snoozed and mark is not None and not mark.over:
                    raise self._broken("invariant-8", f"that the ring {key} is over after a restart", "it would go on")
        self._disk = device.local
        self._crashed_at = None
        # What was not on disk yet may happen again.
        self._begun = {key: begun for key, begun in self._begun.items() if key in marks}
        for key, mark in marks.items():
            begun = self._begun.setdefault(key, Begun(device.boots - 1, device.now, mark.until))
            if not mark.over:
                begun.over_at = None
            elif begun.over_at is None:
                begun.over_at, begun.snoozed = device.now, True  # nobody remembers why
        self._forget_pages()

    # --- what is told ---

    def told(self, told: Sounding | Ended) -> None:
        """A ring begins or ends."""
        if self._device.ringer is not self._ringer:
            self._rebooted()
        if isinstance(told, Sounding):
            self._begins(told)
        else:
            self._ends(told)

    def _begins(self, told: Sounding) -> None:
        key, device = told.key, self._device
        before = self._begun.get(key)
        if before is not None and before.boots == device.boots and not before.snoozed:
            raise self._broken("invariant-8", f"that {_name(key)} rings once", f"it began again ({told.resumed=})")
        if before is not None and before.over_at is not None and not before.snoozed:
            raise self._broken("invariant-8", f"that {_name(key)}, which is over, rings no more", "it began again")
        if told.resumed and before is None:
            raise self._broken("invariant-8", f"that {_name(key)} is resumed only if it began before", "it never did")
        if before is not None and not told.resumed and before.boots != device.boots:
            raise self._broken("invariant-8", f"that {_name(key)} is resumed after a restart", "it began anew")
        self._row_by_row(key)
        self._begun[key] = Begun(device.boots, device.now, told.ring.until)

    def _row_by_row(self, key: RingKey) -> None:
        """While it is being brought up to date, it begins no ring: the next row may stop it (ring-start-at-synced)."""
        device = self._device
        if type(device.client.machine.state) is not client.Syncing or self.synced:
            return
        settle = device.client.machine.timing.settle_ms / 1000 - SLACK_S
        waited = device.now - self._owed.get(key, device.now)
        if device.now - self.welcomed_at < settle and waited < settle:
            raise self._broken(
                "ring-start-at-synced",
                f"that {_name(key)} waits for the news",
                f"it begins after {waited:.3f} s, still syncing",
            )

    def _ends(self, told: Ended) -> None:
        key = told.sounding.key
        if told.why == "early":
            self._begun.pop(key, None)
            return
        begun = self._begun.get(key)
        if begun is not None:
            begun.over_at, begun.snoozed = self._device.now, told.here and told.why == "snoozed"
        if not told.here:
            self._ended.append(told)

    # --- after a look ---

    def look(self) -> None:
        """Compare what sounds with what must."""
        device = self._device
        if device.ringer is not self._ringer:
            self._rebooted()
        book = device.ringer.book
        windows = self._open(device.copy.records, book.sounding)
        for key in book.sounding:
            if key not in windows:
                raise self._broken(
                    "invariant-8", f"that {' and '.join(sorted(map(_name, windows))) or 'nothing'} sounds",
                    f"{_name(key)} sounds, by a clock that shows {device.time.now_for(book.sounding[key].record)}",
                )  # fmt: skip
        ended, self._ended = self._ended, []
        for end in ended:
            if end.sounding.key in windows and not device.ringer.book.sounding.get(end.sounding.key):
                raise self._broken(
                    "invariant-7", f"that {_name(end.sounding.key)} goes on: its window is open",
                    f"it ended as {end.why!r} without its user",
                )  # fmt: skip
        self._silent([key for key in windows if key not in book.sounding and not book.is_over(key)])

    def _silent(self, silent: list[RingKey]) -> None:
        """A ring may wait for news, but not for long, and not again and again."""
        if not silent:
            self._owed.clear()
            return
        device = self._device
        grace = device.client.machine.timing.settle_ms / 1000 + NEWS_S + SLACK_S
        self._owed = {key: self._owed.get(key, device.now) for key in silent}
        for key, since in self._owed.items():
            if device.now - since > grace:
                raise self._broken(
                    "invariant-7", f"that {_name(key)} rings within {grace:.2f} s, in every state of network and server",
                    f"it has been silent for {device.now - since:.2f} s",
                )  # fmt: skip

    # --- the oracle ---

    def _open(self, records: Mapping[ItemId, Record], sounding: Mapping[RingKey, Sounding]) -> dict[RingKey, int]:
        device = self._device
        begun: dict[ItemId, int] = {}
        for key in sounding:
            begun[key.item] = max(key.since, begun.get(key.item, 0))
        late = self._most_late()
        now_for, muted = device.time.now_for, device.copy.muted
        alarms = timers = -1
        windows: dict[RingKey, int] = {}
        pages: dict[ItemId, Page] = {}
        for item, record in records.items():
            if item in muted:
                continue
            if isinstance(record, Alarm):
                now = alarms = now_for(record) if alarms < 0 else alarms
            else:
                now = timers = now_for(record) if timers < 0 else timers
            since = begun.get(item)
            if since is not None and since - BACK_MS <= now < since:
                now = since  # a clock that is turned back a little un-rings nothing
            pages[item] = page = self._page(record, now, late)
            for window in page.windows:
                key = RingKey(item, window.occ, window.n, Wall(window.since))
                windows[key] = window.until
        self._pages = pages
        return windows

    def _page(self, record: Record, now: int, late: float) -> Page:
        known = self._pages.get(record.id)
        if known is not None and known.record is record and known.since <= now:
            if now < known.until:
                return known
            if now - known.until > late:
                self._missed(known, now - late)
        windows = frozenset(oracle.sounding(record, now, self._zones))
        return Page(record, now, oracle.steady_until(record, now, self._zones, HORIZON_MS), windows)

    def _missed(self, page: Page, upto: float) -> None:
        """A look is needed only where what sounds really changes."""
        record, moment = page.record, page.until
        while moment < upto:
            if oracle.sounding(record, moment, self._zones) != page.windows:
                raise self._broken(
                    "invariant-7", f"a look when the rings of {record.id} change, at {moment}",
                    f"it looked only at {self._device.time.now_for(record)}",
                )  # fmt: skip
            moment = oracle.steady_until(record, moment, self._zones, HORIZON_MS)

    def _most_late(self) -> float:
        """By how much a look may be late, ms: by as much as something has moved the clocks since the last one."""
        device = self._device
        mono, time = device.now, device.time
        believed = time.server_now() - mono * 1000
        # Alarms ring by the device's own clock where the two are far apart: crossing that line moves them, too.
        own = time.wall_ms - mono * 1000 if time.is_far else believed
        now = (believed, own, device.clock.elapsed(device.world.now) - mono, device.clock.offset_ms)
        last, self._last = self._last, now
        if last is None:
            return float("inf")
        moved = max(abs(now[0] - last[0]), abs(now[1] - last[1])) + abs(now[3] - last[3])
        woken = WAKE_MS if now[2] - last[2] > 0.001 or now[3] != last[3] else 0.0
        return LATE_MS + 2 * moved + woken


def _name(key: RingKey) -> str:
    again = f", {key.n} times postponed," if key.n else ""
    return f"the ring of {key.item} for {key.occ}{again} since {key.since}"
