"""Tokens kept out of the core (docs/protocol.md#auth-handles)."""

import secrets
from typing import Final

from protocol import Handle


class Hidden:
    """The token of one message, which the core knows by a handle; gone when the message is done with."""

    __slots__ = ("_handle", "_token")

    def __init__(self) -> None:
        self._handle = Handle("")
        self._token = ""

    def __repr__(self) -> str:
        return "<Hidden>"

    def hide(self, token: str) -> Handle:
        """Keep a token; returns a handle that nobody can guess."""
        self._token = token
        self._handle = Handle(secrets.token_urlsafe(12))
        return self._handle

    def reveal(self, handle: Handle) -> str:
        """The token behind a handle; empty, which no token is, where this is not its handle."""
        return self._token if handle == self._handle else ""


NOTHING: Final = Hidden()
