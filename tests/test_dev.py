"""The one door to every chore: what `./dev` says before it does anything."""

import re
import subprocess
from pathlib import Path


ROOT = Path(__file__).resolve().parent.parent


def _dev(*arguments: str, python: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": python}
    return subprocess.run(
        ["sh", "dev", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_help_lists_every_command_that_there_is() -> None:
    commands = re.findall(r"^    ([a-z]+)\)", (ROOT / "dev").read_text(encoding="utf-8"), flags=re.MULTILINE)
    listed = re.findall(r"^  ([a-z]+) {2,}", _dev("help").stdout, flags=re.MULTILINE)
    assert sorted(listed) == sorted([*commands, "help"])


def test_an_unknown_command_says_so_lists_the_known_ones_and_fails() -> None:
    answer = _dev("tset")
    assert answer.returncode == 2
    assert "there is no command tset" in answer.stderr
    assert "usage: ./dev" in answer.stderr


def test_a_python_that_does_not_run_is_named_with_what_to_do() -> None:
    answer = _dev("setup", python="no-such-python")
    assert answer.returncode == 1
    assert "PYTHON=no-such-python does not run" in answer.stderr
