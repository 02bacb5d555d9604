"""The seventeen promises of docs/protocol.md, section "Invariants": one test or more for each, by number.

Where a promise is kept by a driver (4: a commit is durable, 8: a device rings once) the test of that driver names it too.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import (
    Account,
    Alarm,
    ClockEstimate,
    Create,
    Epoch,
    Generation,
    Handle,
    ItemId,
    Limits,
    Mid,
    Mutation,
    Patch,
    Rev,
    Ringing,
    SessionId,
    UserId,
    Wall,
    apply,
    client,
    ring_state,
    server,
)
from protocol._clock import DRIFT
from protocol._close_codes import decide
from protocol.testing import Event, Household, Pair
from protocol.zones import system_zones

from .scenarios import ACTS, HISTORIES, Act, calm, empty_household, household, perform
from .strategies import DEVICES as EDITORS
from .strategies import ITEM


def played(acts: list[Act], *, seed: int = 7) -> Household:
    home = household(seed)
    for act in acts:
        perform(home, act)
    return home


def test_the_scenarios_of_this_file_are_lively() -> None:
    """Promises that are never put to the test are no promises: most scenarios change something, all kinds happen."""
    changes: list[int] = []
    happened: set[str] = set()

    @settings(max_examples=60, derandomize=True, database=None)
    @given(HISTORIES)
    def play(acts: list[Act]) -> None:
        home = played(acts)
        calm(home)
        changes.append(len(home.store.rows))
        happened.update(act.what for act in acts)

    play()
    assert sum(count >= 3 for count in changes) > len(changes) / 2
    assert happened >= {"create", "delete", "stop", "snooze", "start", "cut", "restart", "trim", "epoch", "eat"}


# --- 1, 2, 3, 5, 6, 15: what a household in trouble must keep ---------------------------------------------------------


@given(ACTS)
def test_invariant_1_a_quiet_network_brings_every_view_to_the_servers_state(acts: list[Act]) -> None:
    home = played(acts)
    calm(home)
    assert home.in_step(), home


@given(HISTORIES)
def test_invariant_1_holds_after_a_new_epoch_but_for_records_set_aside(acts: list[Act]) -> None:
    home = played(acts)
    calm(home)
    truth = {key: msgspec.to_builtins(record) for key, record in home.store.records.items()}
    for device in home.devices.values():
        assert not device.replica.entries
        assert {key: msgspec.to_builtins(r) for key, r in device.replica.server.items()} == truth


@given(HISTORIES)
def test_invariant_2_a_cursor_never_goes_back_inside_an_epoch_and_no_change_is_applied_twice(acts: list[Act]) -> None:
    home = household()
    last = {name: device.replica.cursor for name, device in home.devices.items()}
    for act in acts:
        perform(home, act)
        for name, device in home.devices.items():
            before, now = last[name], device.replica.cursor
            if before is not None and now is not None and before.epoch == now.epoch:
                assert now.rev >= before.rev, (name, act)
            last[name] = now if now is not None else before
    for device in home.devices.values():
        assert stored_revs_are_dense(home, device.name)


def stored_revs_are_dense(home: Household, name: str) -> bool:
    """Events are stored from the cursor on without a gap, in every session of a device."""
    at: dict[str, int] = {}
    for _, output in outputs_of(home, name):
        if not isinstance(output, client.Store):
            continue
        fact = msgspec.to_builtins(output.fact)
        if fact["fact"] == "SnapshotHeard":
            at[fact["epoch"]] = fact["rev"]
        elif fact["fact"] == "EventsHeard":
            revs = [event["rev"] for event in fact["events"]]
            epoch = fact["cursor"]["epoch"]
            if epoch in at and revs[0] > at[epoch] + 1:
                return False
            if revs != list(range(revs[0], revs[-1] + 1)):
                return False
            at[epoch] = revs[-1]
    return True


def outputs_of(home: Household, who: str) -> Iterator[tuple[Event, Any]]:
    for event in home.log:
        if event.who == who:
            for output in event.outputs:
                yield event, output


@given(ACTS)
def test_invariant_3_a_mutation_takes_effect_at_most_once_and_in_the_order_of_its_numbers(acts: list[Act]) -> None:
    home = played(acts)
    calm(home)
    by_device: dict[str, list[int]] = {}
    for row in home.store.rows:
        by_device.setdefault(row.device_id, []).append(row.mid)
    for mids in by_device.values():
        assert mids == sorted(set(mids))


@pytest.mark.parametrize("trimmed", [False, True], ids=["events", "snapshot"])
def test_invariant_3_a_copied_store_takes_a_new_name_instead_of_reusing_numbers(trimmed: bool) -> None:
    """What the log or a snapshot says of a number may be the other copy's: its own edit must not be lost to it."""
    home = empty_household()
    desk, lap = home["desk"], home["lap"]
    desk.create("alarm", "a1", time="07:00")
    home.run(1)
    lap.cut()
    lap.replica = desk.replica
    lap.restart()
    desk.create("alarm", "a2", time="08:00")
    home.run(1)
    lap.create("alarm", "a3", time="09:00")
    if trimmed:
        home.store.trim(home.store.account.rev)
    desk.cut()
    lap.heal()
    lap.start()
    home.run(60)
    assert set(home.store.records) == {"a1", "a2", "a3"}
    assert lap.replica.device != desk.replica.device
    assert not lap.replica.entries


