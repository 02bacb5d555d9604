"""How a fault gets into the core of this process and out again; production code knows nothing of it.

A function is captured in many places at import: names of other modules, rows of the tables, the index over those. A
swap replaces it wherever it is found, and finding it nowhere is an error: such a fault would prove nothing.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FunctionType
from typing import Any, Final, cast

from msgspec import Struct

from protocol._machine import Connection, Rule
from protocol.client import ClientConnection
from protocol.server import ServerConnection


Planting = AbstractContextManager[None]

MISSING: Final = object()
PACKAGES = ("protocol", "client_qt", "tests.simulation")
JUDGES = ("oracle", "checks", "marks", "planted", "test_")
"""Modules of the simulator that a fault must not reach: who judges keeps the true rules."""


class Plant(Struct, frozen=True):
    """One fault.

    Attributes:
        name: to switch it on by. rule: anchor of the specification that it breaks.
        why: what a programmer would have got wrong.
        plant: puts the fault in; leaving the context takes it out.
    """

    name: str
    rule: str
    why: str
    plant: Callable[[], Planting]


def into(faults: dict[str, Plant]) -> Callable[[str], Callable[[Callable[[], Planting]], Callable[[], Planting]]]:
    """A decorator that lists a fault under its function's name; its docstring says why."""

    def breaks(rule: str) -> Callable[[Callable[[], Planting]], Callable[[], Planting]]:
        def listed(plant: Callable[[], Planting]) -> Callable[[], Planting]:
            name = cast("FunctionType", plant).__name__.replace("_", "-")
            if name in faults or not plant.__doc__:
                raise LookupError(f"fault {name} is there already, or does not say why")
            faults[name] = Plant(name, rule, plant.__doc__.strip(), plant)
            return plant

        return listed

    return breaks


# --- swapping ---------------------------------------------------------------------------------------------------------


@contextmanager
def swapped(honest: object, mutant: object) -> Iterator[None]:
    """A function, replaced wherever it is referred to.

    Raises:
        LookupError: it is referred to nowhere.
    """
    if not _replace(honest, mutant):
        raise LookupError(f"{honest!r} is found nowhere; the fault would not be one")
    try:
        yield
    finally:
        # Searched anew: a module that was first imported meanwhile has taken the mutant.
        _replace(mutant, honest)


@contextmanager
def attribute(owner: type, name: str, value: object) -> Iterator[None]:
    """A method or property of a class, its own or an inherited one, replaced."""
    honest = owner.__dict__.get(name, MISSING)
    if not hasattr(owner, name):
        raise LookupError(f"{owner.__name__} has no {name}; the fault would not be one")
    setattr(owner, name, value)
    try:
        yield
    finally:
        if honest is MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, honest)


@contextmanager
def item(mapping: Mapping[Any, Any], key: object, value: object) -> Iterator[None]:
    """An entry of a table, replaced."""
    table = cast("MutableMapping[object, object]", mapping)
    honest = table[key]
    table[key] = value
    try:
        yield
    finally:
        table[key] = honest


def row(connection: type[Connection[Any, Any]], state: type, stimulus: object, rule: Rule) -> Planting:
    """A row of a table and of the index over it, replaced."""
    return together(item(connection.table, (state, stimulus), rule), item(connection._by_state[state], stimulus, rule))


@contextmanager
def together(*plantings: Planting) -> Iterator[None]:
    """A fault that shows in several places."""
    with ExitStack() as stack:
        for planting in plantings:
            stack.enter_context(planting)
        yield


def _replace(old: object, new: object) -> int:
    return sum(_replace_in(namespace, old, new) for namespace in namespaces().values()) + _replace_rules(old, new)


def _replace_in(namespace: dict[str, Any], old: object, new: object) -> int:
    names = [name for name, value in namespace.items() if value is old]
    namespace.update(dict.fromkeys(names, new))
    return len(names)


def _replace_rules(old: object, new: object) -> int:
    found = 0
    for table in tables():
        for key, rule in list(table.items()):
            if rule.function is old:
                table[key] = rule._replace(function=cast("Any", new))
                found += 1
    return found


def namespaces() -> dict[str, dict[str, Any]]:
    """Every module that a fault may reach."""
    return {
        name: vars(module)
        for name, module in sorted(sys.modules.items())
        if name.startswith(tuple(f"{package}." for package in PACKAGES)) or name in PACKAGES
        if not name.rpartition(".")[2].startswith(JUDGES)
    }


def tables() -> list[MutableMapping[Any, Rule]]:
    """Every place that holds rules: the tables, and the index that each connection keeps over its own."""
    found: list[Any] = []
    for connection in (ClientConnection, ServerConnection):
        found += [connection.table, *connection._by_state.values()]
    return found
