"""A ring that this device learns of only when it is long due waits a moment for the rest of the news.

A timer that was started and stopped on a device without a network arrives as two events in a row; between them it rings
by every rule, and would be heard as a click.
"""

from collections.abc import Callable, Collection, Iterator, Mapping

from protocol import ItemId, Record, Zones, ringing

from .local_state import RingKey
from .ringing import NowFor, Open


LATE_MS = 1_000
"""A ring heard of later than this after it began is news from the past."""

WAIT_S = 1.0


class LateNews:
    """Knows which rings the device had before the news."""

    def __init__(self, zones: Zones, monotonic: Callable[[], float]) -> None:
        self._zones = zones
        self._monotonic = monotonic
        self._known: Mapping[ItemId, Record] | None = None
        self._until: dict[RingKey, float] = {}

    def __repr__(self) -> str:
        return f"<LateNews of {len(self._until)} rings>"

    def settle(self, records: Mapping[ItemId, Record]) -> None:
        """These records are all the news there is: none of their rings waits."""
        self._known = records
        self._until = {}

    def held(
        self, windows: Open, records: Mapping[ItemId, Record], begun: Collection[RingKey], now_for: NowFor
    ) -> dict[RingKey, float]:
        """Rings that must not begin yet, and until when (monotonic seconds).

        Args:
            windows: open now.
            records: as shown now.
            begun: rings that have begun here at any time, which never wait.
            now_for: by which clock a record rings.
        """
        now = self._monotonic()
        until = {key: now + WAIT_S for key in self._news(windows, now_for) if key not in begun}
        self._known = records
        self._until = {key: at for key, at in {**until, **self._until}.items() if key in windows}
        return {key: at for key, at in self._until.items() if now < at}

    def _news(self, windows: Open, now_for: NowFor) -> Iterator[RingKey]:
        """Open windows that the records of the last look do not have."""
        for key, (record, ring) in windows.items():
            if self._known is None or now_for(record) - ring.since <= LATE_MS:
                continue
            before = self._known.get(key.item)
            if before is record:
                continue
            if before is None or ring not in ringing(before, now_for(before), self._zones):
                yield key
