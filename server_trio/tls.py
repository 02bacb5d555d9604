"""TLS without IO: ciphertext in, plaintext out, and back.

With the record layer apart from the socket, a TLS connection takes the same road as a plain one: synchronous sends, one queue of
wire bytes, one task. Trio's `SSLStream` would need a task for each send, and a lock.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Final


# Wholly ciphertext; one record is at most 16 KiB of plaintext (RFC 8446 section 5.1).
_RECORD: Final = 16384


class Cipher:
    """The TLS state of one server connection.

    Attributes:
        ready: The handshake is done.
    """

    __slots__ = ("_in", "_out", "_tls", "ready")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.ready = False

    def __repr__(self) -> str:
        return f"<Cipher {self._tls.version() if self.ready else 'in handshake'}>"

    def shake(self, data: bytes) -> bool:
        """Go on with the handshake; False if it failed. Either way `outgoing` has bytes for the peer."""
        self._in.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            return False
        self.ready = True
        return True

    def outgoing(self) -> bytes:
        """Bytes that TLS wants sent for itself: handshake, key update, alert."""
        return self._out.read()

    def encrypt(self, data: bytes) -> bytes:
        """`data` as records."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        return self._out.read()

    def decrypt(self, data: bytes) -> bytes | None:
        """The plaintext that `data` completes, which may be none; None at the peer's end or at a record that is not genuine."""
        self._in.write(data)
        plain = []
        try:
            while piece := self._tls.read(_RECORD):
                plain.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(plain)
        except ssl.SSLError:
            # Also the orderly end (SSLZeroReturnError). What came before it still counts, and the socket's own end follows.
            pass
        return b"".join(plain) or None

    def farewell(self) -> bytes:
        """A close_notify alert (RFC 8446 section 6.1), as records."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        return self._out.read()
