"""A run told so that a newcomer can read it: who there was, what happened to whom and when, and which promise broke.

Upkeep (heartbeats, acknowledgements, quiet polls) is counted and not told; a device that tries again and again is told
once. What a device says stands beside its name, what the server's end of its connection says beside `name's end`.
"""

import re
import textwrap
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from client_qt.ringing import Ended, Sounding
from protocol.testing import Event

from .device import SimDevice
from .livelock import NoLivelock
from .plan import Act, DevicePlan, Plan
from .player import Sim, play
from .run import Run, Violation
from .story_words import LIVE, TRYING, client_words, field_words, instant, moment, readable, server_words, upkeep


SPECIFICATION = Path(__file__).resolve().parent.parent.parent / "docs" / "protocol.md"
ANCHORS = {"liveness": "invariant-1", "no-exception": "invariant-13", "determinism": "invariant-17"}
"""The promise behind a rule that is not called like one."""

WIDTH = 120
QUIET_S = 60.0
"""A stretch without news this long is worth a line."""

LAST = 30
"""So many lines about whom a violation concerns are repeated at the end."""


class Line(NamedTuple):
    """One thing to tell. `at`: virtual seconds."""

    at: float
    who: str
    text: str


def tell(plan: Plan, command: str = "") -> Iterator[str]:
    """Play a plan and tell what happens.

    Args:
        plan: what to play.
        command: that tells it again.
    """
    yield from Story(plan, command).lines()


class Story:
    """A plan played under the eyes of somebody who takes notes.

    Attributes:
        run: what came of it.
    """

    def __init__(self, plan: Plan, command: str = "") -> None:
        self.plan = plan
        self.command = command or f"./dev sim --seed {plan.seed}"
        self._told: list[Line] = []
        self._quiet: Counter[str] = Counter()
        self._links: dict[str, list[str]] = {}
        self._acts = list(reversed(plan.acts))
        self._end: Callable[[], float] = lambda: plan.seconds
        self.run: Run = play(plan, prepare=self._listen, watch=(NoLivelock(),))
        self._fold(self._end())

    def lines(self) -> Iterator[str]:
        """All of it."""
        yield from _header(self.plan)
        yield from _body(self._told, self.plan.start_ms)
        yield ""
        if self.run.violation is None:
            yield f"Everything held: {self.run.steps:,} steps, {self.run.rings} rings, digest {self.run.digest}"
        else:
            yield from self._ending(self.run.violation)

    def _ending(self, violation: Violation) -> Iterator[str]:
        yield f"=== VIOLATION of {violation.rule} at {second(violation.at)}, {violation.who} ".ljust(WIDTH, "=")
        for name, text in (
            ("promise", promise(violation.rule)),
            ("expected", readable(violation.expected)),
            ("happened", readable(violation.happened)),
            ("again", self.command),
        ):
            yield from _wrapped(f"{name:<10}", text)
        whose = {device.name for device in self.plan.devices if violation.who in {device.name, device.user}}
        concerned = [line for line in self._told if line.who.removesuffix("'s end") in {*whose, violation.who}]
        yield f"the last of what concerns {violation.who}:" if concerned else "the last that happened:"
        yield from _body((concerned or self._told)[-LAST:], self.plan.start_ms)
        if violation.__cause__ is not None:
            yield from "".join(traceback.format_exception(violation.__cause__)).splitlines()

    # --- listening ---

    def _listen(self, sim: Sim) -> None:
        world = sim.world
        self._end = lambda: world.now
        # Before the checks: the step that breaks a promise is told, too.
        world.watchers.insert(0, self._hear)
        world.notes.append(lambda who, text: self._note(world.now, who, text))
        world.ring_watchers.append(lambda device, told: self._tell(world.now, device.name, ring_words(device, told)))
        for device in sim.devices.values():
            device.commanded = self._commands(device.commanded)

    def _commands(self, before: Any) -> Any:
        def commanded(device: SimDevice, command: Any, code: str) -> None:
            before(device, command, code)
            if code:
                self._tell(device.world.now, device.name, f"cannot do {command!r}: {code}")

        return commanded

    def _note(self, now: float, who: str, text: str) -> None:
        act = self._act(now, who, text)
        # What is tried from here on is news again; what is so already is not.
        self._links[who] = self._links.get(who, [])[-1:]
        self._tell(now, who or "the world", text.rstrip() if act is None else f"* {act_words(act)}")

    def _act(self, now: float, who: str, text: str) -> Act | None:
        """The act that a note is about; acts come in order."""
        if (
            self._acts
            and self._acts[-1].at <= now
            and (self._acts[-1].who, self._acts[-1].what) == (who, text.partition(" ")[0])
        ):
            return self._acts.pop()
        return None

    def _hear(self, event: Event) -> None:
        words = server_words if event.who.endswith("'s") else client_words
        said = list(words(event.input, event.outputs))
        if not said and (name := upkeep(event.input)) is not None:
            self._quiet[name] += 1
        who = f"{event.who} end" if event.who.endswith("'s") else event.who
        for text in said:
            self._tell(event.now, who, text)

    def _tell(self, now: float, who: str, text: str) -> None:
        if text.startswith(TRYING) and self._is_stale(who, text):
            return
        self._fold(now)
        last = self._told[-1] if self._told else None
        if last is not None and (last.at, last.who) == (now, who) and not text.startswith("*"):
            self._told[-1] = Line(now, who, f"{last.text}; {text}")
        else:
            self._told.append(Line(now, who, text))

    def _is_stale(self, who: str, said: str) -> bool:
        """A device that says of its link what it said before is trying again, which is only counted."""
        known = self._links.setdefault(who, [])
        if said in known and (said != LIVE or said == known[-1]):
            self._quiet[f"more attempts of {who}"] += said != known[-1]
            return True
        self._links[who] = [said] if said == LIVE else [*known, said]
        return False

    def _fold(self, now: float) -> None:
        """What was quiet since the last line."""
        since = self._told[-1].at if self._told else 0.0
        if now - since >= QUIET_S and self._quiet:
            counts = ", ".join(f"{count:,} {name}" for name, count in sorted(self._quiet.items()))
            self._told.append(Line(now, "", f"… {span(now - since)}: {counts}"))
        self._quiet.clear()


