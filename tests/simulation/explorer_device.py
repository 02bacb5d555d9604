"""One device of the explorer: the real connection and the real replica over a disk that commits when it likes.

What is left out of a device so that its states merge, and why nothing is lost by it:

- Time. RECONNECT_DUE (set while Backoff) and RESEND_DUE (set while an answer is missing; otherwise it does nothing) come
  due when the explorer says so. Every other deadline never does: it comes after seconds of silence, and what it does
  (end the session) is what a cut does, which is a move. Bound: nothing here is ever "late".
- Chance. It draws delays, whose length is the explorer's choice, and the name after a renaming, which here follows from
  the name before it.
- The history of endings. It decides how long to wait (any time is as good as any other here) and when polling begins.
  Bound: polling never begins, and nothing is counted that ends in Stopped.
- Statistics, samples of the clock, pings waiting for pongs, the allowance of messages (it is never used up). No rule
  that moves data reads them.
- `acked`, ACK_DUE: how often a device acknowledges. Forgotten, it does so at every chance, and each `ack` is checked
  against the disk where it is said; then it is dropped, since it only changes what presence shows. So are pings.
- Generations and `seq`, renamed by order: they are compared for equality only, and the driver keeps no facts of a
  connection that is over.
"""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from protocol import (
    DEFAULT_LIMITS,
    DEFAULT_TIMING,
    DropAside,
    DropEntry,
    DropRecord,
    Edit,
    Entry,
    Generation,
    Handle,
    Mid,
    Monotonic,
    PutAside,
    PutConn,
    PutDevice,
    PutEntry,
    PutMid,
    PutPlace,
    PutRecord,
    Replica,
    Rev,
    Tick,
    Write,
    absorb,
    client,
    next_mid,
)
from protocol._chance import Chance
from protocol._clock import ClockEstimate
from protocol._facts import Dialled
from protocol._messages import Ack, Hello
from protocol._reconnect import History
from protocol._timers import ClientTimer, Timers
from protocol.client._machine import ClientMachine, Counts
from protocol.client._pace import Allowance

from .run import Violation


DAY = 86_400_000
TIMING = replace(
    DEFAULT_TIMING,
    backoff_floor_ms=1_000,
    backoff_base_ms=1_000,
    backoff_cap_ms=1_000,
    answer_ms=10_000,
)
LIMITS = replace(DEFAULT_LIMITS, burst=1_000_000, messages_per_minute=1_000_000_000)

GEN = Generation(1)
NOW = Monotonic(0.0)
NEVER = Monotonic(float("-inf"))
DUE = Monotonic(TIMING.answer_ms / 1000)
"""When a deadline comes due that is a move: late enough for an answer to be overdue."""

QUIETLY = (
    client.LinkChanged | client.Welcomed | client.Synced | client.Answered | client.PresenceHeard | client.ClockSampled
    | client.HeartbeatHeard | client.Ignored
)  # fmt: skip
_PROMISES = ('{"type":"ack"', '{"type":"hello"')
_PROMISED = msgspec.json.Decoder(Ack | Hello)
_DROPPED = ('{"type":"ping"', '{"type":"ack"')


class Say(Struct, frozen=True, tag=True):
    """A frame leaves."""

    text: str


class Hang(Struct, frozen=True, tag=True):
    """The transport is closed by us."""

    code: int


class Dial(Struct, frozen=True, tag=True):
    """A new transport, open at once; `conn` is the attempt's counter."""

    conn: int


Deed = Say | Hang | Dial


class Made(Struct, frozen=True):
    """What the user did. `edit` is None where nobody promised to keep it: the device crashed first, or was set back."""

    edit: Edit | None
    mid: Mid


class Unit(Struct, frozen=True):
    """One device.

    Attributes:
        replica: in memory. pending: what each unanswered `Store` will write, oldest first. disk: what is committed.
        made: what the user did so far.
        slow: its disk takes its time, since the device may still crash.
        copied: its disk was set back, so its numbers may have been used before.
        counts: attempts are counted. Where they are not, each has the same number, and the later one wins.
    """

    machine: ClientMachine
    replica: Replica
    pending: tuple[tuple[Write, ...], ...]
    disk: Replica
    made: tuple[Made, ...] = ()
    slow: bool = False
    counts: bool = False
    copied: bool = False


Stepped = tuple[Unit, tuple[Deed, ...]]


def switched_on(disk: Replica, made: tuple[Made, ...] = (), *, slow: bool = False, counts: bool = False) -> Unit:
    """A device that starts with what its disk holds."""
    connection = client.ClientConnection(
        disk.device,
        cursor=disk.cursor,
        outbox=disk.entries,
        conn=disk.conn,
        user="anna",
        timing=TIMING,
        limits=LIMITS,
        caps=(),
        record=False,
    )
    return Unit(_merged(connection.machine, counts=counts), disk, (), disk, made, slow, counts)


