"""Which time zone this machine is in, by its IANA name."""

import os
from pathlib import Path

from protocol.zones import system_zones


_LOCALTIME = Path("/etc/localtime")
_ZONEINFO = "zoneinfo/"


def local_zone() -> str:
    """The zone of `TZ`, else the one that the system's clock is set to; `UTC` where neither says."""
    candidates = [os.environ.get("TZ", "").lstrip(":"), _of_link(_LOCALTIME)]
    return next((name for name in candidates if name and system_zones(name)), "UTC")


def _of_link(link: Path) -> str:
    try:
        target = str(link.readlink())
    except OSError:
        return ""
    return target.partition(_ZONEINFO)[2]
