"""The program as programs drive it: a process, commands on its input, JSON lines on its output."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from client_qt.__main__ import main
from protocol import Timing

from .fake_server import PASSWORD, FakeServer, fake_server


ROOT = Path(__file__).resolve().parents[2]
Line = dict[str, Any]


class Program:
    """A headless device in a process of its own."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.lines: list[Line] = []
        self._rest = b""

    async def say(self, text: str) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(text.encode() + b"\n")

    async def next(self) -> Line:
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            more = await self.process.stdout.receive_some()
            assert more, f"the program ended after {self.lines[-3:]}"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        self.lines.append(json.loads(line))
        return self.lines[-1]

    async def until(self, wanted: Callable[[Line], bool]) -> Line:
        with trio.fail_after(20):
            while not wanted(line := await self.next()):
                pass
            return line

    async def event(self, name: str, **members: object) -> Line:
        return await self.until(lambda line: line["event"] == name and members.items() <= line.items())

    async def reply(self, text: str) -> Line:
        await self.say(text)
        return await self.until(
            lambda line: line["event"] == "reply" and line["command"].split()[0] == text.split(maxsplit=1)[0]
        )

    async def ended(self) -> int:
        """Its status, and that it said goodbye."""
        with trio.fail_after(10):
            await self.event("bye")
            return await self.process.wait()


@asynccontextmanager
async def program(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> AsyncIterator[Program]:
    command = [sys.executable, "-m", "client_qt", "--headless", "--json", "--data", str(folder), *arguments]
    environment = {**os.environ, "TZ": "Europe/Warsaw", **(env or {})}
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            check=False,
        )
        process = await nursery.start(start)
        yield Program(process)
        if process.returncode is None:
            process.kill()


def to(home: FakeServer) -> tuple[str, ...]:
    return "--url", home.url, "--user", "ada"


async def test_ready_comes_first_and_the_end_of_input_ends_it(tmp_path: Path) -> None:
    async with program(tmp_path, "--name", "kitchen") as one:
        ready = await one.next()
        assert (ready["event"], ready["name"], ready["url"], ready["records"]) == ("ready", "kitchen", None, 0)
        assert ready["tz"] == "Europe/Warsaw"
        assert one.process.stdin is not None
        await one.process.stdin.aclose()
        assert await one.ended() == 0


async def test_every_line_says_what_it_is_and_when(tmp_path: Path) -> None:
    async with program(tmp_path) as one:
        await one.reply("timer add 5m Tea")
        await one.reply("status")
        await one.reply("nonsense")
        assert all(isinstance(line["event"], str) and isinstance(line["t"], int) for line in one.lines)


async def test_what_a_person_does_in_a_morning(tmp_path: Path) -> None:
    """One device on its own: made, started, rung, snoozed, stopped, deleted."""
    async with program(tmp_path) as one:
        added = await one.reply("timer add 1s ring_s=30 Egg")
        assert added["ok"]
        item = added["id"]
        changed = one.lines[-2]
        assert (changed["event"], changed["id"], changed["record"]["label"]) == ("changed", item, "Egg")
        assert (await one.reply(f"start {item[:6]}"))["ids"] == [item]
        ring = await one.event("ring")
        assert (ring["id"], ring["n"], ring["resumed"]) == (item, 0, False)
        assert 0 <= ring["local_ns"] / 1e6 - ring["due"] < 250
        assert abs(ring["at"] - ring["local_ns"] / 1e6) < 250
        assert (await one.reply("snooze 500ms"))["ok"]
        assert one.lines[-3]["event"] == "silenced"
        again = await one.event("ring")
        assert (again["n"], again["due"]) == (1, ring["due"])
        await one.say("stop")
        silenced = await one.event("silenced")
        assert (silenced["why"], silenced["here"], silenced["id"]) == ("dismissed", True, item)
        assert silenced["by"] == one.lines[0]["device"]
        await one.event("reply")
        listed = await one.reply("list")
        assert [record["id"] for record in listed["records"]] == [item]
        await one.say(f"delete {item}")
        await one.event("deleted", id=item)
        await one.say("quit")
        assert await one.ended() == 0


async def test_a_command_that_fails_has_a_code_a_sentence_and_its_line_number(tmp_path: Path) -> None:
    async with program(tmp_path) as one:
        await one.say("")
        failed = await one.reply("start zzz")
        assert (failed["ok"], failed["code"], failed["field"], failed["ref"]) == (False, "unknown_id", "id", 2)
        assert "zzz" in failed["message"]
        refused = await one.reply("alarm add 25:61")
        assert (refused["code"], refused["field"], refused["command"]) == ("invalid", "time", "alarm add")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_and_what_was_done_is_kept(tmp_path: Path, number: signal.Signals) -> None:
    async with program(tmp_path) as one:
        item = (await one.reply("alarm add 07:00 mo,tu Up"))["id"]
        one.process.send_signal(number)
        assert await one.ended() == 0
    async with program(tmp_path) as one:
        listed = await one.reply("list")
        assert [(record["id"], record["days"], record["tz"]) for record in listed["records"]] == [
            (item, ["mo", "tu"], "Europe/Warsaw")
        ]


async def test_killed_without_warning_it_comes_back_with_everything_it_had_confirmed(tmp_path: Path) -> None:
    async with program(tmp_path) as one:
        item = (await one.reply("timer add 1s"))["id"]
        await one.reply(f"start {item}")
        ring = await one.event("ring")
        await one.reply("status")
        one.process.kill()
        await one.process.wait()
    async with program(tmp_path) as one:
        again = await one.event("ring")
        assert (again["id"], again["since"], again["resumed"]) == (item, ring["since"], True)


