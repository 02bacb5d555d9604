"""What will happen in one simulated world, written down before it begins: drawn from a seed, shrunk, kept as a file.

Whatever a plan says comes at its virtual second; what it leaves open (the length of one frame's journey) is drawn while
it is played, from the plan's seed. So a plan and a version of the code give one run, byte for byte.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field


Pace = Literal["brisk", "calm"]
"""`brisk`: the timers of the specification. `calm`: heartbeats thirty times rarer, so that weeks are cheap to play."""


class Act(Struct, frozen=True, repr_omit_defaults=True, omit_defaults=True):
    """One thing that happens.

    Attributes:
        at: virtual seconds since the world began. what: its name, a key of `acts.ACTS`.
        who: the device, process (`p0`) or user (`u0`) concerned; empty for the world as a whole.
        args: numbers and words that it needs.
    """

    at: float
    what: str
    who: str = ""
    args: Mapping[str, int | float | str] = field(default_factory=dict[str, int | float | str])


class DevicePlan(Struct, frozen=True, repr_omit_defaults=True):
    """One device at the start.

    Attributes:
        name: unique in its world, `u0d1` for the second one of the first user. user: `u0`.
        latency, jitter: seconds one way, and how much more at random.
        offset_ms: its wall clock minus the true one. drift_ppm: how fast both its clocks run wrong.
        sockets: False where a proxy lets only HTTP pass.
    """

    name: str
    user: str
    latency: float = 0.02
    jitter: float = 0.0
    offset_ms: int = 0
    drift_ppm: int = 0
    sockets: bool = True


class Plan(Struct, frozen=True):
    """A whole world.

    Attributes:
        seed: of what is drawn while it is played, and its name.
        seconds: how long trouble lasts; after it comes peace, in which everybody must converge.
        start_ms: the true time at second 0, ms since 1970: near a night on which clocks change, sometimes.
        processes: how many server processes share the store.
        token_s: how long a token lives.
        tight: the server announces limits so small that pages, windows and queues are full all the time.
        acts: by ascending `at`.
    """

    seed: int
    seconds: float
    start_ms: int
    devices: tuple[DevicePlan, ...]
    acts: tuple[Act, ...] = ()
    pace: Pace = "brisk"
    processes: int = 1
    token_s: float = 86_400.0
    tight: bool = False

    @property
    def users(self) -> tuple[str, ...]:
        """Everybody in it, in order."""
        return tuple(dict.fromkeys(device.user for device in self.devices))


def save(plan: Plan, path: Path, why: str) -> None:
    """Write a plan as JSON Lines: a header that says what it showed, then one act per line."""
    header = {"tocsin-plan": 1, "why": why, "plan": msgspec.structs.replace(plan, acts=())}
    lines = [msgspec.json.encode(header), *map(msgspec.json.encode, plan.acts)]
    path.write_bytes(b"\n".join(lines) + b"\n")


def load(path: Path) -> tuple[Plan, str]:
    """A plan from a file, and what it showed.

    Raises:
        msgspec.ValidationError: it is none.
    """
    first, *rest = path.read_bytes().splitlines()
    header = msgspec.json.decode(first)
    plan = msgspec.convert(header["plan"], Plan)
    acts = tuple(msgspec.json.decode(line, type=Act) for line in rest)
    return msgspec.structs.replace(plan, acts=acts), header["why"]
