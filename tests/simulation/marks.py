"""Situations that a world got into, counted: a campaign that never gets into one of them has not tried it."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from client_qt.ringer import Told
from client_qt.ringing import Sounding
from protocol import Alarm, ItemId, client, server
from protocol._facts import EventsHeard, Renamed, SnapshotHeard
from protocol.testing import Event

from .device import SimDevice


if TYPE_CHECKING:
    from .player import Sim


RACE_MS = 10_000
"""A stop and a snooze of one ring this close together, by two devices, are a race."""

WOKEN_S = 10.0

CLIENT_CLOSES = {4201: "silence: frames stalled", 4202: "gap in rev", 4000: "bad message"}
SERVER_ENDS = {
    4005: "replaced by a newer connection",
    4101: "too slow a reader",
    4200: "drained with a goodbye",
    4201: "server gave a silent device up",
    4301: "token expired under a session",
    4003: "signed out under a session",
}
ANSWERS = {
    "out_of_order": "out of order", "mid_reused": "mid reused", "epoch": "sent under another epoch",
    "rate_limited": "rate limited",
}  # fmt: skip

MUST_HIT = frozenset({
    "resumed without news", "resumed by replay", "resumed by snapshot", "sync required: epoch", "sync required: trimmed",
    "new epoch seen", "server set back", "record kept aside", "dup answer heard", "event retired its entry first",
    "out of order", "mid reused", "renamed device", "sent under another epoch", "rejected", "merged",
    "dismissed before it rang", "stopped by another device", "snoozed by another device", "resumed after a restart",
    "began after waking", "stop raced snooze", "auto snooze", "silence: frames stalled", "gap in rev",
    "replaced by a newer connection", "drained with a goodbye", "renewed in place", "token refused", "socket refused",
    "long poll", "pushed over HTTP", "late frame ignored", "late answer ignored", "lost nudge healed", "woke",
    "stopped", "backed off", "commit lost with its process", "fell behind",
})  # fmt: skip
"""What a few hundred worlds do get into."""


class Marks:
    """Counts.

    Attributes:
        found: by name.
    """

    def __init__(self, sim: "Sim") -> None:
        self._world = sim.world
        self._devices = sim.devices
        self._ends = {f"{name}'s": device for name, device in sim.devices.items()}
        self._states: dict[str, type] = {}
        self._behind: dict[str, type] = {}
        self._epochs: dict[str, object] = {}
        self._entries: dict[str, tuple[Any, ...]] = {}
        self._woken: dict[str, float] = {}
        self._last_row: dict[str, Any] = {}
        self.found = Counter[str]()
        sim.world.ring_watchers.append(self._rings)
        sim.world.notes.append(self._noted)

    def __repr__(self) -> str:
        return f"<Marks, {len(self.found)} of {len(MUST_HIT)}>"

    def after(self, event: Event) -> None:
        """One step of a connection."""
        if event.who in self._ends:
            self._server(self._ends[event.who], event)
        else:
            self._client(self._devices[event.who], event)

    # --- a device ---

    def _client(self, device: SimDevice, event: Event) -> None:
        stimulus, found = event.input, self.found
        kind = type(stimulus)
        if kind is client.Received:
            self._received(stimulus.data)
        elif kind is client.Refused:
            found["token refused" if stimulus.status in {401, 403} else "socket refused"] += 1
        elif kind is client.TokenFailed and stimulus.rejected:
            found["token refused"] += 1
        elif kind is client.Woke:
            found["woke"] += 1
        elif kind is client.PollAnswered and '"sync_required":"' in stimulus.body:
            reason = stimulus.body.split('"sync_required":"', 1)[1].split('"', 1)[0]
            found[f"sync required: {reason}"] += 1
        for output in event.outputs:
            self._output(device, output, kind)
        self._moved(device)

    def _received(self, data: str) -> None:
        found = self.found
        if data.startswith('{"type":"result"'):
            if '"dup":true' in data:
                found["dup answer heard"] += 1
        elif data.startswith('{"type":"error"'):
            code = data.split('"code":"', 1)[1].split('"', 1)[0]
            found[ANSWERS.get(code, f"error {code}")] += 1
        elif data.startswith('{"type":"goodbye"'):
            ended = int(data.split('"code":', 1)[1].split(",", 1)[0])
            found[SERVER_ENDS.get(ended, f"goodbye {ended}")] += 1
        elif data.startswith('{"type":"auth_ok"'):
            found["renewed in place"] += 1
        elif data.startswith('{"type":"sync_required"'):
            reason = data.split('"reason":"', 1)[1].split('"', 1)[0]
            found[f"sync required: {reason}"] += 1
        elif data.startswith('{"type":"welcome"'):
            how = data.split('"resume":"', 1)[1].split('"', 1)[0]
            found["resumed without news" if how == "none" else f"resumed by {how}"] += 1

    def _output(self, device: SimDevice, output: Any, stimulus: type) -> None:
        found, kind = self.found, type(output)
        if kind is client.Store:
            self._fact(device, output.fact)
        elif kind is client.Answered:
            found[output.result.status] += 1
        elif kind is client.CloseTransport:
            if output.code in CLIENT_CLOSES:
                found[CLIENT_CLOSES[output.code]] += 1
        elif kind is client.Poll:
            found[
                "pushed over HTTP" if output.body is not None else "long poll" if "wait=" in output.path else "poll"
            ] += 1
        elif kind is client.Ignored and "which is over" in output.reason:
            found["late frame ignored" if stimulus is client.Received else "late answer ignored"] += 1

    def _fact(self, device: SimDevice, fact: Any) -> None:
        found, replica = self.found, device.replica
        if type(fact) is SnapshotHeard:
            if self._epochs.get(device.name) not in {None, replica.epoch}:
                found["new epoch seen"] += 1
            self._epochs[device.name] = replica.epoch
            if replica.aside:
                found["record kept aside"] += 1
        elif type(fact) is Renamed:
            found["renamed device"] += 1
        elif type(fact) is EventsHeard:
            mine = {
                event.origin.mid for event in fact.events if event.origin and event.origin.device_id == replica.device
            }
            waiting = self._entries.get(device.name, ())
            if mine and any(entry.mid in mine and entry.answered is None for entry in waiting):
                found["event retired its entry first"] += 1
            self._dismissals(device, fact)
        self._entries[device.name] = replica.entries

    def _dismissals(self, device: SimDevice, fact: EventsHeard) -> None:
        for event in fact.events:
            changed = getattr(event, "changed", None)
            acked = changed.get("acked") if isinstance(changed, dict) else None
            if not isinstance(acked, int):
                continue
            record = device.copy.records.get(ItemId(str(getattr(event, "id", ""))))
            if isinstance(record, Alarm) and acked > device.time.now_for(record):
                self.found["dismissed before it rang"] += 1

    def _moved(self, device: SimDevice) -> None:
        state = type(device.client.machine.state)
        if self._states.get(device.name) is not state:
            self._states[device.name] = state
            if state is client.Stopped:
                self.found["stopped"] += 1
            elif state is client.Backoff:
                self.found["backed off"] += 1

    # --- a server ---

    def _server(self, device: SimDevice, event: Event) -> None:
        transport = device.transport
        state = type(transport.end.state) if transport is not None else None
        before = self._behind.get(device.name)
        if state is not before and state is not None:
            self._behind[device.name] = state
            if state is server.Behind and before is server.Live:
                self.found["fell behind"] += 1
        kind = type(event.input)
        if kind is server.HeadRead:
            if any(type(output) is server.ReadPage for output in event.outputs):
                self.found["lost nudge healed"] += 1
        elif kind is server.Answered:
            self._raced(device)

    def _raced(self, device: SimDevice) -> None:
        """A stop and a snooze of one ring on two devices, one right after the other."""
        rows = self._world.storage.of(device.user).rows
        if len(rows) < 2 or rows[-1] is self._last_row.get(device.user):
            return
        self._last_row[device.user] = rows[-1]
        one, other = rows[-2:]
        if (
            one.id == other.id
            and {one.op, other.op} == {"dismiss", "snooze"}
            and one.device_id != other.device_id
            and other.when - one.when < RACE_MS
        ):
            self.found["stop raced snooze"] += 1

    # --- rings, and beside the machines ---

    def _rings(self, device: SimDevice, told: Told) -> None:
        found = self.found
        if isinstance(told, Sounding):
            if told.resumed:
                found["resumed after a restart"] += 1
            if told.ring.n > 0 and told.record.snooze is None:
                found["auto snooze"] += 1
            if self._world.now - self._woken.get(device.name, -WOKEN_S) < WOKEN_S:
                found["began after waking"] += 1
        elif not told.here:
            if told.why == "dismissed":
                found["stopped by another device"] += 1
            elif told.why == "snoozed":
                found["snoozed by another device"] += 1
            else:
                found[f"ring ended: {told.why}"] += 1

    def _noted(self, who: str, what: str) -> None:
        if what == "wakes":
            self._woken[who] = self._world.now
        elif what.startswith("server_restore"):
            self.found["server set back"] += 1
        elif what.endswith("commits lost") and not what.endswith(" 0 commits lost"):
            self.found["commit lost with its process"] += 1
