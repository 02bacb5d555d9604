"""The life of a server: its parts built, its listener run, its store kept tidy, all ended in order."""

import gc
import ssl
from collections.abc import Callable, Sequence
from functools import partial

import trio

from protocol import Wall
from protocol.server import Terms
from protocol.zones import system_zones

from .access import Access
from .auth import Tokens, wall_clock
from .background import Background
from .batches import Acks, Heads
from .commits import Commits
from .config import Config
from .door import Door
from .framing import Framer
from .housekeeping import keep_house
from .http1 import ASGIApp
from .hub import Hub
from .listener import Listener, ListenerSettings
from .opening import open_store, open_tokens
from .passwords import Passwords
from .presence import Presence
from .services import Services
from .sign_in import SignIn
from .store import Store


MakeApp = Callable[[Services], ASGIApp]


async def run_server(
    config: Config, make_app: MakeApp, *, stop: trio.Event, task_status: trio.TaskStatus[Sequence[str]]
) -> None:
    """Run a server until `stop` is set and its clients have left; reports its addresses when it listens.

    Raises:
        StoreUnusable: the database cannot be opened.
        SecretUnusable: the token secret beside it must not be used.
        OSError: the address cannot be bound, or a certificate cannot be read.
    """
    async with open_store(config) as store, trio.open_nursery() as nursery:
        services = build_services(config, store, open_tokens(config), nursery)
        nursery.start_soon(keep_house, store, services.wall)
        spare_the_collector()
        await run_listener(config, services, make_app, stop, task_status)
        nursery.cancel_scope.cancel()


def spare_the_collector() -> None:
    """Modules live for ever and connections nearly so: searching them for garbage only delays answers."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)


def build_services(
    config: Config,
    store: Store,
    tokens: Tokens,
    nursery: trio.Nursery,
    *,
    wall: Callable[[], Wall] = wall_clock,
    now: Callable[[], float] = trio.current_time,
) -> Services:
    """All that the connections and requests of a server share.

    Args:
        config: times and limits.
        store: keeps everything.
        tokens: judges tokens.
        nursery: where errands run; it must outlive every connection.
        wall: the server's clock, ms.
        now: seconds of a clock that never steps.
    """
    terms = Terms(
        timing=config.timing, limits=config.limits, origins=config.allowed_origins, query_tokens=config.query_tokens
    )
    background = Background(nursery)
    hub = Hub(terms, Presence(store, background, terms), background, now)
    sign_in = SignIn(store, tokens, Passwords(), token_s=config.token_s, refresh_s=config.refresh_s, ended=hub.sign_out)
    return Services(
        terms=terms,
        store=store,
        hub=hub,
        commits=Commits(store, hub.publish, limits=terms.limits, zones=system_zones, wall=wall),
        access=Access(tokens, store),
        sign_in=sign_in,
        heads=Heads(store, background, wall),
        acks=Acks(store, background, wall, hub.devices_changed),
        framer=Framer(),
        background=background,
        wall=wall,
        now=now,
    )


async def run_listener(
    config: Config,
    services: Services,
    make_app: MakeApp,
    stop: trio.Event,
    task_status: trio.TaskStatus[Sequence[str]],
) -> None:
    """Listen until `stop` is set, then drain."""

    def sweep(_: float) -> None:
        services.hub.sweep(services.now())
        services.acks.flush()

    app = Door(make_app(services), services)
    listener = Listener(app, listener_settings(config), on_drain=services.hub.drain, on_sweep=sweep)
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(partial(listener.run, stop=stop))
        scheme = "http" if config.tls_certificate is None else "https"
        host = f"[{config.host}]" if ":" in config.host else config.host
        task_status.started([f"{scheme}://{host}:{port}"])


def listener_settings(config: Config) -> ListenerSettings:
    """The part of a configuration that the transport needs."""
    context = None
    if config.tls_certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(config.tls_certificate, config.tls_key)
    return ListenerSettings(
        host=config.host,
        port=config.port,
        max_frame=config.limits.frame,
        max_body=config.max_body,
        max_sockets=config.max_sockets,
        max_sockets_per_address=config.max_sockets_per_address,
        opening_timeout=config.opening_timeout,
        answer_timeout=config.answer_timeout,
        keep_alive=config.keep_alive,
        progress_timeout=config.progress_timeout,
        closing_timeout=config.closing_timeout,
        grace=config.grace,
        backlog=config.backlog,
        ssl_context=context,
    )
