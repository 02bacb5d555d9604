"""Faults of the server's connection: what it sends, and what it lets its peer believe."""

from typing import Any

from msgspec.structs import replace

from protocol import Account, Limits, Monotonic, Rev
from protocol import _resume as resuming
from protocol._framing import encode
from protocol._messages import Mutate, Result, SyncReason
from protocol._roster import Member, Roster, Verdict, _replaced
from protocol.server import Apply, Behind, Live, PageRead, Peer, Transmit, _rules_session, _rules_stream
from protocol.server._machine import ServerMachine, Step, go

from .planted_tools import Plant, Planting, attribute, into, swapped


FAULTS: dict[str, Plant] = {}
breaks = into(FAULTS)


@breaks("heartbeat-heals")
def heads_not_compared() -> Planting:
    """It trusted that every change is announced to every process, and never looked at the log by itself."""
    honest = _rules_stream.compare

    def compare(m: ServerMachine, epoch: Any, rev: Rev) -> Step:
        assert isinstance(m.state, (Behind, Live))
        return honest(m, epoch, rev) if epoch != m.state.peer.epoch else (m, [])

    return swapped(honest, compare)


@breaks("resume-replay")
def replay_page_off_by_one() -> Planting:
    """It sent a page of rows without its last one where there is another page, and read on behind it."""
    honest = _rules_stream.page_read

    def page_read(m: ServerMachine, i: PageRead, now: Monotonic) -> Step:
        after, outputs = honest(m, i, now)
        more = bool(i.page.rows) and i.page.rows[-1].rev < i.page.account.rev and len(outputs) > len(i.page.rows)
        return after, [*outputs[: len(i.page.rows) - 1], *outputs[len(i.page.rows) :]] if more else outputs

    return swapped(honest, page_read)


@breaks("resume-order")
def replayed_below_floor() -> Planting:
    """It replayed what it still had, and did not ask whether rows before that were trimmed."""

    def gap(sent: Rev, account: Account, limits: Limits) -> SyncReason | None:
        return "too_many" if account.rev - sent > limits.resume_rows else None

    return swapped(resuming.gap, gap)


@breaks("life-live-to-behind")
def held_events_dropped() -> Planting:
    """It dropped what a slow reader could not take at once, and counted it as sent."""

    def hold(m: ServerMachine, s: Live, _: str | bytes, rev: Rev) -> Step:
        return go(m, replace(s, sent=rev)), []

    return swapped(_rules_stream._hold, hold)


@breaks("life-replaced")
def first_connection_stays() -> Planting:
    """It refused a second connection of a device while the first one, long dead, was not noticed to be."""
    honest = Roster.join

    def join(self: Roster, newcomer: Member, sockets: int) -> tuple[Roster, tuple[Verdict, ...]]:
        rival = self._rival(newcomer)
        if rival is not None:
            return self, (_replaced(newcomer.key, rival.conn),)
        return honest(self, newcomer, sockets)

    return attribute(Roster, "join", join)


@breaks("outbox-once")
def answered_before_commit() -> Planting:
    """It said `applied` as soon as it had read the edit: the store would do it in a moment."""
    honest = _rules_session.mutate

    def mutate(m: ServerMachine, message: Mutate, peer: Peer) -> Step:
        after, outputs = honest(m, message, peer)
        if not outputs or not isinstance(outputs[0], Apply):
            return after, outputs
        assert isinstance(m.state, (Behind, Live))
        told = Result(mid=message.mid, status="applied", rev=Rev(m.state.sent + 1))
        return after, [Transmit(encode(told)), *outputs]

    return swapped(honest, mutate)
