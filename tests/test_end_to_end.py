"""Server and devices as the processes that people run."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from . import programs


PATIENCE = 60.0
"""Seconds after which a process is ended that should have said something long before."""

LIVES = 8
EDITS = 6

Line = dict[str, Any]


class Device:
    """A headless device; nothing is asked of it before it has answered what was asked last."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.asked = 0

    def say(self, *commands: str) -> None:
        assert self.process.stdin is not None
        self.asked += len(commands)
        self.process.stdin.write("".join(f"{command}\n" for command in commands))
        self.process.stdin.flush()

    def hear(self, wanted: Callable[[Line], bool]) -> Line:
        """The next line that is wanted."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line: Line = json.loads(text)
            if wanted(line):
                return line
        raise AssertionError(f"the device ended with {self.process.wait()}")

    def do(self, command: str, *then: str) -> Line:
        """The reply to a command, which must succeed; what comes `then` is on its way meanwhile and not waited for."""
        ref = self.asked + 1
        self.say(command, *then)
        reply = self.hear(lambda line: line["event"] == "reply" and line["ref"] == ref)
        assert reply["ok"], reply
        return reply

    def labels(self) -> dict[str, str]:
        """What it shows: the label of every item."""
        return {record["id"]: record["label"] for record in self.do("list")["records"]}


@contextmanager
def running(command: list[str], environ: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A process that is certainly gone afterwards, and soon even where it hangs."""
    with subprocess.Popen(
        command, env=environ, cwd=programs.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


@contextmanager
def server(database: Path) -> Iterator[int]:
    """A server; gives its port."""
    with running(programs.serve(database), programs.environ(log_level="error")) as process:
        assert process.stdout is not None
        yield int(json.loads(process.stdout.readline())["ready"].rpartition(":")[2])


@contextmanager
def device(data: Path, port: int) -> Iterator[Device]:
    """The device of the user `ada` whose data is in that folder."""
    command = [sys.executable, "-m", "client_qt", "--headless", "--json", "--url", f"http://127.0.0.1:{port}"]
    environ = programs.environ(token=programs.token("ada"))
    with running([*command, "--user", "ada", "--data", str(data)], environ) as process:
        yield Device(process)


def held_by_server(port: int) -> dict[str, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", programs.ITEMS, headers={"Authorization": f"Bearer {programs.token('ada')}"})
        listing = json.loads(connection.getresponse().read())
    return {item["id"]: item["label"] for item in listing["items"]}


def edit(desk: Device, shown: dict[str, str], name: str, random: Random, *then: str) -> None:
    """One edit, answered; `shown` is what the device must show from now on."""
    match random.choice(["add", "rename", "delete"]) if shown else "add":
        case "add":
            shown[desk.do(f"alarm add 07:00 mo {name}", *then)["id"]] = name
        case "rename":
            item = random.choice(sorted(shown))
            desk.do(f"alarm edit {item} label={name}", *then)
            shown[item] = name
        case _:
            item = random.choice(sorted(shown))
            desk.do(f"delete {item}", *then)
            del shown[item]


def live_until_the_power_is_cut(desk: Device, shown: dict[str, str], life: int) -> None:
    """Some edits, and an end right after the last reply, while one more edit is being written down.

    Every other life is one without a network, so that what it leaves behind is on this device's disk alone.
    """
    random = Random(life)
    if life % 2:
        desk.do("offline")
    for number in range(EDITS):
        then = [f"timer add 5m unanswered {life}"] if number == EDITS - 1 else []
        edit(desk, shown, f"{life}-{number}", random, *then)
    desk.process.kill()


def hold(desk: Device, shown: dict[str, str], unanswered: str) -> None:
    """It shows what it has confirmed, and perhaps the one edit that had no reply yet, which then counts as well."""
    found = desk.labels()
    more = {item: label for item, label in found.items() if item not in shown}
    assert list(more.values()) in ([], [unanswered])
    shown |= more
    assert found == shown


def test_the_story_of_the_readme_is_true() -> None:
    """Every promise of the story is measured or seen in it; one that does not hold ends it with 1."""
    environ = programs.environ()
    del environ["TOCSIN_JWT_SECRET"]  # its server makes one, as on a first start
    told = subprocess.run(
        [sys.executable, "examples/story.py"],
        env=environ,
        cwd=programs.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1].endswith("every step was seen to hold")
    assert told.stderr == ""


def test_a_power_cut_right_after_a_reply_takes_nothing_from_a_device(tmp_path: Path) -> None:
    """docs/protocol.md#outbox-durable: with a network or without one, and all of it reaches the server once."""
    shown = dict[str, str]()
    with server(tmp_path / "server.db") as port:
        for life in range(LIVES):
            with device(tmp_path / "desk", port) as desk:
                hold(desk, shown, f"unanswered {life - 1}")
                live_until_the_power_is_cut(desk, shown, life)
        with device(tmp_path / "desk", port) as desk:
            hold(desk, shown, f"unanswered {LIVES - 1}")
            desk.hear(lambda line: line["event"] == "link" and line["data"] == "up_to_date")
            assert desk.labels() == shown
        with device(tmp_path / "laptop", port) as laptop:
            laptop.hear(lambda line: line["event"] == "synced")
            assert laptop.labels() == shown == held_by_server(port)
