"""The classic interface as its guide shows it (docs/websocket.md): `curl` on one side, two independent sockets on the other.

Whatever one client gets wrong, two bystanders of the same user and one of another hear nothing of it, and nothing is kept.
"""

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from . import programs
from .classic_people import Person, Server, record_of
from .curl import PATIENCE, curl
from .programs import ITEMS, WS
from .wire_clients import BareWire, LibraryWire, Listener, Refused


CLIENTS: list[type[LibraryWire | BareWire]] = [LibraryWire, BareWire]
PASSWORD = "correct horse battery"

COMMON = {"id", "kind", "label", "sound", "ring_s", "snooze_s", "auto_snooze", "extra", "acked", "snooze", "rev"} | {
    "created_at", "updated_at", "updated_by",
}  # fmt: skip
ALARM = COMMON | {"enabled", "time", "days", "date", "tz", "skip"}
TIMER = COMMON | {"duration_ms", "phase", "run", "started_at", "ends_at", "remaining_ms"}


# -------------------------------------------------------------------------------------------------- a server and a user


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("classic"))
    try:
        yield running
        assert running.process.poll() is None, "it lives through all of this"
        assert running.log.read_text() == "", "and finds nothing to complain about on its own side"
    finally:
        running.end()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as everything:
        yield everything


@pytest.fixture
def ada(server: Server, stack: ExitStack) -> Person:
    return Person(server, stack)


@pytest.fixture
def undisturbed(server: Server, ada: Person, stack: ExitStack) -> Iterator[None]:
    """Bystanders, one client of each kind and a stranger: they hear nothing of the test, and still hear what comes after."""
    before = ada.made({"kind": "alarm", "time": "06:00", "label": "Before"})
    stranger = Person(server, stack)
    bystanders = [ada.listen(client) for client in CLIENTS]
    elsewhere = stranger.listen(BareWire)
    yield
    assert ada.items() == (1, [before]), "something of it was kept"
    assert [listener.heard() for listener in (*bystanders, elsewhere)] == [[], [], []]
    after = ada.made({"kind": "alarm", "time": "07:00", "label": "After"})
    assert [listener.heard()[0]["data"] for listener in bystanders] == [after, after]
    assert elsewhere.heard() == []


# ------------------------------------------------------------------------------------------------------- what the guide shows


@pytest.mark.parametrize("client", CLIENTS)
def test_a_change_by_request_reaches_a_socket_with_the_whole_record(ada: Person, client: type[Any]) -> None:
    listener = ada.listen(client)
    made = ada.ask(
        "POST", body={"kind": "alarm", "label": "Work", "time": "07:00", "days": ["mo"], "tz": "Europe/Berlin"}
    )
    item = made.json["id"]
    changed = ada.ask("POST", body={"id": item, "time": "07:15"})
    gone = ada.ask("DELETE", f"{ITEMS}/{item}")
    assert (made.status, changed.status, gone.status, gone.json["deleted"]) == (201, 200, 200, True)
    created, updated, deleted = listener.heard()
    assert [event["type"] for event in (created, updated, deleted)] == [
        "alarm_created",
        "alarm_updated",
        "alarm_deleted",
    ]
    assert [event["rev"] for event in (created, updated, deleted)] == [1, 2, 3]
    assert (created["data"], updated["data"]) == (record_of(made), record_of(changed))
    assert created["data"].keys() == updated["data"].keys() == ALARM
    assert (updated["data"]["label"], updated["data"]["time"]) == ("Work", "07:15")
    assert (deleted["id"], deleted["data"]) == (item, {"id": item, "kind": "alarm"})
    assert [event["origin"] for event in (created, updated, deleted)] == [None] * 3
    for event in (created, updated, deleted):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_timer_is_started_by_posting_the_phase_that_is_wanted(ada: Person, client: type[Any]) -> None:
    listener = ada.listen(client)
    item = ada.made({"kind": "timer", "label": "Tea", "duration_ms": 240_000})["id"]
    for phase in ("running", "paused", "running", "idle"):
        assert ada.made({"id": item, "phase": phase})["phase"] == phase
    ada.ask("DELETE", f"{ITEMS}/{item}")
    events = listener.heard()
    assert [event["type"] for event in events] == ["timer_created", *["timer_updated"] * 4, "timer_deleted"]
    assert all(event["data"].keys() == TIMER for event in events[:-1])
    running, paused = events[1]["data"], events[2]["data"]
    assert running["ends_at"] == running["started_at"] + 240_000
    assert 0 < paused["remaining_ms"] <= 240_000


