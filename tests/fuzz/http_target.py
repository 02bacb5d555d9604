"""The HTTP side: bodies of any kind, what a store makes of those that can be read, and a client that follows along."""

import json
from collections.abc import Hashable, Iterator
from typing import Any, Final

import msgspec

from protocol import (
    Cursor,
    DeviceId,
    Epoch,
    Fault,
    ItemId,
    Limits,
    Mid,
    Outcome,
    Replica,
    Result,
    RunId,
    Wall,
    absorb,
    changes_text,
    classic_record,
    commit_delete,
    commit_post,
    next_ring,
    post_id,
    read_batch,
    read_cursor,
    read_submission,
    results_text,
    ring_state,
    view,
)
from protocol._facts import EventsHeard
from protocol._framing import Unknown, decode_server
from protocol._http import HTTP_STATUS, fault_text
from protocol.client._http import Changes, Results, read_answer
from protocol.server import publication
from protocol.testing import MemoryStore
from protocol.zones import system_zones

from .program import Program, Step, as_bytes, number


LIMITS: Final = Limits(items=6, record=2_048, extra=300, label=40, batch=8, results=16)
DESK: Final = DeviceId("desk")
WALL: Final = Wall(1_800_000_000_000)

SERVERS_OWN: Final = 400
"""Bytes that a server adds to a record whose size it has judged: rev, times, author, and stamps of a start."""


class Http:
    """Requests to the account of one user, one after the other."""

    name = "http"
    verbs = ("batch", "rawbatch", "post", "rawpost", "delete", "since", "wait")
    openings: tuple[Step, ...] = ()

    def run(self, program: Program, *, thorough: bool = True) -> Iterator[Hashable]:
        """Send everything."""
        account = Account()
        for step in program:
            if step.verb in self.verbs:
                for _ in range(min(step.times, 12)):
                    yield step.verb, *getattr(account, step.verb)(step.text)
                    account.check()


class Account:
    """A store, and a replica that hears of each change by polling."""

    def __init__(self) -> None:
        self.store = MemoryStore(system_zones, LIMITS)
        self.replica = Replica(
            device=DeviceId("lap"), epoch=Epoch("e1"), cursor=Cursor(Epoch("e1"), self.store.account.rev)
        )
        self.now = WALL
        self.made = 0

    # --- requests -----------------------------------------------------------------------------------------------------

    def batch(self, text: str) -> tuple[Hashable, ...]:
        return self._batch(text.encode(errors="surrogatepass"))

    def rawbatch(self, text: str) -> tuple[Hashable, ...]:
        return self._batch(as_bytes(text))

    def _batch(self, body: bytes) -> tuple[Hashable, ...]:
        batch = read_batch(body, LIMITS)
        if isinstance(batch, Fault):
            return self._refused(batch)
        results, said, error = list[Result](), list[Hashable](), None
        for mutate in batch:
            outcome = self.store.commit(DESK, read_submission(mutate), self.now)
            self._published(outcome)
            said += [_name(mutate.op), None if outcome.result is None else outcome.result.status, _code(outcome)]
            if outcome.fault is not None:
                error = (outcome.fault, mutate.mid)
                break
            assert outcome.result is not None
            results.append(outcome.result)
        text = results_text(self.store.account.epoch, results, error, self.now, self.now)
        assert read_answer(text, Results, Limits()) is not None, text[:200]
        return tuple(said[:9])

    def post(self, text: str) -> tuple[Hashable, ...]:
        return self._post(text.encode(errors="surrogatepass"))

    def rawpost(self, text: str) -> tuple[Hashable, ...]:
        return self._post(as_bytes(text))

    def _post(self, body: bytes) -> tuple[Hashable, ...]:
        try:
            decoded = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ("no JSON",)
        if not isinstance(decoded, dict):
            return ("no object",)
        self.made += 1
        item = post_id(decoded, ItemId(f"made-{self.made}"))
        if isinstance(item, Fault):
            return self._refused(item)
        found, run = self.store.find(item, DESK, Mid(0)), RunId(f"run-{self.made}")
        outcome = commit_post(found, decoded, item, self.now, system_zones, LIMITS, run)
        return self._kept(item, outcome)

    def delete(self, text: str) -> tuple[Hashable, ...]:
        item = ItemId(text)
        return self._kept(item, commit_delete(self.store.find(item, DESK, Mid(0)), self.now))

    def _kept(self, item: ItemId, outcome: Outcome) -> tuple[Hashable, ...]:
        if outcome.fault is not None:
            return self._refused(outcome.fault)
        self._published(self.store.keep(item, outcome))
        return (None if outcome.change is None else outcome.change.op,)

    def since(self, text: str) -> tuple[Hashable, ...]:
        cursor = read_cursor(text)
        if isinstance(cursor, Fault):
            return self._refused(cursor)
        assert cursor is None or read_cursor(f"{cursor.epoch}:{cursor.rev}") == cursor
        return (cursor is None,)

    def wait(self, text: str) -> tuple[Hashable, ...]:
        self.now = Wall(self.now + min(abs(number(text)), 10 * 86_400_000))
        return ()

    def _refused(self, fault: Fault) -> tuple[Hashable, ...]:
        assert fault.code in HTTP_STATUS
        assert (
            len(json.loads(fault_text(fault, self.store.account.epoch, (self.now, self.now)))["error"]["message"]) < 700
        )
        return fault.code, fault.field

    # --- what a change means for everybody else -----------------------------------------------------------------------

    def _published(self, outcome: Outcome) -> None:
        change = outcome.change
        if change is None:
            return
        publish = publication(change, outcome.record, LIMITS)
        assert not isinstance(decode_server(publish.v1, 1 << 20), Fault | Unknown), publish.v1[:300]
        json.loads(publish.classic)
        text = changes_text(self.store.account, Mid(0), [change], self.now, self.now)
        answer = read_answer(text, Changes, Limits())
        assert answer is not None, text[:300]
        self.replica, _ = absorb(self.replica, EventsHeard(answer.events, Cursor(answer.epoch, answer.rev)))

    def check(self) -> None:
        """Limits hold, the replica has what the store has, and everybody can say when it rings."""
        assert len(self.store.records) <= LIMITS.items
        assert not self.store.tombstones & set(self.store.records)
        shown = view(self.replica)
        assert set(shown) == set(self.store.records)
        for item, record in self.store.records.items():
            assert len(msgspec.json.encode(record)) <= LIMITS.record + SERVERS_OWN
            assert classic_record(shown[item]) | _SERVERS == classic_record(record) | _SERVERS
            ring_state(record, self.now, system_zones)
            next_ring(record, self.now, system_zones)


_SERVERS: Final[dict[str, Any]] = {"rev": 0, "updated_at": "", "updated_by": None, "created_at": ""}
"""What a replica works out from the event instead of from the record."""


def _name(value: Any) -> Hashable:
    return value if isinstance(value, str) and len(value) < 10 else type(value).__name__


def _code(outcome: Outcome) -> Hashable:
    if outcome.fault is not None:
        return outcome.fault.code
    return str(outcome.result.code) if outcome.result is not None else None
