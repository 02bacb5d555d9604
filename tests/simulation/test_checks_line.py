"""Each check of a connection is shown once to fail: its clock, politeness, generations, bounds and secrets."""

from typing import Any

import pytest
from msgspec.structs import replace

from protocol import Generation, Handle, Mid, Monotonic, Rev, client, server
from protocol._messages import Goodbye
from protocol._timers import ClientTimer

from .plan import DevicePlan, Plan
from .player import Sim, play
from .scene import START, Scene, broken


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- 9, 10, 11, 12, 16: connections -------------------------------------------------------------------------------------


def test_a_clock_that_is_worse_than_it_says_is_seen(scene: Scene) -> None:
    machine = scene.one.client.machine
    samples = tuple(replace(sample, offset=sample.offset + 200) for sample in machine.clock.samples)
    scene.one.client.machine = replace(machine, clock=replace(machine.clock, samples=samples))
    with broken("invariant-9", "+200 ms"):
        scene.checks.look(scene.one)


def test_an_attempt_after_stopped_is_seen(scene: Scene) -> None:
    scene.one.feed(client.Stop())
    with broken("invariant-10", "while stopped"):
        scene.step(client.GetToken(Generation(9), fresh=True), stimulus=client.Woke())


def test_an_attempt_too_soon_after_a_failure_is_seen(scene: Scene) -> None:
    machine = scene.one.client.machine
    soon = machine.timers.set(ClientTimer.RECONNECT_DUE, scene.one.now + 0.01)
    late = replace(machine, state=client.Backoff("?", scene.one.now), timers=soon)
    scene.one.client.machine = replace(late, history=replace(machine.history, delays=machine.history.delays + 1))
    with broken("invariant-10", "within 0.1 s of a failure"):
        scene.step(stimulus=client.NetworkChanged())


def test_attempts_without_end_are_seen(scene: Scene) -> None:
    with broken("invariant-10", "attempts a minute"):
        for n in range(40):
            scene.step(client.OpenTransport(Generation(n), Handle("h")))


def test_an_effect_of_an_earlier_generation_is_seen(scene: Scene) -> None:
    with broken("invariant-11", "earlier generation"):
        scene.step(client.Synced(), stimulus=client.Received(Generation(0), "{}"))


def test_an_endless_queue_is_seen(scene: Scene) -> None:
    transport = scene.one.transport
    assert transport is not None
    machine = transport.end.machine
    transport.end.machine = replace(machine, state=replace(machine.state, held=("x",) * 300))
    with broken("invariant-12", "300 are held"):
        scene.step(who="u0d0's", stimulus=server.Publish(Rev(1), "alarm", "", ""))


def test_more_answers_than_are_to_be_kept_are_seen(scene: Scene) -> None:
    scene.alarm()
    key, kept = next(reversed(scene.store.answers.items()))
    for mid in range(300):
        scene.store.answers[key[0], Mid(-mid)] = kept
    with broken("invariant-12", "answers each"):
        scene.checks._logs[scene.one.user].at_peace()


@pytest.mark.parametrize(
    ("output", "rule"),
    [
        (client.Transmit(Generation(1), '{"type":"mutate","mid":9}'), "outbox-durable"),
        (client.Poll(Generation(1), Handle("h"), "POST", "/m", '{"mutations":[{"mid":9}]}', 1), "outbox-durable"),
        (client.Transmit(Generation(1), '{"type":"ack","epoch":"e1","rev":99}'), "msg-ack"),
        (client.Transmit(Generation(1), '{"type":"hello","cursor":{"epoch":"e9","rev":0}}'), "msg-ack"),
        (client.Poll(Generation(1), Handle("h"), "GET", "/changes?since=e1:99", None, 1), "msg-ack"),
    ],
)
def test_a_claim_of_something_that_is_not_on_disk_is_seen(scene: Scene, output: Any, rule: str) -> None:
    scene.alarm()
    with broken(rule, "is not"):
        scene.step(output)


@pytest.mark.parametrize(
    "output",
    [
        client.Transmit(Generation(1), "secret-u0d0-1"),
        client.LinkChanged("live", "secret-u0d0-1"),
        client.CloseTransport(Generation(1), 1000, "secret-u0d0-1"),
    ],
)
def test_a_token_in_what_a_client_says_is_seen(scene: Scene, output: Any) -> None:
    with broken("invariant-16"):
        scene.step(output)


def test_a_token_in_what_a_server_says_is_seen(scene: Scene) -> None:
    with broken("invariant-16"):
        scene.step(server.Transmit("secret-u0d0-1"), who="u0d0's")


