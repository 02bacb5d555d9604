"""What begins and ends to ring here between two looks at the clock: pure, so that its rules can be tried a million times.

The protocol says which windows are open (`protocol.ringing`); this says what that means on a device that may have been
restarted inside a window, told to be silent, or carried to another time (docs/protocol.md#ring-stop-local).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from protocol import Alarm, ItemId, Record, Ring, Snooze, Timer, Wall, Zones, next_ring, ringing

from .local_state import DropMark, LocalWrite, Mark, PutMark, RingKey


BACK_MS = 2_000
"""A better estimate may turn the clock back a little; a ring that has begun does not stutter for that."""

KEPT_MS = 7 * 86_400_000
"""How long a mark is kept after its window, lest a clock that is set back rings it again."""

Why = Literal["dismissed", "snoozed", "window", "deleted", "changed", "quiet", "early"]
"""Why a ring ended: stopped or postponed (anywhere), its window passed, its record went or changed, silenced on this
device alone, or the clock turned out to have been ahead."""


class Sounding(Struct, frozen=True):
    """A ring that is to be heard now.

    Attributes:
        record: as it was when the ring began. resumed: it began before this program was restarted.
    """

    key: RingKey
    record: Record
    ring: Ring
    resumed: bool = False


class Ended(Struct, frozen=True):
    """A ring that is to be heard no more.

    Attributes:
        record: as it is now, None where it is gone.
        here: the user of this device did it, just now.
    """

    sounding: Sounding
    record: Record | None
    why: Why
    here: bool = False


class Book(Struct, frozen=True):
    """What this device knows of its rings: those begun, from disk, and those sounding now."""

    marks: Mapping[RingKey, Mark] = field(default_factory=dict[RingKey, Mark])
    sounding: Mapping[RingKey, Sounding] = field(default_factory=dict[RingKey, Sounding])

    def is_over(self, key: RingKey) -> bool:
        """Whether this ring has ended here."""
        return key in self.marks and self.marks[key].over


class Turn(NamedTuple):
    """What one look comes to.

    Attributes:
        book: from now on. begun, ended: what to make heard and what to silence. writes: to keep.
    """

    book: Book
    begun: tuple[Sounding, ...] = ()
    ended: tuple[Ended, ...] = ()
    writes: tuple[LocalWrite, ...] = ()


Open = Mapping[RingKey, tuple[Record, Ring]]
"""The windows that are open now."""


def turn(
    book: Book, windows: Open, records: Mapping[ItemId, Record], now_for: "NowFor", held: Collection[RingKey]
) -> Turn:
    """Compare what should ring with what does.

    Args:
        book: what is known of rings here.
        records: as shown now.
        now_for: by which clock a record rings.
        windows: open now, of items that ring on this device.
        held: rings that must not begin yet, because the device is about to hear news.
    """
    ended = tuple(_ended(sounding, records, now_for) for key, sounding in book.sounding.items() if key not in windows)
    begun = tuple(
        Sounding(key, record, ring, resumed=key in book.marks)
        for key, (record, ring) in windows.items()
        if key not in book.sounding and key not in held and not book.is_over(key)
    )
    return _turned(book, begun, ended)


def silence(book: Book, keys: Iterable[RingKey], records: Mapping[ItemId, Record], why: Why) -> Turn:
    """End rings here whatever the records say: the user said stop, snooze or quiet."""
    chosen = [book.sounding[key] for key in keys if key in book.sounding]
    ended = (Ended(sounding, records.get(sounding.key.item), why, here=True) for sounding in chosen)
    return _turned(book, (), tuple(ended))


def unsnooze(book: Book, edit: Snooze) -> Turn:
    """A snooze was refused: its ring goes on, if its window is still open, for nothing else will wake anybody."""
    occ = edit.occ if edit.run is None else edit.run
    marks = {
        key: replace(mark, over=False)
        for key, mark in book.marks.items()
        if (key.item, key.occ, key.n) == (edit.id, occ, edit.n - 1)
    }
    return Turn(replace(book, marks={**book.marks, **marks}), writes=tuple(map(PutMark, marks.values())))


def forget(book: Book, now: Wall) -> Turn:
    """Drop marks that can matter no more."""
    old = [key for key, mark in book.marks.items() if mark.until + KEPT_MS < now and key not in book.sounding]
    marks = {key: mark for key, mark in book.marks.items() if key not in set(old)}
    return Turn(replace(book, marks=marks), writes=tuple(DropMark(key) for key in old))


def _turned(book: Book, begun: tuple[Sounding, ...], ended: tuple[Ended, ...]) -> Turn:
    marks, sounding = dict(book.marks), dict(book.sounding)
    writes: list[LocalWrite] = []
    for one in begun:
        sounding[one.key] = one
        if not one.resumed:
            marks[one.key] = Mark(one.key, one.ring.until)
            writes.append(PutMark(marks[one.key]))
    for end in ended:
        key = end.sounding.key
        del sounding[key]
        if end.why == "early":
            marks.pop(key, None)
            writes.append(DropMark(key))
        else:
            marks[key] = Mark(key, end.sounding.ring.until, over=True)
            writes.append(PutMark(marks[key]))
    return Turn(Book(marks, sounding), begun, ended, tuple(writes))


def _ended(sounding: Sounding, records: Mapping[ItemId, Record], now_for: "NowFor") -> Ended:
    record = records.get(sounding.key.item)
    return Ended(sounding, record, "deleted" if record is None else _why(sounding, record, now_for(record)))


def _why(sounding: Sounding, record: Record, now: Wall) -> Why:
    ring = sounding.ring
    if _is_dismissed(record, ring):
        return "dismissed"
    if record.snooze is not None and record.snooze.occ == ring.occ and record.snooze.n > ring.n:
        return "snoozed"
    if now >= ring.until:
        return "window"
    return "early" if now < ring.since else "changed"


def _is_dismissed(record: Record, ring: Ring) -> bool:
    match record:
        case Alarm():
            return record.acked is not None and record.acked >= ring.due
        case Timer():
            return record.acked is not None and record.acked == ring.occ


# --- which windows are open -------------------------------------------------------------------------------------------


NowFor = Callable[[Record], Wall]
"""By which clock a record rings."""


class _Page(NamedTuple):
    """What was worked out for one record, and until when it stays true."""

    record: Record
    since: Wall
    until: float
    rings: tuple[Ring, ...]


class Agenda:
    """Which windows are open and when that changes next; works a record out again only when it must.

    Two thousand alarms, looked at with every change, would otherwise cost more than the accuracy of a ring allows.
    """

    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._pages: dict[ItemId, _Page] = {}

    def __repr__(self) -> str:
        return f"<Agenda of {len(self._pages)} records>"

    def look(
        self, records: Mapping[ItemId, Record], now_for: NowFor, sounding: Collection[RingKey]
    ) -> tuple[Open, float]:
        """The open windows, and in how many ms that may change by time alone (infinite: never)."""
        begun = {key.item: key.since for key in sorted(sounding, key=lambda key: key.since)}
        windows: dict[RingKey, tuple[Record, Ring]] = {}
        wait = float("inf")
        pages: dict[ItemId, _Page] = {}
        for item, record in records.items():
            now = _not_before(now_for(record), begun.get(item))
            page = pages[item] = self._page(item, record, now)
            wait = min(wait, page.until - now)
            for ring in page.rings:
                windows[RingKey(item, ring.occ, ring.n, ring.since)] = record, ring
        self._pages = pages
        return windows, wait

    def _page(self, item: ItemId, record: Record, now: Wall) -> _Page:
        known = self._pages.get(item)
        if known is not None and known.record is record and known.since <= now < known.until:
            return known
        rings = ringing(record, now, self._zones)
        following = next_ring(record, now, self._zones)
        # A stamp from the future will move `armed` when its time comes.
        stamps = [stamp.at for stamp in record.stamps.values() if stamp.at > now]
        changes = [*stamps, *(ring.until for ring in rings), *([following.since] if following else [])]
        return _Page(record, now, min(changes, default=float("inf")), rings)


def _not_before(now: Wall, begun: Wall | None) -> Wall:
    """A clock that was turned back a little does not un-ring what has begun."""
    return now if begun is None or now >= begun or now < begun - BACK_MS else begun
