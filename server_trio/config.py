"""The configuration: one frozen value, read from a file, the environment and flags, the later ones winning.

    host = "0.0.0.0"                                # in the file
    TOCSIN_MAX_SOCKETS_PER_USER=50                  # in the environment
    python -m server_trio serve --port 443          # as a flag

A name nobody knows is an error: a limit that is misspelt is a limit that is not there.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from protocol import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing

from .settings import ORDERED, OWN, SETTINGS, Database, Setting, default_database, limit_name


PREFIX = "TOCSIN_"

NOT_OURS = {
    "client": {"URL", "TOKEN", "USER", "PASSWORD", "DEVICE", "STORE", "HOME", "DATA"},
    "conformance": {"PROTOCOL", "DEADLINE_MS", "STATE_DIR", "CONTROL_URL"},
    "checkout": {"VENV"},
}
"""Variables of other programs, by program; whatever begins with `TOCSIN_CLIENT_` is the client's as well."""


_LIMIT_FIELDS = {limit_name(name): name for name in Limits.__struct_fields__}


class ConfigError(Exception):
    """A sentence that says where the mistake is and what is allowed."""


class Given(NamedTuple):
    """A value somebody gave, and where."""

    value: object
    source: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Config:
    """How the server is to run. Sizes in bytes; `_s` and the timeouts in seconds, `_ms` in milliseconds.

    Attributes:
        host, port: to listen on; port 0 takes a free one.
        database: where everything is kept.
        jwt_secret: signs tokens. None: made at the first start and kept beside the database.
        jwt_old_secret: verifies tokens signed before a change of secret.
        token_s, refresh_s: life of a token and of a refresh token.
        allowed_origins: of web pages that may open sockets. None: all, since a token is never sent by itself as a cookie is.
        query_tokens: whether `?token=` is taken, which some logs of proxies keep.
        tls_certificate, tls_key: PEM files; both or none.
        log_level: debug, info, warning or error.
        max_body: of an HTTP request.
        max_sockets, max_sockets_per_address: connections of any kind at once.
        backlog: connections the kernel keeps while the server is busy.
        opening_timeout: for a request to arrive whole. answer_timeout: for an answer to begin, and for each part.
        keep_alive: how long an idle HTTP connection is kept. progress_timeout: for a peer to take some bytes.
        closing_timeout: for a peer to close after us. grace: how long a drain may take.
        timing, limits: of the protocol.
        sources: where each setting that was given came from.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    database: Database
    jwt_secret: str | None = None
    jwt_old_secret: str | None = None
    token_s: int = 3_600
    refresh_s: int = 60 * 86_400
    allowed_origins: frozenset[str] | None = None
    query_tokens: bool = True
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    log_level: str = "info"
    max_body: int = 1_048_576
    max_sockets: int = 20_000
    max_sockets_per_address: int = 20_000
    backlog: int = 1_024
    opening_timeout: float = 10.0
    answer_timeout: float = 60.0
    keep_alive: float = 75.0
    progress_timeout: float = 20.0
    closing_timeout: float = 5.0
    grace: float = 10.0
    timing: Timing = DEFAULT_TIMING
    limits: Limits = DEFAULT_LIMITS
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False)

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={shown}" for name, shown, source in describe(self) if source != "default")
        return f"<Config {self.host}:{self.port}, {self.database.shown}{changed and '; given: ' + changed}>"


def load(flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None) -> Config:
    """Read the configuration.

    Args:
        flags: settings by name, as given on the command line; None means not given.
        environ: the environment.
        file: TOML; where None, the one that `TOCSIN_CONFIG` names, if it names one.

    Raises:
        ConfigError: what is wrong, where, and what is allowed.
    """
    if file is None and PREFIX + "CONFIG" in environ:
        file = Path(environ[PREFIX + "CONFIG"])
    given = dict[str, Given]()
    given |= _from_file(file) if file is not None else {}
    given |= _from_environment(environ)
    given |= {name: Given(value, f"flag --{name}") for name, value in flags.items() if value is not None}
    values = {name: _read(SETTINGS[name], value) for name, value in given.items()}
    values.setdefault("database", default_database(environ))
    _scale_burst(values)
    config = _build(values, {name: value.source for name, value in given.items()})
    _check(config)
    return config


def _from_file(path: Path) -> dict[str, Given]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}.") from error
    for name in table:
        if name not in SETTINGS:
            raise ConfigError(f"{path}: there is no setting {name}{_nearest(name, '')}")
    return {name: Given(value, f"file {path}") for name, value in table.items()}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    given = dict[str, Given]()
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if name in (variable, "CONFIG") or _is_foreign(name):
            continue
        if name.lower() not in SETTINGS or name != name.upper():
            raise ConfigError(f"environment: there is no setting {variable}{_nearest(name.lower(), PREFIX)}")
        given[name.lower()] = Given(environ[variable], f"environment {variable}")
    return given


def _is_foreign(name: str) -> bool:
    return name.startswith("CLIENT_") or any(name in names for names in NOT_OURS.values())


def _nearest(name: str, prefix: str) -> str:
    known = (
        [limit_name(name)]
        if name in Limits.__struct_fields__
        else difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0.5)
    )
    return f"; did you mean {prefix}{known[0].upper() if prefix else known[0]}?" if known else "."


def _read(setting: Setting, given: Given) -> Any:
    try:
        return setting.read(given.value)
    except ValueError as allowed:
        shown = "" if setting.secret else f", not {given.value!r}"
        raise ConfigError(f"{given.source}: {setting.name} must be {allowed}{shown}.") from None


def _scale_burst(values: dict[str, Any]) -> None:
    """Who may send more in a minute may send more at once, in proportion."""
    rate = values.get("messages_per_minute", 0)
    if "burst" not in values and rate > DEFAULT_LIMITS.messages_per_minute:
        values["burst"] = rate * DEFAULT_LIMITS.burst // DEFAULT_LIMITS.messages_per_minute


def _check(config: Config) -> None:
    for lesser, greater in ORDERED:
        low, high = value_of(config, lesser), value_of(config, greater)
        if low > high:
            source = config.sources.get(lesser) or config.sources[greater]
            raise ConfigError(f"{source}: {lesser} ({low}) may not be above {greater} ({high}).")
    if (config.tls_certificate is None) != (config.tls_key is None):
        source = config.sources.get("tls_certificate") or config.sources["tls_key"]
        raise ConfigError(f"{source}: tls_certificate and tls_key come together, or not at all.")


def _build(values: Mapping[str, Any], sources: Mapping[str, str]) -> Config:
    own = {setting.name: values[setting.name] for setting in OWN if setting.name in values}
    timing = {name: values[name] for name in Timing.__struct_fields__ if name in values}
    limits = {name: values[limit_name(name)] for name in Limits.__struct_fields__ if limit_name(name) in values}
    return Config(**own, timing=Timing(**timing), limits=Limits(**limits), sources=MappingProxyType(dict(sources)))


def value_of(config: Config, name: str) -> Any:
    """The value of a setting, wherever in the configuration it is kept."""
    if name in Timing.__struct_fields__:
        return getattr(config.timing, name)
    if name in _LIMIT_FIELDS:
        return getattr(config.limits, _LIMIT_FIELDS[name])
    return getattr(config, name)


def describe(config: Config) -> Iterator[tuple[str, str, str]]:
    """Every setting: its name, its value with secrets hidden, and where it comes from."""
    usual = Config(database=config.database)
    for name, setting in SETTINGS.items():
        value = value_of(config, name)
        source = config.sources.get(name) or ("default" if value == value_of(usual, name) else "derived")
        yield name, _shown(setting, value), source


def _shown(setting: Setting, value: Any) -> str:
    if setting.secret and value is not None:
        return "(hidden)"
    match value:
        case None:
            return "*" if setting.name == "allowed_origins" else "(none)"
        case Database():
            return value.shown
        case bool():
            return "on" if value else "off"
        case frozenset():
            return ", ".join(sorted(value)) or "(none)"
        case _:
            return str(value)
