"""`POST`, `GET` and `DELETE` of single items: the classic profile's requests."""

from typing import Any, Final
from uuid import uuid4

import msgspec

from protocol import Fault, ItemId, Outcome, UserId, classic_record, post_id

from .answers import Answer, Asked, Refused, tell
from .auth import Verified
from .services import Services
from .store import Work


LARGEST_ITEM: Final = 16_384
"""Bytes of a POST's body; a record has half of that at most, and clients write spaces."""

SOCKET_NAME: Final = "ws"
"""Last part of the socket's address, which a request without an upgrade takes for an item's."""

_DECODE: Final = msgspec.json.Decoder().decode


async def post_item(services: Services, asked: Asked, who: Verified) -> Answer:
    """Create or update: 201 with the record where it came to be, else 200 (docs/protocol.md#classic-post)."""
    body = _object(asked.body)
    item = post_id(body, ItemId(str(uuid4())))
    if isinstance(item, Fault):
        raise Refused(item)
    outcome = await _decided(services, who.user, services.commits.post(body, item))
    assert outcome.record is not None
    made = outcome.change is not None and outcome.change.op == "create"
    return tell(services, asked, outcome.account.epoch, classic_record(outcome.record), 201 if made else 200)


async def get_item(services: Services, asked: Asked, who: Verified) -> Answer:
    """One record, as classic clients see it."""
    if asked.item == SOCKET_NAME:
        raise Refused(Fault("version", "This is the address of a WebSocket: ask for an upgrade (docs/websocket.md)."))
    record = await services.store.record(who.user, ItemId(asked.item))
    if record is None:
        raise Refused(Fault("not_found", "You have no alarm or timer with this id."))
    account = await services.store.head(who.user)
    return tell(services, asked, account.epoch, classic_record(record))


async def delete_item(services: Services, asked: Asked, who: Verified) -> Answer:
    """Delete; an unknown id is a success too (docs/protocol.md#classic-delete-unknown)."""
    outcome = await _decided(services, who.user, services.commits.delete(ItemId(asked.item)))
    facts = {"id": asked.item, "rev": outcome.account.rev, "deleted": outcome.change is not None}
    return tell(services, asked, outcome.account.epoch, facts)


async def _decided(services: Services, user: UserId, work: Work) -> Outcome:
    (outcome,) = await services.commits.decide(user, work)
    if outcome.fault is not None:
        raise Refused(outcome.fault)
    return outcome


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > LARGEST_ITEM:
        raise Refused(Fault("too_big", f"An alarm or timer may have at most {LARGEST_ITEM} bytes."))
    try:
        decoded = _DECODE(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Fault("bad_json", f"Not JSON: {error}.")) from None
    if not isinstance(decoded, dict):
        raise Refused(Fault("bad_json", "An alarm or timer is a JSON object."))
    return decoded
