"""The server's commands: `python -m server_trio --help`.

Exit codes: 0 done; 1 it could not be done, and why; 2 the command or the configuration is wrong.
"""

import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
import trio

from protocol import SessionId, UserId

from .auth import wall_clock
from .check import findings
from .config import Config, ConfigError, describe, load
from .opening import make_folder, open_store, open_tokens
from .passwords import Passwords
from .secret_file import SecretUnusable, secret_path
from .sign_in import unfit_name, unfit_password
from .sqlite_file import migrate as migrate_file
from .store import StoreUnavailable, StoreUnusable


EXPECTED = (StoreUnusable, StoreUnavailable, SecretUnusable, OSError)
"""What a person can do something about: told in a sentence, without a trace."""


def with_config(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the two options that all of them share."""
    file = click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="TOML file; TOCSIN_CONFIG names one as well.",
    )
    database = click.option(
        "--database",
        metavar="URL",
        help="Such as sqlite:///tocsin.db; default: in the user's data folder, as `config` shows. Or TOCSIN_DATABASE.",
    )
    return file(database(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Keep alarms and timers in step on every device a person owns."""


@main.command()
@click.option("--host", help="Name or address to listen on; 127.0.0.1 if nobody says.")
@click.option("--port", type=int, help="Port to listen on, 0 for a free one; 8765 if nobody says.")
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
@with_config
def serve(host: str | None, port: int | None, *, as_json: bool, file: Path | None, database: str | None) -> None:
    """Run the server until SIGTERM or SIGINT, then let its clients go in peace."""
    config = configure(file, host=host, port=port, database=database)
    logging.basicConfig(level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with told(f"{config.host}:{config.port}"):
        trio.run(_serve, config, partial(_ready, as_json=as_json))


async def _serve(config: Config, ready: Callable[[Sequence[str]], None]) -> None:
    # Only this command needs Quart, which takes longer to import than the others take to run.
    from .app import serve as run  # noqa: PLC0415 - see above

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_watch_signals, stop, nursery.cancel_scope)

        async def run_to_end(task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED) -> None:
            await run(config, stop=stop, task_status=task_status)
            nursery.cancel_scope.cancel()

        ready(await nursery.start(run_to_end))


async def _watch_signals(
    stop: trio.Event, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The first signal asks for a drain, the second does not wait for it."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                scope.cancel()
            stop.set()


def _ready(urls: Sequence[str], *, as_json: bool) -> None:
    """One line when the server listens: for people, or for a program that started it."""
    if as_json:
        line = json.dumps({"ready": urls[0].replace("http", "ws", 1), "pid": os.getpid()})
    else:
        line = f"Tocsin listens on {' and '.join(urls)} (process {os.getpid()}; stop it with Ctrl-C)"
    click.echo(line)
    sys.stdout.flush()


@main.group()
def user() -> None:
    """Who may sign in."""


@user.command("add")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@with_config
def add_user(name: str, *, password_stdin: bool, file: Path | None, database: str | None) -> None:
    """Let NAME sign in; asks for the password. A running server need not stop for it."""
    config = configure(file, database=database)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if problem := unfit_name(name) or unfit_password(password):
        raise click.UsageError(problem)
    with told():
        added = trio.run(_add_user, config, name, password)
    if not added:
        fail(f"There is a user {name!r} already.")
    click.echo(f"{name} can sign in.")


async def _add_user(config: Config, name: str, password: str) -> bool:
    async with open_store(config, exclusive=False) as store:
        return await store.add_user(name, await Passwords().hash(password), wall_clock())


@user.command("list")
@with_config
def list_users(file: Path | None, database: str | None) -> None:
    """Print everybody who may sign in, a name a line."""
    config = configure(file, database=database)
    with told():
        names = trio.run(_names, config)
    for name in names:
        click.echo(name)


async def _names(config: Config) -> list[str]:
    async with open_store(config, exclusive=False) as store:
        return [login.name for login in await store.logins()]


@main.command()
@click.option("--user", "name", required=True, help="Whose token; users come to be when they are first used.")
@click.option(
    "--ttl", type=click.IntRange(min=1), help="Its life in seconds; token_s of the configuration if not given."
)
@with_config
def token(name: str, ttl: int | None, file: Path | None, database: str | None) -> None:
    """Print a token, for a script or a first try."""
    config = configure(file, database=database)
    if problem := unfit_name(name):
        raise click.UsageError(problem)
    with told():
        tokens = open_tokens(config)
    session = SessionId(f"cli-{secrets.token_hex(8)}")
    click.echo(tokens.issue(UserId(name), session, ttl or config.token_s))


@main.command()
@with_config
def migrate(file: Path | None, database: str | None) -> None:
    """Bring the database to the newest schema, making it if need be. `serve` does the same."""
    config = configure(file, database=database)
    with told():
        make_folder(config)
        steps = migrate_file(config.database.path)
    click.echo("\n".join(steps) or "The schema is the newest already.")


@main.command()
@with_config
def check(file: Path | None, database: str | None) -> None:
    """Look for mistakes in the configuration, the token secret and the database."""
    config = configure(file, database=database)
    if not config.database.path.exists():
        click.echo(f"{config.database.shown} is not there yet; the first start makes it.")
        return
    with told():
        if secret_path(config.database.path).exists():
            open_tokens(config)
        found = findings(config.database.path)
    if found:
        fail("\n".join(found))
    click.echo(f"{config.database.shown} is as it should be.")


@main.command()
@with_config
def restored(file: Path | None, database: str | None) -> None:
    """Run this once after a backup was put back, before the server starts.

    What clients have seen may be missing from it; a new epoch makes them compare instead of trusting their place.
    """
    config = configure(file, database=database)
    with told():
        trio.run(_renew, config)
    click.echo("Every log has a new epoch.")


async def _renew(config: Config) -> None:
    async with open_store(config) as store:
        await store.renew_all_epochs()


@main.command("config")
@with_config
def show_config(file: Path | None, database: str | None) -> None:
    """Print every setting, its value, and where it comes from; secrets are hidden."""
    rows = list(describe(configure(file, database=database)))
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, source in rows:
        click.echo(f"{name:<{name_width}}  {value:<{value_width}}  {source}")


def configure(file: Path | None, **flags: object) -> Config:
    """Read the configuration, or say what is wrong with it and end with 2."""
    try:
        return load(flags, os.environ, file)
    except ConfigError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from None


@contextmanager
def told(address: str = "") -> Iterator[None]:
    """Turn what a person can do something about into one sentence and exit code 1.

    Args:
        address: what was to be listened on, where something was.
    """
    try:
        yield
    except EXPECTED as error:
        fail(_sentence(error, address))
    except BaseExceptionGroup as group:
        # A nursery wraps what its tasks raise.
        known, others = group.split(EXPECTED)
        if known is None or others is not None:
            raise
        fail("\n".join(_sentence(error, address) for error in leaves(known)))


def _sentence(error: BaseException, address: str) -> str:
    """The system names the file it could not open, but not the address it could not bind."""
    if isinstance(error, OSError) and error.filename is None and address:
        return f"Cannot listen on {address}: {error.strerror}; choose another with --host and --port."
    return str(error)


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The exceptions inside, however deep."""
    for error in group.exceptions:
        yield from leaves(error) if isinstance(error, BaseExceptionGroup) else [error]


def fail(message: str) -> NoReturn:
    """End with exit code 1."""
    click.echo(f"Error: {message}", err=True)
    raise SystemExit(1)


if __name__ == "__main__":
    main(prog_name="python -m server_trio")
