"""The fuzzer itself: it is repeatable, it finds what was broken on purpose, and it says how to see that again."""

import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from protocol import _submission, server, trace
from protocol._deflate import TAG, unpack
from protocol.client import _upkeep
from protocol.server import _rules_opening, _rules_stream
from protocol.server._machine import error, go
from server_trio.websocket import FrameReader

from . import edges, framing_target, http_target
from .__main__ import main
from .engine import CORPUS, Fuzzer, broken, programs_in, save
from .program import Step, read, write
from .targets import TARGETS


def campaign(name: str, runs: int, *, seed: int = 1, every: int = 8) -> Fuzzer:
    """A few runs from a part of the corpus."""
    with edges.opened() as eyes:
        fuzzer = Fuzzer(TARGETS[name], eyes, seed)
        fuzzer.learn(programs_in(CORPUS / name)[::every])
        fuzzer.go(runs)
    return fuzzer


@pytest.mark.parametrize(
    ("name", "runs"), [("framing", 300), ("frames", 120), ("server", 60), ("client", 30), ("http", 60), ("trace", 300)]
)
def test_a_short_campaign_breaks_nothing(name: str, runs: int) -> None:
    fuzzer = campaign(name, runs)
    assert {key: write(crash.program) for key, crash in fuzzer.crashes.items()} == {}
    assert fuzzer.runs >= runs


def test_the_same_seed_makes_the_same_programs_and_another_seed_others() -> None:
    first, second, other = campaign("framing", 150), campaign("framing", 150), campaign("framing", 150, seed=2)
    assert first.kept == second.kept
    assert first.kept != other.kept
    assert first.places == second.places


def test_what_is_kept_went_where_nothing_before_had_been() -> None:
    fuzzer = campaign("framing", 200, every=12)
    learned = len(fuzzer.corpus) - len(fuzzer.kept)
    assert fuzzer.kept
    assert fuzzer.corpus[learned:] == fuzzer.kept
    assert fuzzer.edges > 20


# --- broken on purpose ------------------------------------------------------------------------------------------------


def _unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inflating everything before looking at its size."""
    monkeypatch.setattr(framing_target, "unpack", lambda data, _: zlib.decompress(data[1:], -15).decode())


def _still_hearing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that goes on after a violation."""
    monkeypatch.setattr(FrameReader, "_silence", FrameReader._forget)


def _hoarding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow reader's events are kept without bound."""

    def hold(m: Any, s: Any, frame: Any, rev: Any) -> Any:
        size = s.held_bytes + len(frame)
        return go(m, server.Live(s.peer, s.sent, True, (*s.held, frame), size)), []

    monkeypatch.setattr(_rules_stream, "_hold", hold)


def _talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not understood is repeated a hundred times."""

    def verbose(fault: Any, ref: Any = None) -> Any:
        return error(msgspec.structs.replace(fault, message=fault.message * 100), ref)

    monkeypatch.setattr(_rules_opening, "error", verbose)


def _remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ping is remembered, answered or not."""
    monkeypatch.setattr(_upkeep, "PINGS", 1 << 20)


def _surprised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pong that nobody asked for is looked up all the same."""
    monkeypatch.setattr(_upkeep, "_pong", lambda turn, session, pong: turn.ignore(str(session.pings.index(pong.t0))))


def _unexpecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutation's members are of the right types, or the error is nobody's."""

    def convert(value: Any, kind: Any) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise TypeError(str(error)) from None

    monkeypatch.setattr(_submission, "convert", convert)


