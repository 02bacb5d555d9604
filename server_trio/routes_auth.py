"""Signing in and out over HTTP; everything is decided in `sign_in`."""

from typing import TypeVar

import msgspec

from protocol import Fault

from .answers import Answer, Asked, Refused, tell
from .auth import Verified
from .bodies import Credentials, Refreshing, TokenPairBody
from .services import Services
from .sign_in import TokenPair


T = TypeVar("T")


_CREDENTIALS = msgspec.json.Decoder(Credentials)
_REFRESHING = msgspec.json.Decoder(Refreshing)


async def post_token(services: Services, asked: Asked) -> Answer:
    """Sign in."""
    credentials = _read(_CREDENTIALS, asked.body, "name and password, both strings")
    return _tokens(services, await services.sign_in.sign_in(credentials.name, credentials.password))


async def post_refresh(services: Services, asked: Asked) -> Answer:
    """Trade a refresh token for a new pair."""
    refreshing = _read(_REFRESHING, asked.body, "refresh_token, a string")
    return _tokens(services, await services.sign_in.refresh(refreshing.refresh_token))


async def post_logout(services: Services, asked: Asked, who: Verified) -> Answer:
    """End the session of the token; its sockets are closed at once."""
    await services.sign_in.sign_out(who)
    account = await services.store.head(who.user)
    return tell(services, asked, account.epoch, {"signed_out": True})


def _read(decoder: "msgspec.json.Decoder[T]", body: bytes, members: str) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        # Not the error's own words: they may repeat what was sent.
        raise Refused(Fault("bad_message", f"The body is a JSON object with {members}.")) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refused(Fault("bad_json", "The body is not JSON.")) from None


def _tokens(services: Services, pair: TokenPair | Fault) -> Answer:
    if isinstance(pair, Fault):
        raise Refused(pair)
    seconds = (pair.expires_at - services.wall()) // 1_000
    return Answer(msgspec.json.encode(TokenPairBody(pair.token, pair.refresh_token, "bearer", seconds)))
