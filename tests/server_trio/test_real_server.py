"""The program itself: started as users start it, killed as systems kill it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from protocol import SessionId, UserId
from server_trio.auth import Tokens

from .whole_server import ITEMS, SECRET, WS, alarm, hello_of


ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0


class Program:
    """A server in a process of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        environment |= {"TOCSIN_JWT_SECRET": SECRET, "PYTHONPATH": str(ROOT), **settings}
        command = [sys.executable, "-m", "server_trio", "serve", "--port", "0", "--json"]
        command += ["--database", f"sqlite:///{folder / 'tocsin.db'}"]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.url: str = ready["ready"]
        self.port = int(self.url.rpartition(":")[2])
        self.token = Tokens(SECRET).issue(UserId("ada"), SessionId("s"), 3_600)

    def http(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {self.token}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        decoded = json.loads(answer.read())
        connection.close()
        return decoded

    @contextmanager
    def v1(self, **hello: Any) -> Iterator[tuple[ClientConnection, list[Any]]]:
        """A session by an independent client, and what it heard up to `synced`."""
        headers = {"Authorization": f"Bearer {self.token}"}
        with connect(f"{self.url}{WS}", subprotocols=[Subprotocol("tocsin.v1")], additional_headers=headers) as socket:
            socket.send(json.dumps(hello_of(**hello)))
            heard = [json.loads(socket.recv(PATIENCE))]
            while heard[-1]["type"] != "synced":
                heard.append(json.loads(socket.recv(PATIENCE)))
            yield socket, heard

    def end(self, how: signal.Signals) -> tuple[int, str]:
        """Exit status, and what was logged."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


@contextmanager
def program(folder: Path, **settings: str) -> Iterator[Program]:
    """Runs until the end of the block at the latest."""
    running = Program(folder, **settings)
    try:
        yield running
    finally:
        running.end(signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_server_and_it_exits_with_zero(tmp_path: Path, how: signal.Signals) -> None:
    with program(tmp_path) as server, server.v1() as (socket, _):
        server.process.send_signal(how)
        goodbye = json.loads(socket.recv(PATIENCE))
        assert (goodbye["type"], goodbye["code"]) == ("goodbye", 4200)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4200
        status, errors = server.end(how)
        assert status == 0, errors
        assert "Traceback" not in errors


def test_what_was_answered_survives_a_kill_and_is_replayed_to_who_missed_it(tmp_path: Path) -> None:
    with program(tmp_path) as server:
        with server.v1() as (_, heard):
            epoch = heard[0]["epoch"]
        made = server.http("POST", ITEMS, alarm(label="before"))
        server.http("POST", ITEMS, {"id": made["id"], "label": "after"})
        assert server.end(signal.SIGKILL)[0] == -signal.SIGKILL
    with program(tmp_path) as server, server.v1(conn=2, cursor={"epoch": epoch, "rev": 1}) as (_, heard):
        assert [message["type"] for message in heard] == ["welcome", "alarm_updated", "synced"]
        assert heard[1]["changed"]["label"] == "after"
        assert server.http("GET", f"{ITEMS}/{made['id']}")["label"] == "after"


def test_a_token_in_the_address_is_in_no_log(tmp_path: Path) -> None:
    with program(tmp_path, TOCSIN_LOG_LEVEL="debug") as server:
        with connect(f"{server.url}{WS}?token={server.token}") as socket:
            socket.send('{"type":"ping"}')
            assert json.loads(socket.recv(PATIENCE))["type"] == "pong"
        with pytest.raises(Exception, match="401"), connect(f"{server.url}{WS}?token={server.token}x"):
            pass
        _, errors = server.end(signal.SIGTERM)
    assert "tocsin" in errors
    assert server.token not in errors
    assert server.token.rpartition(".")[2] not in errors


def test_a_hundred_sockets_hear_of_one_change_and_end_with_the_server(tmp_path: Path) -> None:
    with program(tmp_path, TOCSIN_MAX_SOCKETS_PER_USER="200") as server:
        sockets = [connect(f"{server.url}{WS}?token={server.token}", legacy=True) for _ in range(100)]
        for socket in sockets:
            socket.send('{"type":"ping"}')
        assert all(json.loads(socket.recv(PATIENCE))["type"] == "pong" for socket in sockets)
        started = time.monotonic()
        server.http("POST", ITEMS, alarm())
        events = [json.loads(socket.recv(PATIENCE)) for socket in sockets]
        assert len({json.dumps(event) for event in events}) == 1
        assert time.monotonic() - started < PATIENCE
        for socket in sockets:
            socket.close()
        status, errors = server.end(signal.SIGTERM)
        assert status == 0, errors
