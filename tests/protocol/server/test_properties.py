"""What holds for any client, any store and any order of events."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol._errors import Fault
from protocol._framing import Unknown, decode_server
from protocol._settings import Limits, Timing
from protocol._timers import ServerTimer
from protocol._types import Epoch, Rev, Wall
from protocol.server import (
    Behind,
    Blocked,
    ClassicLive,
    Drained,
    HeadRead,
    Ignored,
    Joining,
    Live,
    ReadHead,
    ReadPage,
    ReadState,
    Received,
    ReceivedBinary,
    Resync,
    ServerConnection,
    Terms,
    Tick,
    VerifyToken,
    hide_token,
)

from .sessions import (
    ANNA,
    EPOCH,
    OTHER,
    STATES,
    WALL,
    account,
    awaiting_auth,
    behind,
    classic,
    classic_joining,
    cursor,
    hello,
    item,
    join,
    joining,
    live,
    messages,
    mutate,
    page,
    published,
    snapshot,
)
from .test_request import Vault
from .test_table import INPUTS


TINY = Terms(
    limits=Limits(held_events=3, held_bytes=900, page_rows=2, resume_rows=6, snapshot_part=1_500),
    timing=Timing(unwritable_ms=10**9, liveness_ms=10**9, leeway_ms=10**9, heartbeat_ms=10**9),
)
SENTENCES = (
    hello(), hello(token="h"), mutate(1), mutate(2, epoch=OTHER), '{"type":"ping","t0":1}', '{"type":"bye"}',
    '{"type":"ack","epoch":"k3v9","rev":41}', '{"type":"auth","token":"h"}', '{"type":"subscribe","topics":["alarms"]}',
    '{"type":"unsubscribe","topics":["lamps"]}', '{"type":"news"}', '{"type":"mutate","mid":-1}', "{", "[]", "1", '""',
    '{"type":"ping","t0":1' + "0" * 400 + "}", "[" * 2_000, '{"type":"hello"}',
)  # fmt: skip

texts = st.one_of(
    st.sampled_from(SENTENCES),
    st.text(st.characters(), max_size=40),
    st.builds(lambda s, cut: s[:cut], st.sampled_from(SENTENCES), st.integers(0, 60)),
    st.builds(lambda s, odd: s[:-1] + "," + odd, st.sampled_from(SENTENCES), st.text(max_size=20)),
)
said = st.one_of(texts.map(lambda t: Received(t, WALL)), st.binary(max_size=40).map(lambda b: ReceivedBinary(b, WALL)))
makes = st.sampled_from(
    [*STATES.values(), lambda: live(caps=["deflate", "presence"]), lambda: behind(cursor=None), classic_joining]
)
anything = st.one_of(st.sampled_from(INPUTS), said, st.sampled_from([Blocked(), Drained(), Tick()]))
steps = st.lists(st.tuples(anything, st.floats(-1, 40)), max_size=25)


@given(makes, st.lists(said, max_size=6))
def test_any_text_and_any_bytes_in_any_state_give_outputs_and_no_exception(make: Any, heard: list[Any]) -> None:
    """docs/protocol.md#invariant-13."""
    c = make()
    for i in heard:
        if type(i).__name__ in c.accepts:
            outputs = c.step(i, 0.0)
            assert outputs or isinstance(c.state, (Behind, Live, Joining, ClassicLive))
            assert all(not isinstance(told(m), (Fault, Unknown)) for m in messages(outputs))


def told(message: dict[str, Any]) -> Any:
    """What our own reader of a server's messages makes of one."""
    return decode_server(json.dumps(message), 1 << 20)


@settings(max_examples=200)
@given(makes, steps)
def test_no_order_of_legal_inputs_breaks_a_rule(make: Any, inputs: list[tuple[Any, float]]) -> None:
    """No deadline lies in the past after a step, memory stays bounded, the dead stay dead, classic stays classic."""
    c: ServerConnection = make()
    now, over = 0.0, False
    for i, later in inputs:
        now += later
        if type(i).__name__ not in c.accepts:
            continue
        outputs = c.step(i, now)
        if not isinstance(i, Tick):
            c.step(Tick(), now)
        assert c.deadline is None or c.deadline.at > c._now
        bounded(c)
        if over:
            assert messages(outputs) == []
        over = type(c.state).__name__ in ("Draining", "Gone")


