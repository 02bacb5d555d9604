"""What becomes of each edit of a user: it takes effect once, or is answered, or there is a reason that it is not."""

from collections.abc import Iterable, Mapping

from protocol import DeviceId, Edit, Entry, Epoch, Mid, Start, read_submission
from protocol._submission import write

from .run import Violation


class Fate:
    """One edit that a device has accepted.

    Attributes:
        edit: what it is. device: on which; label: how to speak of it; at: virtual second.
        number: under which it was accepted. seq: of the `Store` that keeps it; kept: that is on disk.
        copies: how many outboxes hold it, or held it: a disk that is copied copies its outbox.
        effects: rows of the log that it made. decided: the server has consumed it.
        excused: why it may be lost, None where it may not.
    """

    __slots__ = ("at", "copies", "decided", "device", "edit", "effects", "excused", "kept", "label", "number", "seq")

    def __init__(self, edit: Edit, device: str, at: float, seq: int, number: tuple[DeviceId, Mid]) -> None:
        self.edit = edit
        self.device = device
        self.number = number
        self.label = f"{edit.__struct_config__.tag} of {edit.id} (made at {edit.at})"
        self.at = at
        self.seq = seq
        self.kept = False
        self.copies = 1
        self.effects = 0
        self.decided = False
        self.excused: str | None = None


def fingerprint(edit: Edit) -> str:
    """What tells an edit from all others, whichever number it has: the digest that the server keeps."""
    return read_submission(write(Epoch(""), Mid(1), edit)).fingerprint


class Fates:
    """All edits of one user, by fingerprint."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._fates: dict[str, Fate] = {}
        self._unkept: dict[str, list[Fate]] = {}
        self._runs: set[tuple[str, str]] = set()

    # --- on devices ---

    def accepted(self, device: str, name: DeviceId, entry: Entry, seq: int, now: float) -> None:
        """A device took an edit of its user."""
        edit = entry.edit
        digest = fingerprint(edit)
        known = self._fates.get(digest)
        if known is not None:
            # Two devices in one millisecond may mean the very same thing.
            known.copies += 1
            return
        if isinstance(edit, Start):
            self._new_run(device, edit, now)
        fate = Fate(edit, device, now, seq, (name, entry.mid))
        self._fates[digest] = fate
        self._unkept.setdefault(device, []).append(fate)

    def _new_run(self, device: str, edit: Start, now: float) -> None:
        if (edit.id, edit.run) in self._runs:
            raise Violation(
                "terms-run", device, now, f"a new name for each run of {edit.id}", f"{edit.run} was used before"
            )
        self._runs.add((edit.id, edit.run))

    def kept(self, device: str, seq: int) -> None:
        """Everything up to this `Store` is on the device's disk."""
        waiting = self._unkept.get(device)
        if waiting:
            for fate in waiting:
                fate.kept = fate.kept or fate.seq <= seq
            self._unkept[device] = [fate for fate in waiting if not fate.kept]

    def rebooted(self, device: str, entries: Iterable[Entry], *, other_disk: bool) -> None:
        """A device starts from its disk, which may not be the one it had."""
        found = {fingerprint(entry.edit) for entry in entries}
        self._unkept.pop(device, None)
        for digest, fate in self._fates.items():
            if other_disk and digest in found:
                fate.copies += 1
            elif fate.device == device and not fate.decided and digest not in found:
                if other_disk:
                    fate.excused = "another disk took the place of the one it waited on"
                elif not fate.kept:
                    fate.excused = "the power went before it was on disk"

    # --- on the server ---

    def consumed(self, digest: str, *, effect: bool, device: DeviceId, mid: Mid, now: float) -> Edit:
        """The server decided it, and wrote a row or not; returns what it is."""
        fate = self._fates.get(digest)
        if fate is None:
            raise Violation(
                "invariant-3",
                self._user,
                now,
                "that the server decides what somebody asked",
                f"{device}:{mid} is nobody's edit",
            )
        fate.decided = True
        fate.effects += effect
        if fate.effects > fate.copies:
            raise Violation(
                "invariant-3", self._user, now, "that an edit takes effect at most once, under whatever number it is sent",
                f"the {fate.label} of {fate.device} took effect again, as {device}:{mid}",
            )  # fmt: skip
        return fate.edit

    def restored(self, answers: Iterable[tuple[str, bool]]) -> None:
        """The server is back at what it was: its answers are (fingerprint, whether it had an effect)."""
        for fate in self._fates.values():
            if fate.decided:
                fate.excused = "the server lost it"
            fate.decided, fate.effects = False, 0
        for digest, effect in answers:
            fate = self._fates[digest]
            fate.decided = True
            fate.effects += effect

    def lost(self, device: DeviceId, mid: Mid) -> None:
        """A device hears in time what the server, restored since, knows nothing of: it was decided unseen."""
        for fate in self._fates.values():
            if fate.number == (device, mid) and not fate.decided:
                fate.excused = "the server lost it"

    # --- at the end ---

    def at_peace(self, last_mids: Mapping[DeviceId, Mid], now: float) -> None:
        """Everything is decided, or may be lost."""
        for fate in self._fates.values():
            if not fate.decided and fate.excused is None:
                device, mid = fate.number
                twin = mid <= last_mids.get(device, 0)
                heard = "has another edit under this number" if twin else "never heard of it"
                raise Violation(
                    "invariant-3", fate.device, now, "that every edit is decided once there is peace",
                    f"the {fate.label}, accepted at {fate.at:.3f} s as {device}:{mid}, was lost: the server {heard}",
                )  # fmt: skip
