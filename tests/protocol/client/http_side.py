"""What the tests of polling and pushing look at in a request."""

import json
from urllib.parse import parse_qs, urlsplit

from protocol.client import (
    ClientOutput,
    Poll,
)

from .desk import (
    Desk,
    backoff,
    entries,
    some,
)


def query(poll: Poll) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(poll.path).query).items()}


def path(poll: Poll) -> str:
    return f"{poll.method} {urlsplit(poll.path).path}"


def pushed(poll: Poll) -> list[int]:
    """Numbers of the mutations in a POST."""
    return [message["mid"] for message in json.loads(poll.body or "")["mutations"]]


def polls(outputs: list[ClientOutput], method: str) -> list[Poll]:
    return [poll for poll in some(outputs, Poll) if poll.method == method]


def pushing(*numbers: int, **options: object) -> tuple[Desk, Poll, Poll]:
    """Polling, with a push out beside the poll."""
    desk = backoff(outbox=entries(*numbers), **options)
    desk.again()
    outputs = desk.fail()
    (poll,), (push,) = polls(outputs, "GET"), polls(outputs, "POST")
    return desk, poll, push


def result(mid: int, status: str = "applied", rev: int = 42, **more: object) -> dict[str, object]:
    return {"mid": mid, "status": status, "rev": rev, **more}