def bounded(c: ServerConnection) -> None:
    """docs/protocol.md#invariant-12."""
    s = c.state
    if isinstance(s, (Live, ClassicLive)):
        assert len(s.held) <= 256
        assert s.held_bytes <= 1 << 20
        assert s.held == () or s.blocked
    if isinstance(s, (Live, Behind, ClassicLive)):
        # Who does not read is given up in time, and nobody else is.
        assert s.blocked == (ServerTimer.UNWRITABLE_DUE in c.machine.timers)
    if isinstance(s, Joining):
        assert sum(len(word.data) for word in s.said) <= 8_192
    if isinstance(s, (Live, Behind)):
        assert 0 <= s.peer.unanswered <= 16
    assert len(c.machine.timers.pending) <= 6


@given(makes, steps)
def test_the_same_inputs_give_the_same_outputs(make: Any, inputs: list[tuple[Any, float]]) -> None:
    """docs/protocol.md#invariant-17."""

    def run() -> Iterator[Any]:
        c, now = make(), 0.0
        for i, later in inputs:
            now += later
            if type(i).__name__ in c.accepts:
                yield c.step(i, now)
        yield c.machine

    assert list(run()) == list(run())


@given(steps)
def test_a_classic_peer_only_ever_sees_classic_types_with_full_records(inputs: list[tuple[Any, float]]) -> None:
    """docs/protocol.md#invariant-14, docs/protocol.md#classic-types."""
    known = {
        "alarm_created", "alarm_updated", "alarm_deleted", "timer_created", "timer_updated", "timer_deleted",
        "sync_required", "heartbeat", "error", "pong", "subscribed", "unsubscribed",
    }  # fmt: skip
    c, now = classic(), 0.0
    for i, later in inputs:
        now += later
        for message in messages(c.step(i, now) if type(i).__name__ in c.accepts else []):
            assert message["type"] in known
            assert ("data" in message) == message["type"].startswith(("alarm", "timer"))
            assert "stamps" not in message.get("data", {})


SECRET = "eyJhbGciOiJIUzI1NiJ9"
leaks = st.one_of(
    st.sampled_from([hello(token=SECRET), f'{{"type":"auth","token":"{SECRET}"}}', '{"token":"' + SECRET]),
    texts.map(lambda t: t.replace('"h"', f'"{SECRET}"')),
)


@given(makes, st.lists(leaks, max_size=5))
def test_no_token_is_in_any_output_state_or_trace(make: Any, heard: list[str]) -> None:
    """What a driver feeds has gone through `hide_token` (docs/protocol.md#invariant-16)."""
    c, vault = make(), Vault()
    for sentence in heard:
        i = Received(hide_token(sentence, vault.hide), WALL)
        outputs = c.step(i, 0.0) if "Received" in c.accepts else []
        assert SECRET not in repr((outputs, c.machine, c.trace, c))
        assert all(o.handle != SECRET for o in outputs if isinstance(o, VerifyToken))


def test_before_authentication_nothing_longer_than_8_kib_is_kept() -> None:
    """docs/protocol.md#auth-hello-bound, docs/protocol.md#invariant-12."""
    c = awaiting_auth()
    c.step(Received(hello(token="h", name="n").ljust(8_192), WALL), 0.0)
    assert len(repr(c.machine)) < 9_000


# --- a reference log -------------------------------------------------------------------------------------------------


