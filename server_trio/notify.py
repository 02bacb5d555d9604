"""For server-side code that changes items by another road than a client's: an import, an administrator, a script."""

from collections.abc import Mapping
from typing import Any

from protocol import ItemId, Kind, Outcome, UserId

from .services import Services


class Notifier:
    """Changes items and tells everybody, through the same door as a client's change."""

    __slots__ = ("_services",)

    def __init__(self, services: Services) -> None:
        self._services = services

    def __repr__(self) -> str:
        return f"<Notifier over {self._services.store!r}>"

    async def notify_item_change(
        self, user: UserId, kind: Kind, item: ItemId, fields: Mapping[str, Any] | None
    ) -> Outcome:
        """Create or patch an item with `fields`, or delete it (None), as a change that no device made.

        When it returns, the change is durable and every socket and long poll of the user has it. A refusal is the
        outcome's `fault`, and then nothing has changed.

        Raises:
            StoreUnavailable: nothing of it happened.
        """
        (outcome,) = await self._services.commits.decide(user, self._services.commits.plain(kind, item, fields))
        return outcome

    async def notify_sync_required(self, user: UserId) -> None:
        """Ask every socket of the user to start afresh, after a change of which the log knows nothing.

        Raises:
            StoreUnavailable: nobody was told.
        """
        account = await self._services.store.head(user)
        self._services.hub.resync(user, account, "asked")
