"""Messages as the bytes that go over the wire, made once for all connections that send the same message."""

from .websocket import binary_frame, text_frame


class Framer:
    """Remembers the last message of each type: a change goes to all its receivers in a row, as one and the same object."""

    __slots__ = ("_binary", "_binary_frame", "_text", "_text_frame")

    def __init__(self) -> None:
        self._text = ""
        self._text_frame = b""
        self._binary = b""
        self._binary_frame = b""

    def __repr__(self) -> str:
        return f"<Framer, last frame of {len(self._text_frame)} bytes>"

    def text(self, data: str) -> bytes:
        """A text message as a frame."""
        if data is not self._text:
            self._text_frame = text_frame(data)
            self._text = data
        return self._text_frame

    def binary(self, data: bytes) -> bytes:
        """A binary message as a frame."""
        if data is not self._binary:
            self._binary_frame = binary_frame(data)
            self._binary = data
        return self._binary_frame
