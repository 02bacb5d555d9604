"""What holds whatever happens."""

from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from protocol._machine import Tick
from protocol._types import Cursor, Handle, Mid
from protocol.client import (
    ClientConnection,
    Ignored,
    NetworkChanged,
    PollAnswered,
    PollFailed,
    Received,
    ReceivedBinary,
    Start,
    Stop,
    TokenReady,
    Unreachable,
    Woke,
)

from .desk import cursor, mids, said, welcome
from .walk import MOVES, TO_LIVE, TO_POLLING, WAYS, Move, Walk


@settings(max_examples=300)
@given(
    way=WAYS,
    seed=st.integers(0, 2**64 - 1),
    outbox=st.integers(0, 5),
    place=st.none() | st.just(cursor(0)),
    moves=st.lists(MOVES, max_size=40),
)
def test_whatever_happens_the_invariants_hold(
    way: list[Move], seed: int, outbox: int, place: Cursor | None, moves: list[Move]
) -> None:
    walk = Walk(seed, outbox, place)
    for move in [*way, *moves]:
        move(walk)
    event(type(walk.c.state).__name__)
    assert walk.c.trace is not None
    again = ClientConnection("desk", **walk.options)
    assert [again.step(record.input, record.now) for record in walk.c.trace] == [
        record.outputs for record in walk.c.trace
    ], "same seed, same inputs: same outputs"
    assert again.machine == walk.c.machine


@given(st.text(), st.binary())
@example("[" * 100_000, b"\x01")
@example('{"type":"welcome","limits":{"a":1e999}}', b"")
@example("\ud800", b"\x00")
def test_any_bytes_in_any_state_are_defined(text: str, data: bytes) -> None:
    """Invariant 13."""
    for n in range(len(TO_LIVE) + 1):
        walk = Walk(1, 1, cursor(0))
        for move in TO_LIVE[:n]:
            move(walk)
        for stimulus in (Received(walk.c.gen, text), ReceivedBinary(walk.c.gen, data)):
            fork = walk.c.copy()
            assert fork.step(stimulus, walk.now)


@given(st.text())
def test_any_body_is_defined(body: str) -> None:
    walk = Walk(1, 1, cursor(0))
    for move in TO_POLLING:
        move(walk)
    for gen in walk.polls:
        assert walk.c.copy().step(PollAnswered(gen, body), walk.now)


@given(st.integers(0, 2**64 - 1))
def test_no_attempt_follows_stopped_however_long_one_waits(seed: int) -> None:
    """Invariant 10."""
    walk = Walk(seed, 2, cursor(0))
    for move in TO_POLLING:
        move(walk)
    walk.step(Stop())
    for _ in range(20):
        walk.step(Tick(), after=100)
    for stimulus in (NetworkChanged(), Woke()):
        (output,) = walk.c.step(stimulus, walk.now)
        assert isinstance(output, Ignored)


@given(st.integers(0, 2**64 - 1))
def test_a_server_that_is_never_there_is_asked_less_and_less(seed: int) -> None:
    """Invariant 10: in an hour without network there are few attempts, and delays stay in bounds."""
    walk = Walk(seed, 0, cursor(0))
    walk.wish(Start())
    walk.step(TokenReady(walk.c.gen, Handle("t")))
    while walk.now < 3_600:
        if type(walk.c.state).__name__ == "Connecting":
            walk.lose(Unreachable(walk.c.gen, ""), walk.c.gen)
        while walk.polls:
            walk.step(PollFailed(walk.polls.pop(), 0))
        walk.tick()
    assert 60 < walk.c.statistics()["attempts"] < 240
    assert walk.c.statistics()["polls"] <= 3_600 / 12 + 2


@given(st.lists(st.integers(0, 3), max_size=30))
def test_every_mutation_is_sent_in_the_order_of_its_number(answers: list[int]) -> None:
    """Invariant 3, as far as it is the client's: what is sent for the first time on a transport has no hole before it."""
    walk = Walk(1, 30, cursor(0))
    sent: list[int] = []

    def carry(outputs: list[Any]) -> None:
        sent.extend(mids(outputs))

    for move in TO_LIVE[:3]:
        move(walk)
    carry(walk.c.step(Received(walk.c.gen, said("welcome", **welcome())), walk.now))
    for n, skip in enumerate(answers, 1):
        walk.now += skip
        carry(walk.c.step(Received(walk.c.gen, said("result", mid=n, status="merged", rev=0)), walk.now))
    assert sent == [Mid(n) for n in range(1, len(sent) + 1)]
