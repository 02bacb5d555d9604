"""For each planted fault the smallest thing that it changes, seen without any world around it.

A proof gives what it saw; under the fault it must see something else, and afterwards the same as before.
"""

from collections.abc import Callable
from typing import Final

from protocol import (
    Cursor,
    DeviceId,
    Limits,
    Member,
    Monotonic,
    Rev,
    Roster,
)
from protocol import _close_codes as close_codes
from protocol import _resume as resuming
from protocol._timers import ClientTimer
from protocol._types import Generation
from protocol.client import Lost, NetworkChanged, Poll, Stop, Woke
from protocol.server import Blocked, Drained, HeadRead
from tests.protocol.client import desk as client
from tests.protocol.server import sessions as server


Proof = Callable[[], object]

PROOFS: Final[dict[str, Proof]] = {}

DESK = DeviceId("desk")


def into(proofs: dict[str, Proof]) -> Callable[[str], Callable[[Proof], Proof]]:
    """A decorator that lists a proof under its fault's name."""

    def proves(name: str) -> Callable[[Proof], Proof]:
        def listed(proof: Proof) -> Proof:
            proofs[name] = proof
            return proof

        return listed

    return proves


proves = into(PROOFS)


# --- a client's connection --------------------------------------------------------------------------------------------


@proves("ack-before-store")
def _() -> object:
    desk = client.syncing(disk=False)
    desk.event(42)
    return client.sent(desk.synced(42), "ack")


@proves("hello-ahead-of-disk")
def _() -> object:
    desk = client.live(disk=False)
    desk.event(42)
    desk.step(Lost(desk.gen, 1006))
    desk.again()
    return client.sent(desk.open(), "hello")[0]["cursor"]


@proves("poll-ahead-of-disk")
def _() -> object:
    desk, poll = client.polling(disk=False)
    return len(client.some(desk.answers(poll, rev=42, events=[client.deleted(42)]), Poll))


@proves("sent-before-stored")
def _() -> object:
    return client.mids(client.live(disk=False).submit(1))


@proves("outbox-forgotten-on-restart")
def _() -> object:
    return client.mids(client.opening(cursor=client.cursor(41), outbox=client.entries(1, 2)).welcome())


@proves("epoch-taken-before-snapshot")
def _() -> object:
    desk = client.live()
    desk.says("sync_required", reason="epoch", epoch="e2", rev=9)
    return desk.c.machine.cursor


@proves("cursor-past-gap")
def _() -> object:
    desk = client.live()
    desk.event(45)
    return desk.c.machine.cursor


@proves("heartbeat-rev-ignored")
def _() -> object:
    desk = client.live()
    desk.says("heartbeat", n=1, t=client.SERVER_TIME, rev=50)
    return desk.state


@proves("synced-after-outbox")
def _() -> object:
    desk = client.syncing(outbox=client.entries(1))
    desk.synced(41)
    return desk.state


@proves("rejected-kept-in-outbox")
def _() -> object:
    desk = client.live(outbox=client.entries(1))
    desk.says("result", mid=1, status="rejected", rev=41, code="gone", message="")
    return desk.c.machine.outbox


@proves("lost-answer-never-asked")
def _() -> object:
    return client.mids(client.live(outbox=client.entries(1)).wait(20))


@proves("rename-keeps-mids")
def _() -> object:
    desk = client.live(outbox=client.entries(3))
    desk.says("error", code="mid_reused", message="", retryable=False, ref=3)
    return [entry.mid for entry in desk.c.machine.outbox]


@proves("renamed-at-once")
def _() -> object:
    desk = client.live(outbox=client.entries(3, 4))
    desk.says("error", code="mid_reused", message="", retryable=False, ref=3)
    return desk.state, [entry.mid for entry in desk.c.machine.outbox]


@proves("backoff-forgotten-on-open")
def _() -> object:
    desk = client.backoff()
    desk.again()
    desk.open()
    return desk.c.machine.history.delays


@proves("token-expiry-is-final")
def _() -> object:
    return close_codes.decide(4301)


@proves("drain-window-ignored")
def _() -> object:
    desk = client.live()
    desk.says("goodbye", code=4200, reason="", min_ms=0, max_ms=30_000)
    desk.step(Lost(desk.gen, 4200))
    return desk.due_in(ClientTimer.RECONNECT_DUE)


@proves("reconnect-after-stopped")
def _() -> object:
    desk = client.live()
    desk.step(Stop())
    desk.step(NetworkChanged())
    return desk.state


@proves("generation-unchecked")
def _() -> object:
    desk = client.live()
    desk.step(Lost(Generation(99), 1006))
    return desk.state


@proves("clock-kept-through-sleep")
def _() -> object:
    desk = client.live()
    desk.step(Woke())
    return desk.c.server_time(desk.now)


# --- a server's connection --------------------------------------------------------------------------------------------


@proves("heads-not-compared")
def _() -> object:
    return server.kinds(server.live().step(HeadRead(server.account(45), server.WALL), 1.0))


@proves("replay-page-off-by-one")
def _() -> object:
    connection = server.behind(41, 45, server.SMALL)
    return server.kinds(connection.step(server.page(41, 43, 45), 1.0))


@proves("replayed-below-floor")
def _() -> object:
    return resuming.resume(Cursor(server.EPOCH, Rev(1)), server.account(9, floor=5), Limits())


@proves("held-events-dropped")
def _() -> object:
    connection = server.live()
    connection.step(Blocked(), 1.0)
    connection.step(server.published(42), 1.0)
    return server.kinds(connection.step(Drained(), 2.0))


@proves("first-connection-stays")
def _() -> object:
    first, second = (Member(key, DESK, key, Monotonic(0.0)) for key in (1, 2))
    return Roster((first,)).join(second, 20)[1]


@proves("answered-before-commit")
def _() -> object:
    return server.kinds(server.say(server.live(), server.mutate(4)))
