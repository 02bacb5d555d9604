"""The driver of one socket: inputs become steps, outputs are done, and nothing is decided here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol import Cursor, DeviceId, Handle, ItemId, Timing, UserId
from protocol.server import Accept, Refuse, Requested, TokenRejected
from server_trio.hidden import Hidden
from server_trio.session import Session
from server_trio.store import StoreUnavailable

from .parts import Parts, Wire, parts
from .whole_server import alarm, hello_of, mutation


async def change(made: Parts, user: str = "ada", **fields: Any) -> Any:
    """A change by request."""
    item = ItemId(fields.pop("id", f"i{made.now}"))
    (outcome,) = await made.services.commits.decide(UserId(user), made.services.commits.post(alarm(**fields), item))
    assert outcome.fault is None
    return outcome


class FailingStore:
    """A real store of which some questions fail when told so."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.failing: set[str] = set()
        self.asked: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name in self.failing:
            if name == "submit":
                return self._refuse
            return self._fail
        if name in ("heads", "acked"):

            async def noted(*arguments: Any) -> Any:
                self.asked.append((name, arguments))
                return await real(*arguments)

            return noted
        return real

    def _refuse(self, *_: Any) -> None:
        raise StoreUnavailable("told to")

    async def _fail(self, *_: Any, **__: Any) -> Any:
        raise StoreUnavailable("told to")


# -------------------------------------------------------------------------------------------------------------- writes


