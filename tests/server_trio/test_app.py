"""The HTTP interface over a real server: every route, every way to be refused, and that nothing leaks."""

from __future__ import annotations

import json
import logging
import re
import tomllib
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.exceptions import BadRequest, InternalServerError, RequestTimeout

from protocol import HTTP_STATUS
from server_trio.app import create_app
from server_trio.door import Door
from server_trio.openapi import DOCUMENT
from server_trio.passwords import Passwords
from server_trio.routes import ROUTES

from ..programs import ROOT
from .parts import parts
from .plain_client import Peer
from .whole_server import ITEMS, WS, WholeServer, alarm, stamped, timer


PASSWORD = "correct horse battery"


async def add_user(server: WholeServer, name: str = "ada") -> None:
    hashed = await Passwords().hash(PASSWORD)
    assert await server.services.store.add_user(name, hashed, server.services.wall())


# --------------------------------------------------------------------------------------------------------------- items


async def test_a_post_makes_an_item_with_201_and_changes_it_with_200(server: WholeServer) -> None:
    token = server.token()
    made = await server.http("POST", ITEMS, alarm(label="Work"), token=token)
    assert (made.status, made.json["label"], made.json["rev"]) == (201, "Work", 1)
    assert stamped(made)
    changed = await server.http("POST", ITEMS, {"id": made.json["id"], "label": "Office"}, token=token)
    assert (changed.status, changed.json["label"], changed.json["time"]) == (200, "Office", "07:00")
    assert changed.json["rev"] == 2


async def test_a_post_is_answered_with_the_record_once_beside_epoch_and_clock(server: WholeServer) -> None:
    """Classic clients read the members of the record at the top."""
    token = server.token()
    made = await server.post(alarm(), token)
    (record,) = (await server.http("GET", ITEMS, token=token)).json["items"]
    assert made.keys() == record.keys() | {"epoch", "t1", "t2"}
    assert {name: made[name] for name in record} == record


async def test_an_item_can_be_read_alone_and_among_all(server: WholeServer) -> None:
    token = server.token()
    made = await server.post(alarm(), token)
    one = await server.http("GET", f"{ITEMS}/{made['id']}", token=token)
    everything = await server.http("GET", ITEMS, token=token)
    assert one.status == everything.status == 200
    assert stamped(one)
    assert stamped(everything)
    (record,) = everything.json["items"]
    assert {name: one.json[name] for name in record} == {name: made[name] for name in record} == record
    assert (everything.json["rev"], everything.json["last_mid"], everything.json["deleted"]) == (1, 0, [])


async def test_the_sockets_address_says_what_it_is_to_a_plain_request(server: WholeServer) -> None:
    answer = await server.http("GET", f"{ITEMS}/ws", token=server.token())
    assert (answer.status, answer.json["error"]["code"]) == (426, "version")


async def test_deleting_succeeds_for_an_unknown_id_too_but_only_a_real_one_makes_an_event(server: WholeServer) -> None:
    token = server.token()
    made = await server.post(alarm(), token)
    socket = await server.classic(token=token)
    unknown = await server.http("DELETE", f"{ITEMS}/{uuid4()}", token=token)
    assert (unknown.status, unknown.json["deleted"]) == (200, False)
    gone = await server.http("DELETE", f"{ITEMS}/{made['id']}", token=token)
    assert (gone.status, gone.json["deleted"], gone.json["rev"]) == (200, True, 2)
    assert (await socket.hear())["type"] == "alarm_deleted"
    assert await socket.silent()
    again = await server.http("POST", ITEMS, alarm(id=made["id"]), token=token)
    assert (again.status, again.code) == (410, "gone")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "bad_json", None),
        (b"{", "bad_json", None),
        (b"[]", "bad_json", None),
        (b"\xff", "bad_json", None),
        (b'{"label":"\xff"}', "bad_json", None),
        (b"[" * 10_000, "bad_json", None),
        ({"time": "07:00"}, "invalid", "kind"),
        ({"kind": "alarm"}, "invalid", "time"),
        ({"kind": "lamp"}, "unknown_kind", "kind"),
        (alarm(time="25:00"), "invalid", "time"),
        (alarm(time=7), "invalid", "time"),
        (alarm(days=["noday"]), "invalid", "days"),
        (alarm(tz="Mars/Olympus"), "bad_zone", "tz"),
        (alarm(label="x" * 201), "invalid", "label"),
        (alarm(enabled="yes"), "invalid", "enabled"),
        (alarm(extra={"x": "y" * 3_000}), "invalid", "extra"),
        (alarm(id="a b"), "invalid", "id"),
        (alarm(id=7), "invalid", "id"),
        (timer(duration_ms=0), "invalid", "duration_ms"),
        (timer(phase="paused"), "invalid", "phase"),
        (b'{"kind":"alarm","x":"' + b"y" * 16_384 + b'"}', "too_big", None),
    ],
)
async def test_a_body_that_is_wrong_is_refused_by_name_and_changes_nothing(
    server: WholeServer, body: Any, code: str, field: str | None
) -> None:
    token = server.token()
    refused = await server.http("POST", ITEMS, body, token=token)
    assert (refused.status, refused.code) == (HTTP_STATUS[code], code), refused.raw
    assert refused.json["error"].get("field") == field
    assert isinstance(refused.json["error"]["message"], str)
    assert stamped(refused)
    assert (await server.http("GET", ITEMS, token=token)).json["rev"] == 0


