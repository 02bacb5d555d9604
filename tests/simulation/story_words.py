"""What a step of a connection means, in words; and which steps are mere upkeep, to be counted."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec

from protocol import _facts as client_facts
from protocol import client, server


Fields = dict[str, Any]
HIDDEN = frozenset({"op", "kind", "id", "at", "fields", "stamps", "rev", "created_at", "updated_at", "updated_by"})
"""Of an edit or a change: what is said otherwise, or says nothing to a reader."""


LIVE = "is live"
TRYING = (
    *(f"is {name}" for name in get_args(client.LinkName)),
    "its socket is refused",
    "a poll fails",
    "closes the connection (1000 no transport in time)",
)
"""How a device begins to speak of its link: over and over, where it finds no way."""

LONG_AGO_MS = 1_000_000_000_000
"""A number as great as this is an instant of some day since 2001, not a length."""


def client_words(stimulus: Any, outputs: tuple[Any, ...]) -> Iterator[str]:
    """What a device's step says; nothing for upkeep."""
    yield from _client_input(stimulus)
    for output in outputs:
        yield from _client_output(output)


def server_words(stimulus: Any, outputs: tuple[Any, ...]) -> Iterator[str]:
    """What a step of the server's end says."""
    yield from _server_input(stimulus)
    for output in outputs:
        yield from _server_output(output)


def upkeep(stimulus: Any) -> str | None:
    """The name under which a step is counted while nothing is told of it."""
    match stimulus:
        case client.Received(data=data) | server.Received(data=data):
            return _frame_kind(data)
        case client.PollAnswered():
            return "polls"
        case _:
            return None


def _frame_kind(data: str) -> str:
    kind = data[9 : data.find('"', 9)] if data.startswith('{"type":"') else "other frame"
    return {"heartbeat": "heartbeats", "ping": "pings", "pong": "pongs", "ack": "acks"}.get(kind, "other frames")


# --- a device ---------------------------------------------------------------------------------------------------------


def _client_input(stimulus: Any) -> Iterator[str]:
    match stimulus:
        case client.Submit(entry=entry):
            yield f"edit {entry.mid}: {edit_words(entry.edit)}"
        case client.Refused(status=status, code=code):
            yield f"its socket is refused: {status} {code or ''}".rstrip()
        case client.Lost(code=code, reason=reason):
            yield f"loses the connection ({code}{', ' if reason else ''}{reason})"
        case client.TokenFailed(rejected=rejected, why=why):
            yield f"gets no token: {why}{' (the sign-in is refused)' if rejected else ''}"
        case client.PollFailed(status=status, code=code):
            yield f"a poll fails: {' '.join(str(part) for part in (status or 'no answer', code) if part)}"
        case (
            client.Start()
            | client.Stop()
            | client.Woke()
            | client.NetworkChanged()
            | client.SyncNow()
            | client.TakeOver()
        ):
            yield PLAIN[type(stimulus)]


PLAIN: dict[type[Any], str] = {
    client.Start: "starts its connection",
    client.Stop: "ends its connection, as asked",
    client.Woke: "notices that its clock jumped",
    client.NetworkChanged: "hears that the network may be back",
    client.SyncNow: "is asked to come up to date now",
    client.TakeOver: "is asked to win over the newer connection",
    server.Blocked: "the device does not read: what is sent waits",
    server.Drain: "drains: the process goes down",
}


def _client_output(output: Any) -> Iterator[str]:
    match output:
        case client.LinkChanged(state=state, why=why):
            yield f"is {state}{': ' if why else ''}{why}"
        case client.CloseTransport(code=code, reason=reason):
            yield f"closes the connection ({code} {reason})"
        case client.Store(fact=fact):
            yield from fact_words(fact)
        case client.Faulted(fault=fault):
            yield f"fault {fault.code}: {fault.message}"


