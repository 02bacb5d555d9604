"""`python -m protocol` as its user meets it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocol import __main__ as main
from protocol import trace
from protocol.testing import Pair


ROOT = Path(__file__).parents[2]


def run(*arguments: str, said: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "protocol", *arguments]
    return subprocess.run(
        command, input=said, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=60
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    pair = Pair()
    pair.connect()
    path = tmp_path / "session.jsonl"
    path.write_text(trace.dump(pair.client), "utf-8")
    return path


def test_the_repl_opens_with_a_pair_ready() -> None:
    done = run(said="pair.connect()\nprint(pair.client)\n")
    assert done.returncode == 0
    assert "<ClientConnection Live(rev=0)" in done.stdout
    assert "`pair` is a device and its server" in done.stderr


def test_a_recording_is_walked_through_by_commands(recording: Path) -> None:
    done = run(str(recording), said="n 2\np\ns\nq\n")
    assert done.returncode == 0
    assert "<Stepper at 0 of" in done.stdout
    assert "back to before step 1" in done.stdout


def test_the_walk_ends_with_its_input(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main.main([str(recording)]) == 0


def test_the_walk_ends_when_asked(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\nq\n"))
    assert main.main([str(recording)]) == 0
    assert "GetToken" in capsys.readouterr().out


def test_without_a_file_the_repl_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main.main([]) == 0


def test_a_replay_that_agrees_exits_with_zero(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--replay", str(recording)]) == 0
    assert capsys.readouterr().out == "session.jsonl: the same\n"


def test_a_replay_that_differs_exits_with_one_and_shows_it(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording.write_text(recording.read_text("utf-8").replace('"Dialled","conn":1', '"Dialled","conn":9'), "utf-8")
    assert main.main(["--replay", str(recording)]) == 1
    assert "expected" in capsys.readouterr().out


def test_what_is_no_trace_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no", "utf-8")
    with pytest.raises(SystemExit, match="line 1"):
        main.main(["--replay", str(tmp_path / "x")])
    with pytest.raises(SystemExit, match="No such file"):
        main.main([str(tmp_path / "y")])
