"""What a server says of itself."""

from typing import Final

import msgspec

from . import VERSION
from .answers import Answer, Asked, tell
from .auth import Verified
from .openapi import DOCUMENT
from .services import Services


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