@pytest.mark.parametrize("client", CLIENTS)
def test_a_ping_is_answered_at_once_with_what_it_brought(ada: Person, client: type[Any]) -> None:
    listener = ada.listen(client)
    listener.say(type="ping", t0=12345)
    pong = listener.hear()
    assert (pong["type"], pong["t0"]) == ("pong", 12345)
    assert pong["t1"] <= pong["t2"]
    listener.say(type="ping")
    assert listener.hear().keys() == {"type", "t1", "t2"}


@pytest.mark.parametrize("client", CLIENTS)
def test_heartbeats_are_numbered_and_tell_the_head_and_the_time(ada: Person, client: type[Any]) -> None:
    listener = ada.listen(client)
    ada.made({"kind": "alarm", "time": "07:00"})
    assert len(listener.heard()) == 1
    beats = [listener.heartbeat() for _ in range(3)]
    assert [beat["n"] for beat in beats] == [beats[0]["n"], beats[0]["n"] + 1, beats[0]["n"] + 2]
    assert all(beat.keys() == {"type", "n", "t", "rev"} and beat["rev"] == 1 for beat in beats)
    assert beats[0]["t"] < beats[1]["t"] < beats[2]["t"]


@pytest.mark.parametrize("client", CLIENTS)
def test_subscribing_narrows_the_topics_and_unsubscribing_takes_the_rest(ada: Person, client: type[Any]) -> None:
    listener = ada.listen(client)
    for action, topics, left in [
        ("subscribe", ["timers"], ["timers"]),
        ("subscribe", ["alarms"], ["alarms", "timers"]),
        ("unsubscribe", ["timers"], ["alarms"]),
        ("unsubscribe", ["alarms"], []),
    ]:
        listener.say(type=action, topics=topics)
        assert listener.hear() == {"type": f"{action}d", "topics": left}
        ada.made({"kind": "alarm", "time": "07:00"})
        ada.made({"kind": "timer", "duration_ms": 1_000})
        assert [event["type"].partition("_")[0] + "s" for event in listener.heard()] == left


def test_a_user_hears_only_of_own_items(server: Server, ada: Person, stack: ExitStack) -> None:
    bob = Person(server, stack)
    listeners = [person.listen(client) for person in (ada, bob) for client in CLIENTS]
    of_ada, of_bob = ada.made({"kind": "alarm", "time": "07:00"}), bob.made({"kind": "timer", "duration_ms": 1_000})
    heard = [[event["data"] for event in listener.heard()] for listener in listeners]
    assert heard == [[of_ada], [of_ada], [of_bob], [of_bob]]
    assert bob.ask("DELETE", f"{ITEMS}/{of_ada['id']}").json["deleted"] is False
    assert ada.items()[1] == [of_ada]


def test_the_statistics_count_connections_events_by_type_and_errors(ada: Person) -> None:
    before = ada.ask("GET", f"{WS}/stats").json
    listeners = [ada.listen(client) for client in CLIENTS]
    ada.made({"kind": "alarm", "time": "07:00"})
    ada.ask("POST", body=b"{")
    after = ada.ask("GET", f"{WS}/stats").json
    assert after["own_connections"] == len(listeners) == 2
    assert after["connections"] >= 2
    assert after["events"]["alarm_created"] == before["events"].get("alarm_created", 0) + 1
    assert after["errors"]["bad_json"] == before["errors"].get("bad_json", 0) + 1
    assert ada.name not in json.dumps(after)


