"""Twenty seconds of Tocsin, told by the real processes: a server, two devices, and a link that can be cut.

    python examples/story.py

Every line was measured or seen in the processes' own output; a step that does not hold ends the story with exit status 1.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import trio


ROOT = Path(__file__).resolve().parent.parent
USER = "anna"
PATIENCE = 20.0
"""Seconds that any single step may take before it counts as failed."""

Facts = dict[str, Any]


class StepFailed(Exception):
    """What was promised was not seen."""


class Relay:
    """The link between a device and the server: passes bytes until it is cut."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.port = 0
        self.up = True
        self._open: set[trio.SocketStream] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and pass on until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._carry, listeners)

    async def _carry(self, near: trio.SocketStream) -> None:
        if not self.up:
            return await trio.aclose_forcefully(near)
        try:
            far = await trio.open_tcp_stream("127.0.0.1", self.server_port)
        except OSError:
            return await trio.aclose_forcefully(near)
        self._open |= {near, far}
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, near, far, nursery.cancel_scope)
                nursery.start_soon(self._pump, far, near, nursery.cancel_scope)
        finally:
            self._open -= {near, far}
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(near)
                await trio.aclose_forcefully(far)

    @staticmethod
    async def _pump(source: trio.SocketStream, target: trio.SocketStream, both: trio.CancelScope) -> None:
        try:
            async for data in source:
                await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # Either end is gone: so is the other, below.
        both.cancel()

    async def cut(self) -> None:
        """Pull the cable."""
        self.up = False
        for stream in list(self._open):
            await trio.aclose_forcefully(stream)

    def heal(self) -> None:
        """Put it back."""
        self.up = True


class Device:
    """A headless client process: commands in, events out, both as lines."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self.process = process
        self.events: list[Facts] = []
        self.records: dict[str, Facts] = {}
        self._news = trio.Event()
        self._asked = 0

    async def listen(self) -> None:
        """Collect what it says until it ends."""
        assert self.process.stdout is not None
        rest = b""
        async for chunk in self.process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in filter(None, lines):
                self._hear(json.loads(line))
            self._news.set()
            self._news = trio.Event()

    def _hear(self, event: Facts) -> None:
        self.events.append({**event, "heard": time.perf_counter()})
        if event["event"] == "changed":
            self.records[event["id"]] = event["record"]
        elif event["event"] == "deleted":
            self.records.pop(event["id"], None)

    async def say(self, command: str) -> Facts:
        """Give a command; returns its reply."""
        assert self.process.stdin is not None
        start = len(self.events)
        await self.process.stdin.send_all(f"{command}\n".encode())
        reply = await self.event(f"reply to {command!r}", lambda e: e["event"] == "reply", start)
        if not reply["ok"]:
            raise StepFailed(f"{self.name} refused {command!r}: {reply}")
        return reply

    async def event(self, what: str, wanted: Callable[[Facts], bool], start: int = 0) -> Facts:
        """The first event since `start` that is wanted, waited for."""
        found: Facts = await self.until(what, lambda: next((e for e in self.events[start:] if wanted(e)), None))
        return found

    async def until(self, what: str, seen: Callable[[], Any]) -> Any:
        """Wait until something can be seen here; returns it."""
        with trio.move_on_after(PATIENCE):
            while True:
                if found := seen():
                    return found
                await self._news.wait()
        raise StepFailed(f"{self.name} never showed: {what}; its last words: {self.events[-3:]}")


class Story:
    """The processes and the telling."""

    def __init__(self, stack: AsyncExitStack, nursery: trio.Nursery, folder: Path) -> None:
        self.stack = stack
        self.nursery = nursery
        self.folder = folder
        self.database = f"sqlite:///{folder / 'server.db'}"
        self.port = free_port()
        self.begun = time.perf_counter()
        self.server: trio.Process | None = None

    def tell(self, text: str) -> None:
        """One line."""
        sys.stdout.write(f"{time.perf_counter() - self.begun:6.2f} s  {text}\n")
        sys.stdout.flush()

    async def start_server(self) -> float:
        """Start it and wait until it is ready; returns seconds."""
        start = time.perf_counter()
        command = ["-m", "server_trio", "serve", "--port", str(self.port), "--database", self.database, "--json"]
        self.server = await open_process(command, self.folder / "server.log", stdout=subprocess.PIPE)
        self.stack.push_async_callback(end, self.server)
        assert self.server.stdout is not None
        with trio.fail_after(PATIENCE):
            ready = json.loads((await self.server.stdout.receive_some(65_536)).split(b"\n")[0])
        if "ready" not in ready:
            raise StepFailed(f"the server said {ready}")
        return time.perf_counter() - start

    async def start_device(self, name: str, port: int, token: str) -> Device:
        """Start a headless client and wait until it is live."""
        data = self.folder / name
        command = ["-m", "client_qt", "--headless", "--json", "--url", f"http://127.0.0.1:{port}", "--user", USER]
        process = await open_process(
            [*command, "--data", str(data), "--name", name], self.folder / f"{name}.log",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(TOCSIN_TOKEN=token),
        )  # fmt: skip
        self.stack.push_async_callback(end, process)
        device = Device(name, process)
        self.nursery.start_soon(device.listen)
        await device.event("live", lambda e: e["event"] == "synced")
        return device


def environment(**more: str) -> dict[str, str]:
    """Ours without any setting of a Tocsin that lives on this machine, so that the story is the same everywhere."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}, **more}


