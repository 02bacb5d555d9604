"""The configuration: who wins over whom, and what a mistake is told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from protocol import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from server_trio.config import Config, ConfigError, describe, load, value_of
from server_trio.listener import ListenerSettings
from server_trio.settings import SETTINGS, Database, data_folder, limit_name


SECRET = "a secret of more than thirty-two bytes"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tocsin.toml"


def mistake(environ: dict[str, str] | None = None, file: Path | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as told:
        load(flags, environ or {}, file)
    return str(told.value)


# -------------------------------------------------------------------------------------------------------- who wins


def test_with_nothing_said_the_defaults_hold() -> None:
    config = load({}, {"XDG_DATA_HOME": "data"})
    assert (config.host, config.port, config.query_tokens, config.allowed_origins) == ("127.0.0.1", 8765, True, None)
    assert (config.timing, config.limits) == (DEFAULT_TIMING, DEFAULT_LIMITS)
    assert config.sources == {}


def test_a_flag_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('host = "file"\nport = 1\ntoken_s = 1\n')
    config = load({"host": "flag", "port": None}, {"TOCSIN_HOST": "environment", "TOCSIN_PORT": "2"}, file)
    assert (config.host, config.port, config.token_s) == ("flag", 2, 1)
    assert config.sources == {
        "host": "flag --host",
        "port": "environment TOCSIN_PORT",
        "token_s": f"file {file}",
    }


def test_the_environment_may_name_the_file_and_a_flag_another(file: Path, tmp_path: Path) -> None:
    file.write_text("port = 1")
    other = tmp_path / "other.toml"
    other.write_text("port = 2")
    assert load({}, {"TOCSIN_CONFIG": str(file)}).port == 1
    assert load({}, {"TOCSIN_CONFIG": str(file)}, other).port == 2


def test_every_timing_and_limit_of_the_protocol_can_be_set(file: Path) -> None:
    # Raised alike, so that what has to stay in order does.
    timing = {name: value * 2 for name, value in asdict(DEFAULT_TIMING).items()}
    limits = {name: value * 2 for name, value in asdict(DEFAULT_LIMITS).items()}
    by_name = timing | {limit_name(name): value for name, value in limits.items()}
    config = load({}, {f"TOCSIN_{name.upper()}": str(value) for name, value in by_name.items()})
    assert (config.timing, config.limits) == (Timing(**timing), Limits(**limits))
    file.write_text("".join(f"{name} = {value}\n" for name, value in by_name.items()))
    assert load({}, {}, file) == config


def test_the_defaults_of_listening_are_those_of_the_listener() -> None:
    listener, config = ListenerSettings(), Config(database=Database(Path("x")))
    shared = [name for name in ListenerSettings.__dataclass_fields__ if name in SETTINGS and name != "port"]
    assert len(shared) >= 8
    assert {name: value_of(config, name) for name in shared} == {name: getattr(listener, name) for name in shared}


# ------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("TOCSIN_MAX_SOCKETS_PER_USER", "50", "limits.sockets", 50),
        ("TOCSIN_MAX_FRAME", "131072", "limits.frame", 131_072),
        ("TOCSIN_MAX_SOCKETS_PER_ADDRESS", "7", "max_sockets_per_address", 7),
        ("TOCSIN_HEARTBEAT_MS", "500", "timing.heartbeat_ms", 500),
        ("TOCSIN_GRACE", "2.5", "grace", 2.5),
        ("TOCSIN_QUERY_TOKENS", "off", "query_tokens", False),
        ("TOCSIN_QUERY_TOKENS", "True", "query_tokens", True),
        ("TOCSIN_ALLOWED_ORIGINS", "https://a.example, http://b.example:8080", "allowed_origins", None),
        ("TOCSIN_ALLOWED_ORIGINS", "", "allowed_origins", frozenset()),
        ("TOCSIN_ALLOWED_ORIGINS", "*", "allowed_origins", None),
        ("TOCSIN_LOG_LEVEL", "DEBUG", "log_level", "debug"),
        ("TOCSIN_DATABASE", "sqlite:///here.db", "database", Database(Path("here.db"))),
        ("TOCSIN_DATABASE", "sqlite:////srv/there.db", "database", Database(Path("/srv/there.db"))),
        ("TOCSIN_JWT_SECRET", SECRET, "jwt_secret", SECRET),
    ],
)
def test_a_variable_sets_what_it_is_named_after(variable: str, text: str, field: str, value: object) -> None:
    found: object = load({}, {variable: text})
    for part in field.split("."):
        found = getattr(found, part)
    if "," in text:
        value = frozenset({"https://a.example", "http://b.example:8080"})
    assert found == value


def test_a_file_says_lists_and_switches_in_its_own_words(file: Path) -> None:
    file.write_text('allowed_origins = ["https://a.example"]\nquery_tokens = false\ngrace = 3\n')
    config = load({}, {}, file)
    assert (config.allowed_origins, config.query_tokens, config.grace) == (frozenset({"https://a.example"}), False, 3)


@pytest.mark.parametrize(
    ("rate", "burst", "expected"),
    [("120", None, 40), ("6000", None, 2_000), ("60", None, 40), ("6000", "50", 50), (None, "50", 50)],
)
def test_who_may_send_more_in_a_minute_may_send_more_at_once(
    rate: str | None, burst: str | None, expected: int
) -> None:
    environ = {"TOCSIN_MESSAGES_PER_MINUTE": rate, "TOCSIN_BURST": burst}
    config = load({}, {name: value for name, value in environ.items() if value is not None})
    assert config.limits.burst == expected


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/tocsin:/other", "XDG_DATA_HOME": "/xdg"}, "/var/lib/tocsin"),
        ({"XDG_DATA_HOME": "/xdg"}, "/xdg/tocsin/server"),
    ],
)
def test_data_goes_where_the_system_keeps_it(
    environ: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert data_folder(environ) == Path(folder)
    assert load({}, environ).database.path == Path(folder) / "tocsin.db"


# ----------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("TOCSIN_PROT", "TOCSIN_PORT"),
        ("TOCSIN_SOCKETS", "TOCSIN_MAX_SOCKETS_PER_USER"),
        ("TOCSIN_FRAME", "TOCSIN_MAX_FRAME"),
        ("TOCSIN_MESAGES_PER_MINUTE", "TOCSIN_MESSAGES_PER_MINUTE"),
        ("TOCSIN_port", "TOCSIN_PORT"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest(variable: str, nearest: str) -> None:
    assert mistake({variable: "1"}) == f"environment: there is no setting {variable}; did you mean {nearest}?"


def test_an_unknown_key_of_the_file_is_an_error_that_names_the_nearest(file: Path) -> None:
    file.write_text("hots = 'x'")
    assert mistake(file=file) == f"{file}: there is no setting hots; did you mean host?"
    file.write_text("[zzz]\nport = 1")
    assert mistake(file=file) == f"{file}: there is no setting zzz."


def test_variables_of_clients_and_of_the_checkout_are_left_alone() -> None:
    names = "VENV URL TOKEN DEVICE STATE_DIR CLIENT_ANYTHING".split()
    assert load({}, {f"TOCSIN_{name}": "x" for name in names}).sources == {}
    assert load({}, {"TOCSINPORT": "x", "PORT": "x"}).sources == {}


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("TOCSIN_PORT", "http", "port must be a whole number from 0 to 65535, not 'http'."),
        ("TOCSIN_PORT", "65536", "port must be a whole number from 0 to 65535, not '65536'."),
        ("TOCSIN_HEARTBEAT_MS", "0", "heartbeat_ms must be a whole number, 1 or more, not '0'."),
        ("TOCSIN_GRACE", "-1", "grace must be a number of seconds, 0 or more, not '-1'."),
        ("TOCSIN_GRACE", "nan", "grace must be a number of seconds, 0 or more, not 'nan'."),
        ("TOCSIN_QUERY_TOKENS", "maybe", "query_tokens must be on or off, not 'maybe'."),
        ("TOCSIN_HOST", "", "host must be a string that is not empty, not ''."),
        ("TOCSIN_LOG_LEVEL", "loud", "log_level must be one of debug, info, warning, error, not 'loud'."),
    ],
)
def test_a_wrong_value_is_told_with_its_source_and_what_is_allowed(variable: str, text: str, allowed: str) -> None:
    assert mistake({variable: text}) == f"environment {variable}: {allowed}"


@pytest.mark.parametrize("text", ["tocsin.db", "sqlite://tocsin.db", "sqlite:///", "mysql:///x"])
def test_an_address_that_is_no_database_is_told_both_right_forms(text: str) -> None:
    told = mistake({"TOCSIN_DATABASE": text})
    assert "sqlite:///tocsin.db (a relative path) or sqlite:////srv/tocsin.db (an absolute one)" in told


@pytest.mark.parametrize("text", ["a.example", "https://a.example/path", "https://", "https://a b"])
def test_an_origin_has_a_scheme_and_no_path(text: str) -> None:
    assert "origins such as https://alarms.example" in mistake({"TOCSIN_ALLOWED_ORIGINS": text})


def test_a_flag_is_checked_as_well() -> None:
    assert mistake(port=99_999) == "flag --port: port must be a whole number from 0 to 65535, not 99999."


@pytest.mark.parametrize("value", ["true", "'12'", "1.5", "[1]"])
def test_a_file_is_read_strictly(file: Path, value: str) -> None:
    file.write_text(f"max_items = {value}")
    if value == "'12'":
        assert load({}, {}, file).limits.items == 12
    else:
        assert "max_items must be a whole number" in mistake(file=file)


def test_a_file_that_is_missing_or_no_toml_is_named(file: Path) -> None:
    assert mistake(file=file).startswith(f"{file}: cannot be read: ")
    file.write_text("port 1")
    assert mistake(file=file).startswith(f"{file}: is not TOML: ")


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("TOCSIN_HEARTBEAT_MS", "60000", "heartbeat_ms (60000) may not be above silence_ms (45000)."),
        ("TOCSIN_MAX_FRAME", "4096", "max_opening_frame (8192) may not be above max_frame (4096)."),
        ("TOCSIN_DRAIN_MAX_MS", "10", "drain_min_ms (1000) may not be above drain_max_ms (10)."),
    ],
)
def test_settings_that_contradict_each_other_are_told_both(variable: str, text: str, told: str) -> None:
    assert mistake({variable: text}) == f"environment {variable}: {told}"


def test_a_certificate_comes_with_its_key(file: Path) -> None:
    file.touch()
    assert "come together" in mistake({"TOCSIN_TLS_CERTIFICATE": str(file)})
    assert "come together" in mistake({"TOCSIN_TLS_KEY": str(file)})
    both = load({}, {"TOCSIN_TLS_KEY": str(file), "TOCSIN_TLS_CERTIFICATE": str(file)})
    assert both.tls_certificate == both.tls_key == file
    assert "path of a file that is there" in mistake({"TOCSIN_TLS_KEY": str(file / "not")})


# ------------------------------------------------------------------------------------------------------------ showing


def test_a_secret_is_shown_nowhere() -> None:
    environ = {"TOCSIN_JWT_SECRET": SECRET, "TOCSIN_JWT_OLD_SECRET": SECRET + "2", "TOCSIN_PORT": "1"}
    config = load({}, environ)
    assert SECRET not in repr(config)
    assert "jwt_secret=(hidden)" in repr(config)
    assert not any(SECRET in shown for _, shown, _ in describe(config))
    assert "hunter2" not in mistake({"TOCSIN_JWT_SECRET": "hunter2"})


def test_everything_is_described_with_its_source() -> None:
    rows = {
        name: (shown, source)
        for name, shown, source in describe(load({"port": 1}, {"TOCSIN_MESSAGES_PER_MINUTE": "240"}))
    }
    assert rows.keys() == SETTINGS.keys()
    assert rows["port"] == ("1", "flag --port")
    assert rows["messages_per_minute"] == ("240", "environment TOCSIN_MESSAGES_PER_MINUTE")
    assert rows["burst"] == ("80", "derived")
    assert rows["max_items"] == ("2000", "default")
    assert rows["allowed_origins"] == ("*", "default")


@given(st.dictionaries(st.sampled_from([f"TOCSIN_{name.upper()}" for name in SETTINGS]), st.text(max_size=20)))
def test_whatever_the_environment_says_is_taken_or_told(environ: dict[str, str]) -> None:
    try:
        outcome = repr(load({}, environ))
    except ConfigError as told:
        outcome = str(told)
    assert outcome.startswith("<Config ") or any(name in outcome for name in environ)
