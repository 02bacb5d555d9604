"""The zone look-up a program injects into the core: IANA names from the system's data, or from the `tzdata` package.

The one module of the core that reads files, so nothing in the core imports it.
"""

from datetime import tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


def system_zones(name: str) -> tzinfo | None:
    """Look up a zone by its exact IANA name; None where this machine knows no such zone.

    Only names that mean the same on every machine pass: no path, no other case (a case-blind file system would take
    it), not `localtime` and not `posixrules`, which each machine sets for itself.
    """
    return _zone(name) if name in zone_names() else None


@cache
def zone_names() -> frozenset[str]:
    """Every name `system_zones` takes. Walks the zone data once; empty where the machine has none."""
    # Real names begin with a capital; what a distribution adds beside them does not.
    return frozenset(name for name in available_timezones() if name[0].isupper())


@cache
def _zone(name: str) -> ZoneInfo:
    # ZoneInfo itself keeps only the eight used last. Bounded, since only known names come here.
    return ZoneInfo(name)