async def open_process(arguments: list[str], log: Path, **options: Any) -> trio.Process:
    """A Python process of this project; what it says on stderr goes to `log`."""
    options.setdefault("env", environment())
    with log.open("ab") as stderr:
        return await trio.lowlevel.open_process([sys.executable, *arguments], cwd=ROOT, stderr=stderr, **options)


async def end(process: trio.Process) -> None:
    """See it gone."""
    with trio.CancelScope(shield=True), trio.move_on_after(5):
        if process.poll() is None:
            process.terminate()
        await process.wait()
    if process.poll() is None:
        process.kill()


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def run_to_end(arguments: list[str], given: str = "") -> str:
    """Run a command of the project; returns its output."""
    done = await trio.run_process(
        [sys.executable, *arguments], cwd=ROOT, stdin=given.encode(), capture_stdout=True, env=environment()
    )
    return done.stdout.decode().strip()


# --- the steps --------------------------------------------------------------------------------------------------------


async def alarm_travels(story: Story, a: Device, b: Device) -> str:
    """Set on one, there on all."""
    start = time.perf_counter()
    made = (await a.say("alarm add 07:00 mo,tu,we,th,fr Wake up"))["id"]
    await b.until("the alarm", lambda: b.records.get(made))
    story.tell(f"an alarm made on A is on B after {1e3 * (time.perf_counter() - start):.0f} ms: 07:00 'Wake up'")
    return str(made)


async def timer_rings_in_unison(story: Story, a: Device, b: Device) -> str:
    """A timer counts on both and rings on both in the same instant."""
    made = str((await a.say("timer add 3s Tea"))["id"])
    await a.say(f"start {made}")
    await b.until("the running timer", lambda: b.records.get(made, {}).get("phase") == "running")
    ends = {device.records[made]["ends_at"] for device in (a, b)}
    if len(ends) != 1:
        raise StepFailed(f"the timer ends at different times: {ends}")
    story.tell(f"a timer of 3 s started on A runs on B; both end it at {ends.pop()} ms of the server's clock")
    await counts_down(story, a, b, made)
    rings = [await d.event("the ring", lambda e: e["event"] == "ring" and e["id"] == made) for d in (a, b)]
    spread = abs(rings[0]["local_ns"] - rings[1]["local_ns"]) / 1e6
    late = statistics.mean(ring["at"] - ring["due"] for ring in rings)
    story.tell(f"both ring: {spread:.1f} ms apart, {late:.0f} ms after the due instant")
    return made


async def counts_down(story: Story, a: Device, b: Device, timer: str) -> None:
    """What is left, by each device's own reckoning, at two moments."""
    looks: list[tuple[float, float]] = []
    for _ in range(2):
        await trio.sleep(0.7)
        looks.append((await left(a, timer), await left(b, timer)))
    (a1, b1), (a2, b2) = looks
    if not (0 < a2 < a1 < 3 and 0 < b2 < b1 < 3 and abs(a1 - b1) < 0.5 and abs(a2 - b2) < 0.5):
        raise StepFailed(f"the timer does not count down on both alike: {looks}")
    story.tell(f"it counts on both: {a1:.2f} s left on A and {b1:.2f} s on B, then {a2:.2f} s and {b2:.2f} s")


async def left(device: Device, timer: str) -> float:
    """Seconds that a device would show of a running timer, at the moment of its reply."""
    reply = await device.say("status")
    server_ms = reply["t"] + (reply["status"]["clock_offset_ms"] or 0)
    return float(device.records[timer]["ends_at"] - server_ms) / 1000