async def test_another_users_id_means_nothing_here(server: WholeServer) -> None:
    ada, bob = server.token("ada"), server.token("bob")
    made = await server.post(alarm(label="secret of ada"), ada)
    path = f"{ITEMS}/{made['id']}"
    unknown, foreign = [await server.http("GET", p, token=bob) for p in (f"{ITEMS}/{uuid4()}", path)]
    assert (unknown.status, unknown.code) == (foreign.status, foreign.code) == (404, "not_found")
    assert (await server.http("DELETE", path, token=bob)).json["deleted"] is False
    own = await server.http("POST", ITEMS, alarm(id=made["id"], label="bob's"), token=bob)
    assert own.status == 201
    assert (await server.http("GET", path, token=ada)).json["label"] == "secret of ada"


# -------------------------------------------------------------------------------------------------------------- tokens


PRIVATE = [route for route in ROUTES if route.private is not None]


@pytest.mark.parametrize("route", PRIVATE, ids=lambda route: f"{route.method} {route.path}")
async def test_no_private_route_answers_without_a_token_that_holds(server: WholeServer, route: Any) -> None:
    path = route.path.replace("<item>", "x")
    expired = server.token(ttl=-60)
    for headers, code in [
        ({}, "token_invalid"),
        ({"Authorization": f"Basic {server.token()}"}, "token_invalid"),
        ({"Authorization": "Bearer nonsense"}, "token_invalid"),
        ({"Authorization": f"Bearer {server.token()}x"}, "token_invalid"),
        ({"Authorization": f"Bearer {expired}"}, "token_expired"),
    ]:
        reply = await server.http(route.method, path, **headers)
        assert (reply.status, reply.code) == (401, code)
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert "epoch" not in reply.json
    query = await server.http(route.method, f"{path}?token={server.token()}")
    assert query.status == 401


async def test_signing_in_gives_tokens_that_open_everything_and_signing_out_takes_them_back(
    server: WholeServer,
) -> None:
    await add_user(server)
    reply = await server.http("POST", "/api/auth/token", {"name": "ada", "password": PASSWORD})
    assert reply.status == 200
    pair = reply.json
    assert pair["token_type"] == "bearer"
    assert 3_500 < pair["expires_in"] <= 3_600
    token = pair["access_token"]
    classic, (v1, _) = await server.classic(token=token), await server.v1(token=token)
    fresh = (await server.http("POST", "/api/auth/refresh", {"refresh_token": pair["refresh_token"]})).json
    assert fresh["access_token"] != token
    assert (await server.http("POST", "/api/auth/logout", token=fresh["access_token"])).json["signed_out"] is True
    assert (await classic.ending())[1] == 4003
    heard, code, _ = await v1.ending()
    assert (heard[-1]["type"], heard[-1]["code"], code) == ("goodbye", 4003, 4003)
    refused = await server.http("GET", ITEMS, token=token)
    assert (refused.status, refused.code) == (403, "forbidden")
    _, head = await server.ask(f"{WS}?token={token}")
    assert head.startswith(b"HTTP/1.1 403")
    again = await server.http("POST", "/api/auth/refresh", {"refresh_token": fresh["refresh_token"]})
    assert (again.status, again.code) == (401, "token_invalid")


