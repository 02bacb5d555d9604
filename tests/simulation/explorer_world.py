"""Every state of the explorer's world, and every move out of it.

A state is six numbers of parts: the two devices, their lines, the store, and what may still go wrong. Moves happen one
at a time, in any order, except for what the following arguments make one move. In each of them what is left out leads
to a state that is met all the same:

- Between dialling and `welcome` a device learns nothing and keeps nothing, so a connection that takes long is one that
  was begun later (`device.connects`, `_rested`). Config `apart` "read" undoes the part of it that is the server's.
- `synced`, `sync_required` and the end of a transport are heard in the same moment as what came before them: they
  change no record and no entry, and what is said to a transport that has ended nobody hears (`link.next_down`).
- A device whose transport is over, with nothing more to come, knows it at once: when it reconnects is open anyway.
- An end of the server that nobody listens to, with no mutation on its way to it, is gone. "end" undoes it.
- The disk of a device that cannot crash any more is never late (see `Config.frail`). The disk of the frail one commits
  when that matters: up to a mutation that is waiting to be sent, before a connection, and before a crash.
- Independent moves, once nothing can go wrong with a device any more (`_independent`). `reduced` undoes it, and a test
  compares the endings of both.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from protocol import DeviceId, Replica

from . import explorer_device as device
from . import explorer_store as store
from .explorer_checks import check_pair, check_quiet
from .explorer_device import LIMITS
from .explorer_link import Line
from .explorer_parts import NAMES, Budget, Config, Parts
from .explorer_store import Vault


Numbered = tuple[int, int, int, int, int, int]
"""A state: units A and B, lines A and B, the vault, the budget."""

Step = tuple[str, bool, Numbered]
"""A move's name, whether it is progress (neither the user's doing nor something going wrong), and where it leads."""


class World:
    """The states of one config and the moves between them.

    Attributes:
        start: in it every device that is not cold is Live, at rest, with the same records as the server.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.parts = Parts(config)
        self._paired: set[tuple[int, int]] = set()
        self.start = self._begin()

    def _begin(self) -> Numbered:
        parts, counts = self.parts, "end" in self.config.apart
        vault = store.founded()
        for edit in self.config.seeds:
            vault = store.plant(vault, edit, LIMITS)
        units = [parts.unit(device.switched_on(Replica(DeviceId(name)), counts=counts)) for name in NAMES]
        line = parts.line(Line(lingers=counts))
        state = (units[0], units[1], line, line, parts.vault(vault), parts.budgets.of(Budget())[0])
        cold = [f"{name} connects" for name in self.config.cold]
        while ways := [after for name, is_progress, after in self.steps(state) if is_progress and name not in cold]:
            state = ways[0]
        return self._armed(state)

    def _armed(self, state: Numbered) -> Numbered:
        """From here on things go wrong."""
        d, budget = NAMES.index(self.config.frail), self.config.budget
        unit = replace(self.parts.units.values[state[d]], slow=budget.crashes > 0)
        self.parts.first = unit.disk
        return _pay(_put(state, d, self.parts.unit(unit), state[2 + d]), self.parts.budgets.of(budget)[0])

    # --- what must hold ---

    def check(self, state: Numbered) -> None:
        """What must hold in every state, where it was not looked at in an earlier one."""
        for unit in state[:2]:
            if (pair := (unit, state[4])) not in self._paired:
                check_pair(self.parts.units.values[unit], self.parts.vaults.values[state[4]])
                self._paired.add(pair)

    def check_quiet(self, state: Numbered) -> None:
        """What must hold where nothing but the user or an accident can move."""
        check_quiet((self.parts.units.values[unit] for unit in state[:2]), self.parts.vaults.values[state[4]])

    # --- moves ---

    def steps(self, state: Numbered) -> list[Step]:
        """Every move out of a state, each with what happens in the same moment."""
        budget = self.parts.budgets.values[state[5]]
        found: list[Step] = []
        for d in (0, 1):
            found += self._device_steps(state, d, budget)
            found += self._line_steps(state, d)
            found += self._accidents(state, d, budget)
        found += self._server_steps(state, budget)
        return [self._completed(name, is_progress, self._rested(after)) for name, is_progress, after in found]

    def _device_steps(self, state: Numbered, d: int, budget: Budget) -> Iterator[Step]:
        unit, line = state[d], state[2 + d]
        for own in self.parts.own(d, unit):
            after = _put(state, d, own.unit, self.parts.carry(line, own.deeds))
            if own.costs in {"", "user"}:
                yield own.name, not own.costs, after
            elif getattr(budget, own.costs):
                yield own.name, False, _pay(after, self.parts.spend(state[5], own.costs))
        heard = self.parts.hear(unit, line)
        if heard is not None:
            yield f"{NAMES[d]} hears", True, _put(state, d, *heard)

    def _line_steps(self, state: Numbered, d: int) -> Iterator[Step]:
        for name, line in self.parts.inside(d, state[2 + d]):
            yield name, True, _put(state, d, state[d], line)
        for name, line, vault in self.parts.asked(d, state[2 + d], state[4]):
            yield name, True, _keep(_put(state, d, state[d], line), vault)

    def _server_steps(self, state: Numbered, budget: Budget) -> Iterator[Step]:
        vault = self.parts.vaults.values[state[4]]
        if vault.decided:
            yield "server publishes and answers", True, self._publish(state, vault)
        if budget.trims and vault.account.floor < vault.account.rev:
            trimmed = _keep(state, self.parts.vault(store.trimmed(vault)))
            yield "log is trimmed", False, _pay(trimmed, self.parts.spend(state[5], "trims"))
        if budget.deaths:
            yield "server crashes", False, self._death(state, replace(vault, decided=()), "deaths")
        for number, backup in enumerate(vault.earlier if budget.restores else ()):
            name = f"store is restored, {len(vault.earlier) - number} commits are lost"
            yield name, False, self._death(state, store.restored(vault, backup), "restores")

    def _publish(self, state: Numbered, vault: Vault) -> Numbered:
        """To both lines, and to the author what became of it."""
        lines = [self.parts.published(d, state[2 + d], state[4]) for d in (0, 1)]
        left = self.parts.vault(replace(vault, decided=vault.decided[1:]))
        return (state[0], state[1], lines[0], lines[1], left, state[5])

    # --- accidents ---

    def _accidents(self, state: Numbered, d: int, budget: Budget) -> Iterator[Step]:
        if budget.cuts:
            for how, line in self.parts.cut(state[2 + d]):
                yield f"{NAMES[d]} {how}", False, self._paid(self._noticed(state, d, line), "cuts")
        if NAMES[d] != self.config.frail:
            return
        if budget.crashes:
            for how, unit in self.parts.restarted(state[d], slow=budget.crashes > 1):
                for said, line in self.parts.deserted(state[2 + d]):
                    yield f"{NAMES[d]} {how}{said}", False, self._paid(_put(state, d, unit, line), "crashes")
        if budget.reverts:
            unit = self.parts.set_back(state[d])
            for said, line in self.parts.deserted(state[2 + d]):
                yield f"{NAMES[d]} is set back{said}", False, self._paid(_put(state, d, unit, line), "reverts")

    def _paid(self, state: Numbered, what: str) -> Numbered:
        return _pay(state, self.parts.spend(state[5], what))

    def _noticed(self, state: Numbered, d: int, line: int) -> Numbered:
        heard = self.parts.hear(state[d], line) if self.parts.has_ended(line) else None
        return _put(state, d, state[d], line) if heard is None else _put(state, d, *heard)

    def _death(self, state: Numbered, left: Vault, what: str) -> Numbered:
        """The server's process is gone and comes back with this store."""
        for d in (0, 1):
            state = self._noticed(state, d, self.parts.died(state[2 + d]))
        return self._paid(_keep(state, self.parts.vault(left)), what)

    # --- what happens in the same moment ---

    def _rested(self, state: Numbered) -> Numbered:
        """The state after what is one moment with the move before."""
        if "publish" not in self.config.apart and (vault := self.parts.vaults.values[state[4]]).decided:
            state = self._publish(state, vault)
        if "read" in self.config.apart:
            return state
        for d in (0, 1):
            if self.parts.is_waiting(state[2 + d]):
                line, is_welcome = self.parts.looked(state[2 + d], state[4])
                heard = self.parts.hear(state[d], line) if is_welcome else None
                state = _put(state, d, *((state[d], line) if heard is None else heard))
        return state

    def _completed(self, name: str, is_progress: bool, state: Numbered) -> Step:
        """The step with all independent moves after it."""
        budget = self.parts.budgets.values[state[5]]
        safe = [d for d in (0, 1) if self.config.reduced and self._is_safe(d, budget)]
        while safe and (more := self._independent(state, safe)) is not None:
            self.check(state)
            name, state = f"{name}; {more[0]}", more[1]
        return name, is_progress, state

    def _is_safe(self, d: int, budget: Budget) -> bool:
        """Whether nothing can go wrong any more for a device."""
        harmless = budget if NAMES[d] == self.config.frail else replace(budget, crashes=0, reverts=0)
        return harmless == Budget()

    def _independent(self, state: Numbered, safe: list[int]) -> tuple[str, Numbered] | None:
        """A move of a safe device that commutes with every other one, and that no other one takes away.

        A device whose user has done everything hears what was said to it, whatever else happens meanwhile. It connects,
        if none of its earlier connections has left anything behind: what is committed before reaches it by replay, what
        is committed after as it happens, and it has heard both before anything else is looked at. A mutation that
        arrives joins the queue of its own connection. All other orders lead to the same states, so that these moves
        alone may be looked at (an ample set: Peled, "All from one, one for all", CAV 1993). Each takes a frame off its
        channel or an attempt off a bounded number, so that no cycle of them puts another move off for ever.
        """
        for d in safe:
            name, unit, line = NAMES[d], state[d], state[2 + d]
            if (arrived := self.parts.arrival(line)) is not None:
                return f"server hears {name}", self._rested(_put(state, d, unit, arrived))
            if not self.parts.has_acted(d, unit):
                continue
            if (heard := self.parts.hear(unit, line)) is not None:
                return f"{name} hears", self._rested(_put(state, d, *heard))
            if not self.parts.lines.values[line].paths:
                for own in self.parts.own(d, unit):
                    if not own.costs:
                        after = _put(state, d, own.unit, self.parts.carry(line, own.deeds))
                        return own.name, self._rested(after)
        return None


def _put(state: Numbered, d: int, unit: int, line: int) -> Numbered:
    """The state with another device and another line in the place of one of the two."""
    if d == 0:
        return (unit, state[1], line, state[3], state[4], state[5])
    return (state[0], unit, state[2], line, state[4], state[5])


def _keep(state: Numbered, vault: int) -> Numbered:
    return (state[0], state[1], state[2], state[3], vault, state[5])


def _pay(state: Numbered, budget: int) -> Numbered:
    return (state[0], state[1], state[2], state[3], state[4], budget)
