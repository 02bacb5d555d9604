"""What must hold in every state of the explorer, and in every state in which nothing is left to happen."""

from collections.abc import Iterable, Mapping

from protocol import DeviceId, Edit, Entry, Epoch, ItemId, Mid, Record, Replica, Stored, client, read_submission, view
from protocol._submission import write

from .explorer_device import Made, Unit
from .explorer_store import Vault, place
from .run import Violation


def _broken(rule: str, who: str, expected: str, happened: str) -> Violation:
    return Violation(rule, who, 0.0, expected, happened)


# --- a device by itself -----------------------------------------------------------------------------------------------


def check_unit(unit: Unit) -> None:
    """Connection, replica and disk say the same, each a little later than the one before."""
    machine, who = unit.machine, unit.disk.device
    if machine.cursor != unit.replica.cursor or machine.stored != unit.disk.cursor:
        raise _broken(
            "invariant-2",
            who,
            f"cursors {unit.replica.cursor} in memory and {unit.disk.cursor} on disk",
            f"the connection believes {machine.cursor} and {machine.stored}",
        )
    if [entry.mid for entry in machine.outbox] != [entry.mid for entry in unit.replica.entries if entry.mid > 0]:
        raise _broken("outbox-leave", who, f"an outbox of {unit.replica.entries}", f"it is {machine.outbox}")
    _check_behind(who, unit.disk, unit.replica)


def _check_behind(who: str, earlier: Replica, later: Replica) -> None:
    before, after = earlier.cursor, later.cursor
    if before is not None and after is not None and before.epoch == after.epoch and after.rev < before.rev:
        raise _broken("invariant-2", who, f"no cursor before {before}", f"it is {after}")


def check_step(before: Unit, after: Unit) -> None:
    """A cursor never goes back inside an epoch, in memory or on disk."""
    who = before.disk.device
    _check_behind(who, before.replica, after.replica)
    _check_behind(who, before.disk, after.disk)


# --- the store by itself ----------------------------------------------------------------------------------------------


def check_vault(vault: Vault) -> None:
    """Each number took effect at most once, in order, and the log has neither hole nor double."""
    if [row.rev for row in vault.rows] != list(range(1, vault.account.rev + 1)):
        raise _broken("log-dense", "store", f"rows 1 to {vault.account.rev}", f"{[row.rev for row in vault.rows]}")
    newest: dict[DeviceId, Mid] = {}
    for row in vault.rows:
        if row.device_id and row.mid <= newest.get(row.device_id, Mid(0)):
            raise _broken(
                "invariant-3",
                row.device_id,
                f"effects of its mutations once and in order, after mid {newest[row.device_id]}",
                f"row {row.rev} is the effect of mid {row.mid}",
            )
        newest[row.device_id] = row.mid
    _check_numbers(vault)
    applied = [stored.fingerprint for stored in vault.answers.values() if stored.result.status == "applied"]
    if len(applied) != len(set(applied)):
        raise _broken("invariant-3", "store", "every edit applied once, under whatever name", f"{vault.answers}")


def _check_numbers(vault: Vault) -> None:
    for device, last in vault.last_mids.items():
        missing = [mid for mid in range(1, last + 1) if f"{device} {mid}" not in vault.answers]
        if missing:
            raise _broken("outbox-mid", device, f"answers to all of 1 to {last}", f"none to {missing}")


# --- a device and the store -------------------------------------------------------------------------------------------


def check_pair(unit: Unit, vault: Vault) -> None:
    """What a device holds is the log up to its cursor, and nothing that its user did is nowhere."""
    _check_copy("in memory", unit.replica, vault)
    _check_copy("on disk", unit.disk, vault)
    for made in unit.made:
        if made.edit is None:
            continue
        _check_kept("in memory", unit.replica, made, made.edit, vault)
        if unit.slow and made.mid <= unit.disk.last_mid:
            _check_kept("on disk", unit.disk, made, made.edit, vault)


def _check_copy(where: str, replica: Replica, vault: Vault) -> None:
    cursor = replica.cursor
    if cursor is None:
        return
    past = vault.past.get(place(cursor.epoch, cursor.rev))
    if past is None:
        raise _broken("invariant-2", replica.device, f"no cursor above {vault.account}", f"{cursor} {where}")
    if replica.server != past:
        raise _broken(
            "invariant-2",
            replica.device,
            f"{where} at rev {cursor.rev}: {_said(past)}",
            f"it holds {_said(replica.server)}",
        )


def _said(records: Mapping[ItemId, Record]) -> str:
    return "; ".join(f"{item}: {record!r}" for item, record in records.items()) or "nothing"


def _check_kept(where: str, replica: Replica, made: Made, edit: Edit, vault: Vault) -> None:
    entry = next((entry for entry in replica.entries if entry.edit == edit), None)
    stored = _answer(edit, vault)
    if entry is not None:
        _check_answered(replica, entry, stored, vault)
        return
    who = replica.device
    if stored is None and fingerprint(edit) in vault.lost:
        return
    if stored is None:
        raise _broken(
            "outbox-leave", who, f"mid {made.mid} in the outbox {where}, since nobody decided it", "it is gone"
        )
    elsewhere = replica.cursor is not None and replica.cursor.epoch != vault.account.epoch
    if (
        elsewhere
        or stored.result.status == "rejected"
        or (replica.cursor is not None and replica.cursor.rev >= stored.result.rev)
    ):
        return
    raise _broken(
        "outbox-leave",
        who,
        f"mid {made.mid} in the outbox {where} until the cursor reaches {stored.result.rev}",
        f"it is gone at {replica.cursor}",
    )


def _check_answered(replica: Replica, entry: Entry, stored: Stored | None, vault: Vault) -> None:
    if (
        entry.answered is not None
        and entry.answered.epoch == vault.account.epoch
        and (stored is None or stored.result.rev != entry.answered.rev)
    ):
        raise _broken(
            "invariant-4", replica.device, f"the answer {entry.answered} of mid {entry.mid} kept", f"{stored}"
        )


def _answer(edit: Edit, vault: Vault) -> Stored | None:
    """The store's answer to this very edit; scripts make no two alike."""
    wanted = fingerprint(edit)
    return next((stored for stored in vault.answers.values() if stored.fingerprint == wanted), None)


def fingerprint(edit: Edit) -> str:
    """As the server computes it from what is sent."""
    return read_submission(write(Epoch("e1"), Mid(1), edit)).fingerprint


# --- when nothing is left to happen -----------------------------------------------------------------------------------


def check_quiet(units: Iterable[Unit], vault: Vault) -> None:
    """Everybody is connected, shows what the server has, and waits for nothing (docs/protocol.md#invariant-1)."""
    for unit in units:
        who, state = unit.replica.device, unit.machine.state
        if not isinstance(state, client.Live):
            raise _broken("liveness", who, "to be live, since nothing is left to happen", f"it is {state!r}")
        if unit.replica.entries:
            raise _broken("liveness", who, "an empty outbox", f"waiting: {unit.replica.entries}")
        if (shown := view(unit.replica)) != vault.records:
            raise _broken("invariant-1", who, f"to show {_said(vault.records)}", f"it shows {_said(shown)}")
