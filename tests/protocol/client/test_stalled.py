"""What was begun and does not go on, though the server lives (docs/protocol.md#life-stalled)."""

import pytest

from protocol._timers import ClientTimer as T
from protocol.client import ClientOutput, CloseTransport

from .desk import SERVER_TIME, Desk, Make, live, one, sent, some, syncing


def heartbeats(desk: Desk, seconds: int) -> list[ClientOutput]:
    """The server says no more than that it lives."""
    outputs: list[ClientOutput] = []
    for _ in range(0, seconds, 15):
        outputs += desk.wait(15)
        if desk.state in {"Syncing", "Live"}:
            outputs += desk.says("heartbeat", n=1, t=SERVER_TIME, rev=41)
    return outputs


def announced() -> Desk:
    desk = live()
    desk.says("sync_required", reason="asked", epoch="e1", rev=900)
    return desk


@pytest.mark.parametrize("make", [syncing, announced])
def test_heartbeats_alone_do_not_keep_a_stalled_stretch(make: Make) -> None:
    outputs = heartbeats(make(), 45)
    assert one(outputs, CloseTransport).code == 4201
    assert sent(outputs, "bye") == [{"type": "bye", "reason": "stalled"}]


def test_every_part_of_a_snapshot_buys_time_for_the_next() -> None:
    desk = announced()
    for part in range(5):
        heartbeats(desk, 30)
        desk.snapshot(900, part=part, last=False)
    assert desk.due_in(T.STALLED_DUE) == 45


def test_every_event_of_a_replay_buys_time_for_the_next() -> None:
    desk = syncing()
    for rev in range(42, 47):
        desk.wait(30)
        desk.event(rev)
    assert desk.due_in(T.STALLED_DUE) == 45


def test_an_event_beside_a_snapshot_buys_it_no_time() -> None:
    desk = announced()
    desk.wait(15)
    desk.event(901)
    assert desk.due_in(T.STALLED_DUE) == 30


@pytest.mark.parametrize("make", [syncing, announced])
def test_once_in_step_nothing_is_expected_any_more(make: Make) -> None:
    desk = make()
    desk.snapshot(900) if desk.state == "Live" else desk.synced(41)
    assert desk.due_in(T.STALLED_DUE) is None
    assert not some(heartbeats(desk, 60), CloseTransport)


def test_a_stretch_that_ends_the_session_expects_nothing() -> None:
    desk = syncing()
    desk.event(99)
    assert desk.due_in(T.STALLED_DUE) is None