# --- moves ------------------------------------------------------------------------------------------------------------


def connects(unit: Unit, count: int = 0) -> Stepped | None:
    """A transport opens and hello is said and arrives, when the disk has committed so many more writes.

    All in one move: before hello is said the device neither learns nor keeps anything, and a hello that travels longer
    says what one that is said later does.
    """
    if not isinstance(unit.machine.state, client.Idle | client.Backoff):
        return None
    unit, before = keeps(unit, count)
    is_new = isinstance(unit.machine.state, client.Idle)
    unit, deeds = _take(unit, client.Start()) if is_new else _due(unit, ClientTimer.RECONNECT_DUE)
    return unit, (*before, *deeds)


def hears(unit: Unit, heard: tuple[str | int, ...]) -> Stepped:
    """Frames, or the end of the transport by its code."""
    deeds = list[Deed]()
    for what in heard:
        input = client.Received(GEN, what) if isinstance(what, str) else client.Lost(GEN, what)
        unit, more = _take(unit, input)
        deeds += more
        if any(isinstance(deed, Hang) for deed in more):
            break
    return unit, tuple(deeds)


def keeps(unit: Unit, count: int) -> Stepped:
    """The disk commits the oldest writes, and the connection is told."""
    deeds = list[Deed]()
    for _ in range(count):
        disk = written(unit.disk, unit.pending[0])
        unit, more = _take(replace(unit, disk=disk, pending=unit.pending[1:]), client.Stored(1))
        deeds += more
    return unit, tuple(deeds)


def unsent(unit: Unit) -> int:
    """How many writes the disk must commit before the next mutation may leave; 0: none waits for the disk."""
    return next((n for n, storing in enumerate(unit.machine.storing, 1) if storing.mid), 0)


def edits(unit: Unit, doing: Callable[[Replica], Edit | None]) -> Stepped | None:
    """The user does something, if the device shows what it is about."""
    edit = doing(unit.replica)
    if edit is None:
        return None
    mid = next_mid(unit.replica)
    return _take(replace(unit, made=(*unit.made, Made(edit, mid))), client.Submit(Entry(mid, edit)))


def asks_again(unit: Unit) -> Stepped | None:
    """An answer takes too long."""
    state = unit.machine.state
    waits = isinstance(state, client.Syncing | client.Live) and state.session.unanswered
    return _due(unit, ClientTimer.RESEND_DUE) if waits else None


def crashes(unit: Unit, count: int, *, slow: bool) -> Unit:
    """Power is cut when the disk has committed so many more writes: the rest is gone."""
    disk = unit.disk
    for writes in unit.pending[:count]:
        disk = written(disk, writes)
    made = tuple(one if one.mid <= disk.last_mid else Made(None, Mid(0)) for one in unit.made)
    return switched_on(disk, made, slow=slow, counts=unit.counts)


def set_back(unit: Unit, disk: Replica) -> Unit:
    """An older copy of the disk is put in the place of what it holds; what the user did since may be lost with it."""
    made = tuple(Made(None, Mid(0)) for _ in unit.made)
    return replace(switched_on(disk, made, counts=unit.counts), copied=True)


# --- one step ---------------------------------------------------------------------------------------------------------


def _due(unit: Unit, timer: ClientTimer) -> Stepped:
    alone = replace(unit.machine, timers=Timers[ClientTimer]().set(timer, DUE))
    return _take(replace(unit, machine=alone), Tick(), DUE)


def _take(unit: Unit, input: client.ClientInput, now: Monotonic = NOW) -> Stepped:
    connection = _TEMPLATE.copy()
    connection.machine = unit.machine
    deeds = list[Deed]()
    waiting = [input]
    while waiting:
        for output in connection.step(waiting.pop(0), now):
            if isinstance(output, client.Store):
                unit = _stores(unit, connection, output)
            else:
                waiting += _performs(unit, connection.machine.conn, output, deeds)
    return replace(unit, machine=_merged(connection.machine, counts=unit.counts)), tuple(deeds)


def _stores(unit: Unit, connection: client.ClientConnection, asked: client.Store) -> Unit:
    """In memory at once, on disk later. Where attempts are not counted nothing is written of them."""
    if isinstance(asked.fact, Dialled) and not unit.counts:
        m = connection.machine
        connection.machine = replace(m, storing=tuple(storing for storing in m.storing if storing.seq != asked.seq))
        return unit
    replica, writes = absorb(unit.replica, asked.fact)
    return replace(unit, replica=replica, pending=(*unit.pending, writes))