class World:
    """A log that grows, a store that answers late, a peer that reads at times, and a client that checks."""

    def __init__(self, begin: int, floor: int, head: int) -> None:
        self.head, self.floor, self.epoch = head, floor, EPOCH
        self.c = joining(TINY, cursor=cursor(begin))
        self.client = begin
        self.synced = False
        self.snapshot_due = False
        self.asked: list[Any] = []
        self.blocked = False
        self.take(join(self.c, head, floor))

    def take(self, outputs: list[Any]) -> None:
        self.asked += [o for o in outputs if isinstance(o, (ReadPage, ReadState, ReadHead))]
        for message in messages(outputs):
            self.read(message)
        bounded(self.c)

    def read(self, message: dict[str, Any]) -> None:
        """Every rev exactly once and in order, nothing but heartbeats between sync_required and snapshot."""
        match message["type"]:
            case "alarm_updated":
                assert not self.snapshot_due
                assert message["rev"] == self.client + 1
                self.client = message["rev"]
            case "sync_required":
                self.snapshot_due, self.synced = True, False
            case "snapshot":
                assert self.snapshot_due
                assert message["epoch"] == self.c.state.peer.epoch
                if message["last"]:
                    self.client, self.snapshot_due = message["rev"], False
            case "synced":
                assert (message["rev"], self.snapshot_due) == (self.client, False)
                self.synced = True
            case _:
                pass

    def publish(self, lost: bool) -> None:
        self.head += 1
        if not lost:
            self.take(self.c.step(published(self.head), 0.0))

    def answer(self) -> None:
        if not self.asked:
            return
        match self.asked.pop(0):
            case ReadPage(after=after, limit=limit):
                low = max(after, self.floor)
                upto = max(low, min(self.head, after + limit))
                answer: Any = page(after, upto, self.head, self.floor, self.epoch)
                if low > after:
                    answer = page(after, after, self.head, self.floor, self.epoch)
                self.take(self.c.step(answer, 0.0))
            case ReadState(with_deleted=deleted):
                names = ["gone"] * 50 if deleted else []
                told = snapshot(self.head, [item(f"i{n}") for n in range(5)], names, self.epoch)
                self.take(self.c.step(told, 0.0))
            case ReadHead():
                self.beat()

    def beat(self) -> None:
        self.take(self.c.step(HeadRead(account(self.head, self.floor, self.epoch), WALL), 0.0))

    def block(self) -> None:
        self.blocked = True
        self.take(self.c.step(Blocked(), 0.0))

    def drain(self) -> None:
        self.blocked = False
        self.take(self.c.step(Drained(), 0.0))

    def renew(self, told_now: bool) -> None:
        self.epoch = Epoch(self.epoch + "+")
        self.floor = self.head
        if told_now:
            self.take(self.c.step(Resync(self.epoch, Rev(self.head)), 0.0))

    def settle(self) -> None:
        """The network is quiet, the peer reads, a heartbeat comes."""
        if self.blocked:
            self.drain()
        for _ in range(3):
            while self.asked:
                self.answer()
            self.beat()


ACTIONS = (
    "publish",
    "publish",
    "publish",
    "lose",
    "answer",
    "answer",
    "block",
    "drain",
    "beat",
    "trim",
    "renew",
    "late",
)


@settings(max_examples=400)
@given(st.integers(0, 6), st.integers(0, 4), st.integers(0, 14), st.lists(st.sampled_from(ACTIONS), max_size=60))
def test_whatever_happens_every_rev_comes_exactly_once_and_in_order(
    begin: int, floor: int, more: int, actions: list[str]
) -> None:
    """docs/protocol.md#invariant-2, docs/protocol.md#invariant-5."""
    world = World(begin, floor, max(begin, floor) + more)
    for action in actions:
        match action:
            case "publish" | "lose":
                world.publish(action == "lose")
            case "answer":
                world.answer()
            case "block" | "drain" | "beat":
                getattr(world, action)()
            case "trim":
                world.floor = world.head - world.head // 3
            case _:
                world.renew(action == "renew")
    world.settle()
    assert isinstance(world.c.state, Live)
    assert (world.client, world.c.state.sent, world.synced) == (world.head, world.head, True)
    assert world.c.state.peer.epoch == world.epoch


@given(st.lists(st.sampled_from(["publish", "lose", "block", "drain", "beat", "renew"]), max_size=40))
def test_a_classic_peer_gets_every_rev_once_or_is_told_to_load_again(actions: list[str]) -> None:
    """docs/protocol.md#classic-too-slow, docs/protocol.md#heartbeat-heals."""
    c, seen, log, epoch, sent = classic(0, TINY), 0, 0, str(EPOCH), list[dict[str, Any]]()
    for action in [*actions, "drain", "beat"]:
        log += action in ("publish", "lose")
        epoch += "+" if action == "renew" else ""
        match action:
            case "publish":
                sent += messages(c.step(published(log), 0.0))
            case "block":
                sent += messages(c.step(Blocked(), 0.0))
            case "drain":
                sent += messages(c.step(Drained(), 0.0))
            case "renew":
                sent += messages(c.step(Resync(Epoch(epoch), Rev(log)), 0.0))
            case "beat":
                sent += messages(c.step(HeadRead(account(log, epoch=Epoch(epoch)), WALL), 0.0))
            case _:
                pass
    for message in sent:
        if message["type"] == "sync_required":
            assert message["rev"] >= seen
            seen = message["rev"]
        elif message["type"] == "alarm_updated":
            assert message["rev"] == seen + 1
            seen = message["rev"]
    assert (seen, c.state.rev, c.state.epoch) == (log, log, epoch)


def test_ignored_always_says_why() -> None:
    c = live()
    (said_nothing,) = c.step(published(41), 0.0)
    assert isinstance(said_nothing, Ignored)
    assert said_nothing.reason
    assert (ANNA, Wall(WALL)) == ("anna", WALL)
