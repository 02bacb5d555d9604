"""A device in a terminal: `python -m client_qt --headless`. People type commands, programs drive it with `--json`.

One command a line on standard input (`help` lists them). With `--json` every line on standard output is one JSON
object; `event` says what it is, `t` is the system's clock in ms when it was printed. The first line is always `ready`.
Names and meanings below are stable; members may be added.

    ready      device, name, url, user, records, waiting, tz: the engine runs; commands are taken from here on
    link       state (offline connecting syncing live polling stopped), why, retry_in_ms, sign_in, data (local
               up_to_date waiting catching_up attention), waiting, rejected, last_sync_ms, round_trip_ms,
               clock_offset_ms: printed when any of state, why, sign_in, data, waiting, rejected changed
    changed    id, record: an item is new or different, whole and as shown (waiting changes included)
    deleted    id
    ring       id, kind, label, occ, n, due, since, until (ms of the server's clock), resumed (it began before this
               program was restarted), at (the server's clock now, as estimated), local_ns (the system's clock)
    silenced   the same as far as `until`, why (dismissed snoozed window deleted changed quiet early), by (the device
               behind it, null: time alone), here (whether that is this device), local_ns
    answered   mid, status (applied merged rejected), rev, dup?, code?, message?, field?: the server decided a change
    rejected   number, item, label, op, at, code, message, field, wanted, kept: a refused change, with both values
    synced     this device is in step at this moment
    presence   devices [{device_id, name, online, acked_epoch, acked_rev, last_seen}]
    problem    code, message: something to know (unusable damaged clock_far, or a code of the protocol)
    reply      command (its words), ref (number of the line, from 1), ok; with ok: id, ids (of the items concerned),
               and what was asked for: records, over (timers that have ended for good), status, devices, armed (by item
               that will ring: the devices known to do so), rejections, help; without: code, message, field
    error      code, message: it cannot start; the exit status is 2
    bye        the last line of a clean end

A change is answered once it is on this device's disk; `answered` follows when the server has decided. The end of input,
`quit`, SIGTERM and SIGINT finish cleanly, with status 0: the server hears goodbye, what was changed is on disk.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import NamedTuple, assert_never

import trio

from protocol import Record, will_ring

from .command_line import HELP, Query, read_line
from .commands import CommandError
from .engine import Engine
from .events import Done, Event, Failed, Snapshot
from .lines import Line, encode, event_line, status_facts, words


LONGEST_LINE = 65_536
FLUSH_S = 2.0

Write = Callable[[bytes], None]
"""Writes all of it, blocking."""


class Printed(NamedTuple):
    """A line on its way out: as an object, and the event behind it where there is one."""

    line: Line
    event: Event | None = None


class Headless:
    """Reads commands, prints what the engine tells.

    Args:
        about: members of the `ready` line. as_json: one JSON object a line. tz: the zone of new alarms.
    """

    def __init__(self, about: Line, *, as_json: bool, tz: str, wall_ms: Callable[[], int]) -> None:
        self._about = about
        self._as_json = as_json
        self._tz = tz
        self._wall_ms = wall_ms
        self._out, self._lines = trio.open_memory_channel[Printed](float("inf"))
        self._asked: dict[int, str] = {}
        self._count = 0
        self._ready = False
        self._early: list[Event] = []

    # --- out ---

    def tell(self, event: Event) -> None:
        """Print an event; what happens before `ready` comes after it."""
        if not self._ready:
            self._early.append(event)
            return
        line = event_line(event)
        if isinstance(event, Done | Failed):
            line = {"event": "reply", "command": self._asked.pop(event.ref, ""), **line}
        self._say(line, event)

    def _say(self, line: Line, event: Event | None = None) -> None:
        self._out.send_nowait(Printed({**line, "t": self._wall_ms()}, event))

    def _be_ready(self, engine: Engine) -> None:
        snapshot = engine.snapshot
        counts = {"records": len(snapshot.records), "waiting": snapshot.status.waiting, "tz": self._tz}
        self._ready = True
        self._say({"event": "ready", "device": snapshot.device, **self._about, **counts})
        for event in self._early:
            self.tell(event)

    async def _print(self, write: Write, broken: Callable[[], None]) -> None:
        """In a worker thread: a reader that is slow must not make a ring late."""
        async for first in self._lines:
            texts = [self._text(first)]
            while self._lines.statistics().current_buffer_used:
                texts.append(self._text(self._lines.receive_nowait()))
            try:
                await trio.to_thread.run_sync(write, "".join(f"{text}\n" for text in texts).encode())
            except OSError:
                broken()
                return

    def _text(self, printed: Printed) -> str:
        return encode(printed.line) if self._as_json else words(printed.line, printed.event)

    # --- in ---

    async def run(self, engine: Engine, lines: AsyncIterator[str], write: Write) -> None:
        """Until the input ends, `quit`, a signal, or nobody reads the output any more."""
        async with trio.open_nursery() as printing:
            printing.start_soon(self._print, write, engine.stop)
            await self._serve(engine, lines)
            self._say({"event": "bye"})
            self._out.close()
            printing.cancel_scope.deadline = trio.current_time() + FLUSH_S

    async def _serve(self, engine: Engine, lines: AsyncIterator[str]) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(_stop_on_signal, engine)
            await nursery.start(_live, engine, nursery.cancel_scope)
            self._be_ready(engine)
            await self._take(engine, lines)
            engine.stop()
            # `_live` ends this nursery once everything is said and written.
            await trio.sleep_forever()

    async def _take(self, engine: Engine, lines: AsyncIterator[str]) -> None:
        async for line in lines:
            self._count += 1
            if line.strip() and not self._obey(engine, line.strip(), self._count):
                return

    def _obey(self, engine: Engine, line: str, ref: int) -> bool:
        """Do one line; False: it was `quit`."""
        try:
            asked = read_line(line, engine.snapshot.records, self._tz)
        except CommandError as error:
            self._asked[ref] = line.split(maxsplit=1)[0]
            self.tell(Failed(ref, error.code, str(error), error.field))
            return True
        if isinstance(asked.command, str):
            answer = _answer(engine, engine.snapshot, asked.command)
            self._say({"event": "reply", "command": asked.name, "ref": ref, "ok": True, **answer})
            return asked.command != "quit"
        self._asked[ref] = asked.name
        engine.submit(asked.command, ref)
        return True


def _answer(engine: Engine, snapshot: Snapshot, query: Query) -> Line:
    match query:
        case "list":
            listed = list(snapshot.records.values())
            return {"records": listed, "waiting": sorted(snapshot.waiting), "over": sorted(engine.over())}
        case "status":
            return {"status": status_facts(snapshot.status), "device": snapshot.device}
        case "presence":
            return {"devices": snapshot.devices, "armed": _armed(snapshot, engine.to_ring())}
        case "rejections":
            return {"rejections": snapshot.rejections}
        case "help":
            return {"help": HELP}
        case "quit":
            return {}
        case _:
            assert_never(query)


def _armed(snapshot: Snapshot, records: Iterable[Record]) -> dict[str, list[str]]:
    """By item that will ring, which devices will ring for it as it is now; no more than that is claimed."""
    epoch = snapshot.epoch
    if epoch is None:
        return {}
    return {
        record.id: [device.device_id for device in snapshot.devices if will_ring(device, epoch, record.rev)]
        for record in records
    }


async def _live(
    engine: Engine, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await engine.run(task_status=task_status)
    scope.cancel()


async def _stop_on_signal(engine: Engine, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            engine.stop()


# --- the terminal -----------------------------------------------------------------------------------------------------


async def input_lines(read: Callable[[], bytes]) -> AsyncIterator[str]:
    """Lines of a blocking source, read in a worker thread that the end of the program does not wait for."""
    rest = b""
    while data := await trio.to_thread.run_sync(read, abandon_on_cancel=True):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        if len(rest) > LONGEST_LINE:
            rest = b""
    if rest:
        yield rest.decode(errors="replace")


def read_input() -> bytes:
    """Some bytes of standard input; none at its end.

    Past Python's own buffer, whose lock a thread that is still reading would hold when the program ends.
    """
    return os.read(sys.stdin.fileno(), LONGEST_LINE)


def write_output(data: bytes) -> None:
    """All of it to standard output."""
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
