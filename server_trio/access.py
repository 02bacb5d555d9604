"""Whether a token opens the door now: its signature and times, and that its session was not signed out."""

from typing import Literal

from protocol import Handle, Wall
from protocol.server import TokenAccepted, TokenRejected

from .auth import Rejected, Tokens, Verified
from .store import AccountStore


class Access:
    """Judges tokens for sockets and requests alike.

    Raises:
        StoreUnavailable: from each method, where the store cannot say whether a session lives.
    """

    __slots__ = ("_store", "_tokens")

    def __init__(self, tokens: Tokens, store: AccountStore) -> None:
        self._tokens = tokens
        self._store = store

    def __repr__(self) -> str:
        return f"<Access by {self._tokens!r}>"

    async def check(self, token: str) -> Verified | Literal["expired", "invalid", "revoked"]:
        """Who a token stands for, or why it opens nothing."""
        verified = self._tokens.verify(token)
        if isinstance(verified, Rejected):
            return verified.why
        return verified if await self._store.session_alive(verified.session) else "revoked"

    async def verdict(self, handle: Handle, token: str, wall: Wall) -> TokenAccepted | TokenRejected:
        """The same as an input of a server connection, which knows the token by its handle only."""
        checked = await self.check(token)
        if isinstance(checked, Verified):
            return TokenAccepted(handle, checked.user, checked.session, checked.expires_at, wall)
        return TokenRejected(handle, checked)
