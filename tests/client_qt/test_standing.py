"""What time has made of records: over, or still to ring."""

from typing import Any

import pytest

from client_qt.lines import record_words, words
from client_qt.standing import over, to_ring
from protocol import Record, RunId, Timer, Wall
from protocol.zones import system_zones

from .desk import MONDAY_MS
from .records import alarm, running


END = MONDAY_MS + 60_000
ONCE: dict[str, Any] = {"ring_s": 30, "snooze_s": 0}
REPEATED: dict[str, Any] = {"ring_s": 30, "snooze_s": 60, "auto_snooze": 1}


@pytest.mark.parametrize(
    ("record", "after_ms", "is_over", "rings"),
    [
        (running(ends_at=END, **ONCE), -1, False, True),
        (running(ends_at=END, **ONCE), 0, False, True),
        (running(ends_at=END, **ONCE), 30_000, True, False),
        (running(ends_at=END, **ONCE), 30 * 86_400_000, True, False),
        (running(ends_at=END, acked=RunId("r1"), **ONCE), 0, True, False),
        (running(ends_at=END, **REPEATED), 30_000, False, True),
        (running(ends_at=END, **REPEATED), 120_000, True, False),
        (Timer(id=running(ends_at=END).id, duration_ms=1), 0, False, False),
        (alarm(), 0, False, True),
        (alarm(enabled=False), 0, False, False),
    ],
)
def test_an_item_is_over_or_still_to_ring(record: Record, after_ms: int, is_over: bool, rings: bool) -> None:
    def now_for(_: Record) -> Wall:
        return Wall(END + after_ms)

    assert over([record], now_for, system_zones) == ({record.id} if is_over else set())
    assert to_ring([record], now_for, system_zones) == ((record,) if rings else ())


def test_a_finished_timer_reads_as_over() -> None:
    timer = running(ends_at=END, label="Egg")
    line = {"event": "reply", "command": "list", "records": [timer], "over": [timer.id]}
    assert "1:00 over  Egg" in words(line)
    assert "1:00 running until" in words({**line, "over": []})
    assert "1:00 over" in record_words(running(ends_at=END, acked=RunId("r1")))
