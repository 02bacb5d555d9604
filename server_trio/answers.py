"""HTTP requests and answers as values: what a handler is given, what it gives back, and the one way errors look.

No handler knows a web framework, so the same handler serves behind Quart and behind the plain ASGI door.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from protocol import HTTP_STATUS, Epoch, Fault, UserId, Wall, fault_text

from .auth import Verified
from .services import Services
from .store import StoreUnavailable


_ENCODE: Final = msgspec.json.Encoder().encode

JSON: Final = ("content-type", "application/json")

NO_TOKEN: Final = Fault("token_invalid", "A token is needed: send `Authorization: Bearer <token>`.")
REJECTIONS: Final[dict[str, Fault]] = {
    "expired": Fault("token_expired", "The token has expired; bring a fresh one."),
    "invalid": Fault("token_invalid", "The token is not valid here; sign in again."),
    "revoked": Fault("forbidden", "This session was signed out; sign in again."),
}
BUSY: Final = Fault("busy", "The store is busy; try again.", retryable=True, retry_after_ms=1_000)
INTERNAL: Final = Fault("internal", "Something failed on the server; it has been noted there.", retryable=True)


class Asked(Struct, frozen=True):
    """A request, as far as handlers care.

    Attributes:
        query: its parameters, the first of each name.
        item: the identifier in its path, where the route has one.
        t1: when it arrived, ms.
    """

    t1: Wall
    body: bytes = b""
    authorization: str | None = None
    query: Mapping[str, str] = {}
    item: str = ""

    def __repr__(self) -> str:
        return f"<Asked {len(self.body)} bytes at {self.t1}>"


class Answer(Struct, frozen=True):
    """An answer; `body` is JSON, `headers` come after its type."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """A request that gets an error; raised by handlers.

    Attributes:
        status: where it is not the one that the fault's code has.
    """

    def __init__(self, fault: Fault, *, status: int | None = None, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(fault.code)
        self.fault = fault
        self.status = HTTP_STATUS[fault.code] if status is None else status
        self.headers = headers


Private = Callable[[Services, Asked, Verified], Awaitable[Answer]]
Open = Callable[[Services, Asked], Awaitable[Answer]]


async def answer_private(services: Services, handler: Private, asked: Asked) -> Answer:
    """Let a handler answer whoever the token stands for. Total: whatever goes wrong is an answer."""
    user: UserId | None = None
    try:
        who = await authenticate(services, asked.authorization)
        user = who.user
        return await handler(services, asked, who)
    except Exception as error:  # noqa: BLE001 - the guard: sorted by its kind in `refusal`
        return await refusal(services, asked, error, user)


async def answer_open(services: Services, handler: Open, asked: Asked) -> Answer:
    """Let a handler answer anybody."""
    try:
        return await handler(services, asked)
    except Exception as error:  # noqa: BLE001 - as above
        return await refusal(services, asked, error, None)


async def authenticate(services: Services, authorization: str | None) -> Verified:
    """Who asks. HTTP takes its token from the header only (docs/protocol.md#http-bearer).

    Raises:
        Refused: no token, or not one that holds.
    """
    if authorization is None:
        raise Refused(NO_TOKEN)
    scheme, _, token = authorization.partition(" ")
    checked = await services.access.check(token.strip()) if scheme.lower() == "bearer" else "invalid"
    if not isinstance(checked, Verified):
        raise Refused(REJECTIONS[checked])
    return checked


def tell(services: Services, asked: Asked, epoch: Epoch, facts: Mapping[str, Any], status: int = 200) -> Answer:
    """Facts with what every answer carries (docs/protocol.md#http-epoch, #http-clock)."""
    return Answer(_ENCODE({**facts, "epoch": epoch, "t1": asked.t1, "t2": services.wall()}), status)


async def refusal(services: Services, asked: Asked, error: Exception, user: UserId | None) -> Answer:
    """The answer to a request that failed."""
    refused = _sorted(services, error)
    services.hub.count_refusal(refused.fault.code)
    text = fault_text(refused.fault, await _epoch(services, user), (asked.t1, services.wall()))
    return Answer(text.encode(), refused.status, (*headers_of(refused.status, refused.fault), *refused.headers))


def headers_of(status: int, fault: Fault) -> tuple[tuple[str, str], ...]:
    """What HTTP asks for with a status (RFC 9110, sections 11.6.1 and 10.2.3; RFC 6750, section 3)."""
    if status == 401:
        challenge = "Bearer" if fault is NO_TOKEN else 'Bearer error="invalid_token"'
        return (("www-authenticate", challenge),)
    if status in (429, 503):
        return (("retry-after", str(-(-(fault.retry_after_ms or 1_000) // 1_000))),)
    return ()


def _sorted(services: Services, error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, StoreUnavailable):
        return Refused(BUSY)
    services.background.failed(error)
    return Refused(INTERNAL)


async def _epoch(services: Services, user: UserId | None) -> Epoch | None:
    if user is None:
        return None
    try:
        return (await services.store.head(user)).epoch
    except StoreUnavailable:
        return None