@given(ACTS)
def test_invariant_4_what_was_answered_applied_is_there_after_a_server_crash(acts: list[Act]) -> None:
    """The store in memory cannot lose a commit; tests/server_trio/test_kill.py kills the real one."""
    home = played(acts)
    answered = {
        (event.who, output.result.mid)
        for name in home.devices
        for event, output in outputs_of(home, name)
        if isinstance(output, client.Answered) and output.result.status == "applied"
    }
    for device in home.devices.values():
        device.lose()
    kept = {(row.device_id, row.mid) for row in home.store.rows}
    trimmed = home.store.account.floor
    assert all(key in kept for key in answered) or trimmed > 0


def test_invariant_4_a_rejected_mutation_never_blocks_the_next() -> None:
    home = empty_household()
    desk = home["desk"]
    desk.create("alarm", "a1", time="99:99")
    desk.create("alarm", "a2", time="07:00")
    home.run(2)
    assert set(home.store.records) == {"a2"}
    assert not desk.replica.entries


def test_invariant_5_synced_is_reached_whatever_the_outbox_holds() -> None:
    home = empty_household()
    desk = home["desk"]
    desk.cut()
    for n in range(60):
        desk.create("alarm", f"b{n}", time="07:00")
    desk.heal()
    start = len(home.log)
    home.run(70)
    synced = [
        e.now for e in home.log[start:] if e.who == "desk" and any(isinstance(o, client.Synced) for o in e.outputs)
    ]
    assert synced
    assert synced[0] < home.now
    home.run(120)
    assert not desk.replica.entries
    assert len(home.store.records) == 60


@given(HISTORIES)
def test_invariant_6_deleted_ids_never_return_and_acked_never_decreases(acts: list[Act]) -> None:
    home = household()
    acked: dict[str, int] = {}
    for act in acts:
        perform(home, act)
        assert not home.store.tombstones & set(home.store.records)
        for item, record in home.store.records.items():
            if isinstance(record, Alarm) and record.acked is not None:
                assert record.acked >= acked.get(item, record.acked)
                acked[item] = record.acked


@given(
    st.lists(
        st.tuples(
            st.sampled_from(EDITORS), st.integers(0, 9), st.dictionaries(st.text(max_size=9), st.text(max_size=9))
        ),
        max_size=6,
    )
)
def test_invariant_6_apply_is_total_and_deterministic(edits: list[tuple[Any, int, dict[str, str]]]) -> None:
    record = None
    for mid, (device, at, fields) in enumerate(edits, 1):
        make = Create if mid == 1 else Patch
        edit = make(kind="alarm", id=ITEM, at=at, fields={"time": "07:00", **fields})
        mutation = Mutation(edit, device, Mid(mid))
        assert apply(record, mutation) == apply(record, mutation)
        record = apply(record, mutation)


@given(ACTS)
def test_invariant_15_socket_polling_and_any_mix_give_the_same_state(acts: list[Act]) -> None:
    """One device hears over the socket only, one by polling only (its socket never opens), one as it comes."""
    home = household()
    lap = home["lap"]
    lap.lose()
    for end in home.devices.values():
        end.link.latency = 0.05
    home.refuse_sockets.add("lap")
    for act in acts:
        perform(home, act)
    calm(home)
    assert home.in_step(), home
    assert any(isinstance(output, client.Poll) for _, output in outputs_of(home, "lap"))


