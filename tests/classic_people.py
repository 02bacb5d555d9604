"""A server as a process, and people who use it as classic clients do: requests by `curl`, sockets to listen."""

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from . import programs
from .curl import PATIENCE, Reply, curl
from .programs import ITEMS, WS
from .wire_clients import BareWire, LibraryWire, Listener, Wire


class Server:
    """A server in a process of its own, whose heart beats fast."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "tocsin.db"
        self.environ = programs.environ(heartbeat_ms=150, log_level="warning", token_s=600)
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                programs.serve(self.database), env=self.environ, cwd=programs.ROOT, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.port = int(json.loads(line)["ready"].rpartition(":")[2])
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


def record_of(reply: Reply) -> Any:
    """The record of an answer, without what stands beside its members."""
    return {name: value for name, value in reply.json.items() if name not in ("epoch", "t1", "t2")}


class Person:
    """A user, who is somebody else in every test."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self.server = server
        self.name = f"user-{uuid4()}"
        self.token = programs.token(self.name)
        self._stack = stack

    def ask(self, method: str, path: str = ITEMS, body: object = None, token: str | None = None) -> Reply:
        """One request; `body` is JSON unless it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        options = [] if body is None else ["-H", "Content-Type: application/json", "--data-binary", "@-"]
        bearer = f"Authorization: Bearer {token or self.token}"
        return curl("-X", method, f"{self.server.url}{path}", "-H", bearer, *options, given=data)

    def made(self, body: object) -> Any:
        """Create or change an item, which must succeed."""
        reply = self.ask("POST", body=body)
        assert reply.status in (200, 201), reply
        return record_of(reply)

    def items(self) -> Any:
        """All items and the head of the log: what a request that is refused must leave as it was."""
        listing = self.ask("GET").json
        return listing["rev"], listing["items"]

    def listen(self, client: type[LibraryWire | BareWire]) -> Listener:
        """Open a classic socket, which is among its user's from now on."""
        wire: Wire = client(self.server.port, f"{WS}?token={self.token}")
        self._stack.callback(wire.close)
        listener = Listener(wire)
        assert listener.heard() == []
        return listener
