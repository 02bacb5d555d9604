"""The pictures of the specification, drawn from the tables that decide.

    python -m protocol.diagrams --write docs     put them between their markers
    python -m protocol.diagrams --check docs     exit 1 where a page is stale

A marker is `<!-- generated: NAME -->` … `<!-- end generated -->`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

from ._close_codes import CLOSE_CODES, CloseRow, explain
from ._machine import Table
from .client import CLIENT, POLLING
from .server import SERVER


MARKED = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end generated -->)", re.DOTALL)

Arrows = dict[tuple[str, str], list[str]]


def arrows(table: Table) -> Arrows:
    """From and to, with the inputs and timers that lead there; staying is not drawn."""
    found: Arrows = {}
    for (state, stimulus), rule in table.items():
        name = stimulus.name if isinstance(stimulus, Enum) else stimulus.__name__
        for landing in rule.to:
            if landing is not state:
                found.setdefault((state.__name__, landing.__name__), []).append(name)
    return found


def state_diagram(table: Table, start: str) -> str:
    """A Mermaid state diagram of a table, and the table in words."""
    return "\n".join([*mermaid(arrows(table), start), "", *state_table(table)])


def mermaid(drawn: Arrows, start: str) -> list[str]:
    """Arrows as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    for (source, target), names in sorted(drawn.items()):
        label = ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
        lines.append(f"    {source} --> {target}: {label}")
    return [*lines, "```"]


def polling_diagram() -> str:
    """The region beside the link."""
    drawn = {(a.__name__, b.__name__): [cause] for (a, b), cause in POLLING.items()}
    return "\n".join(mermaid(drawn, "PollOff"))


def close_code_table(codes: Mapping[int, CloseRow]) -> str:
    """Every close code with its one decision."""
    head = ["| code | meaning | client decides |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {code} | {row.meaning} | {explain(row)} |" for code, row in sorted(codes.items()))])


def state_table(table: Table) -> list[str]:
    """What is legal in each state, in words."""
    rows: dict[str, list[str]] = {}
    for state, stimulus in table:
        rows.setdefault(state.__name__, []).append(stimulus.name if isinstance(stimulus, Enum) else stimulus.__name__)
    head = ["| state | takes |", "|---|---|"]
    return [*head, *(f"| {state} | {', '.join(sorted(names))} |" for state, names in rows.items())]


GENERATED: Mapping[str, Callable[[], str]] = {
    "client-states": lambda: state_diagram(CLIENT, "Idle"),
    "polling-states": polling_diagram,
    "server-states": lambda: state_diagram(SERVER, "New"),
    "close-codes": lambda: close_code_table(CLOSE_CODES),
}


def fill(page: str) -> str:
    """A page with every marked part made anew.

    Raises:
        KeyError: a marker names a part that nothing generates.
    """
    return MARKED.sub(lambda m: f"{m[1]}\n{GENERATED[m[2]]()}\n\n{m[3]}", page)


def main(arguments: list[str] | None = None) -> int:
    """Write or check the pages of a folder; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m protocol.diagrams", description=str(__doc__).partition("\n")[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FOLDER", help="fill the marked parts of its pages")
    action.add_argument("--check", type=Path, metavar="FOLDER", help="exit 1 where a marked part is stale")
    chosen = parser.parse_args(arguments)
    stale = [page for page in sorted((chosen.write or chosen.check).glob("*.md")) if not _is_fresh(page)]
    for page in stale:
        if chosen.write:
            page.write_text(fill(page.read_text("utf-8")), "utf-8")
        sys.stdout.write(f"{'written' if chosen.write else 'stale'}: {page.name}\n")
    return int(bool(stale and chosen.check))


def _is_fresh(page: Path) -> bool:
    text = page.read_text("utf-8")
    return fill(text) == text


if __name__ == "__main__":
    sys.exit(main())
