"""What goes with time, and what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protocol import KEPT_MS, KEPT_ROWS
from server_trio.housekeeping import UNSEEN_MS, tidy

from .parts import parts


class NotingStore:
    """A real store that notes what it is asked."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)

        async def noted(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            return await real(*arguments)

        return noted


async def test_a_round_keeps_rows_as_the_protocol_says_and_devices_for_ninety_days(tmp_path: Path) -> None:
    """docs/protocol.md#log-keep, docs/protocol.md#limit-devices."""
    async with parts(tmp_path, wrap=NotingStore) as made:
        store: Any = made.services.store
        now = made.services.wall()
        await tidy(store, now)
        assert store.asked == [
            ("trim", now - KEPT_MS, KEPT_ROWS),
            ("forget_devices", now - UNSEEN_MS),
            ("forget_sessions", now),
        ]
    assert (KEPT_MS, KEPT_ROWS, UNSEEN_MS) == (30 * 86_400_000, 10_000, 90 * 86_400_000)
