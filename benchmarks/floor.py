"""The least that delivering a message can cost here: one process, one `socket.send` for each listener, nothing else.

    python benchmarks/floor.py PORT        then the load generator's `fanout` scenario against it

It checks no token, stores nothing and judges nothing; what it costs per delivered message is the kernel's share, which every
server pays that writes to its sockets one by one.
"""

import base64
import hashlib
import select
import socket
import sys


GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""


class Floor:
    """Every POST body goes to every WebSocket, framed once."""

    def __init__(self, port: int) -> None:
        self.door = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.poll = select.epoll()
        self.poll.register(self.door.fileno(), select.EPOLLIN)
        self.peers: dict[int, socket.socket] = {}
        self.listeners: dict[int, socket.socket] = {}
        self.heard: dict[int, bytes] = {}

    def run(self) -> None:
        """Until it is killed."""
        while True:
            for fd, _ in self.poll.poll():
                if fd == self.door.fileno():
                    self.accept()
                else:
                    self.hear(fd)

    def accept(self) -> None:
        """A new peer."""
        peer, _ = self.door.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peers[peer.fileno()] = peer
        self.heard[peer.fileno()] = b""
        self.poll.register(peer.fileno(), select.EPOLLIN)

    def hear(self, fd: int) -> None:
        """A whole request is answered, the end of a peer is noticed."""
        try:
            data = self.peers[fd].recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self.poll.unregister(fd)
            self.peers.pop(fd).close()
            self.listeners.pop(fd, None)
            return
        self.heard[fd] += data
        head, blank, body = self.heard[fd].partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if blank and len(body) >= int(fields.get(b"content-length", b"0")):
            self.heard[fd] = b""
            self.answer(fd, head, body)

    def answer(self, fd: int, head: bytes, body: bytes) -> None:
        """A handshake, or a change for all."""
        key = next(
            (line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key")), None
        )
        if key is None:
            text = b'{"type":"alarm_updated","data":' + body + b"}"
            frame = b"\x81\x7e" + len(text).to_bytes(2, "big") + text
            for listener in self.listeners.values():
                listener.send(frame)
            self.peers[fd].send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return
        accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.peers[fd].send(upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self.listeners[fd] = self.peers[fd]


if __name__ == "__main__":
    Floor(int(sys.argv[1])).run()
