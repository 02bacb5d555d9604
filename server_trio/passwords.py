"""Passwords: hashed with Argon2id (RFC 9106) in a few worker threads, at the same cost for a name nobody has."""

import secrets
import unicodedata
from typing import Final

import argon2
import trio
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct


SHORTEST_PASSWORD: Final = 8
LONGEST_PASSWORD: Final = 1_024
"""Characters. An upper bound, because hashing reads all of it."""

THREADS: Final = 2
"""Each holds 64 MiB while it works; more at once would let strangers fill the memory."""

LONGEST_QUEUE: Final = 32


class TooBusy(Exception):
    """More people are signing in than can be served now."""


class Checked(Struct, frozen=True):
    """Whether a password is right.

    Attributes:
        upgraded: the same password under today's parameters, where its hash was made with others.
    """

    right: bool
    upgraded: str | None = None

    def __repr__(self) -> str:
        return f"<Checked {'right' if self.right else 'wrong'}>"


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        """Take the parameters; those of argon2-cffi, which follow RFC 9106, where none are given."""
        self._hasher = hasher or argon2.PasswordHasher()
        self._limiter = trio.CapacityLimiter(THREADS)
        self._decoy: str | None = None

    def __repr__(self) -> str:
        return f"<Passwords {self._limiter.borrowed_tokens} of {THREADS} threads busy>"

    async def hash(self, password: str) -> str:
        """The hash to store.

        Raises:
            TooBusy: too many wait already.
        """
        self._make_room()
        return await trio.to_thread.run_sync(self._hasher.hash, _normal(password), limiter=self._limiter)

    async def check(self, stored: str | None, password: str) -> Checked:
        """Check a password against a stored hash; None, for a name nobody has, takes as long and is wrong.

        Raises:
            TooBusy: too many wait already.
        """
        self._make_room()
        return await trio.to_thread.run_sync(self._check, stored, password, limiter=self._limiter)

    def _make_room(self) -> None:
        if self._limiter.statistics().tasks_waiting >= LONGEST_QUEUE:
            raise TooBusy

    def _check(self, stored: str | None, password: str) -> Checked:
        if self._decoy is None:
            self._decoy = self._hasher.hash(secrets.token_urlsafe())
        given = _normal(password) if len(password) <= LONGEST_PASSWORD else ""
        try:
            self._hasher.verify(stored or self._decoy, given)
        except (VerificationError, InvalidHashError):
            return Checked(right=False)
        if stored is None:
            return Checked(right=False)
        outdated = self._hasher.check_needs_rehash(stored)
        return Checked(right=True, upgraded=self._hasher.hash(given) if outdated else None)


def _normal(password: str) -> bytes:
    """One form for what looks the same: keyboards disagree about how to send `é` (RFC 8265 section 4.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
