"""`python -m client_qt`: puts the parts together."""

import argparse
import getpass
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from .database import Database, DatabaseError, database_file
from .engine import Engine
from .folders import data_folder
from .headless import Headless, input_lines, read_input, write_output
from .lines import encode
from .local_zone import local_zone
from .polling import Requests
from .server_address import AddressError, read_address
from .session import Network
from .tokens import FixedToken, NoCredentials, PasswordTokens, TokenSource


USAGE = 2


class StartError(Exception):
    """It cannot start. `code` for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="python -m client_qt", description="Alarms and timers, in step on every device."
    )
    options.add_argument("--headless", action="store_true", help="a device in a terminal: commands in, events out")
    options.add_argument("--url", help="the server, as in https://host; without one this device is on its own")
    options.add_argument("--user", default="", help="who signs in; also names the local copy")
    options.add_argument(
        "--password-stdin", action="store_true", help="the first line of standard input is the password"
    )
    options.add_argument("--token", help="an access token in place of a password; better: TOCSIN_TOKEN")
    options.add_argument("--data", type=Path, help="folder of the local copy")
    options.add_argument("--name", default=platform.node(), help="of this device, for people")
    options.add_argument("--json", action="store_true", help="one JSON object a line (see client_qt/headless.py)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        if not options.headless:
            raise StartError("no_window", "There is no window yet; use --headless.")
        trio.run(_headless, options)
    except (StartError, DatabaseError) as error:
        _say_error(error.code, str(error), as_json=options.json)
        return USAGE
    except AddressError as error:
        _say_error("bad_url", str(error), as_json=options.json)
        return USAGE
    return 0


def _say_error(code: str, message: str, *, as_json: bool) -> None:
    if as_json:
        print(encode({"event": "error", "code": code, "message": message, "t": time.time_ns() // 1_000_000}))
    else:
        print(f"{message} ({code})", file=sys.stderr)


async def _headless(options: argparse.Namespace) -> None:
    network = _network(options)
    path = database_file(options.data or data_folder(), options.url, options.user)
    database = await trio.to_thread.run_sync(Database.open, path)
    about = {"name": options.name, "url": options.url, "user": options.user, "data": str(path)}
    headless = Headless(about, as_json=options.json, tz=local_zone(), wall_ms=lambda: time.time_ns() // 1_000_000)
    engine = Engine(database, network, headless.tell, name=options.name)
    try:
        await headless.run(engine, input_lines(read_input), write_output)
    finally:
        if network is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await network.requests.aclose()


def _network(options: argparse.Namespace) -> Network | None:
    if options.url is None:
        return None
    requests = Requests(read_address(options.url))
    return Network(requests, _tokens(options, requests))


def _tokens(options: argparse.Namespace, requests: Requests) -> TokenSource:
    token = options.token or os.environ.get("TOCSIN_TOKEN")
    if token:
        return FixedToken(token)
    password = _password(from_input=options.password_stdin) if options.user else None
    return NoCredentials() if password is None else PasswordTokens(requests, options.user, password)


def _password(*, from_input: bool) -> str | None:
    """None where there is nobody to ask."""
    if from_input:
        # Byte by byte: what follows the line are commands, and must not vanish into a buffer.
        line = bytearray()
        while (byte := os.read(sys.stdin.fileno(), 1)) not in {b"", b"\n"}:
            line += byte
        return line.decode(errors="replace").rstrip("\r")
    return getpass.getpass() if sys.stdin.isatty() else None


if __name__ == "__main__":
    sys.exit(main())