def test_the_requests_of_the_guide_work_as_they_are_printed(server: Server, ada: Person) -> None:
    command = [sys.executable, "-m", "server_trio", "user", "add", ada.name, "--password-stdin"]
    command += ["--database", f"sqlite:///{server.database}"]
    subprocess.run(
        command, input=PASSWORD.encode(), env=server.environ, cwd=programs.ROOT, check=True, capture_output=True
    )
    known = {"https://tocsin.example": server.url, "ada": ada.name, "…": PASSWORD}
    sign_in, create, delete, statistics = commands("docs/websocket.md")
    known["$TOKEN"] = curl(*printed(sign_in, known)).json["access_token"]
    listener = ada.listen(LibraryWire)
    known["$ID"] = curl(*printed(create, known)).json["id"]
    assert curl(*printed(delete, known)).json["deleted"] is True
    assert curl(*printed(statistics, known)).json["own_connections"] == 1
    assert [event["type"] for event in listener.heard()] == ["alarm_created", "alarm_deleted"]


def test_the_request_of_the_readme_works_as_it_is_printed(server: Server, ada: Person) -> None:
    listener = ada.listen(BareWire)
    (create,) = commands("README.md")
    made = curl(*printed(create, {"http://127.0.0.1:8765": server.url, "$token": ada.token}))
    (event,) = listener.heard()
    assert (event["type"], event["data"]) == ("alarm_created", record_of(made))


def commands(page: str) -> list[str]:
    """Every `curl` command of a page, each on one line."""
    text = (programs.ROOT / page).read_text("utf-8").replace("\\\n", "")
    return [line.strip() for line in text.splitlines() if line.strip().startswith("curl ")]


def printed(command: str, known: dict[str, str]) -> list[str]:
    """The arguments of a printed command, its stand-ins replaced."""
    for name, value in known.items():
        command = command.replace(name, value)
    return shlex.split(command)[1:]


def test_the_listener_of_the_guide_runs_as_it_is_printed(server: Server, ada: Person) -> None:
    text = (programs.ROOT / "docs" / "websocket.md").read_text("utf-8")
    program = text.partition("### Listening (classic)\n\n```python\n")[2].partition("```")[0]
    environ = server.environ | {"TOCSIN_URL": f"ws://127.0.0.1:{server.port}", "TOCSIN_TOKEN": ada.token}
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            until_connected(ada)
            item = ada.made({"kind": "alarm", "time": "07:00", "label": "Work"})["id"]
            ada.ask("DELETE", f"{ITEMS}/{item}")
            assert process.stdout is not None
            assert process.stdout.readline() == "alarm_created Work\n"
            assert process.stdout.readline() == f"alarm_deleted {item}\n"
        finally:
            process.kill()


def until_connected(person: Person) -> None:
    """Wait until another process has a socket: only the server can tell."""
    deadline = time.monotonic() + PATIENCE
    while not person.ask("GET", f"{WS}/stats").json["own_connections"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


# ----------------------------------------------------------------------------------------------------------- what goes wrong


def alarm(**fields: object) -> bytes:
    return json.dumps({"kind": "alarm", "time": "07:00", **fields}).encode()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", (400, "bad_json", None)),
        (b"{", (400, "bad_json", None)),
        (b"\xff\xfe", (400, "bad_json", None)),
        (b"[]", (400, "bad_json", None)),
        (alarm(time=700), (422, "invalid", "time")),
        (alarm(label=["Work"]), (422, "invalid", "label")),
        (alarm(enabled="yes"), (422, "invalid", "enabled")),
        (alarm(days="mo"), (422, "invalid", "days")),
        (alarm(id=7), (422, "invalid", "id")),
        (alarm(time="25:00"), (422, "invalid", "time")),
        (alarm(time="07:60"), (422, "invalid", "time")),
        (alarm(date="2027-02-30"), (422, "invalid", "date")),
        (alarm(label="x" * 201), (422, "invalid", "label")),
        (alarm(extra={"x": "x" * 2_048}), (422, "invalid", "extra")),
        (alarm(tz="Mars/Olympus"), (422, "bad_zone", "tz")),
        (alarm(tz="../../etc/passwd"), (422, "invalid", "tz")),
        (alarm(kind="bell"), (422, "unknown_kind", "kind")),
        (alarm(kind=None), (422, "invalid", "kind")),
        (b'{"kind":"alarm"}', (422, "invalid", "time")),
        (b'{"kind":"timer"}', (422, "invalid", "duration_ms")),
        (b'{"kind":"timer","duration_ms":0}', (422, "invalid", "duration_ms")),
        (b'{"kind":"timer","duration_ms":1000,"phase":"paused"}', (422, "invalid", "phase")),
        (alarm(label="x" * 16_384), (413, "too_big", None)),
        (alarm(label="x" * 1_048_576), (413, "too_big", None)),
    ],
)
@pytest.mark.usefixtures("undisturbed")
def test_a_wrong_item_is_answered_with_a_code_and_the_name_of_the_field(
    ada: Person, body: bytes, error: tuple[int, str, str | None]
) -> None:
    assert ada.ask("POST", body=body).error == error


