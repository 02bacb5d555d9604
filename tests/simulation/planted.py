"""Faults planted on purpose, one at a time and in this process only: what the simulator must be able to find.

A check that never failed has proved nothing (mutation testing: DeMillo, Lipton and Sayward, 1978). Each of these is what
somebody could really have got wrong; `CONTROLS` are the two that keep the measure itself honest.
"""

from collections.abc import Mapping
from typing import Final

from protocol import Record, Replica
from protocol import _replica as replicas
from protocol import _rings as rings

from . import planted_client, planted_ledger, planted_rings, planted_server
from .planted_tools import Plant, Planting, into, swapped


PLANTED: Final[Mapping[str, Plant]] = {
    **planted_client.FAULTS,
    **planted_server.FAULTS,
    **planted_ledger.FAULTS,
    **planted_rings.FAULTS,
}
"""Every fault by name; all of them must be caught."""

_controls: dict[str, Plant] = {}
_breaks = into(_controls)


@_breaks("invariant-17")
def control_inert() -> Planting:
    """Nothing at all: it says the same with other words, and must survive."""
    honest = rings._repeats

    def repeats(record: Record) -> int:
        return honest(record)

    return swapped(honest, repeats)


@_breaks("invariant-1")
def control_must_die() -> Planting:
    """A replica that takes over no event: whoever does not notice that notices nothing."""

    def hear_events(replica: Replica, _: object) -> Replica:
        return replica

    return swapped(replicas._hear_events, hear_events)


CONTROLS: Final[Mapping[str, Plant]] = _controls
"""One that must survive, one that must be caught by the first world."""


def named(name: str) -> Plant:
    """A fault or control.

    Raises:
        LookupError: there is none of that name.
    """
    known = {**PLANTED, **CONTROLS}
    if name not in known:
        raise LookupError(f"no fault is called {name!r}; there are {', '.join(known)}")
    return known[name]
