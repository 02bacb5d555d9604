"""What a server says of itself."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

import msgspec

from .answers import Answer, Asked, tell
from .auth import Verified
from .openapi import DOCUMENT
from .services import Services


def _version() -> str:
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "0"  # run from a checkout that is not installed


VERSION: Final = _version()
_HEALTH: Final = msgspec.json.encode({"status": "ok", "version": VERSION})
_DOCUMENT: Final = msgspec.json.encode(DOCUMENT)


async def get_stats(services: Services, asked: Asked, who: Verified) -> Answer:
    """Counts since the start; no names, nobody's data."""
    facts = msgspec.structs.asdict(services.hub.statistics())
    facts["own_connections"] = services.hub.active_connections(who.user)
    account = await services.store.head(who.user)
    return tell(services, asked, account.epoch, facts)


async def get_health(services: Services, asked: Asked) -> Answer:
    """Whether requests are answered at all."""
    del services, asked
    return Answer(_HEALTH)


async def get_document(services: Services, asked: Asked) -> Answer:
    """The description of the HTTP interface, OpenAPI 3.1."""
    del services, asked
    return Answer(_DOCUMENT)
