"""What the public names of the core promise to a type checker.

Never run: the checkers prove each `assert_type`, and that each line with an ignore is the mistake it is ignored for (a
needless ignore is an error under `--strict`). A driver that covers the unions below covers all that can be asked of it.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, assert_never, assert_type

from protocol import (
    Alarm,
    Cursor,
    DeviceId,
    Edit,
    Edited,
    Entry,
    Fact,
    Fault,
    Found,
    ItemId,
    Limits,
    Mid,
    Missed,
    Monotonic,
    Mutation,
    Outcome,
    Quiet,
    Record,
    Replica,
    Rev,
    Ring,
    Ringing,
    RingState,
    SnoozedTill,
    Step,
    Submission,
    SyncReason,
    Tick,
    Timer,
    Wall,
    Write,
    Zones,
    absorb,
    apply,
    client,
    commit,
    next_at,
    next_mid,
    next_ring,
    occurrences,
    resume,
    ring_state,
    server,
    shown,
    trace,
    view,
)
from protocol.testing import Device, Household, Pair
from protocol.zones import system_zones


# --- the two connections ----------------------------------------------------------------------------------------------


def a_client_is_stepped(c: client.ClientConnection, input: client.ClientInput, now: float) -> None:
    assert_type(c.step(input, now), list[client.ClientOutput])
    assert_type(c.step(Tick(), now=now), list[client.ClientOutput])
    assert_type(c.machine, client.ClientMachine)
    assert_type(c.accepts, list[str])
    assert_type(c.trace, list[Step] | None)
    assert_type(c.statistics(), dict[str, int])
    assert_type(c.server_time(now), Wall | None)
    assert_type(c.copy(), client.ClientConnection)
    if c.deadline is not None:
        assert_type(c.deadline.at, Monotonic)


def a_server_is_stepped(s: server.ServerConnection, input: server.ServerInput, now: float) -> None:
    assert_type(s.step(input, now), list[server.ServerOutput])
    assert_type(s.step(Tick(), now=now), list[server.ServerOutput])
    assert_type(s.copy(), server.ServerConnection)
    assert_type(s.statistics(), dict[str, int])
    if s.deadline is not None:
        assert_type(s.deadline.at, Monotonic)


def connections_are_built_by_name(cursor: Cursor, waiting: Iterator[Entry]) -> None:
    assert_type(client.ClientConnection("desk", cursor=cursor, outbox=waiting, seed=7), client.ClientConnection)
    assert_type(server.ServerConnection(server.Terms(), record=False), server.ServerConnection)
    client.ClientConnection("desk", "Desk")  # type: ignore[call-arg] # all but the device goes by name
    client.ClientConnection("desk", cursor=41)  # type: ignore[arg-type] # a number alone is no cursor


def a_client_s_driver_covers_every_output(output: client.ClientOutput) -> None:
    match output:
        case client.GetToken() | client.OpenTransport() | client.CloseTransport() | client.Transmit() | client.Poll():
            pass
        case client.Store(fact=fact):
            assert_type(fact, Fact)
        case client.LinkChanged() | client.Welcomed() | client.Synced() | client.Answered() | client.PresenceHeard():
            pass
        case client.ClockSampled() | client.HeartbeatHeard() | client.Faulted() | client.Ignored():
            pass
        case _:
            assert_never(output)


def a_server_s_driver_covers_every_output(output: server.ServerOutput) -> None:
    match output:
        case server.Accept() | server.Refuse() | server.Transmit() | server.TransmitBinary():
            pass
        case server.CloseTransport() | server.AbortTransport() | server.Leave() | server.Ignored():
            pass
        case server.VerifyToken() | server.Join() | server.StoreAck() | server.RenewEpoch():
            pass
        case server.Apply(submission=submission):
            assert_type(submission, Submission)
        case server.ReadPage() | server.ReadState() | server.ReadHead():
            pass
        case _:
            assert_never(output)


# --- traces -----------------------------------------------------------------------------------------------------------


def a_trace_is_read_and_replayed(c: client.ClientConnection, text: str) -> None:
    assert_type(trace.dump(c), str)
    recording = trace.load(text)
    assert_type(recording, trace.Trace)
    assert_type(recording.header.side, Literal["client", "server"])
    assert_type(recording.lines, tuple[str, ...])
    assert_type(trace.build(recording.header), client.ClientConnection | server.ServerConnection)
    for difference in trace.replay(recording):
        assert_type(difference, trace.Difference)
        assert_type(difference.step, int)
    trace.load(recording)  # type: ignore[arg-type] # it reads text, or lines of it


# --- rings ------------------------------------------------------------------------------------------------------------


def what_rings_is_asked_at_a_wall_time(record: Record, alarm: Alarm, now: Wall) -> None:
    assert_type(next_ring(record, now, system_zones), Ring | None)
    assert_type(next_ring(alarm, now, system_zones), Ring | None)
    assert_type(ring_state(record, now, system_zones), Quiet | Ringing | SnoozedTill | Missed)
    assert_type(occurrences(record, now, system_zones), tuple[Ringing | SnoozedTill | Missed, ...])


def the_three_clocks_are_never_mixed(record: Record, zones: Zones, rev: Rev, uptime: Monotonic) -> None:
    next_ring(record, rev, zones)  # type: ignore[arg-type] # a place in the log is no time
    next_ring(record, uptime, zones)  # type: ignore[arg-type] # nor is what a stopwatch shows
    ring_state(record, 0, zones)  # type: ignore[arg-type] # a bare number says nothing of its clock
    Cursor(rev, rev)  # type: ignore[arg-type] # a history has a name


def a_ring_state_is_one_of_four(state: RingState) -> None:
    match state:
        case Quiet():
            pass
        case Ringing():
            assert_type(state.ring, Ring)
        case SnoozedTill() | Missed():
            pass
        case _:
            assert_never(state)


def a_record_is_an_alarm_or_a_timer(record: Record) -> None:
    match record:
        case Alarm():
            assert_type(record, Alarm)
        case Timer():
            assert_type(record, Timer)
        case _:
            assert_never(record)


def a_record_is_changed_by_making_another(record: Record | None, mutation: Mutation) -> None:
    assert_type(apply(record, mutation), Record | None)


# --- commits ----------------------------------------------------------------------------------------------------------


def a_commit_decides_and_keeps_nothing(found: Found, asked: Submission, now: Wall, limits: Limits) -> None:
    outcome = commit(found, asked, DeviceId("desk"), now, system_zones, limits)
    assert_type(outcome, Outcome)
    assert_type(outcome.record, Record | None)
    assert_type(outcome.fault, Fault | None)
    assert_type(asked.edit, Edit | Fault)
    outcome.record = None  # type: ignore[misc] # it is frozen
    commit(found, asked, "desk", now, system_zones, limits)  # type: ignore[arg-type] # any string is no device


def a_cursor_resumes_or_says_why_not(cursor: Cursor | None, found: Found, limits: Limits) -> None:
    assert_type(resume(cursor, found.account, limits), Rev | SyncReason)


# --- the replica ------------------------------------------------------------------------------------------------------


def a_replica_is_a_value(replica: Replica, fact: Fact, item: ItemId, now: Wall) -> None:
    assert_type(absorb(replica, fact), tuple[Replica, tuple[Write, ...]])
    assert_type(view(replica), dict[ItemId, Record])
    assert_type(shown(replica, item), Record | None)
    assert_type(next_mid(replica), Mid)
    assert_type(next_at(replica, item, now), int)
    assert_type(replica.server, Mapping[ItemId, Record])
    replica.cursor = None  # type: ignore[misc] # it is frozen
    absorb(replica, "edited")  # type: ignore[arg-type] # facts are a closed union


def an_edit_is_numbered_before_it_is_absorbed(replica: Replica, edit: Edit) -> Replica:
    after, writes = absorb(replica, Edited(Entry(next_mid(replica), edit)))
    assert_type(writes, tuple[Write, ...])
    Entry(1, edit)  # type: ignore[arg-type] # its number comes from `next_mid`
    return after


# --- both halves under one clock --------------------------------------------------------------------------------------


def a_pair_is_both_halves(pair: Pair) -> None:
    assert_type(Pair(), Pair)
    assert_type(pair.client, client.ClientConnection)
    assert_type(pair.server, server.ServerConnection)
    assert_type(pair.replica, Replica)
    assert_type(pair.device, Device)
    assert_type(pair.device.create("alarm", "a1", time="07:00"), Entry)
    assert_type(pair.now, Monotonic)
    assert_type(pair.wall, Wall)
    assert_type(pair.in_step(), bool)
    pair.device.create("bell", "b1")  # type: ignore[arg-type] # there are alarms and timers


def a_household_has_devices_by_name(home: Household) -> None:
    assert_type(home["desk"], Device)
    assert_type(home.devices, dict[str, Device])