async def test_what_one_step_says_leaves_in_one_write(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        await change(made)
        wire = await made.v1(cursor={"epoch": (await made.services.store.head(UserId("ada"))).epoch, "rev": 0})
        assert wire.types == ["welcome", "alarm_created", "synced"]
        # The welcome waits for nobody; the page and the word that it was the last one are one step.
        assert len(wire.writes) == 2


async def test_a_change_is_framed_once_for_all_that_get_the_same_message(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        wires = [await made.session() for _ in range(5)]
        await change(made)
        assert len({id(wire.writes[-1]) for wire in wires}) == 1


async def test_a_blocked_peer_is_held_back_and_served_when_it_reads(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        wire = await made.session()
        wire.full = True
        for label in "abc":
            await change(made, id="one", label=label)
        assert wire.types == ["alarm_created"]
        wire.read()
        assert wire.types == ["alarm_created", "alarm_updated", "alarm_updated"]
        assert len(wire.writes) == 2


# ----------------------------------------------------------------------------------------------------------- deadlines


async def test_a_session_is_ticked_when_its_deadline_is_due_and_not_before(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        wire = await made.session()
        made.advance(29.9)
        await made.settle()
        assert wire.messages == []
        made.advance(0.2)
        await made.settle()
        assert wire.types == ["heartbeat"]
        assert wire.session.due == pytest.approx(made.now + 30, abs=0.2)


async def test_a_round_of_heartbeats_is_one_question_to_the_store(tmp_path: Path) -> None:
    async with parts(tmp_path, wrap=FailingStore) as made:
        wires = [await made.session(f"u{number % 7}") for number in range(20)]
        store: Any = made.services.store
        store.asked.clear()
        made.advance(31)
        await made.settle()
        assert all(wire.types == ["heartbeat"] for wire in wires)
        assert [name for name, _ in store.asked] == ["heads"]
        assert store.asked[0][1] == ({f"u{number}" for number in range(7)},)


async def test_a_change_that_was_not_published_here_is_found_at_the_heartbeat(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        classic, v1 = await made.session(), await made.v1()
        work = made.services.commits.post(alarm(), ItemId("elsewhere"))
        await made.services.store.commit(UserId("ada"), work)
        v1.session.received('{"type":"ping"}')
        made.advance(31)
        await made.settle()
        assert classic.types == ["heartbeat", "sync_required"]
        assert v1.types[-3:] == ["heartbeat", "alarm_created", "synced"]


async def test_who_does_not_answer_a_close_is_cut_off(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        wire = await made.v1()
        made.advance(76)
        assert wire.closed is not None
        assert wire.closed[0] == 4201
        assert not wire.aborted
        made.advance(2.1)
        assert wire.aborted


async def test_a_handshake_whose_token_nobody_can_judge_is_refused_as_busy(tmp_path: Path) -> None:
    async with parts(tmp_path, wrap=FailingStore, timing=Timing(auth_ms=1)) as made:
        store: Any = made.services.store
        store.failing = {"session_alive"}
        session, hidden = Session(made.services), Hidden()
        verdict = await session.request(Requested("classic", "header", hidden.hide(made.token())), hidden)
        assert isinstance(verdict, Refuse)
        assert (verdict.status, verdict.code) == (503, "busy")


# ----------------------------------------------------------------------------------------------------------- the store


async def test_without_the_store_no_session_begins(tmp_path: Path) -> None:
    async with parts(tmp_path, wrap=FailingStore) as made:
        store: Any = made.services.store
        store.failing = {"join", "head"}
        classic, v1 = await made.session(), await made.v1()
        assert classic.closed is not None
        assert v1.closed is not None
        assert (classic.closed[0], v1.closed[0]) == (1013, 1013)
        assert made.hub.active_connections(UserId("ada")) == 0


@pytest.mark.parametrize("question", ["submit"])
async def test_a_mutation_that_the_store_cannot_take_is_busy_and_can_be_sent_again(
    tmp_path: Path, question: str
) -> None:
    async with parts(tmp_path, wrap=FailingStore) as made:
        store: Any = made.services.store
        wire = await made.v1()
        epoch = wire.messages[0]["epoch"]
        store.failing = {question}
        wire.session.received(json.dumps(mutation(epoch, 1)))
        assert (wire.messages[-1]["code"], wire.messages[-1]["ref"]) == ("busy", 1)
        store.failing = set()
        wire.session.received(json.dumps(mutation(epoch, 1)))
        await until(wire, "result")
        assert wire.messages[-1]["status"] == "applied"


async def test_a_heartbeat_that_the_store_cannot_give_is_left_out(tmp_path: Path) -> None:
    async with parts(tmp_path, wrap=FailingStore) as made:
        store: Any = made.services.store
        wire = await made.session()
        store.failing = {"heads"}
        made.advance(31)
        await made.settle()
        assert wire.messages == []
        store.failing = set()
        made.advance(31)
        await made.settle()
        assert wire.types == ["heartbeat"]


async def test_acks_of_one_device_are_stored_once_a_sweep(tmp_path: Path) -> None:
    async with parts(tmp_path, wrap=FailingStore) as made:
        store: Any = made.services.store
        wire = await made.v1()
        epoch = wire.messages[0]["epoch"]
        for label in "abc":
            await change(made, id="one", label=label)
        for rev in (1, 2, 3):
            wire.session.received(json.dumps({"type": "ack", "epoch": epoch, "rev": rev}))
        made.advance(0.25)
        await made.settle()
        assert [arguments[:4] for name, arguments in store.asked if name == "acked"] == [("ada", "desk", epoch, 3)]
        (row,) = await store.devices(UserId("ada"))
        assert (row.acked.epoch, row.acked.rev) == (epoch, 3)


async def test_that_a_device_was_here_does_not_hide_what_it_has_stored(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        await change(made)
        account = await made.services.store.head(UserId("ada"))
        made.services.acks.note(UserId("ada"), DeviceId("phone"), account.epoch, account.rev)
        made.services.acks.seen(UserId("ada"), DeviceId("phone"))
        made.advance(0.25)
        await made.settle()
        (row,) = await made.services.store.devices(UserId("ada"))
        assert row.acked == Cursor(account.epoch, account.rev)


async def test_a_session_that_ended_meanwhile_takes_the_answers_that_still_come(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        wire = await made.session(profile="v1")
        wire.session.received(json.dumps(hello_of()))
        wire.session.closed(1006, "")
        await made.settle()
        assert wire.messages == []
        assert made.services.background.failures == 0
        assert made.hub.active_connections() == 0


async def until(wire: Wire, kind: str) -> None:
    with trio.fail_after(5):
        while wire.types[-1] != kind:  # noqa: ASYNC110 - the writer's thread knows nothing of tests
            await trio.sleep(0.001)


# -------------------------------------------------------------------------------------------------------------- tokens


def test_a_handle_opens_only_its_own_token_and_tells_nothing_of_it() -> None:
    hidden = Hidden()
    handle = hidden.hide("the token")
    assert hidden.reveal(handle) == "the token"
    assert hidden.reveal(Handle("another")) == ""
    assert "the token" not in repr(hidden) + handle
    assert Hidden().hide("the token") != handle


async def test_a_deflated_token_is_judged_by_nobody(tmp_path: Path) -> None:
    """A client that deflates a token breaks the rules; the core must not hand it on as a handle."""
    async with parts(tmp_path) as made:
        verdict = await made.services.access.verdict(Handle("h"), Hidden().reveal(Handle("h")), made.services.wall())
        assert verdict == TokenRejected(Handle("h"), "invalid")


async def test_the_core_sees_a_handle_that_is_new_each_time(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        token = made.token()
        seen: set[str] = set()
        for _ in range(3):
            session, hidden = Session(made.services), Hidden()
            handle = hidden.hide(token)
            seen.add(handle)
            assert isinstance(await session.request(Requested("v1", "header", handle), hidden), Accept)
            assert token not in repr(session._core.machine)
        assert len(seen) == 3


# ------------------------------------------------------------------------------------------------------------ failures


async def test_a_failure_of_ours_costs_its_session_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with parts(tmp_path) as made:
        bad, good = await made.session(), await made.session()

        def explode(wire: bytes) -> None:
            del wire
            raise ZeroDivisionError

        monkeypatch.setattr(bad, "send", explode)
        await change(made)
        assert bad.aborted
        assert good.types == ["alarm_created"]
        assert made.hub.statistics().errors == {"internal": 1}


async def test_the_decision_of_a_mutation_that_raises_ends_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError

    async with parts(tmp_path) as made:
        wire = await made.v1()
        monkeypatch.setattr("server_trio.commits.commit", explode)
        wire.session.received(json.dumps(mutation(wire.messages[0]["epoch"], 1)))
        with trio.fail_after(5):
            while not wire.aborted:  # noqa: ASYNC110 - the writer's thread knows nothing of tests
                await trio.sleep(0.001)
        assert made.services.background.failures == 1


def test_a_session_is_small() -> None:
    """What an idle connection costs here is bounded by its slots; a `__dict__` would cost more than all of them."""
    for made in (Session, Hidden):
        assert not hasattr(made, "__dict__") or "__dict__" not in dir(made)
    assert all("__slots__" in vars(base) for base in Session.__mro__[:-1])
