"""The parts of the explorer's world by number, and what each does by itself, worked out once.

Equal values (by their canonical encoding) have one number, so two states are equal exactly where their numbers are.
"""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from protocol import Edit, Replica, server

from . import explorer_device as device
from . import explorer_link as link
from . import explorer_store as store
from .explorer_checks import check_step, check_unit, check_vault
from .explorer_device import LIMITS, Scripts, Unit
from .explorer_link import Line
from .explorer_scripts import ALARMED
from .explorer_store import Decided, Vault


NAMES = ("A", "B")

T = TypeVar("T")


class Budget(Struct, frozen=True):
    """What may still go wrong.

    Attributes:
        cuts: of connections, of either device. crashes: of the frail device. reverts: of its disk, to what it held when
            the world began (a backup put back).
        deaths: of the server. restores: of its store, to what it was before any of its commits.
        trims: of the log. repeats: of mutations whose answer takes too long.
    """

    cuts: int = 0
    crashes: int = 0
    reverts: int = 0
    deaths: int = 0
    restores: int = 0
    trims: int = 0
    repeats: int = 0


class Config(Struct, frozen=True, kw_only=True):
    """A world to explore.

    Attributes:
        about: one line. scripts: what each user does, in order. budget: what may go wrong.
        seeds: what the server has when it begins.
        frail: the device that may crash. Only its disk takes its time, and only before the crash: otherwise a write that
            is committed late is seen by nobody (a mutation leaves later, as one does that travels longer).
        cold: devices that have never been connected when it begins.
        apart: the two halves of what is one moment otherwise: `read` (the store looks, its answer arrives), `publish`
            (a mutation is durable, everybody is told), `end` (a client is gone, the server notices; attempts count).
        reduced: leave out orders of independent moves (`World.steps`).
    """

    about: str
    scripts: Scripts
    budget: Budget
    seeds: tuple[Edit, ...] = ALARMED
    frail: str = "A"
    cold: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    reduced: bool = True


