"""The application: Quart-Trio routes over the table of handlers, and errors in the one form that they have."""

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import trio
from quart import Response, request, websocket
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound

from protocol import Fault, FaultCode, fault_text
from protocol.server import Refuse, read_request

from .answers import INTERNAL, JSON, Answer, Asked, headers_of
from .config import Config
from .connection import hand_over
from .hidden import Hidden
from .http_class import DirectHTTPConnection, DirectWebsocketConnection
from .routes import ROUTES, SOCKET, Route
from .services import Services
from .serving import run_server
from .session import Session


async def serve(
    config: Config, *, stop: trio.Event, task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run a server until `stop` is set and its clients have left; reports its addresses when it listens.

    Raises:
        StoreUnusable: the database cannot be opened.
        SecretUnusable: the token secret beside it must not be used.
        OSError: the address cannot be bound, or a certificate cannot be read.
    """
    await run_server(config, create_app, stop=stop, task_status=task_status)


class _App(QuartTrio):
    """Quart-Trio without its own log of errors, which would tell what they say and thus what a peer sent."""

    def log_exception(self, *_: object) -> None:
        """Nothing: the handler of errors counts and tells them. Quart 0.23 gives its context before the error."""


def create_app(services: Services) -> QuartTrio:
    """The Quart-Trio application: every route, and errors in the one form that they have."""
    app = _App("tocsin", static_folder=None)
    # An address has one spelling: a redirect would be answered in HTML.
    app.url_map.merge_slashes = False
    app.asgi_http_class = DirectHTTPConnection
    app.asgi_websocket_class = DirectWebsocketConnection
    for route in ROUTES:
        app.add_url_rule(
            route.path,
            endpoint=f"{route.method} {route.path}",
            view_func=_view(services, route),
            methods=[route.method],
            provide_automatic_options=False,
        )
    app.add_websocket(SOCKET, view_func=_socket_view(services), provide_automatic_options=False)
    app.register_error_handler(HTTPException, _unanswered(services))
    return app


def _view(services: Services, route: Route) -> Callable[..., Awaitable[Response]]:
    async def view(item: str = "") -> Response:
        t1 = services.wall()
        body = await request.get_data(cache=False)
        assert isinstance(body, bytes)
        asked = Asked(t1, body, request.headers.get("Authorization"), request.args.to_dict(), item)
        return _response(await route.answer(services, asked))

    return view


def _socket_view(services: Services) -> Callable[..., Awaitable[Response | None]]:
    async def view() -> Response | None:
        session, hidden = Session(services), Hidden()
        asked = read_request(
            websocket.requested_subprotocols,
            websocket.headers.get("Authorization"),
            websocket.args.get("token"),
            websocket.headers.get("Origin"),
            hidden.hide,
        )
        verdict = await session.request(asked, hidden)
        if isinstance(verdict, Refuse):
            return _response(_refused(services, verdict))
        await websocket.accept(subprotocol=verdict.subprotocol)
        hand_over(websocket.scope, session)
        return None

    return view


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, Headers([JSON, *answer.headers]))


def _refused(services: Services, verdict: Refuse) -> Answer:
    fault = Fault(cast("FaultCode", verdict.code), verdict.message, retryable=verdict.status == 503)
    return _error(services, fault, verdict.status)


def _error(services: Services, fault: Fault, status: int, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    services.hub.count_refusal(fault.code)
    now = services.wall()
    return Answer(fault_text(fault, None, (now, now)).encode(), status, (*headers_of(status, fault), *headers))


def _unanswered(services: Services) -> Callable[[HTTPException], Awaitable[Response]]:
    """Answer what no handler of ours did: there is none, or Quart failed."""

    async def handle(error: HTTPException) -> Response:
        match error:
            case NotFound():
                answer = _error(services, Fault("not_found", "There is no such address here."), 404)
            case MethodNotAllowed():
                allowed = ", ".join(sorted(error.valid_methods or ()))
                fault = Fault("method", f"This address takes {allowed}.")
                answer = _error(services, fault, 405, (("allow", allowed),))
            case InternalServerError():
                services.background.failed(error.original_exception or error)
                answer = _error(services, INTERNAL, 500)
            case _:
                answer = _error(services, Fault("bad_message", "This request cannot be read."), 400)
        return _response(answer)

    return handle
