"""The server's HTTP side for polls, over the store in memory."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from .. import client, server
from .._errors import Fault
from .._http import changes_text, read_batch, read_cursor, results_text, snapshot_text, sync_required_text
from .._messages import Mutate, Result
from .._resume import resume
from .._submission import read
from .._types import DeviceId, Mid


if TYPE_CHECKING:
    from ._device import Device
    from ._household import Household


def answer_poll(home: "Household", device: "Device", poll: client.Poll) -> None:
    """Answer at once; a long poll with nothing to say answers emptily."""
    url = urlsplit(poll.path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    author = DeviceId(query.get("device_id", device.name))
    if url.path.endswith("/changes"):
        body = _changes(home, author, query.get("since", ""))
    elif url.path.endswith("/mutations"):
        body = _mutations(home, author, (poll.body or "").encode())
    else:
        body = snapshot_text(home.store.state(author, with_deleted=True), home.wall, home.wall)
    home.later(device, lambda: device.feed(client.PollAnswered(poll.gen, body)))


def _changes(home: "Household", author: DeviceId, since: str) -> str:
    cursor = read_cursor(since)
    assert not isinstance(cursor, Fault)
    account = home.store.account
    after = resume(cursor, account, home.store.limits)
    if isinstance(after, str):
        return sync_required_text(account, after, home.wall, home.wall)
    rows = home.store.page(after, home.store.limits.resume_rows).rows
    return changes_text(account, home.store.last_mids.get(author, Mid(0)), rows, home.wall, home.wall)


def _mutations(home: "Household", author: DeviceId, body: bytes) -> str:
    batch = read_batch(body, home.store.limits)
    assert not isinstance(batch, Fault)
    results: list[Result] = []
    error = _take(home, author, batch, results)
    return results_text(home.store.account.epoch, results, error, home.wall, home.wall)


def _take(
    home: "Household", author: DeviceId, batch: tuple[Mutate, ...], results: list[Result]
) -> tuple[Fault, Mid] | None:
    for mutate in batch:
        answer = home.apply(author, read(mutate))
        if isinstance(answer, server.Declined):
            return answer.fault, mutate.mid
        results.append(answer.result)
    return None
