"""What a configuration names, opened: its store and its token secrets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .auth import Clock, Tokens, wall_clock
from .config import Config
from .secret_file import read_or_make_secret, secret_path
from .store import Store, StoreUnusable
from .store_sqlite import open_sqlite


@asynccontextmanager
async def open_store(config: Config, *, exclusive: bool = True) -> AsyncIterator[Store]:
    """The store, brought up to date.

    Args:
        config: names it.
        exclusive: see `open_sqlite`.

    Raises:
        StoreUnusable: it cannot be opened, and why.
    """
    make_folder(config)
    async with open_sqlite(config.database.path, limits=config.limits, exclusive=exclusive) as store:
        yield store


def make_folder(config: Config) -> None:
    """Make the folder of the database where nobody chose one; a chosen folder that is not there is a mistake.

    Raises:
        StoreUnusable: it cannot be made.
    """
    if "database" in config.sources:
        return
    folder = config.database.path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnusable(f"{folder} cannot be made: {error.strerror}; name a place with --database.") from error


def open_tokens(config: Config, clock: Clock = wall_clock) -> Tokens:
    """The tokens, with the secret that was given or the one kept beside the database.

    Raises:
        SecretUnusable: the file beside the database must not be used as it is.
        StoreUnusable: there is no place for it.
    """
    older = [config.jwt_old_secret] if config.jwt_old_secret is not None else []
    if config.jwt_secret is not None:
        return Tokens(config.jwt_secret, *older, clock=clock)
    make_folder(config)
    return Tokens(read_or_make_secret(secret_path(config.database.path)), *older, clock=clock)
