"""Any bytes in any state, on both sides: no exception, closed outputs, bounded memory (docs/protocol.md#invariant-12, -13).

The same promises as in the campaigns of the fuzzer, with Hypothesis choosing what is said.
"""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from protocol import client, server
from protocol._deflate import pack
from protocol.client import CLIENT
from protocol.server import SERVER

from . import client_target, server_target
from .framing_target import LIMIT, Frames, Framing
from .messages import bodies, from_client, from_server
from .program import Program, Step, read


TEXTS = st.text(max_size=12)
NUMBERS = st.integers(0, 9).map(str)


def steps(*verbs: str, text: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.sampled_from(verbs), text, st.sampled_from([1, 1, 1, 2, 7]))


def as_text(data: bytes) -> str:
    return data.decode("latin-1")


BINARY = steps("binary", text=st.binary(max_size=30).map(as_text))

TO_SERVER: st.SearchStrategy[Step] = st.one_of(
    steps("text", text=from_client),
    steps("text", "deflated", text=from_client),
    BINARY,
    steps("answer", text=st.sampled_from(["good", "good", "good", "bad", "late 1", "none"])),
    steps("publish", "lose", "resync", "renew", "trim", "presence", "heard", "blocked", "drained", text=NUMBERS),
    steps("tick", "wait", text=st.sampled_from(["10", "900", "31000", "3600000"])),
    steps("overlong", "malformed", "drain", "evicted", "closed", text=NUMBERS),
    steps("fail", text=st.sampled_from(["join", "apply 1", "page", "state", "head", "expired", "invalid", "revoked"])),
)

TO_CLIENT: st.SearchStrategy[Step] = st.one_of(
    steps("text", text=from_server),
    steps("text", "deflated", text=from_server),
    steps("poll", text=bodies),
    BINARY,
    steps("stored", "submit", "heard", "sync", "network", "woke", text=NUMBERS),
    steps("tick", "wait", text=st.sampled_from(["10", "900", "31000", "3600000"])),
    steps(
        "start", "token", "notoken", "open", "unreachable", "stop", "takeover", "stale", text=st.sampled_from(["", "1"])
    ),
    steps(
        "refused",
        "pollfail",
        text=st.sampled_from(["0", "401 token_expired", "401 token_invalid", "403 x", "403", "503 busy 99"]),
    ),
    steps("lost", text=st.sampled_from(["1000", "1006", "1002", "4000", "4004", "4005", "4200", "4301", "4302"])),
)


def after(state: str, then: list[Step]) -> Program:
    return Step("to", state), *then


@settings(max_examples=60)
@given(st.sampled_from(sorted(server_target.WAYS)), st.lists(TO_SERVER, max_size=12))
def test_any_client_and_any_order_of_answers_leave_a_server_in_its_bounds(state: str, then: list[Step]) -> None:
    for place in server_target.Server().run(after(state, then), thorough=False):
        event(f"{place[0]} in {place[1]}")


@settings(max_examples=60)
@given(st.sampled_from(sorted(client_target.WAYS)), st.lists(TO_CLIENT, max_size=12))
def test_any_server_and_any_user_leave_a_client_in_its_bounds(state: str, then: list[Step]) -> None:
    for place in client_target.Client().run(after(state, then), thorough=False):
        event(f"{place[0]} in {place[1]}")


@pytest.mark.parametrize("state", server_target.WAYS)
def test_any_message_in_each_state_of_a_server_keeps_every_promise(state: str) -> None:
    @settings(max_examples=15)
    @given(from_client, st.binary(max_size=40))
    def say(text: str, data: bytes) -> None:
        program = after(
            state, [Step("text", text), Step("binary", as_text(data)), Step("answer", "good"), Step("deflated", text)]
        )
        assert list(server_target.Server().run(program))

    say()


@pytest.mark.parametrize("state", client_target.WAYS)
def test_any_message_in_each_state_of_a_client_keeps_every_promise(state: str) -> None:
    @settings(max_examples=15)
    @given(from_server, bodies, st.binary(max_size=40))
    def say(text: str, body: str, data: bytes) -> None:
        program = after(
            state, [Step("text", text), Step("poll", body), Step("binary", as_text(data)), Step("deflated", text)]
        )
        assert list(client_target.Client().run(program, thorough=False))

    say()


@given(from_client | from_server | st.text(), st.binary(max_size=40))
def test_anything_is_read_or_explained(text: str, data: bytes) -> None:
    said = [Step(verb, text) for verb in ("client", "server", "deflated", "pack", "hide", "request")]
    assert len(list(Framing().run((*said, Step("raw", as_text(data)), Step("raw", "\x01" + as_text(data)))))) == 8


@given(
    st.lists(
        st.builds(Step, st.sampled_from(Frames.verbs), st.text(max_size=8) | st.just("x" * LIMIT), st.integers(1, 2)),
        max_size=8,
    ),
    st.binary(max_size=12),
)
def test_frames_are_the_same_however_they_are_split(frames: list[Step], rest: bytes) -> None:
    list(Frames().run((*frames, Step("raw", as_text(rest)))))


# --- that this reaches everything -------------------------------------------------------------------------------------


def test_every_state_of_both_tables_is_begun_from() -> None:
    reached = set()
    for way in server_target.WAYS.values():
        life = server_target.Life(record=False)
        for verb, text, times in read(way):
            for _ in range(times):
                list(life.do(verb, text))
        reached.add(type(life.c.state))
    assert reached == {state for state, _ in SERVER}


def test_every_state_of_a_client_and_of_its_polling_is_begun_from() -> None:
    links, polled, pushed = set(), set(), set()
    for way in client_target.WAYS.values():
        life = client_target.Life(fresh=way.startswith("new"), record=False)
        for verb, text, times in read(way):
            for _ in range(times):
                list(life.do(verb, text))
        machine = life.c.machine
        links.add(type(machine.state))
        polled.add(type(machine.polled))
        pushed.add(type(machine.pushed))
    assert links == {state for state, _ in CLIENT}
    assert {client.PollOff, client.Polling} <= polled
    assert pushed == {client.PushOff, client.Pushing}


def test_a_long_message_is_deflated_as_the_driver_would() -> None:
    frame = pack("a" * 3_000, server_target.LIMITS)
    assert frame is not None
    life = server_target.Life(record=False)
    for verb, text, times in read(server_target.WAYS["Live"]):
        for _ in range(times):
            list(life.do(verb, text))
    list(life.do("binary", as_text(frame)))
    assert isinstance(life.c.state, server.Draining)