def _performs(unit: Unit, conn: int, output: client.ClientOutput, deeds: list[Deed]) -> list[client.ClientInput]:
    """Do what is asked; returns what is answered at once."""
    match output:
        case client.Transmit(data=data):
            _check_said(data, unit)
            if not data.startswith(_DROPPED):
                deeds.append(Say(data))
        case client.CloseTransport(code=code, reason=reason):
            _check_closed(unit, code, reason)
            deeds.append(Hang(code))
        case client.OpenTransport(gen=gen):
            deeds.append(Dial(conn))
            return [client.Opened(gen, "tocsin.v1")]
        case client.GetToken(gen=gen, fresh=fresh):
            return [client.TokenReady(gen, Handle("token"), fresh)]
        case client.Poll() | client.Faulted():
            _check_faulted(unit, output)
        case _:
            assert isinstance(output, QUIETLY)
    return []


def _check_said(data: str, unit: Unit) -> None:
    """`ack` and the cursor of `hello` are promises about the disk (docs/protocol.md#presence-acked-hello)."""
    if data.startswith(_PROMISES):
        said, kept = _PROMISED.decode(data), unit.disk.cursor
        place = said if isinstance(said, Ack) else said.cursor
        if place is not None and (kept is None or kept.epoch != place.epoch or kept.rev < place.rev):
            raise Violation("invariant-2", unit.disk.device, 0.0, f"no more promised than is on disk ({kept})", data)


def _check_closed(unit: Unit, code: int, reason: str) -> None:
    if code in {4000, 1009}:
        who = unit.disk.device
        raise Violation("invariant-13", who, 0.0, "that both ends understand each other", f"closed {code}: {reason}")


def _check_faulted(unit: Unit, output: client.Poll | client.Faulted) -> None:
    usual = {"epoch", "out_of_order"} | ({"mid_reused"} if unit.copied else set())
    if not isinstance(output, client.Faulted) or output.fault.code not in usual:
        raise Violation("no-fault", unit.disk.device, 0.0, "nothing to complain about", repr(output))


# --- the disk ---------------------------------------------------------------------------------------------------------


def written(disk: Replica, writes: tuple[Write, ...]) -> Replica:  # noqa: C901 - one case for each write
    """The disk after a transaction."""
    server, aside = dict(disk.server), dict(disk.aside)
    entries = {entry.mid: entry for entry in disk.entries}
    rest: dict[str, Any] = {}
    for write in writes:
        match write:
            case PutRecord(record):
                server[record.id] = record
            case DropRecord(item):
                del server[item]
            case PutAside(record):
                aside[record.id] = record
            case DropAside(item):
                del aside[item]
            case PutEntry(entry):
                entries[entry.mid] = entry
            case DropEntry(mid):
                del entries[mid]
            case PutPlace(epoch, cursor):
                rest |= {"epoch": epoch, "cursor": cursor}
            case PutDevice(device):
                rest["device"] = device
            case PutMid(last_mid):
                rest["last_mid"] = last_mid
            case PutConn(conn):
                rest["conn"] = conn
            case _:
                assert_never(write)
    in_order = tuple(entries[mid] for mid in sorted(entries))
    return replace(disk, server=server, aside=aside, entries=in_order, **rest)


# --- merging ----------------------------------------------------------------------------------------------------------


def _merged(machine: ClientMachine, *, counts: bool) -> ClientMachine:
    """The machine without what this explorer leaves out (see above)."""
    if machine.paused > DUE:
        raise Violation("no-fault", machine.device, 0.0, "an outbox that never has to pause", f"{machine.paused}")
    return replace(
        machine,
        state=_merged_state(machine.state),
        timers=Timers[ClientTimer](),
        chance=Chance(int.from_bytes(machine.device.encode()[:8])),
        clock=ClockEstimate(),
        gen=GEN if hasattr(machine.state, "gen") else Generation(0),
        conn=machine.conn if counts else 0,
        history=History(),
        seq=len(machine.storing),
        storing=tuple(replace(storing, seq=n) for n, storing in enumerate(machine.storing, 1)),
        paused=NEVER,
        counts=Counts(),
    )


def _merged_state(state: client.Link) -> client.Link:
    match state:
        case client.Syncing() | client.Live():
            plain: dict[str, Any] = {"gen": GEN, "session": _merged_session(state.session)}
            return replace(state, **plain, **({"since": NOW} if isinstance(state, client.Live) else {}))
        case client.Opening():
            return replace(state, gen=GEN, sent_at=NOW)
        case client.Backoff():
            return client.Backoff("", NOW)
        case _:
            return state


def _merged_session(session: Any) -> Any:
    welcome = replace(session.welcome, rev=Rev(0), resume="none", last_mid=Mid(0))
    return replace(
        session,
        opened_at=NOW,
        welcome=welcome,
        allowance=Allowance(LIMITS.burst, NOW),
        asked_at=NOW,
        acked=None,
        pings=(),
    )


_TEMPLATE = client.ClientConnection("nobody", record=False)

Script = tuple[Callable[[Replica], Edit | None], ...]
Scripts = Mapping[str, Script]
