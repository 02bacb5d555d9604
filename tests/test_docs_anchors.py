"""The specification keeps its own rules: each has one anchor, and each anchor that somebody cites is there."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parent.parent
SPECIFICATION = ROOT / "docs" / "protocol.md"
AREAS = {
    "terms", "log", "cursor", "alarm", "timer", "mutation", "stamp",  "ring", "classic", "auth", "msg", "frame", "limit",
    "life", "backoff", "heartbeat", "clock", "close", "http", "resume", "outbox", "presence", "invariant",
}  # fmt: skip
GENERATED = ("client-states", "polling-states", "server-states", "close-codes")

ID = re.compile(r'<a id="([^"]*)">')
RULE_START = re.compile(r'(?:- |\| )?<a id="([^"]+)"></a>\*\*\[([^\]]+)\]\*\* ')
LEVEL = re.compile(r"\b(?:MUST|SHOULD)\b")
KEBAB = re.compile(r"[a-z]+(?:-[a-z0-9]+)*")
LINK = re.compile(r"protocol\.md#([\w-]+)")
SPEC = re.compile(r"\[spec: ([^\]]+)\]")
OWN_MENTION = re.compile(r"(?<!\*)\[([a-z]+(?:-[a-z0-9]+)+)\](?!\()")
BLOCK_START = re.compile(r"\|.*|#.*|- .*|<!--.*|")


def text() -> str:
    """The specification as it stands."""
    return SPECIFICATION.read_text(encoding="utf-8")


def anchors() -> list[str]:
    """Every anchor, in order of appearance."""
    return ID.findall(text())


def without_fences(markdown: str) -> str:
    """Examples state no rules."""
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.DOTALL | re.MULTILINE)


def without_generated(markdown: str) -> str:
    """A program writes these parts from data that has its own tests."""
    return re.sub(r"<!-- generated: .*?<!-- end generated -->", "", markdown, flags=re.DOTALL)


def blocks(markdown: str) -> Iterator[str]:
    """Table rows, list items (numbered steps belong to theirs) and paragraphs, each on one line."""
    block: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        if BLOCK_START.fullmatch(line) and block:
            yield " ".join(block)
            block = []
        if line:
            block.append(line.strip())


def unanchored(markdown: str) -> list[str]:
    """Blocks that oblige somebody and have no name to be cited by."""
    candidates = blocks(without_generated(without_fences(markdown)))
    return [block for block in candidates if LEVEL.search(block) and not RULE_START.match(block)]


def cited(source: str) -> list[str]:
    """The anchors that a piece of code or prose refers to."""
    listed = [name.strip() for names in SPEC.findall(source) for name in names.split(",")]
    return LINK.findall(source) + listed


def citing_files() -> list[Path]:
    """Everything written by hand that may cite the specification, but for this file and its samples."""
    found = [*ROOT.rglob("*.py"), *ROOT.rglob("*.md")]
    hidden = (path for path in found if not any(part.startswith(".") for part in path.relative_to(ROOT).parts))
    return sorted(path for path in hidden if path != Path(__file__).resolve())


def test_every_anchor_is_unique() -> None:
    repeated = [name for name, count in Counter(anchors()).items() if count > 1]
    assert repeated == []


def test_every_anchor_is_kebab_case_and_of_a_known_area() -> None:
    odd = [name for name in anchors() if not KEBAB.fullmatch(name) or name.split("-")[0] not in AREAS]
    assert odd == []


def test_every_anchor_starts_a_rule_and_shows_its_own_name() -> None:
    """A copied rule whose visible name was forgotten would be cited wrongly for ever."""
    starts = [match for block in blocks(text()) if (match := RULE_START.match(block))]
    assert [match[1] for match in starts] == anchors()
    assert [match[2] for match in starts] == anchors()


def test_every_obligation_can_be_cited() -> None:
    assert unanchored(text()) == []


@pytest.mark.parametrize(
    "rule",
    [
        "A server MUST answer.",
        "- It MUST NOT wait.",
        "| `x` | a client SHOULD ask |",
        "Two lines\nof which one MUST be.",
    ],
)
def test_an_obligation_without_an_anchor_is_noticed_in_any_form(rule: str) -> None:
    assert len(unanchored(f"## Title\n\n{rule}\n")) == 1


def test_a_rule_does_not_lend_its_anchor_to_the_next_one() -> None:
    named = '- <a id="a-b"></a>**[a-b]** One MUST.\n'
    assert unanchored(named) == []
    assert unanchored(named + "- Another MUST.\n") == ["- Another MUST."]


def test_all_invariants_are_there_in_order() -> None:
    numbered = [name for name in anchors() if name.startswith("invariant-")]
    assert numbered == [f"invariant-{number}" for number in range(1, 18)]


def test_every_anchor_cited_anywhere_exists() -> None:
    known = set(anchors())
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in citing_files()
        for name in cited(path.read_text(encoding="utf-8"))
        if name not in known
    }
    assert missing == set()


def test_both_forms_of_a_citation_are_understood() -> None:
    assert cited("see docs/protocol.md#log-dense and [spec: ring-occ, ring-armed]") == [
        "log-dense",
        "ring-occ",
        "ring-armed",
    ]


def test_the_specification_mentions_only_its_own_anchors() -> None:
    mentioned = set(OWN_MENTION.findall(without_fences(text())))
    assert mentioned - set(anchors()) == set()


@pytest.mark.parametrize("name", GENERATED)
def test_each_generated_part_has_one_place_with_a_beginning_and_an_end(name: str) -> None:
    parts = re.findall(rf"<!-- generated: {name} -->\n.*?<!-- end generated -->", text(), flags=re.DOTALL)
    assert len(parts) == 1
    assert parts[0].count("<!-- generated:") == 1


@pytest.mark.parametrize("document", ["protocol.md", "websocket.md"])
def test_every_json_example_is_json_without_repeated_members(document: str) -> None:
    for example in examples(document, "json"):
        json.loads(example, object_pairs_hook=distinct)


def test_every_python_example_compiles() -> None:
    for number, example in enumerate(examples("websocket.md", "python")):
        compile(example, f"example {number}", "exec")


def examples(document: str, language: str) -> list[str]:
    """The fenced examples of one language; a document without any is not the one meant."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found
    return found


def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object, unless a name occurs twice."""
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)
