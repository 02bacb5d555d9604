"""Two WebSocket clients that share no line with this project's own: the `websockets` library, and a bare TCP socket."""

import base64
import json
import os
import socket
import struct
from contextlib import ExitStack
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect


PATIENCE = 10.0
"""Seconds; never waited for when all is well."""

TEXT, CLOSE, PONG = 0x1, 0x8, 0xA


class Refused(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.code = json.loads(body)["error"]["code"]


class Closed(Exception):
    """The server closed the socket."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Wire(Protocol):
    """Text messages over a WebSocket."""

    def send(self, text: str) -> None:
        """Send a message."""

    def receive(self) -> str:
        """Take the next message.

        Raises:
            Closed: the server closed the socket instead.
        """

    def close(self) -> None:
        """Leave."""


class LibraryWire:
    """The `websockets` library.

    Raises:
        Refused: the handshake was.
    """

    def __init__(self, port: int, path: str, **headers: str) -> None:
        url = f"ws://127.0.0.1:{port}{path}"
        self._open = ExitStack()
        try:
            asked = connect(url, additional_headers=headers, open_timeout=PATIENCE, proxy=None)
            self._socket: ClientConnection = self._open.enter_context(asked)
        except InvalidStatus as refusal:
            raise Refused(refusal.response.status_code, bytes(refusal.response.body or b"")) from None

    def send(self, text: str) -> None:
        self._socket.send(text)

    def receive(self) -> str:
        try:
            message = self._socket.recv(PATIENCE)
        except ConnectionClosed as closed:
            raise Closed(closed.rcvd.code if closed.rcvd else 1006) from None
        assert isinstance(message, str)
        return message

    def close(self) -> None:
        self._open.close()


class BareWire:
    """RFC 6455 by hand, as far as a client needs it that sends and receives whole text messages.

    Raises:
        Refused: the handshake was.
    """

    def __init__(self, port: int, path: str, **headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._stream = self._socket.makefile("rb")
        asked = {"Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        asked |= {"Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), **headers}
        lines = (f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items()), "", "")
        self._socket.sendall("\r\n".join(lines).encode())
        status = int(self._stream.readline().split()[1])
        answered = dict(line.lower().split(b":", 1) for line in iter(self._stream.readline, b"\r\n"))
        if status != 101:
            body = self._stream.read(int(answered.get(b"content-length", b"0")))
            self.close()
            raise Refused(status, body)

    def send(self, text: str) -> None:
        self._send(TEXT, text.encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = (
            bytes([0x80 | size])
            if size < 126
            else struct.pack("!BH", 0x80 | 126, size)
            if size < 65_536
            else struct.pack("!BQ", 0x80 | 127, size)
        )
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self._socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def receive(self) -> str:
        opcode, payload = self._frame()
        if opcode == CLOSE:
            self._send(CLOSE, payload[:2])
            raise Closed(int.from_bytes(payload[:2], "big"))
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def _frame(self) -> tuple[int, bytes]:
        """A frame of a server is never masked, and this one's are never fragments."""
        first, size = self._exactly(2)
        assert first & 0xF0 == 0x80
        if size == 126:
            size = int.from_bytes(self._exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self._exactly(8), "big")
        return first & 0x0F, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise Closed(1006)
        return data

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


class Listener:
    """A classic client: JSON messages, with the heartbeats put aside."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.heartbeats: list[Any] = []
        self._pings = 0

    def say(self, **message: Any) -> None:
        self.wire.send(json.dumps(message))

    def hear(self) -> Any:
        """The next message that is no heartbeat."""
        while (message := json.loads(self.wire.receive()))["type"] == "heartbeat":
            self.heartbeats.append(message)
        return message

    def heartbeat(self) -> Any:
        """The next heartbeat, with nothing before it."""
        message = json.loads(self.wire.receive())
        assert message["type"] == "heartbeat", message
        return message

    def heard(self) -> list[Any]:
        """All that is on its way, heartbeats left out: an answer to a `ping` overtakes nothing."""
        self._pings += 1
        self.say(type="ping", t0=self._pings)
        messages = [self.hear()]
        while (messages[-1]["type"], messages[-1].get("t0")) != ("pong", self._pings):
            messages.append(self.hear())
        return messages[:-1]

    def ending(self) -> int:
        """The code with which the server closes, after whatever it still says."""
        try:
            while True:
                self.hear()
        except Closed as closed:
            return closed.code
