"""What holds for every file of the checkout, whichever package it is in."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement


ROOT = Path(__file__).resolve().parent.parent

LONGEST_FUNCTION = 60
LONGEST_FILE = 400

# A checkout lives anywhere: a path that starts at the root of a machine works on that machine only.
MACHINE_PATH = re.compile(r"(?<![\w.<>~-])/(?:root|home|work|Users|tmp/v3\d*)/|\b[A-Z]:\\\\?Users")

# Where packages come from is the choice of whoever installs them.
REGISTRY = re.compile(
    r"pypi\.(?:org|python)|python[h]osted|npm[j]s\.|artifact[o]ry|--(?:extra-)?index-url|--find[-]links"
)

SUPPRESSION = re.compile(r"(?P<kind>noqa|type: ?ignore|pyright: ?\w+|mypy:|pragma: ?no)(?P<code>[^#]*)(?P<reason>.*)")
CODE = {
    "noqa": re.compile(r": ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*"),
    "type": re.compile(r"\[[a-z-]+(?:, ?[a-z-]+)*\]"),
    "pyright": re.compile(r"\[report\w+(?:, ?report\w+)*\]"),
    "pragma": re.compile(r" ?(?:cover|branch)"),
}

WAYS_TO_SKIP = {"skip", "skipif", "skipUnless", "skipIf", "skipTest", "xfail", "expectedFailure", "importorskip"}


def _tracked() -> list[Path]:
    # New files that are not ignored count as well: they are about to be committed.
    # `safe.directory`: in a container the checkout often belongs to another user.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in sorted(set(listing.split("\0"))) if name and (ROOT / name).is_file()]


def _texts() -> Iterator[tuple[str, str]]:
    for path in _tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")


def _sources() -> Iterator[tuple[str, str]]:
    return ((path, text) for path, text in _texts() if path.endswith(".py"))


def _findings(rule: Callable[[str], list[str]], files: Iterator[tuple[str, str]]) -> list[str]:
    return [f"{path}:{finding}" for path, text in files for finding in rule(text)]


# ---------------------------------------------------------------------------------------------------------- the rules


def machine_paths(text: str) -> list[str]:
    """Lines that name a place on one machine."""
    return _lines_with(MACHINE_PATH, text)


def registries(text: str) -> list[str]:
    """Lines that name the host packages are fetched from, or tell an installer to use one."""
    return _lines_with(REGISTRY, text)


def _lines_with(pattern: re.Pattern[str], text: str) -> list[str]:
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)]


def bare_suppressions(source: str) -> list[str]:
    """Comments that silence a checker without naming what is silenced, or why: behind it or in a comment right above."""
    comments = {
        token.start[0]: token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    explained = {line + 1 for line, token in comments.items() if token.line.lstrip().startswith("#")}
    return [
        f"{line}: {token.string} (wanted: its code, then a reason)"
        for line, token in comments.items()
        if (found := SUPPRESSION.match(token.string.lstrip("# ")))
        if not _justified(found, explained=line in explained)
    ]


def _justified(found: re.Match[str], *, explained: bool) -> bool:
    pattern = CODE.get(found["kind"].partition(":")[0])
    code = pattern.match(found["code"]) if pattern else None
    if code is None:
        return False
    return explained or re.search(r"\w", found["code"][code.end() :] + found["reason"]) is not None


def long_functions(source: str) -> list[str]:
    """Functions that do more than one thing; a docstring is not counted."""
    return [
        f"{node.lineno}: {node.name} has {length} lines (at most {LONGEST_FUNCTION})"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := _length(node)) > LONGEST_FUNCTION
    ]


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


def long_file(source: str) -> list[str]:
    """A file that wants a door: one idea has become two."""
    length = len(source.splitlines())
    return [f"1: {length} lines (at most {LONGEST_FILE})"] if length > LONGEST_FILE else []


def skipped_tests(source: str) -> list[str]:
    """Tests that may stay green without having run."""
    return [
        f"{node.lineno}: {node.attr}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in WAYS_TO_SKIP and ast.unparse(node.value) in _RUNNERS
    ]


_RUNNERS = {"pytest", "pytest.mark", "mark", "unittest", "self"}


# ---------------------------------------------------------------------------------------------------------- the tests


def test_no_file_names_a_place_on_one_machine() -> None:
    assert _findings(machine_paths, _texts()) == []


def test_no_file_names_a_package_registry() -> None:
    assert _findings(registries, _texts()) == []


def test_every_silenced_check_has_its_code_and_a_reason() -> None:
    assert _findings(bare_suppressions, _sources()) == []


def test_no_function_outside_tests_is_too_long_to_hold_in_mind() -> None:
    assert _findings(long_functions, _outside_tests()) == []


def test_no_file_outside_tests_is_too_long_to_hold_in_mind() -> None:
    assert _findings(long_file, _outside_tests()) == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    assert _findings(skipped_tests, _sources()) == []


def _outside_tests() -> Iterator[tuple[str, str]]:
    return ((path, source) for path, source in _sources() if not path.startswith("tests/"))


def test_every_rule_that_the_linter_ignores_has_a_reason_beside_it() -> None:
    configuration = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = tomllib.loads(configuration)["tool"]["ruff"]["lint"]
    ignored = {code for codes in [lint["ignore"], *lint["per-file-ignores"].values()] for code in codes}
    ignoring = configuration.partition("\nignore = [")[2].splitlines()
    entries = {line.split('"')[1]: line for line in ignoring if re.match(r'    "[A-Z]+\d*",', line)}
    assert ignored <= entries.keys()
    assert [line for line in entries.values() if not re.search(r"# \S+ \S+ \S+", line)] == []


# ---------------------------------------------------------------------------------------------------------- the locks


def _lock() -> Path:
    return ROOT / "locks" / ("py313.txt" if sys.version_info >= (3, 13) else "py311.txt")


def _pins(lock: Path) -> dict[str, str]:
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(pinned)


def test_the_lock_of_this_python_pins_a_version_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][extra] for extra in ("server", "client", "dev")]
    wanted = [Requirement(text) for text in [*project["dependencies"], *(text for extra in extras for text in extra)]]
    pins = _pins(_lock())
    unmet = [
        f"{requirement} but pinned {pins.get(requirement.name)}: run ./dev lock"
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate()
        if not requirement.specifier.contains(pins.get(requirement.name, "0.dev0"))
    ]
    assert unmet == []


@pytest.mark.parametrize("name", ["py311.txt", "py313.txt"])
def test_everything_in_a_lock_is_pinned_once_and_hashed(name: str) -> None:
    text = (ROOT / "locks" / name).read_text(encoding="utf-8")
    entries = re.findall(r"^(?![# ])(.+?)(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert len(entries) == len(_pins(ROOT / "locks" / name)) > 0
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


# ------------------------------------------------------------------------------- the rules find what they are there for


@pytest.mark.parametrize("place", ["root", "home", "work", "Users", "tmp/v311"])
def test_a_place_on_one_machine_is_found(place: str) -> None:
    assert machine_paths(f"ok\npython = /{place}/tool") == [f"2: python = /{place}/tool"]


def test_an_address_or_a_relative_path_is_no_place_on_a_machine() -> None:
    assert machine_paths("https://example.com/" + "home/page and ../" + "work/file") == []


@pytest.mark.parametrize("host", ["https://pypi" + ".org/simple", "files.python" + "hosted.org", "--index" + "-url x"])
def test_a_registry_is_found(host: str) -> None:
    assert len(registries(host)) == 1


@pytest.mark.parametrize(
    "comment",
    [
        "noqa",
        "noqa: S311",
        "type: ignore",
        "type: ignore[misc]",
        "type: ignore  # because",
        "pyright: ignore",
        "pyright: ignore[reportPrivateUsage]",
        "pyright: basic",
        "mypy: ignore-errors",
        "pragma: no cover",
    ],
)
def test_a_check_silenced_without_code_or_reason_is_found(comment: str) -> None:
    assert len(bare_suppressions(f"x = 1  # {comment}\n")) == 1


@pytest.mark.parametrize(
    "comment",
    [
        "noqa: S311 - jitter, not a secret",
        "noqa: S311, BLE001  # jitter, not a secret",
        "type: ignore[misc]  # the library declares no type",
        "pyright: ignore[reportPrivateUsage] - same package",
        "pragma: no cover - needs a terminal",
    ],
)
def test_a_check_silenced_with_code_and_reason_is_not(comment: str) -> None:
    assert bare_suppressions(f"x = 1  # {comment}\n") == []


def test_a_reason_may_stand_in_a_comment_right_above_but_the_code_may_not_be_missing() -> None:
    reason = "# The library declares no type.\n"
    assert bare_suppressions(f"{reason}x = 1  # type: ignore[misc]\n") == []
    assert len(bare_suppressions(f"{reason}x = 1  # type: ignore\n")) == 1
    assert len(bare_suppressions(f"{reason}\nx = 1  # type: ignore[misc]\n")) == 1


def test_a_long_function_is_found_and_its_docstring_does_not_count() -> None:
    body = "    x = 1\n" * (LONGEST_FUNCTION - 1)
    docstring = '    """One.\n\n    More.\n    """\n'
    assert long_functions(f"def fits():\n{docstring}{body}") == []
    assert len(long_functions(f"async def grows():\n{docstring}{body}    x = 2\n")) == 1


def test_a_long_file_is_found() -> None:
    assert long_file("\n" * LONGEST_FILE) == []
    assert len(long_file("\n" * (LONGEST_FILE + 1))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.skip\ndef test(): ...",
        "@pytest.mark.xfail(strict=True)\ndef test(): ...",
        "def test():\n    pytest.skip('later')",
        "trio = pytest.importorskip('trio')",
    ],
)
def test_a_skipped_test_is_found(source: str) -> None:
    assert len(skipped_tests(source)) == 1
