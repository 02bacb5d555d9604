"""What holds for the session of one device: it claims what is on disk, gets in step, loses nothing, stays behind nobody."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from protocol import Account, Mid, client
from protocol.testing import Event

from .device import SimDevice
from .run import Violation


GAP = 4202
SLACK_S = 5.0
FAR_S = 1.0
"""A way that is longer is trouble of its own."""

SYNCED = '{"type":"synced"'
HEARTBEAT = '{"type":"heartbeat"'
CLAIMS = ('{"type":"mutate"', '{"type":"ack"', '{"type":"hello"')


class Calm:
    """Since when nothing has troubled a session, and how things stood then."""

    __slots__ = ("account", "gen", "oldest", "since", "slept")

    def __init__(self, gen: int, since: float, slept: float, account: Account, oldest: Mid | None) -> None:
        self.gen = gen
        self.since = since
        self.slept = slept
        self.account = account
        self.oldest = oldest


class SessionCheck:
    """Watches what one connection says and hears."""

    def __init__(self, device: SimDevice) -> None:
        self._device = device
        self._lossy = True
        self._calm: Calm | None = None
        device.link.copies = self._counted(device.link.copies)  # type: ignore[method-assign, assignment]  # of this link

    def _broken(self, rule: str, expected: str, happened: str) -> Violation:
        return Violation(rule, self._device.name, self._device.world.now, expected, happened)

    def _counted(self, copies: Callable[[Any], int]) -> Callable[[Any], int]:
        """Notes when the link eats a frame."""

        def counted(towards: Any) -> int:
            count = copies(towards)
            if count == 0:
                self._lossy, self._calm = True, None
            return count

        return counted

    def after(self, before: Any, after: Any, event: Event) -> None:
        """One step."""
        kind = type(event.input)
        if kind is client.Received:
            data = event.input.data
            if data.startswith(HEARTBEAT):
                self._beat(after, event)
            elif data.startswith(SYNCED):
                self._synced(before, after, data)
        elif kind is client.Opened:
            self._lossy = False

    # --- claims (docs/protocol.md#outbox-durable, #msg-ack, #http-changes-ack) ---

    def sends(self, data: str) -> None:
        """It sends a frame: what it claims to have is on disk."""
        if data.startswith(CLAIMS):
            message = msgspec.json.decode(data)
            if message["type"] == "mutate":
                self._is_kept(message["mid"])
            else:
                self._is_read(message if message["type"] == "ack" else message.get("cursor"))

    def requests(self, poll: client.Poll) -> None:
        """It asks over HTTP: the same."""
        if poll.body is not None:
            for mutate in msgspec.json.decode(poll.body)["mutations"]:
                self._is_kept(mutate["mid"])
        since = parse_qs(urlsplit(poll.path).query).get("since")
        if since:
            epoch, _, rev = since[0].rpartition(":")
            self._is_read({"epoch": epoch, "rev": int(rev)})

    def _is_kept(self, mid: int) -> None:
        device = self._device
        if mid not in device.disk.entries or device.disk.device != device.client.machine.device:
            raise self._broken(
                "outbox-durable", "that an edit is on disk before it is sent", f"it sends {mid}, which is not"
            )

    def _is_read(self, cursor: Mapping[str, Any] | None) -> None:
        kept = self._device.disk.cursor
        if cursor is None or (kept is not None and kept.epoch == cursor["epoch"] and kept.rev >= cursor["rev"]):
            return
        raise self._broken("msg-ack", "that a cursor is on disk before it is acknowledged", f"{cursor} is not: {kept}")

    # --- in step (5) ---

    def _synced(self, before: Any, after: Any, data: str) -> None:
        """Whatever the outbox holds, `synced` leads to Live."""
        state, cursor = before.state, before.cursor
        if type(state) is not client.Syncing or type(after.state) is client.Live:
            return
        session, message = state.session, msgspec.json.decode(data)
        here = cursor is not None and (cursor.epoch, cursor.rev) == (message["epoch"], message["rev"])
        if here and session.epoch == message["epoch"] and session.gathering is None and session.goodbye is None:
            raise self._broken("invariant-5", "that `synced` ends the syncing", f"it is {after.state!r}")

    def closes(self, code: int) -> None:
        """It closes a connection itself: a gap needs a loss."""
        if code == GAP and not self._lossy:
            raise self._broken("resume-gap", "no gap on a connection that lost nothing", "it finds one")

    # --- nobody stays behind (5, heartbeat-heals, outbox-ask-again) ---

    def _beat(self, machine: Any, event: Event) -> None:
        """From one heartbeat to the next but one, undisturbed: everything of then has come, and has been answered."""
        calm, now = self._calm, event.now
        if calm is None or not self._is_calm(machine, calm):
            self._calm = self._begin(machine, now)
            return
        if now - calm.since < 2 * machine.timing.heartbeat_ms / 1000 + SLACK_S:
            return
        cursor, session = machine.cursor, machine.state.session
        if cursor is not None and cursor.epoch == calm.account.epoch and cursor.rev < calm.account.rev:
            raise self._broken(
                "liveness",
                f"everything up to {calm.account.rev} after {now - calm.since:.0f} calm seconds",
                f"it has {cursor}",
            )
        if calm.oldest is not None and calm.oldest in session.unanswered:
            raise self._broken(
                "liveness",
                f"an answer to edit {calm.oldest} within {now - calm.since:.0f} calm seconds",
                "there is none",
            )
        self._calm = self._begin(machine, now)

    def _begin(self, machine: Any, now: float) -> Calm | None:
        device = self._device
        store = device.world.storage.users.get(device.user)
        if type(machine.state) is not client.Live or store is None:
            return None
        oldest = min(machine.state.session.unanswered, default=None)
        return Calm(machine.state.gen, now, self._slept(), store.account, oldest)

    def _is_calm(self, machine: Any, calm: Calm) -> bool:
        link = self._device.link
        return (
            type(machine.state) is client.Live
            and machine.state.gen == calm.gen
            and self._slept() - calm.slept < 0.001
            and link.up
            and not link.stalled
            and link.latency + link.jitter < FAR_S
        )

    def _slept(self) -> float:
        device = self._device
        return device.clock.elapsed(device.world.now) - device.now
