"""A client driven at random, by a server that says anything at any time, and what must be true of it meanwhile."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from protocol._facts import CursorDropped, Edited, EventsHeard, Renamed, SnapshotHeard
from protocol._machine import Tick
from protocol._reconnect import LONGEST_ASKED_MS
from protocol._types import Cursor, Generation, Handle
from protocol.client import (
    CLIENT,
    ClientConnection,
    CloseTransport,
    GetToken,
    LinkChanged,
    Lost,
    NetworkChanged,
    Opened,
    OpenTransport,
    Poll,
    PollAnswered,
    PollFailed,
    PollOff,
    Received,
    ReceivedBinary,
    Refused,
    Start,
    Stop,
    Store,
    Stored,
    Submit,
    SyncNow,
    TakeOver,
    TokenFailed,
    TokenReady,
    Transmit,
    Unreachable,
    Woke,
)
from protocol.client._turn import MOST_STORING

from .desk import SERVER_TIME, created, deleted, entry, said, some, timer, welcome


# --- what a server may say --------------------------------------------------------------------------------------------

EPOCHS = st.sampled_from(["e1", "e1", "e1", "e2"])
REVS = st.integers(0, 8) | st.sampled_from([-1, 1 << 53, 10**40])
MIDS = st.integers(1, 6)
TIMES = st.sampled_from([0, 1, 500, 20_000, 10**30, -7])
CODES = st.sampled_from([1000, 1001, 1002, 1006, 1006, 1013, 4000, 4005, 4104, 4200, 4202, 4301, 4302, 4299])
ERRORS = st.sampled_from(["epoch", "out_of_order", "mid_reused", "rate_limited", "busy", "token_expired", "strange"])

MESSAGES = st.one_of(
    st.builds(lambda **more: said("welcome", **welcome(**more)), epoch=EPOCHS, rev=REVS, auth_exp=TIMES),
    st.just(said("welcome", **welcome())),
    st.builds(
        lambda rev, device, mid: json.dumps(deleted(rev, device, mid)), REVS, st.sampled_from([None, "desk"]), MIDS
    ),
    st.builds(lambda rev, mid: json.dumps(created(rev, mid)), REVS, MIDS),
    st.builds(lambda **more: said("sync_required", reason="epoch", **more), epoch=EPOCHS, rev=REVS),
    st.builds(
        lambda **more: said("snapshot", items=[timer("a")], **more),
        epoch=EPOCHS,
        rev=REVS,
        last_mid=MIDS,
        part=st.integers(0, 2),
        last=st.booleans(),
    ),
    st.builds(lambda **more: said("synced", **more), epoch=EPOCHS, rev=REVS),
    st.builds(lambda **more: said("synced", **more), epoch=st.just("e1"), rev=st.just(0)),
    st.builds(
        lambda **more: said("result", **more),
        mid=MIDS,
        status=st.sampled_from(["applied", "merged", "rejected"]),
        rev=REVS,
        dup=st.booleans(),
    ),
    st.builds(lambda **more: said("heartbeat", n=1, t=SERVER_TIME, **more), rev=st.just(0) | REVS),
    st.builds(lambda **more: said("pong", **more), t0=st.floats(0, 9), t1=TIMES, t2=TIMES),
    st.builds(lambda **more: said("auth_ok", **more), auth_exp=TIMES),
    st.builds(
        lambda optional, **more: said("error", message="", **more, **optional),
        st.fixed_dictionaries({}, optional={"ref": MIDS, "want": MIDS, "retry_after_ms": TIMES}),
        code=ERRORS,
        retryable=st.booleans(),
    ),
    st.builds(
        lambda **more: said("goodbye", reason="", **more), code=CODES, min_ms=TIMES, max_ms=TIMES, conn=st.none() | REVS
    ),
    st.sampled_from([said("confetti"), said("presence", devices=[]), said("subscribed", topics=[])]),
    st.text(),
)

BODIES = st.one_of(
    st.builds(
        lambda rev, n, **more: json.dumps(
            {"rev": rev + n, "last_mid": 0, "events": [deleted(rev + k) for k in range(1, n + 1)], **more}
        ),
        st.integers(0, 8),
        st.integers(0, 3),
        epoch=EPOCHS,
        t1=TIMES,
        t2=TIMES,
    ),
    st.builds(lambda **more: json.dumps({"sync_required": "epoch", **more}), epoch=EPOCHS, rev=REVS),
    st.builds(lambda **more: json.dumps({"items": [], **more}), epoch=EPOCHS, rev=REVS, last_mid=MIDS),
    st.builds(
        lambda mid, code, **more: json.dumps(
            {"results": [{"mid": mid, "status": "merged", "rev": 1}], "error": {"code": code, "ref": mid}, **more}
        ),
        MIDS,
        ERRORS,
        epoch=EPOCHS,
    ),
    st.text(),
)


# --- one walk ---------------------------------------------------------------------------------------------------------


class Walk:
    """A client, what is asked of its driver, and everything that must be true of it at any time."""

    def __init__(self, seed: int, outbox: int, place: Cursor | None) -> None:
        self.options: dict[str, Any] = {
            "seed": seed,
            "outbox": tuple(entry(mid) for mid in range(1, outbox + 1)),
            "cursor": place,
        }
        self.c = ClientConnection("desk", **self.options)
        self.now = 0.0
        self.transport: Generation | None = None
        self.polls: list[Generation] = []
        self.on_disk: dict[int, Any] = {}
        self.stored = place
        self.kept = set(range(1, outbox + 1))
        self.asked = 0

    def gen(self, choice: int) -> Generation:
        """Mostly that of the attempt in hand, now and then an old one or one that never was."""
        return self.c.gen if choice < 8 else Generation(choice - 7)

    def step(self, stimulus: Any, after: float = 0.0) -> None:
        self.now += after
        before = self.c.machine
        outputs = self.c.step(stimulus, self.now)
        self.check(before, stimulus, outputs)

    def check(self, before: Any, stimulus: Any, outputs: list[Any]) -> None:
        m = self.c.machine
        self.check_time(before, stimulus)
        for output in outputs:
            self.carry_out(output)
        self.check_bounds()
        self.check_cursor(before.cursor, outputs)
        if type(m.state).__name__ in {"Idle", "Stopped"}:
            assert m.timers.pending == ()
            assert isinstance(m.polled, PollOff)
            asked = some(outputs, GetToken) + some(outputs, OpenTransport) + some(outputs, Poll)
            assert not asked, "no attempt without the user"
        assert all((type(m.state), timer) in CLIENT for _, timer in m.timers.pending)

    def check_time(self, before: Any, stimulus: Any) -> None:
        """A deadline is never in the past where the step has set it, and never after a tick."""
        old = set(before.timers.pending)
        for at, timer_ in self.c.machine.timers.pending:
            assert at >= self.now or ((at, timer_) in old and not isinstance(stimulus, Tick))

    def check_bounds(self) -> None:
        """Invariants 10 and 12."""
        m = self.c.machine
        assert len(m.storing) <= MOST_STORING
        assert len(m.history.marks) <= 32
        session = getattr(m.state, "session", None)
        if session is not None:
            assert len(session.unanswered) <= m.limits.window
            assert len(session.doubted) <= m.limits.window
            assert len(session.pings) <= 16

    def check_cursor(self, before: Cursor | None, outputs: list[Any]) -> None:
        """Invariant 2: no gap, and never back inside an epoch, unless it was dropped."""
        place = before
        for fact in (output.fact for output in some(outputs, Store)):
            match fact:
                case EventsHeard():
                    assert place is not None
                    assert place.epoch == fact.cursor.epoch
                    assert [event.rev for event in fact.events] == list(range(place.rev + 1, fact.cursor.rev + 1))
                    place = fact.cursor
                case SnapshotHeard():
                    assert place is None or place.epoch != fact.epoch or place.rev <= fact.rev
                    place = Cursor(fact.epoch, fact.rev)
                case CursorDropped():
                    place = None
                case _:
                    pass
        assert place == self.c.machine.cursor

    def carry_out(self, output: Any) -> None:
        match output:
            case OpenTransport(gen=gen):
                assert self.transport is None, "one transport at a time"
                assert gen > self.asked, "generations only grow"
                self.transport = self.asked = gen
            case CloseTransport(gen=gen):
                assert gen == self.transport
                self.transport = None
            case Transmit(gen=gen, data=data):
                assert gen == self.transport
                self.check_sent(json.loads(data))
            case Store(seq=seq, fact=fact):
                assert seq not in self.on_disk
                self.on_disk[seq] = fact
            case Poll(gen=gen, path=path):
                assert len(self.polls) < 1_000
                self.polls.append(gen)
                if "changes" in path:
                    assert self.stored is not None
                    assert f"since={self.stored.epoch}:{self.stored.rev}" in path
            case LinkChanged(retry_at=at) if at is not None:
                assert at <= self.now + (LONGEST_ASKED_MS + 60_000) / 1000 + 0.001
            case _:
                pass

    def check_sent(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "hello":
                assert message["cursor"] == (
                    None if self.stored is None else {"epoch": self.stored.epoch, "rev": self.stored.rev}
                )
            case "ack":
                assert self.stored is not None
                assert message["epoch"] == self.stored.epoch
                assert message["rev"] <= self.stored.rev
            case "mutate":
                assert message["mid"] in self.kept, "only what is on disk"
            case _:
                pass

    # --- the driver ---------------------------------------------------------------------------------------------------

    def store(self) -> None:
        """Everything asked for so far is on disk now."""
        for fact in self.on_disk.values():
            match fact:
                case EventsHeard(cursor=place):
                    self.stored = place
                case SnapshotHeard(epoch=epoch, rev=rev):
                    self.stored = Cursor(epoch, rev)
                case CursorDropped():
                    self.stored = None
                case Edited(entry=kept):
                    self.kept.add(kept.mid)
                case Renamed():
                    self.kept = set(range(1, 60))
                case _:
                    pass
        last = max(self.on_disk, default=0)
        self.on_disk = {}
        self.step(Stored(last))

    def tick(self) -> None:
        deadline = self.c.deadline
        if deadline is not None:
            self.now = max(self.now, deadline.at)
        self.step(Tick())

    def lose(self, stimulus: Any, gen: Generation) -> None:
        if gen == self.c.gen:
            self.transport = None
        self.step(stimulus)

    def wish(self, wish: Any) -> None:
        if type(wish).__name__ in self.c.accepts:
            self.step(wish)

    def answer(self, choice: int, body: str | None) -> None:
        gen = self.polls[choice % len(self.polls)] if self.polls else Generation(choice)
        status = [0, 401, 403, 429, 503, 504, 500][choice % 7]
        code = [None, "token_expired", "token_invalid", "busy"][choice % 4]
        stops = status == 403 and code is not None
        if not stops:
            self.step(PollFailed(gen, status, code, 100) if body is None else PollAnswered(gen, body))


Move = Callable[[Walk], None]

GENS = st.integers(0, 9)
WISHES = st.sampled_from([Stop(), Start(), Start(), Woke(), NetworkChanged(), SyncNow(), TakeOver()])

MOVES = st.one_of(
    st.builds(lambda wish: lambda w: w.wish(wish), WISHES),
    st.builds(lambda g, fresh: lambda w: w.step(TokenReady(w.gen(g), Handle(f"t{g}"), fresh)), GENS, st.booleans()),
    st.builds(lambda g, rejected: lambda w: w.step(TokenFailed(w.gen(g), rejected, "")), GENS, st.booleans()),
    st.builds(lambda g, ours: lambda w: w.step(Opened(w.gen(g), "tocsin.v1" if ours else None)), GENS, st.just(True)),
    st.builds(
        lambda g, status, code: (
            lambda w: (
                w.lose(Refused(w.gen(g), status, code), w.gen(g))
                if w.c.state.__class__.__name__ == "Connecting"
                else None
            )
        ),
        GENS,
        st.sampled_from([401, 403, 426, 503]),
        st.sampled_from([None, "token_expired", "busy"]),
    ),
    st.builds(
        lambda g: (
            lambda w: (
                w.lose(Unreachable(w.gen(g), ""), w.gen(g)) if w.c.state.__class__.__name__ == "Connecting" else None
            )
        ),
        GENS,
    ),
    st.builds(
        lambda g, code: lambda w: w.lose(Lost(w.gen(g), code), w.gen(g)) if w.transport is not None else None,
        GENS,
        CODES,
    ),
    st.builds(lambda g, text: lambda w: w.step(Received(w.gen(g), text)), GENS, MESSAGES),
    st.builds(lambda text: lambda w: w.step(Received(w.gen(0), text)), MESSAGES),
    st.builds(lambda text: lambda w: w.step(Received(w.gen(0), text), 0.3), MESSAGES),
    st.builds(lambda g, data: lambda w: w.step(ReceivedBinary(w.gen(g), data)), GENS, st.binary()),
    st.builds(lambda: lambda w: w.step(Submit(entry(w.c.machine.newest + 1)))),
    st.builds(lambda: lambda w: w.store()),
    st.builds(lambda: lambda w: w.tick()),
    st.builds(lambda seconds: lambda w: w.step(Tick(), seconds), st.floats(0, 90)),
    st.builds(lambda n, body: lambda w: w.answer(n, body), st.integers(0, 99), st.none() | BODIES),
)

TO_LIVE: list[Move] = [
    lambda w: w.wish(Start()),
    lambda w: w.step(TokenReady(w.c.gen, Handle("t"))),
    lambda w: w.step(Opened(w.c.gen, "tocsin.v1")),
    lambda w: w.step(Received(w.c.gen, said("welcome", **welcome()))),
    lambda w: w.step(Received(w.c.gen, said("synced", epoch="e1", rev=0))),
]

TO_POLLING: list[Move] = [
    *TO_LIVE[:2],
    lambda w: w.lose(Unreachable(w.c.gen, ""), w.c.gen),
    lambda w: w.tick(),
    lambda w: w.lose(Unreachable(w.c.gen, ""), w.c.gen),
]

WAYS = st.sampled_from([TO_LIVE[:n] for n in range(6)] + [TO_LIVE, TO_POLLING, TO_POLLING])
