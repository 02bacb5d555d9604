"""Where tokens come from; they stay out of the protocol's core, of every repr and of every message."""

from typing import Protocol

import msgspec

from .polling import NoAnswerError, Requests


SIGN_IN, REFRESH = "/api/auth/token", "/api/auth/refresh"
REQUEST_S = 10.0


class TokenRefusedError(Exception):
    """No token. `rejected`: the sign-in itself is refused; otherwise it may work later."""

    def __init__(self, why: str, *, rejected: bool) -> None:
        super().__init__(why)
        self.rejected = rejected


class TokenSource(Protocol):
    """Brings tokens."""

    async def token(self, *, fresh: bool) -> str:
        """An access token; `fresh`: the one brought before was refused or is about to expire.

        Raises:
            TokenRefusedError: none can be had.
        """
        ...


def checked(token: str) -> str:
    """A token that fits into a header; whoever complains about another would quote it.

    Raises:
        TokenRefusedError: it does not.
    """
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise TokenRefusedError("The token is not one word of plain ASCII.", rejected=True)
    return token


class FixedToken:
    """One token, for ever."""

    def __init__(self, token: str) -> None:
        self._token = token.strip()

    def __repr__(self) -> str:
        return "<FixedToken>"

    async def token(self, *, fresh: bool) -> str:  # noqa: ARG002 - there is no other
        """The token, whether or not a fresh one is wanted: the connection notices that it is the same."""
        return checked(self._token)


class NoCredentials:
    """Nothing to sign in with: the device runs on what it has, for no lack of an account may silence a stored alarm."""

    def __repr__(self) -> str:
        return "<NoCredentials>"

    async def token(self, *, fresh: bool) -> str:  # noqa: ARG002 - there is none
        """Never brings one.

        Raises:
            TokenRefusedError: always, in words that say what to bring.
        """
        raise TokenRefusedError(
            "Nothing to sign in with: start with --user NAME and --password-stdin, or bring a token in TOCSIN_TOKEN.",
            rejected=True,
        )


class _Grant(msgspec.Struct):
    access_token: str
    refresh_token: str | None = None


_GRANT = msgspec.json.Decoder(_Grant)
_encode = msgspec.json.Encoder().encode


class PasswordTokens:
    """Signs in with a name and a password, and refreshes while that is allowed."""

    def __init__(self, requests: Requests, name: str, password: str) -> None:
        self._requests = requests
        self._name = name
        self._password = password
        self._access: str | None = None
        self._refresh: str | None = None

    def __repr__(self) -> str:
        return f"<PasswordTokens of {self._name}>"

    async def token(self, *, fresh: bool) -> str:
        """The token in hand, a refreshed one, or one from a new sign-in."""
        if self._access is not None and not fresh:
            return self._access
        if self._refresh is not None:
            try:
                return await self._ask(REFRESH, {"refresh_token": self._refresh})
            except TokenRefusedError as refused:
                if not refused.rejected:
                    raise
                # A refresh token that has ended is no reason to ask the user: name and password still stand.
                self._refresh = None
        return await self._ask(SIGN_IN, {"name": self._name, "password": self._password})

    async def _ask(self, path: str, body: dict[str, str]) -> str:
        try:
            answer = await self._requests.ask("POST", path, body=_encode(body).decode(), within_s=REQUEST_S)
        except NoAnswerError as error:
            raise TokenRefusedError(str(error), rejected=False) from None
        if answer.status in {400, 401, 403, 422}:
            raise TokenRefusedError(f"The server refuses the sign-in of {self._name}.", rejected=True)
        try:
            grant = _GRANT.decode(answer.body) if answer.status == 200 else None
        except msgspec.MsgspecError:
            grant = None
        if grant is None:
            raise TokenRefusedError(f"The sign-in was answered with HTTP {answer.status} and no token.", rejected=False)
        self._access, self._refresh = checked(grant.access_token), grant.refresh_token or self._refresh
        return self._access