# --- 7, 8: rings ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 59), st.sampled_from(["cut", "stopped", "refused", "live"]), st.booleans())
def test_invariant_7_a_stored_alarm_rings_in_every_state_of_network_account_and_server(
    minute: int, trouble: str, restarted: bool
) -> None:
    home = Household("desk", zones=system_zones)
    desk = home["desk"]
    desk.start()
    home.run(1)
    desk.create("alarm", "a1", time=f"15:{minute:02}", days=["mo"], tz="UTC")
    home.run(1)
    if trouble == "cut":
        desk.cut()
    elif trouble == "stopped":
        desk.feed(client.Stop())
    elif trouble == "refused":
        home.rejects["desk"] = "forbidden"
        desk.lose()
    if restarted:
        desk.restart()
    record = desk.view[ItemId("a1")]
    due = Wall(1_790_002_800_000 + minute * 60_000)
    assert isinstance(ring_state(record, due, home.zones), Ringing)
    assert not isinstance(ring_state(record, Wall(due - 1), home.zones), Ringing)


def test_invariant_8_a_dismissal_that_arrives_before_the_ring_keeps_every_device_silent() -> None:
    home = household()
    home["desk"].create("alarm", "a1", time="14:16", days=["mo"])
    home.run(1)
    due = 1_790_000_160_000
    home["phone"].dismiss("a1", due)
    home.run(1)
    for device in home.devices.values():
        assert not isinstance(ring_state(device.view[ItemId("a1")], Wall(due), home.zones), Ringing)


# --- 9: clock ---------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2), st.floats(0, 50)), min_size=1, max_size=12),
    st.floats(0, 2e12),
)
def test_invariant_9_the_clocks_error_is_within_half_the_round_trip_and_drift(
    legs: list[tuple[float, float, float]], offset: float
) -> None:
    estimate, now = ClockEstimate(), 0.0
    for out, back, pause in legs:
        now += pause
        t0, there = now * 1000, (now + out) * 1000 + offset
        now += out + back
        estimate = estimate.add(t0, there, there, now * 1000)
    said = estimate.server_time(now)
    assert said is not None
    assert abs(said - (now * 1000 + offset)) <= estimate.error_ms(now) + 1
    assert estimate.error_ms(now + 100) - estimate.error_ms(now) == pytest.approx(DRIFT * 100_000, rel=1e-6)


# --- 10, 11: attempts -------------------------------------------------------------------------------------------------


@given(ACTS)
def test_invariant_10_after_stopped_nothing_is_attempted_without_the_user(acts: list[Act]) -> None:
    home = played(acts)
    for device in home.devices.values():
        device.feed(client.Stop())
    start = len(home.log)
    home.run(500)
    asked = (client.OpenTransport, client.GetToken, client.Poll, client.Transmit)
    said = [o for e in home.log[start:] if e.who in home.devices for o in e.outputs if isinstance(o, asked)]
    assert said == []


def test_invariant_10_devices_that_a_drain_dropped_come_back_spread_over_its_window() -> None:
    names = [f"d{n}" for n in range(40)]
    home = Household(*names)
    for device in home.devices.values():
        device.start()
    home.run(1)
    home.drain()
    start = home.now
    home.run(3)
    returns = [
        event.now - start
        for event in home.log
        if event.now > start and any(isinstance(output, client.OpenTransport) for output in event.outputs)
    ]
    assert len(returns) >= 40
    assert max(returns) - min(returns) > 0.5


@given(st.sampled_from(["opened", "received", "lost", "refused", "token"]), st.integers(-3, 0))
def test_invariant_11_a_fact_of_another_generation_never_acts(fact: str, back: int) -> None:
    pair = Pair()
    pair.connect()
    old = Generation(pair.client.machine.gen + back - 1)
    stimulus: Any = {
        "opened": client.Opened(old, "tocsin.v1"),
        "received": client.Received(old, '{"type":"synced","epoch":"e1","rev":0}'),
        "lost": client.Lost(old, 1006),
        "refused": client.Refused(old, 401, "token_invalid"),
        "token": client.TokenReady(old, Handle("x")),
    }[fact]
    before = pair.client.machine
    (output,) = pair.client.step(stimulus, pair.now)
    assert isinstance(output, client.Ignored)
    assert pair.client.machine == before


# --- 12, 13, 14, 16, 17 -----------------------------------------------------------------------------------------------


