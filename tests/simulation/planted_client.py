"""Faults of a client's connection: what it sends, when, and what it believes of the server."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from protocol import Cursor, Entry, Epoch, Mid, Rev
from protocol import _reconnect as reconnect
from protocol import _replica as replicas
from protocol._clock import ClockEstimate
from protocol._close_codes import CLOSE_CODES, CloseRow, Spread, StopFor
from protocol._facts import Renamed
from protocol._machine import Rule
from protocol._messages import Goodbye, Heartbeat, ItemEvent, Result
from protocol._messages import Synced as SyncedMessage
from protocol._types import Monotonic, Value
from protocol.client import Answered as AnsweredOutput
from protocol.client import (
    ClientConnection,
    ClientMachine,
    ClientOutput,
    HeartbeatHeard,
    Live,
    Lost,
    NetworkChanged,
    Opened,
    Opening,
    Received,
    ReceivedBinary,
    Session,
    Stopped,
    Submit,
    Syncing,
    Woke,
    _answers,
    _download,
    _polling,
    _rules_connecting,
    _rules_outbox,
    _upkeep,
    _upload,
)
from protocol.client._attempt import attempt
from protocol.client._table import AGAIN
from protocol.client._turn import Turn, rule

from .planted_tools import Plant, Planting, attribute, into, item, row, swapped, together


FAULTS: dict[str, Plant] = {}
breaks = into(FAULTS)

Step = tuple[ClientMachine, list[ClientOutput]]


# --- what is on disk --------------------------------------------------------------------------------------------------


@breaks("msg-ack")
def ack_before_store() -> Planting:
    """It acknowledged what it had read: writing that down was only a matter of time."""
    honest = _upkeep.acknowledge

    def acknowledge(turn: Turn) -> None:
        on_disk = turn.machine.stored
        turn.set(stored=turn.machine.cursor)
        honest(turn)
        turn.set(stored=on_disk)

    return swapped(honest, acknowledge)


@breaks("presence-acked-hello")
def hello_ahead_of_disk() -> Planting:
    """Its hello named the newest cursor, so as not to be sent again what it has in memory."""
    honest = _rules_connecting.opened

    def opened(machine: ClientMachine, input: Opened, now: Monotonic) -> Step:
        after, outputs = honest(replace(machine, stored=machine.cursor), input, now)
        return replace(after, stored=machine.stored), outputs

    return swapped(honest, opened)


@breaks("http-changes-ack")
def poll_ahead_of_disk() -> Planting:
    """It asked for the next news at once, although what it had got was still being written."""
    honest = _polling.poll

    def poll(turn: Turn, *asked: Any, **how: Any) -> None:
        storing = turn.machine.storing
        turn.set(storing=())
        honest(turn, *asked, **how)
        turn.set(storing=storing)

    return swapped(honest, poll)


@breaks("outbox-durable")
def sent_before_stored() -> Planting:
    """It sent an edit in the moment it was made, beside writing it down."""
    honest = _rules_outbox.submit

    def waiting(turn: Turn, sent: Mid) -> Iterator[Entry]:
        return (entry for entry in turn.machine.outbox if entry.mid > sent and entry.answered is None)

    @rule
    def submit(turn: Turn, input: Submit) -> None:
        turn.machine, outputs = honest(turn.machine, input, turn.now)
        turn.do(*outputs)
        _upload.pump(turn)

    return together(swapped(_upload.waiting, waiting), swapped(honest, submit))


@breaks("outbox-send-from")
def outbox_forgotten_on_restart() -> Planting:
    """It loaded the records after a restart, but gave the connection an empty outbox."""
    honest = ClientConnection.__init__

    def init(self: ClientConnection, *args: Any, **how: Any) -> None:
        honest(self, *args, **{**how, "outbox": ()})

    return attribute(ClientConnection, "__init__", init)


# --- the cursor -------------------------------------------------------------------------------------------------------


@breaks("cursor-atomic")
def epoch_kept_with_new_rev() -> Planting:
    """It took over only the number of a snapshot, and kept the name of the history it had before."""
    honest = replicas._hear_snapshot

    def hear_snapshot(replica: replicas.Replica, fact: Any) -> replicas.Replica:
        after = honest(replica, fact)
        if after is replica or replica.cursor is None:
            return after
        return replace(after, cursor=Cursor(replica.cursor.epoch, fact.rev))

    return swapped(honest, hear_snapshot)


@breaks("cursor-frame-epoch")
def epoch_taken_before_snapshot() -> Planting:
    """It put the new name on its old cursor as soon as it was told, before the snapshot was there."""
    honest = _download._enter

    def enter(turn: Turn, session: Session, epoch: Epoch) -> None:
        honest(turn, session, epoch)
        cursor = turn.machine.cursor
        if cursor is not None and cursor.epoch != epoch:
            moved = Cursor(epoch, cursor.rev)
            turn.set(cursor=moved, stored=moved)

    return swapped(honest, enter)


@breaks("resume-gap")
def cursor_past_gap() -> Planting:
    """It applied whatever came with a greater number, instead of only the next one."""
    honest = _download.event

    def event(turn: Turn, session: Session, message: ItemEvent) -> None:
        cursor = turn.machine.cursor
        if cursor is not None and session.gathering is None and message.rev > cursor.rev + 1:
            turn.set(cursor=Cursor(cursor.epoch, Rev(message.rev - 1)))
        honest(turn, session, message)

    def following(rev: Rev, events: tuple[ItemEvent, ...]) -> list[ItemEvent]:
        return [event for event in events if event.rev > rev]

    return together(swapped(honest, event), swapped(replicas._following, following))


@breaks("msg-heartbeat-rev")
def heartbeat_rev_ignored() -> Planting:
    """It took a heartbeat for a sign of life only, and never compared its number."""

    def heartbeat(turn: Turn, message: Heartbeat) -> None:
        turn.do(HeartbeatHeard(message.t))

    return swapped(_download.heartbeat, heartbeat)


@breaks("outbox-independent")
def synced_after_outbox() -> Planting:
    """It wanted its own edits to be answered before it called itself up to date."""
    honest = _download._synced

    def synced(turn: Turn, session: Session, message: SyncedMessage) -> None:
        if any(entry.answered is None for entry in turn.machine.outbox):
            turn.ignore("edits wait for their answers")
        else:
            honest(turn, session, message)

    return swapped(honest, synced)


# --- numbers and answers ----------------------------------------------------------------------------------------------


@breaks("mutation-rejected-consumes")
def mid_reused_after_reject() -> Planting:
    """It gave the number of a refused edit to the next one, since nothing had come of the first."""
    hear, resulted = replicas._hear_result, _answers.resulted

    def hear_result(replica: replicas.Replica, fact: Any) -> replicas.Replica:
        after = hear(replica, fact)
        last = fact.result.status == "rejected" and fact.result.mid == after.last_mid
        return replace(after, last_mid=Mid(after.last_mid - 1)) if last else after

    def free(turn: Turn, result: Result, epoch: Epoch) -> None:
        waited = _answers.find(turn, result.mid) is not None
        resulted(turn, result, epoch)
        if waited and result.status == "rejected" and result.mid == turn.machine.newest:
            turn.set(newest=Mid(result.mid - 1))

    return together(swapped(hear, hear_result), swapped(resulted, free))


@breaks("outbox-leave")
def retired_on_result() -> Planting:
    """It took an edit out as soon as the server had said yes, though its event was still to come."""
    hear, resulted = replicas._hear_result, _answers.resulted

    def hear_result(replica: replicas.Replica, fact: Any) -> replicas.Replica:
        mid = fact.result.mid
        return replicas._retire(hear(replica, fact), lambda entry: entry.mid == mid)

    def retire(turn: Turn, result: Result, epoch: Epoch) -> None:
        resulted(turn, result, epoch)
        turn.set(outbox=tuple(entry for entry in turn.machine.outbox if entry.mid != result.mid))

    return together(swapped(hear, hear_result), swapped(resulted, retire))


@breaks("mutation-rejected-consumes")
def rejected_kept_in_outbox() -> Planting:
    """It kept a refused edit, to try again when things have changed."""
    honest = _answers.resulted

    def resulted(turn: Turn, result: Result, epoch: Epoch) -> None:
        if result.status == "rejected" and _answers.find(turn, result.mid) is not None:
            _answers._count_answer(turn, result.mid)
            turn.do(AnsweredOutput(result))
        else:
            honest(turn, result, epoch)

    return swapped(honest, resulted)


@breaks("outbox-other-epoch")
def answer_of_old_epoch_counts() -> Planting:
    """It took an answer for final, even where the history it belongs to has ended."""

    def reopen(turn: Turn, _: Epoch, **__: bool) -> None:
        _answers.retire(turn)

    def same(entry: Entry, _: Epoch) -> Entry:
        return entry

    return together(swapped(_answers.reopen, reopen), swapped(replicas._reopen, same))


@breaks("outbox-doubt")
def used_number_counts_as_answer() -> Planting:
    """It took an edit for done when its number came back, though a copy of the store may have used that."""
    honest, doubt = _download.apply_events, replicas._doubt

    def apply_events(turn: Turn, epoch: Epoch, events: tuple[ItemEvent, ...]) -> None:
        honest(turn, epoch, events)
        own = [event.origin.mid for event in events if event.origin and event.origin.device_id == turn.machine.device]
        used = max(own, default=Mid(0))
        turn.set(outbox=tuple(entry for entry in turn.machine.outbox if entry.mid > used))

    def gone(entries: tuple[Entry, ...], used: Mid) -> tuple[Entry, ...]:
        return tuple(entry for entry in entries if entry.mid > used or entry.mid < 1)

    return together(swapped(honest, apply_events), swapped(doubt, gone))


@breaks("outbox-ask-again")
def lost_answer_never_asked() -> Planting:
    """It relied on the transport: what was sent on a link that stands is answered some day."""

    def ask_again(_: Turn) -> None:
        return

    return swapped(_upload.ask_again, ask_again)


@breaks("outbox-new-device")
def rename_keeps_mids() -> Planting:
    """It took a new name, but let the waiting edits keep the numbers of the old one."""
    honest, stored = _answers.rename, replicas._rename

    def rename(turn: Turn) -> None:
        before = turn.machine
        honest(turn)
        kept = tuple(entry for entry in before.outbox if entry.answered is None)
        turn.set(outbox=kept, newest=before.newest, kept=before.newest)

    def keep(replica: replicas.Replica, fact: Renamed) -> replicas.Replica:
        return replace(stored(replica, fact), entries=replica.entries, last_mid=replica.last_mid)

    return together(swapped(honest, rename), swapped(stored, keep))


@breaks("outbox-rename-last")
def renamed_at_once() -> Planting:
    """It took its new name on the first word of trouble, while later edits could still take effect under the old one."""

    def rename_in_time(turn: Turn) -> None:
        if turn.machine.displaced:
            _answers.rename(turn)

    return swapped(_answers._rename_in_time, rename_in_time)


# --- the link ---------------------------------------------------------------------------------------------------------


@breaks("backoff-reset")
def backoff_forgotten_on_open() -> Planting:
    """It began to count its delays anew whenever a socket opened, however soon that broke again."""
    honest = _rules_connecting.opened

    def opened(machine: ClientMachine, input: Opened, now: Monotonic) -> Step:
        after, outputs = honest(machine, input, now)
        forgets = isinstance(after.state, Opening)
        return (replace(after, history=reconnect.stable(after.history)) if forgets else after), outputs

    return swapped(honest, opened)


@breaks("auth-expiry-not-terminal")
def token_expiry_is_final() -> Planting:
    """It took an expired token for a sign-out, and waited for the user."""
    final = CloseRow(4301, "token expired", StopFor("signed out", sign_in=True), mends=True)
    return item(CLOSE_CODES, 4301, final)


@breaks("close-spread-default")
def drain_window_ignored() -> Planting:
    """It came back at once when a server went down, instead of at a moment of the window it was given."""

    def window(_: Spread, __: Goodbye | None) -> tuple[int, int]:
        return 0, 0

    return swapped(reconnect.window, window)


@breaks("life-stopped")
def reconnect_after_stopped() -> Planting:
    """It tried again whenever the network changed or the lid opened, even after it was told to stay away."""

    @rule
    def hint(turn: Turn, _: Value) -> None:
        turn.set(clock=ClockEstimate())
        attempt(turn)

    again = Rule(hint, to=AGAIN)
    return together(*(row(ClientConnection, Stopped, kind, again) for kind in (NetworkChanged, Woke)))


@breaks("life-generation")
def generation_unchecked() -> Planting:
    """It took everything that arrived for news of the connection it has now."""
    honest = ClientConnection.step

    def step(self: ClientConnection, input: Value, now: float) -> list[ClientOutput]:
        if isinstance(input, Received | ReceivedBinary | Lost) and isinstance(self.state, Opening | Syncing | Live):
            input = replace(input, gen=self.gen)
        return honest(self, input, now)

    return attribute(ClientConnection, "step", step)
