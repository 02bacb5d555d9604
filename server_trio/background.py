"""Errands that outlive the call that starts them: questions to the store, verdicts on tokens."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from .failures import described


_LOG: Final = logging.getLogger("tocsin.background")


def no_one() -> None:
    """Stand in for an owner that need not be told."""


class Background:
    """One nursery for all errands of a server; an errand that fails costs its owner, never the process.

    Attributes:
        running: errands under way.
        failures: errands that ended in an unexpected exception; anything but 0 is a bug.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.failures = 0
        self.running = 0

    def __repr__(self) -> str:
        return f"<Background {self.running} errands, {self.failures} failed>"

    def start(
        self, errand: Callable[..., Awaitable[None]], *arguments: object, broken: Callable[[], None] = no_one
    ) -> None:
        """Run `errand` beside the caller; `broken` is called if it fails in a way that nobody expected."""
        self.running += 1
        self._nursery.start_soon(self._run, errand, arguments, broken)

    async def _run(
        self, errand: Callable[..., Awaitable[None]], arguments: tuple[object, ...], broken: Callable[[], None]
    ) -> None:
        try:
            await errand(*arguments)
        except Exception as error:  # noqa: BLE001 - the guard: an errand's failure is its owner's, not everybody's
            self.failed(error)
            broken()
        finally:
            self.running -= 1

    def failed(self, error: BaseException) -> None:
        """Count and log an error that nobody expected: type and place only, since a message may hold what a peer sent."""
        self.failures += 1
        _LOG.error("an errand failed: %s", described(error))