def test_invariant_12_a_slow_reader_holds_a_bounded_queue() -> None:
    end = classic()
    end.step(server.Blocked(), 1.0)
    for rev in range(1, 2_000):
        end.step(server.Publish(Rev(rev), "alarm", "x" * 300, "y" * 300), 1.0)
    assert len(end.state.held) <= Limits().held_events
    assert end.state.held_bytes <= Limits().held_bytes


def classic() -> server.ServerConnection:
    end = server.ServerConnection()
    end.step(server.Requested("classic", "query", Handle("h")), 0.0)
    end.step(server.TokenAccepted(Handle("h"), UserId("u"), SessionId("s"), Wall(10**7), Wall(0)), 0.0)
    end.step(server.Joined(Account(Epoch("e")), Mid(0), Wall(0)), 0.0)
    return end


@given(
    st.lists(st.one_of(st.text(max_size=40), st.binary(max_size=40)), max_size=5),
    st.sampled_from([0.0, 0.02, 0.03, 1.0]),
)
def test_invariant_13_any_bytes_in_any_state_give_outputs_and_no_exception(
    said: list[str | bytes], when: float
) -> None:
    pair = Pair()
    pair.device.start()
    pair.run(when)
    for data in said:
        end = pair.device.server
        if end is not None:
            feed_server(end, data, pair.now)
        gen = pair.client.machine.gen
        if "Received" in pair.client.accepts:
            stimulus = client.Received(gen, data) if isinstance(data, str) else client.ReceivedBinary(gen, data)
            pair.client.step(stimulus, pair.now)


def feed_server(end: server.ServerConnection, data: str | bytes, now: float) -> None:
    if "Received" in end.accepts:
        wall = Wall(0)
        end.step(server.Received(data, wall) if isinstance(data, str) else server.ReceivedBinary(data, wall), now)


CLASSIC_TYPES = {
    "alarm_created", "alarm_updated", "alarm_deleted", "timer_created", "timer_updated", "timer_deleted",
    "sync_required", "heartbeat", "error", "pong", "subscribed", "unsubscribed",
}  # fmt: skip


@given(ACTS)
def test_invariant_14_a_classic_peer_only_sees_classic_types_with_full_records(acts: list[Act]) -> None:
    home = household()
    end = classic()
    heard: list[str] = []
    home.listeners.append(lambda publish: heard.extend(texts(end.step(publish, home.now))))
    for act in acts:
        perform(home, act)
    calm(home)
    heard += texts(end.step(server.Received('{"type":"ping"}', Wall(0)), home.now))
    assert home.store.account.rev < 2 + len(heard)
    for text in heard:
        message = msgspec.json.decode(text)
        assert message["type"] in CLASSIC_TYPES
        if message["type"].endswith(("_created", "_updated")):
            assert {"id", "kind", "label", "sound", "acked"} <= set(message["data"])
            assert "stamps" not in message["data"]


def texts(outputs: list[server.ServerOutput]) -> list[str]:
    return [output.data for output in outputs if isinstance(output, server.Transmit)]


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=24, max_size=60))
def test_invariant_16_no_token_reaches_an_output_a_state_or_a_trace(token: str) -> None:
    kept: dict[str, str] = {}

    def hide(secret: str) -> Handle:
        kept["h1"] = secret
        return Handle("h1")

    end = server.ServerConnection()
    outputs = [end.step(server.read_request(["tocsin.v1"], None, None, None, hide), 0.0)]
    hello = f'{{"type":"hello","device":{{"id":"d"}},"conn":1,"token":"{token}"}}'
    outputs.append(end.step(server.Received(server.hide_token(hello, hide), Wall(0)), 0.1))
    outputs.append(end.step(server.TokenRejected(Handle("h1"), "invalid"), 0.2))
    assert kept["h1"] == token
    assert token not in repr((outputs, end, end.machine, end.trace))


@given(HISTORIES, st.integers(0, 2**32))
def test_invariant_17_the_same_inputs_and_seed_give_the_same_outputs_byte_for_byte(acts: list[Act], seed: int) -> None:
    first, second = (played(acts, seed=seed) for _ in range(2))
    assert repr(first.log) == repr(second.log)


def test_invariant_17_every_way_a_connection_can_end_has_exactly_one_decision() -> None:
    decisions = {code: decide(code) for code in range(5_000)}
    assert len(decisions) == 5_000
    assert all(decision is not None for decision in decisions.values())
