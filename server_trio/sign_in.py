"""Signing in, staying signed in, signing out: what the HTTP routes of the same names call."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from protocol import Fault, SessionId, UserId, Wall

from .auth import Tokens, Verified
from .passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD, Passwords, TooBusy
from .store import AccountStore, Reused


LONGEST_NAME: Final = 200

_BUSY: Final = Fault(
    "busy", "Too many people are signing in; try again in a few seconds.", retryable=True, retry_after_ms=3_000
)
# One sentence for both, or it would tell strangers who has an account.
_WRONG: Final = Fault("forbidden", "The name or the password is wrong.")
_ENDED: Final = Fault("token_invalid", "This refresh token does not hold any more; sign in again.")


class TokenPair(Struct, frozen=True):
    """What a client keeps after signing in.

    Attributes:
        token: for requests and sockets, until `expires_at` (ms of the server's clock).
        refresh_token: good for one trade against a new pair.
    """

    user: UserId
    token: str
    expires_at: Wall
    refresh_token: str

    def __repr__(self) -> str:
        return f"<TokenPair of {self.user!r} until {self.expires_at}>"


def unfit_name(name: str) -> str | None:
    """Why a name cannot be taken."""
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"A name has 1 to {LONGEST_NAME} characters."
    if not name.isprintable() or name != name.strip():
        return "A name has printable characters only, and no space at its ends."
    return None


def unfit_password(password: str) -> str | None:
    """Why a password cannot be taken."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
    return None


class SignIn:
    """The service."""

    def __init__(
        self,
        store: AccountStore,
        tokens: Tokens,
        passwords: Passwords,
        *,
        token_s: int,
        refresh_s: int,
        ended: Callable[[SessionId], None] = lambda _: None,
    ) -> None:
        """Build it from its parts.

        Args:
            store: keeps accounts and sessions.
            tokens: makes tokens; its clock is the one used here.
            passwords: checks them.
            token_s: life of a token in seconds.
            refresh_s: life of a refresh token in seconds.
            ended: told of every session that ends, so that its sockets can be closed at once.
        """
        self._store = store
        self._tokens = tokens
        self._passwords = passwords
        self._token_s = token_s
        self._refresh_s = refresh_s
        self._ended = ended

    async def sign_in(self, name: str, password: str) -> TokenPair | Fault:
        """Trade a name and a password for tokens of a new session.

        Raises:
            StoreUnavailable: nobody can sign in now.
        """
        stored = await self._store.password_of(name) if unfit_name(name) is None else None
        try:
            checked = await self._passwords.check(stored, password)
        except TooBusy:
            return _BUSY
        if not checked.right:
            return _WRONG
        if checked.upgraded is not None:
            await self._store.set_password(name, checked.upgraded)
        session, refresh = SessionId(secrets.token_urlsafe(12)), _fresh()
        await self._store.open_session(session, UserId(name), _hashed(refresh), self._refresh_end())
        return self._pair(UserId(name), session, refresh)

    async def refresh(self, refresh_token: str) -> TokenPair | Fault:
        """Trade a refresh token for a new pair; a second use ends the session, since somebody has a copy.

        Raises:
            StoreUnavailable: not now; the token was not used up.
        """
        fresh = _fresh()
        end = await self._store.rotate(
            _hashed(refresh_token), _hashed(fresh), self._refresh_end(), self._tokens.clock()
        )
        if end is None:
            return _ENDED
        if isinstance(end, Reused):
            self._ended(end.session)
            return _ENDED
        return self._pair(end.user, end.session, fresh)

    async def sign_out(self, verified: Verified) -> None:
        """End the session of a token.

        Raises:
            StoreUnavailable: the session goes on.
        """
        # Remembered for as long as any of its tokens could hold.
        ends = Wall(max(verified.expires_at, self._refresh_end()))
        await self._store.revoke_session(verified.session, verified.user, ends, self._tokens.clock())
        self._ended(verified.session)

    def _pair(self, user: UserId, session: SessionId, refresh: str) -> TokenPair:
        token = self._tokens.issue(user, session, self._token_s)
        return TokenPair(user, token, Wall((self._tokens.clock() // 1_000 + self._token_s) * 1_000), refresh)

    def _refresh_end(self) -> Wall:
        return Wall(self._tokens.clock() + self._refresh_s * 1_000)


def _fresh() -> str:
    return secrets.token_urlsafe(32)


def _hashed(refresh_token: str) -> str:
    """As it is stored: a plain hash is enough for 256 random bits, and a stolen database opens no session."""
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).hexdigest()
