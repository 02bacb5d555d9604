"""The commands, run as people and programs run them: a process, its output, its exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol import UserId
from server_trio.__main__ import leaves, told
from server_trio.auth import Tokens, Verified
from server_trio.secret_file import read_or_make_secret, secret_path
from server_trio.store import StoreUnusable


ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse"


class Place:
    """A folder for a server's data, and its commands run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "tocsin" / "server" / "tocsin.db"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        clean.pop("STATE_DIRECTORY", None)
        self.environ = clean | {"XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str, typed: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "server_trio", *arguments],
            env=self.environ | environ,
            cwd=self.folder,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def said(self, *arguments: str, typed: str = "") -> str:
        """The output of a command that succeeds."""
        done = self.run(*arguments, typed=typed)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refused(self, code: int, *arguments: str, typed: str = "", **environ: str) -> str:
        """What a command says that fails in the expected way."""
        done = self.run(*arguments, typed=typed, **environ)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    @contextmanager
    def serving(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        command = [sys.executable, "-m", "server_trio", "serve", "--port", "0", *arguments]
        with subprocess.Popen(
            command, env=self.environ, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --------------------------------------------------------------------------------------------------------------- people


def test_a_user_is_added_and_listed(place: Place) -> None:
    assert place.said("user", "add", "ann", "--password-stdin", typed=PASSWORD + "\n") == "ann can sign in.\n"
    assert place.said("user", "add", "bob", "--password-stdin", typed=PASSWORD + "\n") == "bob can sign in.\n"
    assert place.said("user", "list") == "ann\nbob\n"
    again = place.refused(1, "user", "add", "ann", "--password-stdin", typed=PASSWORD)
    assert again == "Error: There is a user 'ann' already.\n"
    assert PASSWORD.encode() not in place.database.read_bytes()


def test_a_name_or_password_that_cannot_be_taken_is_a_wrong_command(place: Place) -> None:
    assert "8 to 1024" in place.refused(2, "user", "add", "ann", "--password-stdin", typed="short\n")
    assert "printable" in place.refused(2, "user", "add", "a\nb", "--password-stdin", typed=PASSWORD)
    assert not place.database.exists()


def test_a_token_is_good_for_the_server_of_that_database(place: Place) -> None:
    token = place.said("token", "--user", "ann", "--ttl", "90").strip()
    verified = Tokens(read_or_make_secret(secret_path(place.database))).verify(token)
    assert isinstance(verified, Verified)
    assert verified.user == UserId("ann")
    secret = "s" * 40
    token = place.run("token", "--user", "bob", TOCSIN_JWT_SECRET=secret).stdout.strip()
    assert isinstance(Tokens(secret).verify(token), Verified)


# ---------------------------------------------------------------------------------------------------------- the database


def test_the_schema_is_brought_up_to_date_once(place: Place) -> None:
    assert place.said("migrate").startswith("0001_first.sql\n")
    assert place.said("migrate") == "The schema is the newest already.\n"
    assert place.said("restored") == "Every log has a new epoch.\n"


def test_the_check_finds_nothing_wrong_with_a_new_database(place: Place) -> None:
    assert "is not there yet" in place.said("check")
    place.said("migrate")
    assert place.said("check") == f"sqlite:///{place.database} is as it should be.\n"


def test_the_check_tells_a_loose_secret_and_a_foreign_file(place: Place) -> None:
    place.said("token", "--user", "ann")
    place.said("migrate")
    secret_path(place.database).chmod(0o644)
    assert "may be read by others (mode 644)" in place.refused(1, "check")
    foreign = place.folder / "diary.txt"
    foreign.write_text("Dear diary, " * 50)
    assert "is not an SQLite database" in place.refused(1, "check", "--database", "sqlite:///diary.txt")


# ------------------------------------------------------------------------------------------------------------- mistakes


def test_a_mistake_in_the_configuration_is_one_sentence_and_exit_code_2(place: Place) -> None:
    told_ = place.refused(2, "check", TOCSIN_PROT="1")
    assert told_ == "Error: environment: there is no setting TOCSIN_PROT; did you mean TOCSIN_PORT?\n"
    assert "flag --port: port must be" in place.refused(2, "serve", "--port", "99999")
    assert "cannot be read" in place.refused(2, "check", "--config", "missing.toml")


def test_the_configuration_is_shown_without_secrets(place: Place) -> None:
    secret = "s" * 40
    shown = place.run("config", TOCSIN_JWT_SECRET=secret, TOCSIN_PORT="1").stdout
    assert secret not in shown
    assert [line.split() for line in shown.splitlines() if line.startswith(("port", "jwt_secret"))] == [
        ["port", "1", "environment", "TOCSIN_PORT"],
        ["jwt_secret", "(hidden)", "environment", "TOCSIN_JWT_SECRET"],
    ]


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["user"],
        ["user", "add"],
        ["user", "list"],
        ["token"],
        ["migrate"],
        ["check"],
        ["restored"],
        ["config"],
    ],
)
def test_every_command_explains_itself(place: Place, command: list[str]) -> None:
    assert place.said(*command, "--help").startswith("Usage: python -m server_trio")


def test_what_tasks_raise_together_is_told_together_and_bugs_keep_their_trace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = ExceptionGroup("", [ExceptionGroup("", [StoreUnusable("one")]), OSError("two")])
    assert [str(error) for error in leaves(expected)] == ["one", "two"]
    with pytest.raises(SystemExit) as ended, told():
        raise expected
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Error: one\ntwo\n"
    with pytest.raises(ExceptionGroup), told():
        raise ExceptionGroup("", [StoreUnusable("one"), ZeroDivisionError()])


# -------------------------------------------------------------------------------------------------------------- serving


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_when_it_listens_and_ends_in_peace(place: Place, signal_: signal.Signals) -> None:
    with place.serving() as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Tocsin listens on http://127.0.0.1:")
        port = int(line.split()[3].rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        process.send_signal(signal_)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_a_server_says_for_programs_where_it_is_and_which_process(place: Place) -> None:
    with place.serving("--json") as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        assert ready["ready"].startswith("ws://127.0.0.1:")
        assert "Another server has tocsin.db open" in place.refused(1, "serve", "--port", "0")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_a_port_that_is_taken_is_named(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Cannot listen on 127.0.0.1:{port}: " in place.refused(1, "serve", "--port", str(port))