def fact_words(fact: Any) -> Iterator[str]:
    """What a device learned."""
    match fact:
        case client_facts.EventsHeard(events=events):
            yield from map(event_words, events)
        case client_facts.SnapshotHeard(epoch=epoch, rev=rev, items=items):
            yield f"takes a snapshot at {epoch}:{rev}, {len(items)} records"
        case client_facts.ResultHeard(result=result):
            yield f"hears of edit {result.mid}: {result_words(result)}"
        case client_facts.Renamed(device=device):
            yield f"finds that it is a copy: it is {device} from now on"
        case client_facts.CursorDropped():
            yield "drops its cursor: the next session asks for a snapshot"


def event_words(event: Any) -> str:
    """A row of the log as a device takes it."""
    tag: Any = type(event).__struct_config__.tag
    said = f"takes rev {event.rev}: {tag.replace('_', ' ')}"
    if tag.endswith("_created"):
        # Its fields stand where its author made it.
        return f"{said} {event.data['id']}"
    changed: Fields = getattr(event, "changed", None) or {}
    return f"{said} {event.id} {field_words(changed)}".rstrip()


# --- the server's end -------------------------------------------------------------------------------------------------


def _server_input(stimulus: Any) -> Iterator[str]:
    match stimulus:
        case server.Joined(account=account, last_mid=last_mid):
            yield f"joins: head {account.epoch}:{account.rev}, floor {account.floor}, last edit {last_mid}"
        case server.TokenRejected(why=why):
            yield f"its token is rejected: {why}"
        case server.Evicted(code=code, reason=reason):
            yield f"is evicted ({code} {reason})"
        case server.Answered(result=result):
            yield f"edit {result.mid} {result_words(result)}"
        case server.Declined(mid=mid, fault=fault):
            yield f"edit {mid} is not taken: {fault.code}: {fault.message}"
        case server.StoreFailed(what=what):
            yield f"the store cannot do this now: {what}"
        case server.Resync(epoch=epoch, rev=rev, reason=reason):
            yield f"must start afresh at {epoch}:{rev} ({reason})"
        case server.Closed(code=code):
            yield f"sees the connection end ({code})"
        case server.Blocked() | server.Drain():
            yield PLAIN[type(stimulus)]


def _server_output(output: Any) -> Iterator[str]:
    match output:
        case server.CloseTransport(code=code, reason=reason):
            yield f"closes the connection ({code} {reason})"
        case server.AbortTransport():
            yield "ends the connection without a word"
        case server.Refuse(status=status, code=code):
            yield f"refuses the request: {status} {code}"
        case server.RenewEpoch(seen=seen):
            yield f"asks for a new epoch: the device is ahead of {seen}"


# --- edits and answers ------------------------------------------------------------------------------------------------


def edit_words(edit: Any) -> str:
    """What a user did."""
    data: Fields = msgspec.to_builtins(edit)
    return f"{data['op']} {edit.kind} {edit.id} {field_words({**data.get('fields', {}), **data})}".rstrip()


def field_words(data: Fields) -> str:
    """Fields and values; what is empty or hidden is left out."""
    return " ".join(
        f"{name}={_value(value)}" for name, value in data.items() if name not in HIDDEN and value not in SKIPPED
    )


SKIPPED: tuple[Any, ...] = (None, "", [], {})


def _value(value: Any) -> str:
    match value:
        case int() if value >= LONG_AGO_MS:
            return moment(value)
        case str():
            return value if value.isascii() and " " not in value and value else repr(value)
        case list():
            return ",".join(map(_value, value))
        case dict():
            return "{" + field_words(value) + "}"
        case _:
            return str(value)


def instant(ms: int) -> datetime:
    """A true instant, in UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def moment(ms: int) -> str:
    """A true instant, as short as a reader needs it."""
    return f"{instant(ms):%m-%dT%H:%M:%S}"


def readable(text: str) -> str:
    """A sentence with its instants, given in ms, as dates."""
    return re.sub(r"\b1\d{12}\b", lambda found: f"{instant(int(found[0])):%Y-%m-%d %H:%M:%S.%f}"[:-3], text)


def result_words(result: Any) -> str:
    """An answer to an edit."""
    repeated = ", as before" if result.dup else ""
    if result.status == "rejected":
        return f"is rejected{repeated}: {result.code}: {result.message}"
    return f"is {result.status} at rev {result.rev}{repeated}"