class Numbers(Generic[T]):
    """Values by number and numbers by value."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self.values: list[T] = []

    def of(self, value: T) -> tuple[int, bool]:
        """The number of a value, and whether it is a new one."""
        number = self._known.setdefault(_ENCODE(value), len(self.values))
        is_new = number == len(self.values)
        if is_new:
            self.values.append(value)
        return number, is_new


_ENCODE = msgspec.msgpack.Encoder(order="sorted").encode

Ways = list[tuple[str, int]]
"""Names of moves of one part, and the part after each."""


class Own(Struct, frozen=True):
    """A move of a device by itself.

    Attributes:
        costs: the field of the budget it is paid from, `user` where the user makes it, empty for progress.
        unit, deeds: the device after it, and what it does to its transport.
    """

    name: str
    costs: str
    unit: int
    deeds: int


class Parts:
    """Every part met so far, and what each does.

    Attributes:
        first: what the frail device's disk held when the world began.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.first: Replica | None = None
        self.units, self.lines, self.vaults = Numbers[Unit](), Numbers[Line](), Numbers[Vault]()
        self.budgets, self.deeds = Numbers[Budget](), Numbers[tuple[device.Deed, ...]]()
        self.heard = Numbers[tuple[str | int, ...]]()
        self._worked: dict[tuple[Any, ...], Any] = {}

    # --- numbers ---

    def unit(self, unit: Unit) -> int:
        """The number of a device, which is looked at when it is new."""
        number, is_new = self.units.of(unit)
        if is_new:
            check_unit(unit)
        return number

    def line(self, line: Line) -> int:
        """The number of a line."""
        return self.lines.of(line)[0]

    def vault(self, vault: Vault) -> int:
        """The number of a store, which is looked at when it is new."""
        number, is_new = self.vaults.of(vault)
        if is_new:
            check_vault(vault)
        return number

    def spend(self, budget: int, what: str) -> int:
        """The budget with one less of something."""
        key = ("spend", budget, what)
        if key not in self._worked:
            value = self.budgets.values[budget]
            self._worked[key] = self.budgets.of(replace(value, **{what: getattr(value, what) - 1}))[0]
        spent: int = self._worked[key]
        return spent

    # --- a device ---

    def own(self, d: int, unit: int) -> list[Own]:
        """What a device and its user may do next."""
        key = ("own", d, unit)
        if key not in self._worked:
            self._worked[key] = list(self._own(d, self.units.values[unit]))
        found: list[Own] = self._worked[key]
        return found

    def _own(self, d: int, unit: Unit) -> Iterator[Own]:
        name, script = NAMES[d], self.config.scripts.get(NAMES[d], ())
        for count in range(len(unit.pending) + 1):
            how = f"{name} connects" + (f", its disk having {count} writes more" if count else "")
            yield from self._if(unit, how, "", device.connects(unit, count))
        if count := device.unsent(unit):
            yield from self._if(unit, f"{name}'s disk has the mutation", "", device.keeps(unit, count))
        yield from self._if(unit, f"{name} asks again", "repeats", device.asks_again(unit))
        if len(unit.made) < len(script):
            yield from self._if(unit, f"{name}'s user acts", "user", device.edits(unit, script[len(unit.made)]))

    def _if(self, unit: Unit, name: str, costs: str, stepped: device.Stepped | None) -> Iterator[Own]:
        if stepped is not None:
            yield Own(name, costs, *self._settled(unit, stepped))

    def _settled(self, before: Unit, stepped: device.Stepped) -> tuple[int, int]:
        """The numbers after a step, the disk having caught up unless it is slow."""
        unit, deeds = stepped
        while unit.pending and not unit.slow:
            unit, more = device.keeps(unit, len(unit.pending))
            deeds = (*deeds, *more)
        check_step(before, unit)
        return self.unit(unit), self.deeds.of(deeds)[0]

    def hear(self, unit: int, line: int) -> tuple[int, int] | None:
        """The device and its line after it has heard what comes next; None: nothing does."""
        down = self._down(line)
        if down is None:
            return None
        heard, rest = down
        key = ("hear", unit, heard)
        if key not in self._worked:
            before = self.units.values[unit]
            self._worked[key] = self._settled(before, device.hears(before, self.heard.values[heard]))
        after, deeds = self._worked[key]
        return after, self.carry(rest, deeds)

    def _down(self, line: int) -> tuple[int, int] | None:
        key = ("down", line)
        if key not in self._worked:
            said = link.next_down(self.lines.values[line])
            self._worked[key] = None if said is None else (self.heard.of(said[0])[0], self.line(said[1]))
        down: tuple[int, int] | None = self._worked[key]
        return down

    def carry(self, line: int, deeds: int) -> int:
        """The line after what a device did to its transport."""
        key = ("carry", line, deeds)
        if key not in self._worked:
            self._worked[key] = self.line(link.carry(self.lines.values[line], self.deeds.values[deeds]))
        carried: int = self._worked[key]
        return carried

    def has_acted(self, d: int, unit: int) -> bool:
        """Whether the user of a device has done everything."""
        return len(self.units.values[unit].made) == len(self.config.scripts.get(NAMES[d], ()))

    # --- a line ---

    def inside(self, d: int, line: int) -> Ways:
        """What a line does by itself: frames arrive at the server, answers of the store arrive."""
        return self._ways(("inside", d, line), self._inside, d, self.lines.values[line])

    def _inside(self, d: int, line: Line) -> Iterator[tuple[str, int]]:
        for index, path in enumerate(line.paths):
            which = _which(d, line, index)
            if path.end is not None and path.up:
                yield f"server hears {which}", self.line(link.arrives(line, index))
            for number, read in enumerate(path.reads):
                if isinstance(read, link.Read):
                    yield (
                        f"server's end of {which} gets {_WORDS[type(read)]}",
                        self.line(link.gives(line, index, number)),
                    )

    def arrival(self, line: int) -> int | None:
        """The line after the next mutation has reached the server; None: none is on its way."""
        key = ("arrival", line)
        if key not in self._worked:
            left = link.mutate_arrives(self.lines.values[line])
            self._worked[key] = None if left is None else self.line(left)
        arrived: int | None = self._worked[key]
        return arrived

    def looked(self, line: int, vault: int) -> tuple[int, bool]:
        """The line after the store has answered every read, and whether the client hears `welcome` next."""
        key = ("looked", line, vault)
        if key not in self._worked:
            left = self.lines.values[line]
            while (where := link.first_asked(left)) is not None:
                left = link.gives(link.looks_up(left, *where, self.vaults.values[vault]), *where)
            self._worked[key] = self.line(left), link.has_welcome(left)
        found: tuple[int, bool] = self._worked[key]
        return found

    def is_waiting(self, line: int) -> bool:
        """Whether `looked` would change anything."""
        key = ("waiting", line)
        if key not in self._worked:
            value = self.lines.values[line]
            self._worked[key] = link.first_asked(value) is not None or link.has_welcome(value)
        return self._worked[key] is True

    # --- the store ---

    def asked(self, d: int, line: int, vault: int) -> list[tuple[str, int, int]]:
        """What the store does for a line, and both after it."""
        key = ("asked", d, line, vault)
        if key not in self._worked:
            self._worked[key] = list(self._asked(d, self.lines.values[line], self.vaults.values[vault]))
        found: list[tuple[str, int, int]] = self._worked[key]
        return found

    def _asked(self, d: int, line: Line, vault: Vault) -> Iterator[tuple[str, int, int]]:
        for index, path in enumerate(line.paths):
            which = _which(d, line, index)
            if any(path.writes):
                left, after = link.commits(line, index, vault, d)
                after = store.noted(vault, after) if self.config.budget.restores else after
                yield f"store commits for {which}", self.line(left), self.vault(after)
            for number, read in enumerate(path.reads):
                if isinstance(read, link.Asked):
                    left = link.looks_up(line, index, number, vault)
                    yield f"store answers {_WORDS[type(read)]} of {which}", self.line(left), self.vault(vault)

    def published(self, d: int, line: int, vault: int) -> int:
        """The line after the oldest commit was published, and its author told."""
        key = ("published", d, line, vault)
        if key not in self._worked:
            self._worked[key] = self.line(_published(d, self.lines.values[line], self.vaults.values[vault].decided[0]))
        after: int = self._worked[key]
        return after

    # --- accidents ---

    def restarted(self, unit: int, *, slow: bool) -> Ways:
        """The device after a crash, which may come at any number of committed writes."""
        return self._ways(("restarted", unit, slow), self._restarted, self.units.values[unit], slow)

    def _restarted(self, unit: Unit, slow: bool) -> Iterator[tuple[str, int]]:
        most = len(unit.pending)
        for count in range(most + 1):
            how = f"crashes, {count} of {most} writes kept" if most else "crashes"
            yield how, self.unit(device.crashes(unit, count, slow=slow))

    def set_back(self, unit: int) -> int:
        """The device after its first disk was put back."""
        assert self.first is not None
        return self.unit(device.set_back(self.units.values[unit], self.first))

    def deserted(self, line: int) -> Ways:
        """The line after its device went without a word."""
        ways = ((", what it said arrives", False), (", what it said is lost", True))
        value = self.lines.values[line]
        return self._ways(
            ("deserted", line), lambda: ((how, self.line(link.deserted(value, lose_up=lost))) for how, lost in ways)
        )

    def cut(self, line: int) -> Ways:
        """The line after its connection was cut."""
        return self._ways(("cut", line), self._cut, self.lines.values[line])

    def _cut(self, line: Line) -> Iterator[tuple[str, int]]:
        if link.is_whole(line):
            for how, lose_up, lose_down in LOSSES if "end" in self.config.apart else LOSSES[:2]:
                yield f"is cut off{how}", self.line(link.cut(line, lose_up=lose_up, lose_down=lose_down))

    def has_ended(self, line: int) -> bool:
        """Whether all that the client will hear is that its transport is over."""
        key = ("ended", line)
        if key not in self._worked:
            self._worked[key] = link.has_only_ended(self.lines.values[line])
        return self._worked[key] is True

    def died(self, line: int) -> int:
        """The line after the server's process died."""
        return self._ways(("died", line), lambda: [("", self.line(link.server_lost(self.lines.values[line])))])[0][1]

    def _ways(self, key: tuple[Any, ...], find: Any, *args: Any) -> Ways:
        """What `find` yields, each result once, by the first name it has."""
        if key not in self._worked:
            first: dict[int, str] = {}
            for name, number in find(*args):
                first.setdefault(number, name)
            self._worked[key] = [(name, number) for number, name in first.items()]
        ways: Ways = self._worked[key]
        return ways


LOSSES = (
    (", all is lost that was on its way", True, True),
    (", what it said arrives", False, True),
    (", what was said to it arrives", True, False),
    (", what was on its way arrives", False, False),
)
"""The last two add nothing where an end that nobody listens to is gone at once: a device that hears something after the
cut comes to the same as one that heard it before and was cut then."""


def _published(d: int, line: Line, decided: Decided) -> Line:
    if decided.change is not None:
        line = link.publish(line, server.publication(decided.change, decided.record, LIMITS))
    return link.told(line, decided) if decided.device == d else line


def _which(d: int, line: Line, index: int) -> str:
    behind = len(line.paths) - 1 - index
    return NAMES[d] + (f" ({behind} connections ago)" if behind else "")


_WORDS: dict[type, str] = {
    server.Join: "hello",
    server.ReadPage: "page",
    server.ReadState: "snapshot",
    server.Joined: "its account",
    server.PageRead: "a page",
    server.StateRead: "a snapshot",
}