# --- words ------------------------------------------------------------------------------------------------------------


def act_words(act: Act) -> str:
    """What the plan makes happen."""
    return f"{act.what.replace('_', ' ')} {field_words(dict(act.args))}".rstrip()


def ring_words(device: SimDevice, told: Sounding | Ended) -> str:
    """A ring as its user hears it."""
    match told:
        case Sounding(key=key, ring=ring, resumed=resumed):
            again = " again, as before the restart" if resumed else ""
            return f"RINGS{again}: {key.item}, due {moment(ring.due)}, until {moment(ring.until)}, n={key.n}"
        case Ended(sounding=sounding, why=why, here=here):
            return f"is silent: {sounding.key.item}, {why}{' here' if here else ''}"


def span(seconds: float) -> str:
    """A length of time in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if count]
    return " ".join(parts[:2]) or "0 s"


def second(at: float) -> str:
    """Virtual time as `d hh:mm:ss.mmm`."""
    ms = round(at * 1000)
    return f"{ms // 86_400_000}d {ms // 3_600_000 % 24:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


# --- pages ------------------------------------------------------------------------------------------------------------


def _header(plan: Plan) -> Iterator[str]:
    yield f"Seed {plan.seed}: {span(plan.seconds)} of trouble, then peace; pace {plan.pace}; tokens last {span(plan.token_s)}"
    yield f"Server processes: {', '.join(f'p{n}' for n in range(plan.processes))}. Times: virtual, then true (UTC)."
    for user in plan.users:
        yield f"User {user}:"
        yield from (_device_line(device) for device in plan.devices if device.user == user)
    yield "* marks what the plan makes happen; all else follows."


def _device_line(device: DevicePlan) -> str:
    link = f"{1000 * device.latency:.0f} ms" + (f" + up to {1000 * device.jitter:.0f} ms" if device.jitter else "")
    clock = f"{device.offset_ms / 1000:+.3f} s" + (f", drifts {device.drift_ppm:+} ppm" if device.drift_ppm else "")
    return f"  {device.name:<6} link {link:<24} clock {clock:<28}{'' if device.sockets else ' no sockets: polls only'}".rstrip()


def _body(told: list[Line], start_ms: int) -> Iterator[str]:
    day = ""
    for line in told:
        wall = instant(start_ms + round(line.at * 1000))
        if f"{wall:%a %Y-%m-%d}" != day:
            day = f"{wall:%a %Y-%m-%d}"
            yield f"--- {day} ---"
        yield from _wrapped(f"{second(line.at):>16}  {wall:%H:%M:%S}  {line.who:<11}", line.text)


def _wrapped(lead: str, text: str) -> Iterator[str]:
    rows = textwrap.wrap(text, WIDTH - len(lead), subsequent_indent="  ") or [""]
    yield f"{lead}{rows[0]}"
    yield from (" " * len(lead) + row for row in rows[1:])


def promise(rule: str) -> str:
    """The sentence of the specification that a rule stands for."""
    anchor = ANCHORS.get(rule, rule)
    page = SPECIFICATION.read_text("utf-8")
    found = re.search(rf'<a id="{re.escape(anchor)}"></a>\*\*\[[^\]]+\]\*\*(.*?)(?=\n- |\n\n|\n\| )', page, re.DOTALL)
    said = "it has no sentence of its own" if found is None else " ".join(found[1].split()).replace("*", "")
    return f"docs/protocol.md#{anchor}: {said}"
