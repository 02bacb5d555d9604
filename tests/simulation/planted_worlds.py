"""Small worlds in which planted faults show that a drawn world seldom reaches: what it takes, and nothing else."""

from collections.abc import Mapping
from typing import Final

from .plan import Act, DevicePlan, Plan


SPRING_NIGHT_MS = 1_774_746_000_000
"""29 March 2026, 01:00 UTC: clocks in Berlin go from 02:00 to 03:00."""

TEA = Act(5.0, "create_timer", "u0d0", {"duration_s": 600, "ring_s": 30, "snooze_s": 60})


def _world(
    *acts: Act, seconds: float, start_ms: int = SPRING_NIGHT_MS, latency: float = 0.02, processes: int = 1
) -> Plan:
    """Two devices of one user; `latency` is that of the second."""
    return Plan(
        seed=1,
        seconds=seconds,
        start_ms=start_ms,
        devices=(DevicePlan("u0d0", "u0"), DevicePlan("u0d1", "u0", latency=latency)),
        acts=acts,
        processes=processes,
    )


def _label(at: float, who: str, number: int) -> Act:
    return Act(at, "label", who, {"item": 0, "number": number})


RARE: Final[Mapping[str, Plan]] = {
    # An alarm for a time that this night leaves out.
    "gap-alarm-dropped": _world(
        Act(
            30.0, "create_alarm", "u0d0",
            {"time": "02:30", "days": "daily", "tz": "Europe/Berlin", "ring_s": 300, "snooze_s": 60, "auto_snooze": 0},
        ),
        seconds=3 * 3600.0, start_ms=SPRING_NIGHT_MS - 2 * 3_600_000,
    ),
    # Stopped without a network, a moment before somebody else gives it another minute.
    "late-stop-ends-longer-run": _world(
        Act(30.0, "create_timer", "u0d0", {"duration_s": 5, "start": 1, "ring_s": 300, "snooze_s": 60}),
        Act(37.0, "cut", "u0d1", {"noticed": "both"}),
        Act(38.0, "stop", "u0d1"),
        Act(38.05, "add", "u0d0", {"item": 0, "seconds": 60}),
        Act(40.0, "heal", "u0d1"),
        seconds=300.0, latency=0.5,
    ),
    # Two hands in the same millisecond, again and again.
    "tie-by-arrival": _world(
        TEA,
        *(_label(60.0 + 5 * n, f"u0d{m}", 2 * n + m) for n in range(40) for m in (0, 1)),
        seconds=300.0,
    ),
    # The event is lost, the answer is not, and then the history ends.
    "answer-of-old-epoch-counts": _world(
        TEA,
        Act(20.0, "eat", "u0d0", {"client": 1}),
        _label(20.001, "u0d0", 5),
        Act(21.0, "epoch", "u0", {"told": 1}),
        seconds=120.0,
    ),
    # Set aside on both devices by a restored server, given back by both, and deleted in between.
    "tombstones-forgotten": _world(
        Act(5.0, "server_backup"),
        Act(10.0, "create_timer", "u0d0", {"duration_s": 600, "ring_s": 30, "snooze_s": 60}),
        Act(30.0, "server_restore"),
        Act(60.0, "cut", "u0d1", {"noticed": "both"}),
        Act(65.0, "restore_aside", "u0d1", {"item": 0}),
        Act(70.0, "restore_aside", "u0d0", {"item": 0}),
        Act(80.0, "delete", "u0d0", {"item": 0}),
        Act(100.0, "heal", "u0d1"),
        seconds=300.0,
    ),
}  # fmt: skip
"""By fault."""
