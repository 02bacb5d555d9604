"""Every session shown in the documentation, and every example in a docstring of the core, is run."""

import doctest
import importlib
from pathlib import Path

import pytest


ROOT = Path(__file__).parent.parent
PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if ">>> " in page.read_text("utf-8")
]
MODULES = ["protocol", "protocol.client", "protocol.server", "protocol.testing"]


def run(name: str, text: str) -> doctest.TestResults:
    # A fence ends the output above it, for a reader as for the parser.
    plain = "\n".join("" if line.startswith("```") else line for line in text.splitlines())
    session = doctest.DocTestParser().get_doctest(plain, {}, name, name, 0)
    return doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(session)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_session_of_a_page_runs_as_written(page: Path) -> None:
    results = run(page.name, page.read_text("utf-8"))
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("name", MODULES)
def test_every_session_of_a_docstring_runs_as_written(name: str) -> None:
    results = run(name, importlib.import_module(name).__doc__ or "")
    assert results.attempted
    assert not results.failed


def test_the_stepping_tour_and_the_readme_are_among_them() -> None:
    assert {"README.md", "stepping.md"} <= {page.name for page in PAGES}
