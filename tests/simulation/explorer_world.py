"""Every state of the explorer's world, and every move out of it.

A state is six small numbers: the two devices, their lines, the store, and what may still go wrong. Each number stands
for one immutable value; equal values (by their canonical encoding) have one number, so two states are equal exactly
where their numbers are, and what one part does is worked out once however many states it occurs in.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from protocol import DeviceId, Replica, client, server

from . import explorer_device as device
from . import explorer_link as link
from . import explorer_store as store
from .explorer_checks import check_pair, check_quiet, check_step, check_unit, check_vault
from .explorer_device import LIMITS, Scripts, Unit
from .explorer_link import Line
from .explorer_scripts import SEEDS
from .explorer_store import Decided, Vault


NAMES = ("A", "B")

T = TypeVar("T")
R = TypeVar("R")


class Budget(Struct, frozen=True):
    """What may still go wrong.

    Attributes:
        cuts: of connections, of either device. crashes: of devices. deaths: of the server. trims: of the log.
        repeats: of mutations whose answer takes too long.
    """

    cuts: int = 0
    crashes: int = 0
    deaths: int = 0
    trims: int = 0
    repeats: int = 0


class Config(Struct, frozen=True, kw_only=True):
    """A world to explore.

    Attributes:
        about: one line. scripts: what each user does, in order. budget: what may go wrong.
        cold: devices that have never been connected when it begins.
        frail: the device that may crash. Only its disk takes its time, and only before the crash: otherwise a write that
            is committed late is seen by nobody (a mutation leaves later, as one does that travels longer).
        apart: the two halves of what is one moment otherwise: `read` (the store looks, its answer arrives), `publish`
            (a mutation is durable, everybody is told), `end` (a client is gone, the server notices).
    """

    about: str
    scripts: Scripts
    budget: Budget
    cold: frozenset[str] = frozenset()
    frail: str = "A"
    apart: frozenset[str] = frozenset({"read", "publish"})


class Numbers(Generic[T]):
    """Values by number and numbers by value."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self.values: list[T] = []

    def __len__(self) -> int:
        return len(self.values)

    def of(self, value: T) -> int:
        """The number of a value; equal ones have the same."""
        number = self._known.setdefault(_ENCODE(value), len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


SAFE = Budget()
_ENCODE = msgspec.msgpack.Encoder(order="sorted").encode


Numbered = tuple[int, int, int, int, int, int]
"""A state: units A and B, lines A and B, the vault, the budget."""

Step = tuple[str, bool, Numbered]
"""A move's name, whether it is progress (neither the user's doing nor something going wrong), and where it leads."""


class World:
    """The parts that were met so far, and the moves between states.

    Attributes:
        start: the state in which every device that is not cold is Live, at rest, with the same records as the server.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.units, self.lines, self.frames = Numbers[Unit](), Numbers[Line](), Numbers[tuple[str | int, ...]]()
        self.vaults, self.budgets, self.deeds = Numbers[Vault](), Numbers[Budget](), Numbers[tuple[device.Deed, ...]]()
        self.resyncs = Numbers[server.Resync]()
        self._own: dict[tuple[int, int], list[tuple[str, str, int, int]]] = {}
        self._heard: dict[tuple[int, int], tuple[int, int]] = {}
        self._downs: dict[int, tuple[int, int] | None] = {}
        self._looked: dict[tuple[int, int], tuple[int, bool]] = {}
        self._arrived: dict[int, int | None] = {}
        self._restarted: dict[tuple[int, int], list[tuple[str, int]]] = {}
        self._carried: dict[tuple[int, int], int] = {}
        self._inside: dict[tuple[int, int], list[tuple[str, int]]] = {}
        self._asked: dict[tuple[int, int, int], list[tuple[str, int, int, int | None]]] = {}
        self._published: dict[tuple[int, int, int], int] = {}
        self._paired: set[tuple[int, int]] = set()
        self.start = self._begin()

    # --- the beginning ---

    def _begin(self) -> Numbered:
        vault = store.founded()
        for edit in SEEDS:
            vault = store.plant(vault, edit, LIMITS)
        counts = "end" in self.config.apart
        units = [self._unit(device.switched_on(Replica(DeviceId(name)), counts=counts)) for name in NAMES]
        line = self.lines.of(Line(lingers="end" in self.config.apart))
        state = (units[0], units[1], line, line, self._vault(vault), self.budgets.of(Budget()))
        cold = tuple(f"{name} connects" for name in self.config.cold)
        while True:
            ways = [way for _, is_progress, way in self.steps(state, skip=cold) if is_progress]
            if not ways:
                return self._armed(state)
            state = ways[0]

    def _armed(self, state: Numbered) -> Numbered:
        """From here on things go wrong."""
        d, budget = NAMES.index(self.config.frail), self.config.budget
        unit = replace(self.units.values[state[d]], slow=budget.crashes > 0)
        return (*_put(state, d, self._unit(unit), state[2 + d])[:5], self.budgets.of(budget))

    # --- the parts ---

    def _unit(self, unit: Unit) -> int:
        known = len(self.units)
        number = self.units.of(unit)
        if number == known:
            check_unit(unit)
        return number

    def _vault(self, vault: Vault) -> int:
        known = len(self.vaults)
        number = self.vaults.of(vault)
        if number == known:
            check_vault(vault)
        return number

    def check(self, state: Numbered) -> None:
        """What must hold in every state, and has not been looked at in an earlier one."""
        for unit in state[:2]:
            if (pair := (unit, state[4])) not in self._paired:
                check_pair(self.units.values[unit], self.vaults.values[state[4]])
                self._paired.add(pair)

    def check_quiet(self, state: Numbered) -> None:
        """What must hold where nothing but the user or an accident can move."""
        check_quiet((self.units.values[unit] for unit in state[:2]), self.vaults.values[state[4]])

    # --- the moves ---

    def steps(self, state: Numbered, skip: tuple[str, ...] = ()) -> list[Step]:
        """Every move out of a state."""
        found = list[Step]()
        budget = self.budgets.values[state[5]]
        if budget == SAFE and (only := self._independent(state)) is not None:
            return [only]
        for d in (0, 1):
            self._device_steps(state, d, budget, found)
            self._line_steps(state, d, budget, found)
        self._server_steps(state, budget, found)
        found = [(name, is_progress, self._rested(after)) for name, is_progress, after in found]
        return [step for step in found if step[0] not in skip] if skip else found

    def _independent(self, state: Numbered) -> Step | None:
        """A move that commutes with every other one from here on, and that no other one takes away or adds to.

        Once nothing can go wrong any more: a device whose user has done everything hears what was said to it, whatever
        else happens in the meantime; and a mutation that reaches the server joins the queue of its connection. All
        other orders lead to the same states (an ample set: Peled, "All from one, one for all", CAV 1993). Each of these
        moves takes a frame off its channel, so that no cycle puts another move off for ever.
        """
        for d in (0, 1):
            if self._has_acted(d, state[d]) and (heard := self._hear(state[d], state[2 + d])) is not None:
                after, rest, deeds = heard
                return f"{NAMES[d]} hears", True, self._rested(_put(state, d, after, self._carry(rest, deeds)))
            if (arrived := self._arrival(d, state[2 + d])) is not None:
                return f"server hears {NAMES[d]}", True, self._rested(_put(state, d, state[d], arrived))
        return None

    def _has_acted(self, d: int, unit: int) -> bool:
        return len(self.units.values[unit].made) == len(self.config.scripts.get(NAMES[d], ()))

    def _arrival(self, d: int, line: int) -> int | None:
        if line not in self._arrived:
            left = link.mutate_arrives(self.lines.values[line])
            self._arrived[line] = None if left is None else self.lines.of(left)
        return self._arrived[line]

    def _rested(self, state: Numbered) -> Numbered:
        """The state after what happens in the same moment."""
        if "publish" not in self.config.apart and self.vaults.values[state[4]].decided:
            state = self._publish(state, self.vaults.values[state[4]])
        if "read" not in self.config.apart:
            for d in (0, 1):
                state = self._welcomed(state, d)
        return state

    def _welcomed(self, state: Numbered, d: int) -> Numbered:
        """Every read answered, and welcome heard: a connection that begins later comes to the same."""
        key = (state[2 + d], state[4])
        if key not in self._looked:
            line = self.lines.values[state[2 + d]]
            while (where := link.first_asked(line)) is not None:
                line, _, _ = link.looks_up(line, *where, self.vaults.values[state[4]])
                line = link.gives(line, *where)
            self._looked[key] = self.lines.of(line), link.has_welcome(line)
        line_after, is_welcome = self._looked[key]
        if not is_welcome:
            return _put(state, d, state[d], line_after)
        heard = self._hear(state[d], line_after)
        assert heard is not None
        after, rest, deeds = heard
        return _put(state, d, after, self._carry(rest, deeds))

    def _device_steps(self, state: Numbered, d: int, budget: Budget, found: list[Step]) -> None:
        unit, line = state[d], state[2 + d]
        for name, costs, after, deeds in self._own_steps(d, unit):
            if not costs:
                found.append((name, True, _put(state, d, after, self._carry(line, deeds))))
            elif costs == "user":
                found.append((name, False, _put(state, d, after, self._carry(line, deeds))))
            elif getattr(budget, costs):
                spent = self._spend(budget, costs)
                found.append((name, False, (*_put(state, d, after, self._carry(line, deeds))[:5], spent)))
        heard = self._hear(unit, line)
        if heard is not None:
            after, rest, deeds = heard
            found.append((f"{NAMES[d]} hears", True, _put(state, d, after, self._carry(rest, deeds))))
        if budget.crashes and NAMES[d] == self.config.frail:
            self._crashes(state, d, budget, found)

    def _own_steps(self, d: int, unit: int) -> list[tuple[str, str, int, int]]:
        key = (d, unit)
        if key not in self._own:
            self._own[key] = list(self._find_own(d, self.units.values[unit]))
        return self._own[key]

    def _find_own(self, d: int, unit: Unit) -> Iterator[tuple[str, str, int, int]]:
        name = NAMES[d]
        script = self.config.scripts.get(name, ())
        for count in range(len(unit.pending) + 1):
            how = f"{name} connects" + (f", {count} writes having reached its disk" if count else "")
            yield from self._way(unit, how, "", device.connects(unit, count))
        if count := device.unsent(unit):
            yield from self._way(unit, f"{name}'s disk has the mutation", "", device.keeps(unit, count))
        yield from self._way(unit, f"{name} asks again", "repeats", device.asks_again(unit))
        if len(unit.made) < len(script):
            doing = script[len(unit.made)]
            yield from self._way(unit, f"{name}'s user acts", "user", device.edits(unit, doing))

    def _way(
        self, unit: Unit, name: str, costs: str, stepped: device.Stepped | None
    ) -> Iterator[tuple[str, str, int, int]]:
        if stepped is not None:
            yield name, costs, *self._settled(unit, stepped)

    def _settled(self, before: Unit, stepped: device.Stepped) -> tuple[int, int]:
        """The numbers of a device after a step, its disk caught up unless it is slow."""
        unit, deeds = stepped
        while unit.pending and not unit.slow:
            unit, more = device.keeps(unit, len(unit.pending))
            deeds = (*deeds, *more)
        check_step(before, unit)
        return self._unit(unit), self.deeds.of(deeds)

    def _hear(self, unit: int, line: int) -> tuple[int, int, int] | None:
        if line not in self._downs:
            said = link.next_down(self.lines.values[line])
            self._downs[line] = None if said is None else (self.frames.of(said[0]), self.lines.of(said[1]))
        down = self._downs[line]
        if down is None:
            return None
        what, rest = down
        key = (unit, what)
        if key not in self._heard:
            before = self.units.values[unit]
            self._heard[key] = self._settled(before, device.hears(before, self.frames.values[what]))
        after, deeds = self._heard[key]
        return after, rest, deeds

    def _carry(self, line: int, deeds: int) -> int:
        key = (line, deeds)
        if key not in self._carried:
            self._carried[key] = self.lines.of(link.carry(self.lines.values[line], self.deeds.values[deeds]))
        return self._carried[key]

    # --- accidents ---

    def _crashes(self, state: Numbered, d: int, budget: Budget, found: list[Step]) -> None:
        """A crash may come at any number of committed writes, and what was sent may still arrive or not."""
        unit, line = self.units.values[state[d]], self.lines.values[state[2 + d]]
        spent = self._spend(budget, "crashes")
        key = (d, state[d])
        if key not in self._restarted:
            slow = budget.crashes > 1
            ways = {n: self._unit(device.crashes(unit, n, slow=slow)) for n in range(len(unit.pending) + 1)}
            self._restarted[key] = list(
                _distinct({f"{n} writes of {len(ways) - 1} kept": to for n, to in ways.items()})
            )
        lines = {", what it said arrives": self.lines.of(link.deserted(line, lose_up=False))}
        lines[", what it said is lost"] = self.lines.of(link.deserted(line, lose_up=True))
        for said, left in _distinct(lines):
            for kept, after in self._restarted[key]:
                found.append((f"{NAMES[d]} crashes, {kept}{said}", False, (*_put(state, d, after, left)[:5], spent)))

    def _spend(self, budget: Budget, what: str) -> int:
        return self.budgets.of(replace(budget, **{what: getattr(budget, what) - 1}))

    def _cuts(self, state: Numbered, d: int, budget: Budget, found: list[Step]) -> None:
        line = self.lines.values[state[2 + d]]
        if not link.is_whole(line):
            return
        spent = self._spend(budget, "cuts")
        losses = LOSSES if "end" in self.config.apart else LOSSES[:2]
        ways = {how: self.lines.of(link.cut(line, lose_up=up, lose_down=down)) for how, up, down in losses}
        for how, left in _distinct(ways):
            found.append((f"{NAMES[d]} is cut off, {how}", False, (*self._notice(state, d, left)[:5], spent)))

    def _notice(self, state: Numbered, d: int, line: int) -> Numbered:
        """A device whose transport is over, with nothing more to come, learns of it in the same moment.

        Later it would come to the same: what it says meanwhile nobody hears, and when it connects again is open.
        """
        if not link.has_only_ended(self.lines.values[line]):
            return _put(state, d, state[d], line)
        heard = self._hear(state[d], line)
        assert heard is not None
        after, rest, deeds = heard
        return _put(state, d, after, self._carry(rest, deeds))

    # --- the server ---

    def _line_steps(self, state: Numbered, d: int, budget: Budget, found: list[Step]) -> None:
        key = (d, state[2 + d])
        if key not in self._inside:
            self._inside[key] = list(self._find_inside(d, self.lines.values[state[2 + d]]))
        for name, after in self._inside[key]:
            found.append((name, True, _put(state, d, state[d], after)))
        asked = (d, state[2 + d], state[4])
        if asked not in self._asked:
            self._asked[asked] = list(
                self._find_asked(d, self.lines.values[state[2 + d]], self.vaults.values[state[4]])
            )
        for name, after, vault, resync in self._asked[asked]:
            reached = _put(state, d, state[d], after)
            found.append((name, True, (*self._spread(reached, resync)[:4], vault, state[5])))
        if budget.cuts:
            self._cuts(state, d, budget, found)

    def _find_inside(self, d: int, line: Line) -> Iterator[tuple[str, int]]:
        """What a line does by itself: frames arrive, answers of the store arrive."""
        for index, path in enumerate(line.paths):
            which = _which(d, line, index)
            if path.end is not None and path.up:
                yield f"server hears {which}", self.lines.of(link.arrives(line, index))
            for number, read in enumerate(path.reads):
                if isinstance(read, link.Read):
                    yield f"server's end of {which} gets {_words(read)}", self.lines.of(link.gives(line, index, number))

    def _find_asked(self, d: int, line: Line, vault: Vault) -> Iterator[tuple[str, int, int, int | None]]:
        """What the store does for a line."""
        for index, path in enumerate(line.paths):
            which = _which(d, line, index)
            if any(path.writes):
                left, after = link.commits(line, index, vault, d)
                yield f"store commits for {which}", self.lines.of(left), self._vault(after), None
            for number, read in enumerate(path.reads):
                if isinstance(read, link.Asked):
                    yield self._looks_up(line, index, number, vault, f"store answers {_words(read)} of {which}")

    def _looks_up(
        self, line: Line, index: int, number: int, vault: Vault, name: str
    ) -> tuple[str, int, int, int | None]:
        left, after, resync = link.looks_up(line, index, number, vault)
        return name, self.lines.of(left), self._vault(after), None if resync is None else self.resyncs.of(resync)

    def _spread(self, state: Numbered, resync: int | None) -> Numbered:
        if resync is None:
            return state
        news = self.resyncs.values[resync]
        lines = [self.lines.of(link.publish(self.lines.values[line], news)) for line in state[2:4]]
        return (*state[:2], lines[0], lines[1], *state[4:])

    def _server_steps(self, state: Numbered, budget: Budget, found: list[Step]) -> None:
        vault = self.vaults.values[state[4]]
        if vault.decided:
            found.append(("server publishes and answers", True, self._publish(state, vault)))
        if budget.trims and vault.account.floor < vault.account.rev:
            spent = self._spend(budget, "trims")
            found.append(("log is trimmed", False, (*state[:4], self._vault(store.trimmed(vault)), spent)))
        if budget.deaths:
            found.append(("server crashes", False, self._death(state, vault, budget)))

    def _publish(self, state: Numbered, vault: Vault) -> Numbered:
        decided = vault.decided[0]
        lines = [self._hear_of(d, state[2 + d], state[4], decided) for d in (0, 1)]
        left = self._vault(replace(vault, decided=vault.decided[1:]))
        return (state[0], state[1], lines[0], lines[1], left, state[5])

    def _hear_of(self, d: int, line: int, vault: int, decided: Decided) -> int:
        key = (d, line, vault)
        if key not in self._published:
            after = self.lines.values[line]
            if decided.change is not None:
                after = link.publish(after, server.publication(decided.change, decided.record, LIMITS))
            self._published[key] = self.lines.of(link.told(after, decided) if decided.device == d else after)
        return self._published[key]

    def _death(self, state: Numbered, vault: Vault, budget: Budget) -> Numbered:
        left = self._vault(replace(vault, decided=()))
        for d in (0, 1):
            state = self._notice(state, d, self.lines.of(link.server_lost(self.lines.values[state[2 + d]])))
        return (*state[:4], left, self._spend(budget, "deaths"))


LOSSES = (
    ("and all is lost that was on its way", True, True),
    ("and what was on its way to it is lost", False, True),
    ("and what was on its way to the server is lost", True, False),
    ("and what was on its way still arrives", False, False),
)
"""The last two add nothing where an end that nobody listens to is gone at once: a device that hears something after the
cut comes to the same as one that heard it before and was cut then."""


def _put(state: Numbered, d: int, unit: int, line: int) -> Numbered:
    """The state with another device and another line in the place of one of the two."""
    if d == 0:
        return (unit, state[1], line, state[3], state[4], state[5])
    return (state[0], unit, state[2], line, state[4], state[5])


def _distinct(ways: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Each result once, by the first name it has."""
    seen = set[int]()
    for name, number in ways.items():
        if number not in seen:
            seen.add(number)
            yield name, number


def _which(d: int, line: Line, index: int) -> str:
    behind = len(line.paths) - 1 - index
    return NAMES[d] + (f" ({behind} connections ago)" if behind else "")


def _words(question: object) -> str:
    return _PLAIN[type(question)]


_PLAIN: dict[type, str] = {
    server.Join: "hello",
    server.RenewEpoch: "renew",
    server.ReadPage: "page",
    server.ReadState: "snapshot",
    server.Joined: "its account",
    server.PageRead: "a page",
    server.StateRead: "a snapshot",
}
