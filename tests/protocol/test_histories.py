"""Whole histories: what holds whatever happens on a server, in any order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, json
from msgspec.structs import replace

from protocol._apply import assign
from protocol._classic import commit_delete, commit_post
from protocol._commit import commit_plain
from protocol._edits import Edit
from protocol._events import event_text
from protocol._framing import decode_server
from protocol._messages import ItemEvent
from protocol._records import Record
from protocol._settings import DEFAULT_LIMITS
from protocol._types import DeviceId, ItemId, RunId, Wall

from .ledger import Server
from .strategies import DEVICES, ITEM, KINDS, any_edits, any_fields, careful_edits, instants, zones


class Step(Struct, frozen=True):
    """One thing that happens on a server."""

    by: str
    edit: Edit
    body: dict[str, Any]
    now: Wall
    phase: str | None = None


_IDS = (ITEM, ItemId("second"), ItemId("third"))


def _steps() -> st.SearchStrategy[list[Step]]:
    edits = st.sampled_from(KINDS).flatmap(careful_edits) | any_edits
    moved = st.builds(lambda edit, ident: replace(edit, id=ident), edits, st.sampled_from(_IDS))
    body = st.sampled_from(KINDS).flatmap(
        lambda kind: st.builds(
            lambda fields, required: {"kind": kind} | required | fields,
            any_fields(kind),
            st.sampled_from([{}, {"time": "07:30", "duration_ms": 5}]),
        )
    )
    who = st.sampled_from([*DEVICES, *DEVICES, "plain", "post", "delete"])
    phase = st.sampled_from([None, "idle", "running", "paused"])
    return st.lists(st.builds(Step, by=who, edit=moved, body=body, now=instants, phase=phase), max_size=25)


def _happen(server: Server, step: Step) -> None:
    ident, now = step.edit.id, step.now
    match step.by:
        case "plain":
            make = lambda at: replace(step.edit, at=at)  # noqa: E731 - a name for what is passed on
            server.keep(commit_plain(server.found(ident), make, now, zones, DEFAULT_LIMITS))
        case "post":
            body = step.body | ({} if step.phase is None else {"phase": step.phase})
            run = RunId(f"c{server.account.rev}")
            server.keep(commit_post(server.found(ident), body, ident, now, zones, DEFAULT_LIMITS, run))
        case "delete":
            server.keep(commit_delete(server.found(ident), now))
        case device:
            server.mutate(DeviceId(device), server.last.get(DeviceId(device), 0) + 1, step.edit, now)


@given(_steps())
def test_a_replica_that_assigns_every_event_equals_the_server_stamps_included(steps: list[Step]) -> None:
    server = Server()
    for step in steps:
        _happen(server, step)
    replica: dict[str, Record] = {}
    for row in server.rows:
        event: Any = decode_server(event_text(row), 65_536)
        assert isinstance(event, ItemEvent)
        after = assign(replica.pop(row.id, None), event)
        if after is not None:
            replica[row.id] = after
    assert replica == server.records
    assert json.encode(replica, order="sorted") == json.encode(server.records, order="sorted")


@given(_steps())
def test_the_same_history_gives_the_same_bytes(steps: list[Step]) -> None:
    texts = []
    for _ in range(2):
        server = Server()
        for step in steps:
            _happen(server, step)
        texts.append([event_text(row) for row in server.rows])
    assert texts[0] == texts[1]


@given(_steps())
def test_rows_are_dense_times_of_a_field_rise_and_deleted_identifiers_stay_away(steps: list[Step]) -> None:
    server = Server()
    for step in steps:
        _happen(server, step)
    assert [row.rev for row in server.rows] == list(range(1, len(server.rows) + 1))
    assert server.account.rev == len(server.rows)
    assert server.account.newest_at == max((row.at for row in server.rows), default=0)
    gone: set[ItemId] = set()
    for row in server.rows:
        assert row.id not in gone
        if row.op == "delete":
            gone.add(row.id)
    assert gone == server.deleted
