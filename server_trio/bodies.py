"""Bodies of the requests that sign in and out, as they are decoded and described."""

from msgspec import Struct


class Credentials(Struct, frozen=True):
    """Body of `POST /api/auth/token`."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"<Credentials of {self.name!r}>"


class Refreshing(Struct, frozen=True):
    """Body of `POST /api/auth/refresh`."""

    refresh_token: str

    def __repr__(self) -> str:
        return "<Refreshing>"


class TokenPairBody(Struct, frozen=True):
    """What both answer, with the names of RFC 6749, section 5.1. `expires_in` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int

    def __repr__(self) -> str:
        return f"<TokenPairBody for {self.expires_in} s>"
