"""What came of playing a plan: the words that player, checks, campaign and story share."""

from collections import Counter

from msgspec import Struct, field


class Violation(Exception):
    """A promise was broken. What a newcomer reads first.

    Attributes:
        rule: `invariant-7` and its like, or `liveness`, `no-exception`, `determinism`.
        who: the device, process or user. at: virtual seconds.
        expected, happened: one sentence each.
    """

    def __init__(self, rule: str, who: str, at: float, expected: str, happened: str) -> None:
        super().__init__(f"{rule} at {at:.3f} s, {who}: expected {expected}; but {happened}")
        self.rule = rule
        self.who = who
        self.at = at
        self.expected = expected
        self.happened = happened


class Run(Struct):
    """One plan played.

    Attributes:
        violation: what was broken, None where everything held.
        digest: of every step of every machine, in order: equal runs have equal digests.
        steps: of connections. device_hours: virtual, of all devices; online_hours: of those, with a session or polling.
        faults: acts of trouble that had an effect, by name. marks: situations that arose, by name.
        rings: rings that began on devices.
    """

    violation: Violation | None = None
    digest: str = ""
    steps: int = 0
    device_hours: float = 0.0
    online_hours: float = 0.0
    faults: Counter[str] = field(default_factory=Counter[str])
    marks: Counter[str] = field(default_factory=Counter[str])
    rings: int = 0