@pytest.mark.usefixtures("undisturbed")
def test_a_deleted_item_does_not_come_back(ada: Person, server: Server, stack: ExitStack) -> None:
    other = Person(server, stack)
    item = other.made({"kind": "alarm", "time": "07:00"})["id"]
    other.ask("DELETE", f"{ITEMS}/{item}")
    assert other.ask("POST", body={"kind": "alarm", "id": item, "time": "07:00"}).error == (410, "gone", "id")
    assert other.items() == (2, [])


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "token_invalid"),
        (["-H", "Authorization: Bearer rubbish"], "token_invalid"),
        (["-H", "Authorization: Basic YWRhOng="], "token_invalid"),
        (["-H", f"Authorization: Bearer {programs.token('ada', ttl=-60)}"], "token_expired"),
    ],
)
@pytest.mark.usefixtures("undisturbed")
def test_a_request_without_a_good_token_is_answered_401(server: Server, headers: list[str], code: str) -> None:
    item = f"{server.url}{ITEMS}"
    assert curl("-d", alarm().decode(), item, *headers).error == (401, code, None)
    assert curl("-X", "DELETE", f"{item}/some-id", *headers).error == (401, code, None)
    assert curl(f"{item}/ws/stats", *headers).error == (401, code, None)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "token_invalid"),
        ("?token=", "token_invalid"),
        ("?token=rubbish", "token_invalid"),
        (f"?token={programs.token('ada', ttl=-60)}", "token_expired"),
    ],
)
@pytest.mark.usefixtures("undisturbed")
def test_a_socket_without_a_good_token_is_refused_with_401(
    server: Server, client: type[Any], query: str, code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        client(server.port, WS + query)
    assert (refusal.value.status, refusal.value.code) == (401, code)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("undisturbed")
def test_a_token_in_a_header_is_as_good_and_one_of_another_scheme_is_none(ada: Person, client: type[Any]) -> None:
    with closing(client(ada.server.port, WS, Authorization=f"Bearer {ada.token}")) as wire:
        assert Listener(wire).heard() == []
    with pytest.raises(Refused) as refusal:
        client(ada.server.port, f"{WS}?token={ada.token}", Authorization="Basic YWRhOng=")
    assert (refusal.value.status, refusal.value.code) == (401, "token_invalid")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("{", "bad_json", None),
        ("[]", "bad_json", None),
        ('{"t0":1}', "bad_message", "type"),
        ('{"type":"subscribe"}', "bad_message", "topics"),
        ('{"type":"subscribe","topics":["clocks"]}', "invalid", "topics"),
        ('{"type":"mutate","mid":1,"op":"create"}', "bad_message", "type"),
    ],
)
@pytest.mark.usefixtures("undisturbed")
def test_a_wrong_message_is_answered_with_an_error_and_ends_nothing(
    ada: Person, client: type[Any], text: str, code: str, field: str | None
) -> None:
    listener = ada.listen(client)
    listener.wire.send(text)
    error = listener.hear()
    assert (error["type"], error["code"], error.get("field")) == ("error", code, field)
    assert listener.heard() == []


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("undisturbed")
def test_a_message_over_the_limit_ends_its_own_socket_with_1009(ada: Person, client: type[Any]) -> None:
    listener = ada.listen(client)
    listener.wire.send(json.dumps({"type": "ping", "padding": "x" * 65_536}))
    assert listener.ending() == 1009
    assert ada.listen(client).heard() == []
