"""What nobody needs any more goes, a little at a time: old rows of logs, devices and sessions long unseen."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from protocol import KEPT_MS, KEPT_ROWS, Wall

from .store import Store, StoreUnavailable


_LOG: Final = logging.getLogger("tocsin.housekeeping")

EVERY: Final = 3_600.0
"""Seconds between two rounds."""

PAUSE: Final = 0.2
"""Seconds between two portions, so that commits are not kept waiting."""

UNSEEN_MS: Final = 90 * 86_400_000
"""A device not seen for so long is dropped (docs/protocol.md#limit-devices)."""


async def keep_house(store: Store, wall: Callable[[], Wall]) -> None:
    """Tidy up now and every hour, until cancelled."""
    while True:
        try:
            await tidy(store, wall())
        except StoreUnavailable as error:
            _LOG.warning("housekeeping waits for the next hour: %s", error)
        await trio.sleep(EVERY)


async def tidy(store: Store, now: Wall) -> None:
    """One round.

    Raises:
        StoreUnavailable: the rest of the round is left to the next one.
    """
    await _until_none(lambda: store.trim(Wall(now - KEPT_MS), KEPT_ROWS))
    await _until_none(lambda: store.forget_devices(Wall(now - UNSEEN_MS)))
    await _until_none(lambda: store.forget_sessions(now))


async def _until_none(portion: Callable[[], Awaitable[int]]) -> None:
    gone = await portion()
    while gone:
        await trio.sleep(PAUSE)
        gone = await portion()
