"""Each check of a connection is shown once to fail: its clock, politeness, generations, bounds and secrets."""

from typing import Any

import pytest
from msgspec.structs import replace

from protocol import Generation, Handle, Mid, Rev, client, server
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
