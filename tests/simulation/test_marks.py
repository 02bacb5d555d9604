"""Marks count situations, and every mark that a campaign must hit is one that can be."""

import inspect

import pytest

from client_qt.commands import EditItem, StopRing

from . import marks
from .marks import MUST_HIT, Marks
from .scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- marks --------------------------------------------------------------------------------------------------------------


def test_marks_count_what_a_world_got_into(scene: Scene) -> None:
    watch = Marks(scene.sim)
    scene.sim.world.watchers.append(watch.after)
    item = scene.alarm(ring_s=300)
    scene.run(110)
    scene.other.crash()
    scene.other.boot()
    scene.run(5)
    scene.one.command(StopRing(item))
    scene.other.command(EditItem(item, {"label": "x"}))
    scene.run(5)
    scene.one.cut(noticed="both")
    scene.run(60)
    assert watch.found["applied"] >= 3
    assert watch.found["resumed after a restart"] == 1
    assert watch.found["stopped by another device"] == 1
    assert watch.found["event retired its entry first"] >= 1
    assert watch.found["backed off"] >= 1


def test_every_mark_that_must_be_hit_is_one_that_can_be() -> None:
    text = inspect.getsource(marks).replace(inspect.getsource(marks).split("MUST_HIT = ")[1].split("})")[0], "")
    made = {
        "resumed by replay",
        "resumed by snapshot",
        "sync required: epoch",
        "sync required: trimmed",
        "rejected",
        "merged",
    }
    assert {mark for mark in MUST_HIT if f'"{mark}"' not in text} <= made
