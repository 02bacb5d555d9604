"""What the tests of the outbox say for the server, and look at."""

from protocol.client import (
    ClientOutput,
)

from .desk import (
    Desk,
)


def waiting(desk: Desk) -> list[int]:
    """Numbers in the outbox."""
    return [entry.mid for entry in desk.c.machine.outbox]


def result(desk: Desk, mid: int, status: str = "applied", rev: int = 42, **more: object) -> list[ClientOutput]:
    return desk.says("result", mid=mid, status=status, rev=rev, **more)


def error(desk: Desk, code: str, **more: object) -> list[ClientOutput]:
    return desk.says("error", code=code, message="No.", **{"retryable": False, **more})
