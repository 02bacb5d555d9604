"""Where the server is: its base URL read once, for the socket and for plain requests."""

import ssl
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit


SOCKET_PATH = "/api/alarms-timers/ws"


class AddressError(ValueError):
    """The URL cannot be a server's."""


class ServerAddress(NamedTuple):
    """A server.

    Attributes:
        tls: the context for `https`, None for `http`.
        prefix: a path that the server's own paths stand behind, empty or `/…`.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    prefix: str = ""

    @property
    def authority(self) -> str:
        """`host:port` as headers and URLs have it: an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What relative paths are appended to."""
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by name or number."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __repr__(self) -> str:
        return f"<ServerAddress {self.base_url}>"


def read_address(url: str, tls: ssl.SSLContext | None = None) -> ServerAddress:
    """Read `http://…` or `https://…`.

    Args:
        url: the server's base.
        tls: used for `https` in place of the system's default context.

    Raises:
        AddressError: what is wrong, in words.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressError(f"{url!r} is no URL: {error}.") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise AddressError(f"{url!r} must look like http://host:port or https://host.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise AddressError(
            "The server's URL holds no user, password, query or fragment; give the user by its own option."
        )
    secure = parts.scheme == "https"
    context = (tls or ssl.create_default_context()) if secure else None
    return ServerAddress(host, port or (443 if secure else 80), context, parts.path.rstrip("/"))
