"""Tokens: made and verified with PyJWT, as narrowly as RFC 8725 asks.

A token never appears in a repr, a message or a log: whoever reads one of those could use it.
"""

import hashlib
import hmac
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import jwt
import msgspec
from jwt.types import Options
from msgspec import Meta, Struct

from protocol import SessionId, UserId, Wall


ALGORITHM: Final = "HS256"
ISSUER: Final = "tocsin"
AUDIENCE: Final = "tocsin"

LONGEST_TOKEN: Final = 4_096
"""Characters; checked before anything is decoded, since a peer chooses the length."""

SHORTEST_SECRET: Final = 32
"""Bytes: an HMAC key no shorter than its hash (RFC 7518 section 3.2)."""

CACHED_TOKENS: Final = 4_096

Clock = Callable[[], Wall]


def wall_clock() -> Wall:
    """The operating system's clock, ms."""
    return Wall(time.time_ns() // 1_000_000)


class Verified(Struct, frozen=True):
    """A token that holds.

    Attributes:
        expires_at: ms of the server's clock.
    """

    user: UserId
    session: SessionId
    expires_at: Wall


class Rejected(Struct, frozen=True):
    """A token that does not. `expired` is said only of one that was good once."""

    why: Literal["expired", "invalid"]


INVALID: Final = Rejected("invalid")
EXPIRED: Final = Rejected("expired")

Instant = Annotated[float, Meta(ge=0, le=1e11)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Claims(Struct, frozen=True):
    """What a token must say (RFC 7519 section 4.1), with exact types. `sid` names the session, where there is one."""

    sub: Name
    exp: Instant
    iat: Instant
    nbf: Instant = 0
    sid: Annotated[str, Meta(max_length=200)] = ""


_CHECKS: Final[Options] = {
    "require": ["sub", "exp", "iat", "aud", "iss"],
    "strict_aud": True,
    # Instants are checked against our own clock, below.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


class Tokens:
    """Issues tokens with one secret and verifies them with it or an older one.

    Attributes:
        clock: gives now, ms.
    """

    def __init__(self, secret: str, *older: str, clock: Clock = wall_clock) -> None:
        """Take the secrets; an older one lets tokens issued before a change of secret live on.

        Raises:
            ValueError: a secret is too short.
        """
        keys = [key.encode() for key in (secret, *older)]
        if min(map(len, keys)) < SHORTEST_SECRET:
            raise ValueError(f"a token secret needs at least {SHORTEST_SECRET} bytes")
        self.clock = clock
        self._jwt = jwt.PyJWT(options={"enforce_minimum_key_length": True})
        self._kid = _kid(keys[0])
        self._keys = {_kid(key): key for key in keys}
        self._known: OrderedDict[bytes, Verified] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Tokens {len(self._keys)} keys, {len(self._known)} tokens known>"

    def issue(self, user: UserId, session: SessionId, ttl: int) -> str:
        """Make a token for `ttl` seconds. No two are equal: a client tells a fresh one by comparing."""
        now = self.clock() // 1_000
        claims = {"sub": user, "sid": session, "iat": now, "exp": now + ttl, "aud": AUDIENCE, "iss": ISSUER}
        claims["jti"] = secrets.token_urlsafe(9)
        return self._jwt.encode(claims, self._keys[self._kid], ALGORITHM, headers={"kid": self._kid})

    def verify(self, token: str) -> Verified | Rejected:
        """Say whose a token is, or why it is nobody's. Total: any string may come."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return INVALID
        # Verifying costs 65 µs, and a client sends the same token with every request.
        digest = hashlib.sha256(token.encode()).digest()
        verified = self._known.get(digest)
        if verified is None:
            claims = self._claims(token)
            if claims is None or claims.nbf * 1_000 > self.clock():
                return INVALID
            verified = self._known[digest] = _verified(claims, token)
            if len(self._known) > CACHED_TOKENS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
        return verified if self.clock() < verified.expires_at else EXPIRED

    def _claims(self, token: str) -> Claims | None:
        try:
            # The header chooses among our keys, never the algorithm; one made elsewhere names no key.
            kid = jwt.get_unverified_header(token).get("kid", self._kid)
            key = self._keys.get(kid)
            if key is None:
                return None
            found: dict[str, Any] = self._jwt.decode(
                token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_CHECKS
            )
            claims = msgspec.convert(found, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, RecursionError):
            return None
        # Not every store holds a NUL, and no store a lone surrogate; both come through JSON escapes.
        return claims if claims.sub.isprintable() and claims.sid.isprintable() and _finite(claims) else None


def _kid(key: bytes) -> str:
    """A name for a key that says nothing about it."""
    return hmac.digest(key, b"tocsin kid", "sha256").hex()[:12]


def _verified(claims: Claims, token: str) -> Verified:
    # A token made elsewhere may name no session; it is then a session of its own, so that it too can be signed out.
    session = SessionId(claims.sid or f"token-{_signed(token).hex()[:24]}")
    return Verified(UserId(claims.sub), session, Wall(int(claims.exp * 1_000)))


def _signed(token: str) -> bytes:
    """A digest of what the signature covers: padding may be written in many ways, and each would be another session."""
    return hashlib.sha256(token.rpartition(".")[0].encode()).digest()


def _finite(claims: Claims) -> bool:
    return all(map(math.isfinite, (claims.exp, claims.iat, claims.nbf)))