def _trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace is taken to be one."""
    monkeypatch.setattr(trace, "_read", lambda decoder, _, line: decoder.decode(line))


class Planted(NamedTuple):
    """What is broken, where the search begins, how many runs it may take, and a word of what is found."""

    plant: Callable[[pytest.MonkeyPatch], None]
    target: str
    seeds: str
    runs: int
    clue: str


FAULTS = (
    Planted(_unbounded, "framing", "deflate", 600, "_unpacked"),
    Planted(_still_hearing, "frames", "w*", 100, "_feed"),
    Planted(_hoarding, "server", "blocked", 900, "_counts"),
    Planted(_talkative, "server", "state-*", 400, "_bounded"),
    Planted(_remembering, "client", "sync", 400, "_counts"),
    Planted(_surprised, "client", "live-13*", 400, "ValueError"),
    Planted(_unexpecting, "http", "batch-*", 400, "TypeError"),
    Planted(_trusting, "trace", "*", 100, "ValidationError"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.plant.__name__.strip("_"))
def test_a_fault_is_found_within_its_budget(fault: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.plant(monkeypatch)
    name, clue, left = fault.target, fault.clue, fault.runs
    with edges.opened() as eyes:
        fuzzer = Fuzzer(TARGETS[name], eyes, seed=1)
        fuzzer.learn(programs_in(CORPUS / name, f"{fault.seeds}.txt"))
        while not any(clue in key for key in fuzzer.crashes) and left > 0:
            fuzzer.go(10)
            left -= 10
    (crash, *_) = [crash for key, crash in fuzzer.crashes.items() if clue in key]
    again = broken(TARGETS[name], crash.program)
    assert again is not None
    assert again[0] == crash.key
    monkeypatch.undo()
    assert broken(TARGETS[name], crash.program) is None


# --- what it tells ----------------------------------------------------------------------------------------------------


def test_a_crash_is_made_short(monkeypatch: pytest.MonkeyPatch) -> None:
    _still_hearing(monkeypatch)
    long = (
        Step("text", "a" * 200, 3),
        Step("ping", "b"),
        Step("raw", "\xff" * 50),
        Step("text", "c"),
        Step("split", "9"),
    )
    fuzzer = Fuzzer(TARGETS["frames"], edges.Tracer(), seed=1)
    fuzzer.learn([long])
    (crash,) = fuzzer.crashes.values()
    assert sum(len(step.text) * step.times for step in crash.program) <= 4
    assert len(crash.program) <= 2


def test_a_crash_is_saved_where_every_test_run_plays_it_again(tmp_path: Path) -> None:
    fuzzer = Fuzzer(TARGETS["frames"], edges.Tracer(), seed=1)
    fuzzer.target = TARGETS["frames"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        _still_hearing(monkeypatch)
        fuzzer.learn([(Step("raw", "\xff\xff"),)])
    (crash,) = fuzzer.crashes.values()
    path = save(tmp_path / "frames", crash)
    assert read(path.read_text()) == crash.program
    assert path.read_text().startswith(f"# {crash.key[:20]}")
    assert save(tmp_path / "frames", crash) == path


def test_the_command_tells_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", "frames", "--runs", "20", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "frames: seed 3" in said
    assert "20 runs" in said
    assert "0 broken" in said


def test_the_command_tells_how_to_see_a_crash_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.fuzz.__main__.CRASHES", tmp_path)
    _still_hearing(monkeypatch)
    assert main(["--target", "frames", "--runs", "60", "--seed", "3"]) == 1
    said = capsys.readouterr().out
    assert "./dev fuzz --target frames --replay" in said
    (path, *_) = (tmp_path / "frames").iterdir()
    assert main(["--replay", str(path)]) == 1
    assert "BROKE" in capsys.readouterr().out
    monkeypatch.undo()
    assert main(["--target", "frames", "--replay", str(path)]) == 0
    assert "keeps every promise" in capsys.readouterr().out


def test_a_bomb_costs_no_more_than_its_limit() -> None:
    """A hundred megabytes in a hundred kilobytes: neither kept nor made (docs/protocol.md#invariant-12)."""
    bomb = TAG + framing_target._deflate(b" " * 100_000_000)
    tracemalloc.start()
    found = unpack(bomb, framing_target.LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert getattr(found, "code", None) == "too_big"
    assert peak < 1_000_000
    assert http_target.LIMITS.record < peak
