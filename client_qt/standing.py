"""What time has made of the records: which timers are over, and which items will still ring. Pure."""

from collections.abc import Iterable

from protocol import ItemId, Missed, Quiet, Record, Timer, Zones, next_ring, ring_state

from .ringing import NowFor


def over(records: Iterable[Record], now_for: NowFor, zones: Zones) -> frozenset[ItemId]:
    """Timers that have ended and will not ring any more, though nobody has reset them."""
    return frozenset(
        record.id
        for record in records
        if isinstance(record, Timer)
        and record.ends_at is not None
        and record.ends_at <= now_for(record)
        and isinstance(ring_state(record, now_for(record), zones), Quiet | Missed)
    )


def to_ring(records: Iterable[Record], now_for: NowFor, zones: Zones) -> tuple[Record, ...]:
    """Those that ring now, or will if nothing is changed."""
    return tuple(record for record in records if _rings(record, now_for, zones))


def _rings(record: Record, now_for: NowFor, zones: Zones) -> bool:
    now = now_for(record)
    return next_ring(record, now, zones) is not None or not isinstance(ring_state(record, now, zones), Quiet | Missed)
