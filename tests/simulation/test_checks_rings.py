"""Each check of rings is shown once to fail: what is silent, what sounds, what rings twice."""

from typing import Any

import pytest
from msgspec.structs import replace

from client_qt.commands import StopRing
from client_qt.ringing import Book, Ended, Sounding
from protocol import client

from .scene import Scene, broken


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- 7, 8: rings --------------------------------------------------------------------------------------------------------


def test_an_alarm_that_stays_silent_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.other.ringer.look = lambda: float("inf")  # type: ignore[method-assign]  # it sleeps on
    scene.run(110)
    with broken("invariant-7", "a look when the rings of u0d0-1 change"):
        scene.checks.at_peace()


def test_an_alarm_that_waits_for_news_too_long_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.other.ringer._held = lambda windows, *_: dict.fromkeys(windows, 1e9)  # type: ignore[method-assign]  # for ever
    with broken("invariant-7", "it has been silent for"):
        for _ in range(150):
            scene.run(1)
            scene.other.ringer.poke()


def test_an_alarm_that_ends_while_it_must_sound_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.run(110)
    ringer = scene.other.ringer
    (sounding,) = ringer.book.sounding.values()
    ringer.book = Book({}, {})
    scene.checks._told(scene.other, Ended(sounding, sounding.record, "window"))
    with broken("invariant-7", "goes on"):
        scene.checks.look(scene.other)


def test_what_sounds_though_nothing_must_is_seen(scene: Scene) -> None:
    item = scene.alarm()
    scene.run(110)
    ringer = scene.other.ringer
    (sounding,) = ringer.book.sounding.values()
    scene.one.command(StopRing(item))
    scene.run(1)
    ringer.book = Book({}, {sounding.key: sounding})
    with broken("invariant-8", "that nothing sounds"):
        scene.checks.look(scene.other)


def test_a_ring_that_begins_twice_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.run(110)
    (sounding,) = scene.other.ringer.book.sounding.values()
    with broken("invariant-8", "rings once"):
        scene.checks._told(scene.other, Sounding(sounding.key, sounding.record, sounding.ring))


def test_a_ring_that_its_user_stopped_and_that_begins_again_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.run(110)
    (sounding,) = scene.other.ringer.book.sounding.values()
    scene.other.command(StopRing())
    with broken("invariant-8", "rings once"):
        scene.checks._told(scene.other, Sounding(sounding.key, sounding.record, sounding.ring, resumed=True))


def test_a_ring_that_is_forgotten_by_a_restart_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.run(110)
    scene.other.crash()
    scene.other.local.marks.clear()
    scene.other.boot()
    with broken("invariant-8", "known after a restart"):
        scene.run(20)


def test_a_ring_that_was_stopped_and_would_go_on_after_a_restart_is_seen(scene: Scene) -> None:
    scene.alarm(ring_s=600)
    scene.run(110)
    (key,) = scene.other.ringer.book.sounding
    scene.other.command(StopRing())
    scene.run(1)
    scene.other.crash()
    scene.other.local.marks[key] = replace(scene.other.local.marks[key], over=False)
    scene.other.boot()
    with broken("invariant-8", "over after a restart"):
        scene.run(20)


def test_a_ring_that_begins_anew_after_a_restart_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.run(110)
    (sounding,) = scene.other.ringer.book.sounding.values()
    scene.other.crash()
    scene.other.boot()
    with broken("invariant-8", "resumed after a restart"):
        scene.checks._told(scene.other, Sounding(sounding.key, sounding.record, sounding.ring))


def test_a_ring_that_begins_between_two_rows_of_a_replay_is_seen(scene: Scene) -> None:
    scene.alarm()
    scene.run(110)
    (sounding,) = scene.other.ringer.book.sounding.values()
    machine: Any = scene.other.client.machine
    scene.other.client.machine = replace(machine, state=client.Syncing(machine.state.gen, machine.state.session))
    rings = scene.checks._watched[scene.other.name].rings
    rings.welcomed_at, rings.synced = scene.other.now - 1, False
    rings._begun.clear()
    with broken("ring-start-at-synced", "still syncing"):
        rings.told(Sounding(sounding.key, sounding.record, sounding.ring))