async def test_a_second_program_on_the_same_data_says_that_it_is_in_use(tmp_path: Path) -> None:
    async with program(tmp_path) as one:
        await one.event("ready")
        async with program(tmp_path) as other:
            error = await other.event("error")
            assert error["code"] == "in_use"
            assert await other.process.wait() == 2


async def test_two_programs_and_a_server(tmp_path: Path) -> None:
    """The whole road: sign-in by password, sync both ways, the cable pulled and plugged, one stop for both."""
    async with (
        fake_server() as home,
        program(tmp_path / "a", *to(home), "--password-stdin") as a,
        program(tmp_path / "b", *to(home), env={"TOCSIN_TOKEN": "token-0"}) as b,
    ):
        await a.say(PASSWORD)
        await a.event("link", state="live")
        await a.event("synced")
        await b.event("synced")
        item = (await a.reply("timer add 700ms Tea"))["id"]
        assert (await a.event("answered"))["status"] == "applied"
        assert (await b.event("changed", id=item))["record"]["label"] == "Tea"
        assert (await b.reply("offline"))["ok"]
        assert (await b.event("link"))["state"] in {"offline", "connecting"}
        made = (await b.reply("timer add 9m offline"))["id"]
        await b.reply("online")
        await a.event("changed", id=made)
        await b.event("link", state="live", data="up_to_date")
        await b.reply(f"start {item}")
        here, there = await a.event("ring", id=item), await b.event("ring", id=item)
        assert abs(here["local_ns"] - there["local_ns"]) < 100_000_000
        await a.say("stop")
        silenced = await b.event("silenced", id=item)
        assert (silenced["by"], silenced["here"]) == (a.lines[0]["device"], False)
        for one in (a, b):
            await one.say("quit")
            assert await one.ended() == 0


async def test_presence_also_says_which_devices_will_ring_for_an_item(tmp_path: Path) -> None:
    """Claimed is only what the server has acknowledged: online, and has stored this very change."""
    options = ("--token", "token-0", "--name", "desk")
    async with fake_server(Timing(ack_ms=50)) as home, program(tmp_path, *to(home), *options) as one:
        await one.event("synced")
        item = (await one.reply("timer add 1m"))["id"]
        await one.event("answered")
        await one.reply("timer add 2m")
        await one.event("answered")
        await one.reply(f"start {item}")
        await one.event("answered")
        device = one.lines[0]["device"]
        with trio.fail_after(20):
            while home.store.devices[device].acked_rev < 3:  # noqa: ASYNC110 - the fake server tells nobody
                await trio.sleep(0.05)
        next(iter(home.peers)).show_presence()
        await one.event("presence")
        assert (await one.reply("presence"))["armed"] == {item: [device]}


def test_what_keeps_it_from_starting_is_said_with_a_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "client_qt", "--headless", "--json", "--data", str(tmp_path), "--url", "nonsense"]
    done = subprocess.run(command, input=b"", capture_output=True, cwd=ROOT, timeout=30, check=False)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (2, "bad_url")
    assert done.stderr == b""


@pytest.mark.parametrize("who", [[], ["--user", "ada"]])
async def test_without_credentials_it_rings_from_disk_and_asks_for_a_sign_in(tmp_path: Path, who: list[str]) -> None:
    """No state of an account silences a stored alarm."""
    nobody = {"TOCSIN_TOKEN": ""}
    server = ("--url", "http://127.0.0.1:9", *who)
    async with program(tmp_path, *server, env={"TOCSIN_TOKEN": "ended"}) as one:
        item = (await one.reply("timer add 1s Egg"))["id"]
        await one.reply(f"start {item}")
        await one.say("quit")
        assert await one.ended() == 0
    async with program(tmp_path, *server, env=nobody) as one:
        link = await one.event("link", state="stopped")
        assert (link["sign_in"], link["data"]) == (True, "attention")
        assert "--password-stdin" in link["why"]
        assert "TOCSIN_TOKEN" in link["why"]
        assert (await one.event("ring"))["id"] == item
        assert (await one.reply("stop"))["ok"]
        await one.say("quit")
        assert await one.ended() == 0


def test_for_people_it_speaks_in_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "client_qt", "--headless", "--data", str(tmp_path)]
    typed = b"alarm add 07:00 mo Work\ntimer add 90s Egg\nlist\nstatus\nhelp\nstart zzz\nquit\n"
    done = subprocess.run(command, input=typed, capture_output=True, cwd=ROOT, timeout=30, check=False)
    said = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert "07:00 mo" in said
    assert "1:30 idle" in said
    assert "unknown_id" in said
    assert "snooze [ID] [5m]" in said
    assert "{" not in said.splitlines()[0]


async def test_a_timer_that_was_stopped_is_listed_as_over(tmp_path: Path) -> None:
    async with program(tmp_path) as one:
        item = (await one.reply("timer add 300ms"))["id"]
        await one.reply(f"start {item}")
        await one.event("ring")
        assert (await one.reply("list"))["over"] == []
        await one.reply("stop")
        assert (await one.reply("list"))["over"] == [item]


def test_there_is_no_window_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "use --headless" in capsys.readouterr().err


async def test_nobody_reading_the_output_ends_it(tmp_path: Path) -> None:
    async with program(tmp_path) as one:
        await one.event("ready")
        assert one.process.stdout is not None
        await one.process.stdout.aclose()
        await one.say("list")
        with trio.fail_after(10):
            assert await one.process.wait() == 0
