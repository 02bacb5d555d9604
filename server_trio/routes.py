"""Every HTTP address of the server: one table, read by the framework, the door and the tests of the description."""

from typing import Final, NamedTuple

from . import routes_auth as auth
from . import routes_items as items
from . import routes_server as server
from . import routes_sync as sync
from .answers import Answer, Asked, Open, Private, answer_open, answer_private
from .services import Services


ITEMS: Final = "/api/alarms-timers"
SOCKET: Final = f"{ITEMS}/ws"


class Route(NamedTuple):
    """One method of one address; exactly one of `private` and `open` is set."""

    method: str
    path: str
    private: Private | None = None
    open: Open | None = None

    async def answer(self, services: Services, asked: Asked) -> Answer:
        """Answer a request. Total."""
        if self.private is not None:
            return await answer_private(services, self.private, asked)
        assert self.open is not None
        return await answer_open(services, self.open, asked)


POST_ITEM: Final = Route("POST", ITEMS, items.post_item)

ROUTES: Final = (
    POST_ITEM,
    Route("GET", ITEMS, sync.get_items),
    Route("GET", f"{ITEMS}/changes", sync.get_changes),
    Route("POST", f"{ITEMS}/mutations", sync.post_mutations),
    Route("GET", f"{SOCKET}/stats", server.get_stats),
    Route("GET", f"{ITEMS}/<item>", items.get_item),
    Route("DELETE", f"{ITEMS}/<item>", items.delete_item),
    Route("POST", "/api/auth/token", open=auth.post_token),
    Route("POST", "/api/auth/refresh", open=auth.post_refresh),
    Route("POST", "/api/auth/logout", auth.post_logout),
    Route("GET", "/healthz", open=server.get_health),
    Route("GET", "/openapi.json", open=server.get_document),
)
