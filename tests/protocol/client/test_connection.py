"""What a driver and a REPL see of a client."""

import doctest

import msgspec
import pytest

import protocol.client
from protocol._settings import Limits, Timing
from protocol.client import ClientConnection, PollOff, Start, Stop, Stopped

from .desk import Desk, Make, backoff, connecting, cursor, entries, live, opening, polling, syncing


def stopped_for_sign_in() -> Desk:
    desk = live()
    desk.says("goodbye", code=4003, reason="", min_ms=0, max_ms=0, conn=None)
    desk.wait(2)
    return desk


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Desk, "<ClientConnection Idle(), no timer, outbox 0>"),
        (connecting, "<ClientConnection Connecting(), POLL_START_DUE at 10.0, outbox 0>"),
        (opening, "<ClientConnection Opening(), OPENING_DUE at 10.0, outbox 0>"),
        (lambda: syncing(cursor=None), "<ClientConnection Syncing(no cursor), SILENCE_DUE at 45.0, outbox 0>"),
        (lambda: live(outbox=entries(1, 2)), "<ClientConnection Live(rev=41), RESEND_DUE at 15.0, outbox 2>"),
        (lambda: backoff(seed=7), "<ClientConnection Backoff(no route), RECONNECT_DUE at 0.451, outbox 0>"),
        (stopped_for_sign_in, "<ClientConnection Stopped(signed out, sign in), no timer, outbox 0>"),
    ],
)
def test_a_repr_answers_the_next_question(make: Make, text: str) -> None:
    assert repr(make().c) == text


def test_a_repr_tells_of_polling() -> None:
    desk, _ = polling()
    assert repr(desk.c).endswith(", polling, outbox 0>")


def test_the_tour_in_the_package_docstring_runs() -> None:
    assert doctest.testmod(protocol.client).failed == 0


def test_what_is_exported_exists() -> None:
    assert len(set(protocol.client.__all__)) == len(protocol.client.__all__)
    assert all(hasattr(protocol.client, name) for name in protocol.client.__all__)


def test_the_constructor_takes_what_was_stored() -> None:
    c = ClientConnection(
        "desk",
        name="Desk",
        cursor=cursor(41),
        outbox=entries(4, 5),
        conn=12,
        seed=3,
        user="anna",
        timing=Timing(connect_ms=1),
        limits=Limits(window=2),
        caps=(),
    )
    m = c.machine
    assert (m.device, m.name, m.cursor, m.stored, m.conn, m.user) == (
        "desk",
        "Desk",
        cursor(41),
        cursor(41),
        12,
        "anna",
    )
    assert (m.newest, m.kept, m.timing.connect_ms, m.limits.window, m.caps) == (5, 5, 1, 2, ())


def test_the_setup_of_a_trace_builds_the_same_connection_again() -> None:
    desk = live(conn=12, outbox=entries(1), user="anna")
    again = ClientConnection.from_setup(msgspec.json.decode(msgspec.json.encode(desk.c.setup())))
    assert desk.c.trace is not None
    assert [again.step(record.input, record.now) for record in desk.c.trace] == [
        record.outputs for record in desk.c.trace
    ]


def test_the_setup_of_a_connection_that_has_done_nothing_is_its_own() -> None:
    c = ClientConnection("desk", seed=3)
    assert repr(ClientConnection.from_setup(c.setup())) == repr(c)


def test_statistics_count_what_happened() -> None:
    desk = live(conn=12, outbox=entries(1))
    desk.event(42)
    desk.event(42)
    desk.says("confetti")
    found = desk.c.statistics()
    assert found == {
        "attempts": 1,
        "sessions": 1,
        "received": 5,
        "events": 1,
        "dropped": 1,
        "unknown": 1,
        "faults": 0,
        "polls": 0,
        "poll_failures": 0,
        "conn": 13,
        "outbox": 1,
        "storing": 0,
    }


def test_the_server_time_is_unknown_before_the_first_sample() -> None:
    assert ClientConnection("desk").server_time(0.0) is None


def test_the_generation_is_that_of_the_attempt_in_hand() -> None:
    assert Desk().gen == 0
    assert connecting().gen == 1
    assert backoff().gen == 0


def test_a_fork_goes_its_own_way() -> None:
    desk = live()
    fork = desk.c.copy()
    fork.step(Stop(), desk.now)
    assert isinstance(fork.state, Stopped)
    assert desk.state == "Live"


def test_a_step_can_be_taken_back() -> None:
    desk = Desk()
    desk.step(Start())
    desk.c.undo()
    assert desk.state == "Idle"


def test_recording_can_be_switched_off() -> None:
    assert ClientConnection("desk", record=False).trace is None


def test_a_fresh_client_does_not_poll() -> None:
    assert isinstance(Desk().c.machine.polled, PollOff)