async def test_a_wrong_name_and_a_wrong_password_look_the_same(server: WholeServer) -> None:
    await add_user(server)
    wrong = [
        await server.http("POST", "/api/auth/token", {"name": name, "password": "not this one"})
        for name in ("ada", "nobody")
    ]
    assert {(reply.status, reply.code, reply.json["error"]["message"]) for reply in wrong} == {
        (403, "forbidden", wrong[0].json["error"]["message"])
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"),
        (b'{"name":"\xff","refresh_token":"\xff"}', "bad_json"),
        (b"{}", "bad_message"),
        ({"name": 7}, "bad_message"),
    ],
)
async def test_credentials_that_are_none_are_a_bad_request(server: WholeServer, body: Any, code: str) -> None:
    for path in ("/api/auth/token", "/api/auth/refresh"):
        reply = await server.http("POST", path, body)
        assert (reply.status, reply.code) == (400, code)


async def test_no_token_and_no_password_is_ever_logged(server: WholeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await add_user(server)
    token, password = server.token(), "hunter2-hunter2"
    await server.http("POST", "/api/auth/token", {"name": "ada", "password": password})
    await server.http("GET", f"{ITEMS}?token={token}", token=token)
    socket = await server.classic(token=token)
    await socket.say(type="auth", token=token)
    await socket.hear()
    v1, _ = await server.v1(token=token)
    await v1.say(type="auth", token=token)
    assert (await v1.hear())["type"] == "auth_ok"
    await v1.say(type="hello", token=token)
    await v1.ending()
    await server.ask(f"{WS}?token={token}x")
    told = caplog.text + repr(server.services) + repr(list(server.services.hub._sessions))
    assert token not in told
    assert token.split(".")[2] not in told
    assert password not in told


# --------------------------------------------------------------------------------------------------------- the server


async def test_the_statistics_count_connections_events_and_errors(server: WholeServer) -> None:
    token = server.token()
    socket = await server.classic(token=token)
    await server.classic("bob")
    await server.post(alarm(), token)
    await server.post(timer(), token)
    await server.http("GET", f"{ITEMS}/{uuid4()}", token=token)
    assert await socket.hear()
    stats = (await server.http("GET", f"{WS}/stats", token=token)).json
    assert (stats["connections"], stats["users"], stats["own_connections"], stats["deliveries"]) == (2, 2, 1, 2)
    assert stats["events"] == {"alarm_created": 1, "timer_created": 1}
    assert stats["errors"] == {"not_found": 1}


async def test_the_health_check_needs_no_token_and_names_the_version_of_the_project(server: WholeServer) -> None:
    reply = await server.http("GET", "/healthz")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (reply.status, reply.json) == (200, {"status": "ok", "version": project["version"]})


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/", 404, "not_found", None),
        ("GET", "/api/alarms-timers/", 404, "not_found", None),
        ("GET", "/api//alarms-timers", 404, "not_found", None),
        ("PUT", ITEMS, 405, "method", "GET, HEAD, POST"),
        ("PATCH", f"{ITEMS}/x", 405, "method", "DELETE, GET, HEAD"),
        ("OPTIONS", ITEMS, 405, "method", "GET, HEAD, POST"),
        # This could be an item of that name, too.
        ("POST", WS, 405, "method", "DELETE, GET, HEAD"),
        ("POST", "/healthz", 405, "method", "GET, HEAD"),
    ],
)
async def test_an_address_or_method_that_is_none_gets_the_one_form_of_error(
    server: WholeServer, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    """docs/protocol.md#http-errors; RFC 9110, section 15.5.6."""
    reply = await server.http(method, path)
    assert (reply.status, reply.code) == (status, code)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers.get("allow") == allow


@pytest.mark.parametrize(
    ("error", "status", "code", "failures"),
    [
        (ValueError("hush"), 500, "internal", 1),
        (InternalServerError("hush"), 500, "internal", 1),
        (BadRequest("hush"), 400, "bad_message", 0),
        (RequestTimeout("hush"), 400, "bad_message", 0),
    ],
)
async def test_what_fails_outside_of_every_handler_gets_the_one_form_of_error(
    tmp_path: Path, error: Exception, status: int, code: str, failures: int, caplog: pytest.LogCaptureFixture
) -> None:
    """docs/protocol.md#http-errors."""

    def fail() -> None:
        raise error

    async with parts(tmp_path) as made:
        app = create_app(made.services)
        app.before_request(fail)
        answer = await app.test_client().get(ITEMS)
        told = await answer.get_json()
        assert (answer.status_code, told["error"]["code"]) == (status, code)
        assert (told["t1"], told["t2"]) == (made.wall, made.wall)
        assert made.hub.statistics().errors == {code: 1}
        assert made.services.background.failures == failures
    assert ("test_app.py" in caplog.text) is bool(failures)
    assert "hush" not in caplog.text


async def test_the_description_names_every_route_and_no_other(server: WholeServer) -> None:
    described = {
        (method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
        if method != "parameters"
    }
    served = {(route.method, re.sub("<(.*?)>", r"{\1}", route.path)) for route in ROUTES}
    assert described == served
    app = create_app(server.services)
    routed = {(m, rule.rule) for rule in app.url_map.iter_rules() if not rule.websocket for m in rule.methods or ()}
    assert {pair for pair in routed if pair[0] != "HEAD"} == {(route.method, route.path) for route in ROUTES}
    assert (await server.http("GET", "/openapi.json")).json == json.loads(json.dumps(DOCUMENT))


def test_every_reference_of_the_description_leads_somewhere() -> None:
    for reference in set(re.findall(r'"\$ref": "#/(.*?)"', json.dumps(DOCUMENT))):
        found: Any = DOCUMENT
        for step in reference.split("/"):
            found = found[step]
        assert isinstance(found, dict)


async def test_the_door_answers_byte_for_byte_as_the_route_behind_it(server: WholeServer) -> None:
    app, token = create_app(server.services), server.token()
    await server.post(alarm(id="one"), token)
    bodies = [b"", b"[]", json.dumps({"kind": "lamp"}).encode(), b"x" * 20_000]
    made = json.dumps(alarm(id="one")).encode()
    for body, headers in [
        *((body, [(b"authorization", f"Bearer {token}".encode())]) for body in (*bodies, made)),
        (made, []),
        (made, [(b"authorization", b"Bearer x")]),
        (made, [(b"authorization", b"Bearer x"), (b"authorization", f"Bearer {token}".encode())]),
    ]:
        direct = await _asked(app, headers, body)
        through = await _asked(Door(app, server.services), headers, body)
        assert through == direct


async def _asked(app: Any, headers: list[tuple[bytes, bytes]], body: bytes) -> tuple[Any, ...]:
    scope: dict[str, Any] = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": ITEMS, "raw_path": ITEMS,
        "query_string": b"", "root_path": "", "headers": [(b"host", b"localhost"), *headers], "state": {},
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "extensions": {}, "asgi": {"version": "3.0"},
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    await app(scope, receive, send)
    start = sent[0]
    whole = b"".join(event["body"] for event in sent[1:])
    # What differs from one request to the next whoever answers: the clock, and the number of the change.
    neutral = re.sub(rb'"(t1|t2|rev)":\d+|"(created_at|updated_at)":"[^"]*"', b"", whole)
    return start["status"], list(start["headers"]), neutral


async def test_pipelined_and_kept_alive_requests_are_answered_in_order(server: WholeServer) -> None:
    peer: Peer = await server.connect()
    token = server.token()
    requests = b"".join(
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (ITEMS.encode(), token.encode(), len(body), body)
        for body in (json.dumps(alarm(id=f"n{number}")).encode() for number in range(5))
    )
    await peer.send(requests)
    answers = [await peer.answer() for _ in range(5)]
    assert [(status, json.loads(body)["id"]) for status, body in answers] == [(201, f"n{n}") for n in range(5)]