def test_an_exception_anywhere_is_a_violation() -> None:
    def spoil(sim: Sim) -> None:
        def stumble() -> None:
            raise KeyError("nobody")

        sim.world.at(1.0, stumble)

    run = play(Plan(7, 5.0, START, (DevicePlan("u0d0", "u0"),)), prepare=spoil)
    assert run.violation is not None
    assert run.violation.rule == "no-exception"
    assert "KeyError" in run.violation.happened


# --- pace and sessions, closer ----------------------------------------------------------------------------------------


def machine_of(scene: Scene) -> Any:
    return scene.one.client.machine


def put(scene: Scene, **changes: Any) -> None:
    """Change the first device's machine from outside."""
    scene.one.client.machine = replace(scene.one.client.machine, **changes)


def test_a_failure_that_is_forgotten_too_soon_is_seen(scene: Scene) -> None:
    history = scene.one.client.machine.history
    put(scene, history=replace(history, delays=3))
    scene.step(stimulus=client.NetworkChanged())
    put(scene, history=history)
    with broken("backoff-reset", "made it forget"):
        scene.step()


def test_a_return_at_the_very_edge_of_its_window_is_seen(scene: Scene) -> None:
    machine, now = machine_of(scene), scene.one.now
    put(scene, state=client.Backoff("drained", now), timers=machine.timers.set(ClientTimer.RECONNECT_DUE, now))
    with broken("invariant-10", "its very beginning"):
        scene.step(stimulus=client.NetworkChanged())


def test_a_return_after_its_window_is_seen(scene: Scene) -> None:
    machine, now = machine_of(scene), scene.one.now
    goodbye = Goodbye(code=4200, reason="restart", min_ms=0, max_ms=1_000)
    put(scene, state=replace(machine.state, session=replace(machine.state.session, goodbye=goodbye)))
    scene.step()
    put(scene, state=client.Backoff("drained", now), timers=machine.timers.set(ClientTimer.RECONNECT_DUE, now + 9))
    with broken("invariant-10", "a return within 1000 ms"):
        scene.step(stimulus=client.NetworkChanged())


def test_a_newer_connection_that_makes_way_for_an_older_one_is_seen(scene: Scene) -> None:
    put(scene, state=client.Stopped("replaced", winner=0))
    with broken("life-replaced", "made way"):
        scene.step(stimulus=client.NetworkChanged())


def test_a_sign_in_that_is_asked_for_without_a_reason_is_seen(scene: Scene) -> None:
    put(scene, state=client.Stopped("signed out", sign_in=True))
    with broken("invariant-10", "nobody barred it"):
        scene.step(stimulus=client.NetworkChanged())


def test_a_synced_that_leads_nowhere_is_seen(scene: Scene) -> None:
    machine = machine_of(scene)
    put(scene, state=client.Syncing(machine.state.gen, machine.state.session))
    scene.step()
    cursor = machine.cursor
    assert cursor is not None
    synced = f'{{"type":"synced","epoch":"{cursor.epoch}","rev":{cursor.rev}}}'
    with broken("invariant-5", "ends the syncing"):
        scene.step(stimulus=client.Received(scene.one.client.gen, synced))


def test_a_gap_without_a_loss_is_seen(scene: Scene) -> None:
    with broken("resume-gap", "lost nothing"):
        scene.step(client.CloseTransport(Generation(1), 4202, "gap"))


def test_a_device_that_stays_behind_in_a_calm_session_is_seen(scene: Scene) -> None:
    scene.alarm()
    cursor = scene.one.client.machine.cursor
    assert cursor is not None
    beat = client.Received(scene.one.client.gen, '{"type":"heartbeat","n":1,"t":1,"rev":1}')
    put(scene, cursor=replace(cursor, rev=Rev(0)))
    scene.step(stimulus=beat)
    scene.sim.world.now = Monotonic(scene.sim.world.now + 70)
    with broken("liveness", "everything up to 1"):
        scene.step(stimulus=beat)


def test_an_edit_that_is_never_answered_in_a_calm_session_is_seen(scene: Scene) -> None:
    state = machine_of(scene).state
    put(scene, state=replace(state, session=replace(state.session, unanswered=(Mid(3),))))
    beat = client.Received(scene.one.client.gen, '{"type":"heartbeat","n":1,"t":1,"rev":0}')
    scene.step(stimulus=beat)
    scene.sim.world.now = Monotonic(scene.sim.world.now + 70)
    with broken("liveness", "an answer to edit 3"):
        scene.step(stimulus=beat)