async def stop_silences_all(story: Story, a: Device, b: Device, timer: str) -> None:
    """Stop one and all fall silent."""
    start = time.perf_counter()
    await b.say(f"stop {timer}")
    await a.event("silence", lambda e: e["event"] == "silenced" and e["id"] == timer)
    story.tell(f"stopped on B: A is silent after {1e3 * (time.perf_counter() - start):.0f} ms")


async def offline_edits_converge(story: Story, relay: Relay, a: Device, b: Device, alarm: str) -> None:
    """Cut one link, edit on both sides, put it back."""
    seen = len(a.events)
    await relay.cut()
    await a.event("the loss", lambda e: e["event"] == "link" and e["state"] not in ("live", "syncing"), seen)
    await a.say(f"alarm edit {alarm} label=Early")
    await b.say(f"alarm edit {alarm} time=06:30")
    made = str((await a.say("alarm add 08:15 Offline child"))["id"])
    story.tell("A's link is cut; A renames the alarm and makes another, B moves the first to 06:30")
    relay.heal()
    start = time.perf_counter()
    await a.say("sync")
    for device in (a, b):
        await device.until("both edits", partial(_has_both, device, alarm, made))
    story.tell(
        f"the link is back: both agree after {1e3 * (time.perf_counter() - start):.0f} ms ('Early' at 06:30, and the new one)"
    )


def _has_both(device: Device, alarm: str, made: str) -> bool:
    edited = device.records.get(alarm, {})
    return (edited.get("label"), edited.get("time")) == ("Early", "06:30") and made in device.records


def _has_all(device: Device, items: list[str]) -> bool:
    return all(item in device.records for item in items)


async def killed_server_loses_nothing(story: Story, a: Device, b: Device) -> None:
    """SIGKILL in the middle of work; everything that was made is there afterwards, on both."""
    assert story.server is not None
    made = [str((await device.say(f"alarm add 09:{n:02} Kill {n}"))["id"]) for n in range(8) for device in (a, b)]
    story.server.kill()
    await story.server.wait()
    made += [str((await device.say("alarm add 10:00 While it was down"))["id"]) for device in (a, b)]
    story.tell(f"the server is killed with SIGKILL after {len(made) - 2} new alarms; two more are made without it")
    took = await story.start_server()
    start = time.perf_counter()
    for device in (a, b):
        await device.say("sync")
        await device.until("all alarms", partial(_has_all, device, made))
    agree = time.perf_counter() - start
    if a.records != b.records:
        raise StepFailed(f"A and B differ: {set(a.records) ^ set(b.records)}")
    story.tell(
        f"restarted in {took:.2f} s; {agree:.2f} s later both have all {len(made)}, and agree on {len(a.records)} records"
    )


async def tell(folder: Path) -> None:
    """The whole story."""
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        story = Story(stack, nursery, folder)
        await run_to_end(
            ["-m", "server_trio", "user", "add", USER, "--password-stdin", "--database", story.database],
            "a long password\n",
        )
        story.tell(f"server ready in {await story.start_server():.2f} s, on SQLite")
        token = await run_to_end(["-m", "server_trio", "token", "--user", USER, "--database", story.database])
        relay = Relay(story.port)
        await nursery.start(relay.run)
        a = await story.start_device("A", relay.port, token)
        b = await story.start_device("B", story.port, token)
        story.tell("two devices, A and B, are live")
        alarm = await alarm_travels(story, a, b)
        timer = await timer_rings_in_unison(story, a, b)
        await stop_silences_all(story, a, b, timer)
        await offline_edits_converge(story, relay, a, b, alarm)
        await killed_server_loses_nothing(story, a, b)
        story.tell("every step was seen to hold")
        nursery.cancel_scope.cancel()


def main() -> int:
    """Tell it; returns the exit status."""
    if sys.argv[1:]:
        sys.stdout.write(str(__doc__))
        return 0 if sys.argv[1] in {"-h", "--help"} else 2
    failures: list[BaseException] = []
    with tempfile.TemporaryDirectory(prefix="tocsin-story-") as folder:
        try:
            trio.run(tell, Path(folder))
        except* (StepFailed, trio.TooSlowError, OSError, ValueError, subprocess.CalledProcessError) as group:
            failures.extend(group.exceptions)
        for failure in failures:
            sys.stdout.write(f"FAILED: {failure}\n")
        for log in sorted(Path(folder).glob("*.log")) if failures else ():
            sys.stdout.write(f"--- {log.name}\n{log.read_text('utf-8', 'replace')[-2000:]}\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
