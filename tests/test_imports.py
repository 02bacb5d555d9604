"""The arrows between packages, and the promise that the core does no IO: held by reading every module's syntax tree.

Reading instead of importing finds what a run does not reach, an import inside a function included.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import protocol


ROOT = Path(__file__).resolve().parent.parent

PACKAGES = {"protocol", "server_trio", "client_qt", "conformance"}

# Who may import whom among ours; `examples` and `benchmarks` stand outside and may use all of them.
ARROWS = {
    "protocol": frozenset[str](),
    "server_trio": frozenset({"protocol"}),
    "client_qt": frozenset({"protocol"}),
    "conformance": frozenset({"protocol"}),
}

# A list of what is allowed, because a list of what is forbidden is never complete.
PURE = frozenset(
    "__future__ abc base64 binascii bisect codecs collections contextlib copy dataclasses datetime decimal enum "
    "fractions functools hashlib heapq hmac inspect io itertools json keyword math msgspec numbers operator re string "
    "struct textwrap types typing unicodedata urllib.parse uuid weakref zlib".split()
)

# Three files at the rim of the core meet a terminal or a file; nothing else in it imports them (tested below).
RIM = {
    "protocol/__main__.py": frozenset("argparse code pathlib random readline rlcompleter sys".split()),
    "protocol/diagrams.py": frozenset("argparse difflib importlib.resources pathlib sys".split()),
    "protocol/zones.py": frozenset("importlib.resources pathlib zoneinfo".split()),
}

# Clock, chance and IO that hide behind a module which is otherwise pure, or need no import at all.
IMPURE = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "io.open",
    "io.FileIO",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid.uuid6",
    "uuid.uuid7",
    "uuid.uuid8",
    "uuid.getnode",
}
IMPURE_BUILTINS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}

GRAPHICS = {"PyQt5", "PyQt6", "PySide2", "PySide6", "qtpy"}


@dataclass(frozen=True)
class Import:
    """One imported name.

    Attributes:
        line: where it is imported.
        dotted: what is imported, in full: `a.b.c` for `from a.b import c`.
        module: the part of it that is surely a module: `a.b`.
        local: the name it goes by in the file.
        bound: what that name stands for: `import a.b` binds `a`.
    """

    line: int
    dotted: str
    module: str
    local: str
    bound: str

    @property
    def top(self) -> str:
        """The package or module that the import starts from."""
        return self.module.partition(".")[0]


class Module:
    """A source file as the rules see it: its imports made absolute, and its uses of imported names."""

    def __init__(self, path: str, source: str) -> None:
        self.path = path
        self.package = path.partition("/")[0]
        self.tree = ast.parse(source, filename=path)
        self.imports = [found for node in ast.walk(self.tree) for found in self._imports_of(node)]
        self._bound = {found.local: found.bound for found in self.imports}

    def _imports_of(self, node: ast.AST) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                yield Import(node.lineno, alias.name, alias.name, alias.asname or bound, bound)
        elif isinstance(node, ast.ImportFrom):
            folder = self.path.removesuffix(".py").split("/")[: -node.level] if node.level else []
            module = ".".join([*folder, *([node.module] if node.module else [])])
            for alias in node.names:
                dotted = f"{module}.{alias.name}"
                yield Import(node.lineno, dotted, module, alias.asname or alias.name, dotted)

    def uses(self) -> Iterator[tuple[int, str]]:
        """Every dotted name in the code, with its first part led back to what it was imported as."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute) and (dotted := _dotted(node)):
                first, dot, rest = dotted.partition(".")
                yield node.lineno, self._bound.get(first, first) + dot + rest

    def own_names(self) -> set[str]:
        """Names that the file binds by itself, as a parameter or by assignment: its `input` is not the built-in."""
        nodes = list(ast.walk(self.tree))
        stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        return stored | {node.arg for node in nodes if isinstance(node, ast.arg)}

    def at(self, line: int, finding: str) -> str:
        """A finding as one line that an editor can jump to."""
        return f"{self.path}:{line}: {finding}"


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _modules(*folders: str) -> list[Module]:
    return [
        Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def _within(dotted: str, allowed: frozenset[str]) -> bool:
    return any(dotted == name or dotted.startswith(f"{name}.") for name in allowed)


# ---------------------------------------------------------------------------------------------------------- the rules


def against_the_arrows(module: Module) -> list[str]:
    """Imports of a package of ours that this package may not know, or of code that is not shipped."""
    forbidden = (PACKAGES | {"tests", "examples", "benchmarks"}) - {module.package} - ARROWS[module.package]
    return [
        module.at(found.line, f"{module.package} never imports {found.top}")
        for found in module.imports
        if found.top in forbidden
    ]


def impure_imports(module: Module) -> list[str]:
    """Imports of the core that could bring in IO, a clock, chance, threads or logging."""
    allowed = PURE | RIM.get(module.path, frozenset())
    return [
        module.at(found.line, f"the core does not import {found.dotted}; if it is pure, add it to the list here")
        for found in module.imports
        if found.top not in PACKAGES and not _within(found.dotted, allowed)
    ]


def impure_uses(module: Module) -> list[str]:
    """Names of the core that read a clock, take chance or do IO, whether called or handed on."""
    impure = IMPURE if module.path in RIM else IMPURE | (IMPURE_BUILTINS - module.own_names())
    return [
        module.at(line, f"the core does not use {dotted}; its driver hands in the result")
        for line, dotted in module.uses()
        if dotted in impure
    ]


def uses_of_the_rim(module: Module) -> list[str]:
    """Imports, from inside the core, of its files that meet a terminal or a file."""
    rim = {path.removesuffix(".py").replace("/", ".") for path in RIM}
    return [
        module.at(found.line, f"{found.dotted} does IO, so only a driver imports it")
        for found in module.imports
        if (found.module in rim or found.dotted in rim) and module.path not in RIM
    ]


def private_uses(module: Module) -> list[str]:
    """Names of another package's inside: a leading underscore says that they may go tomorrow."""
    names = [(found.line, found.dotted) for found in module.imports] + list(module.uses())
    return sorted(
        {
            module.at(line, f"{dotted} is private to {dotted.partition('.')[0]}")
            for line, dotted in names
            if dotted.partition(".")[0] in PACKAGES - {module.package} and any(map(_private, dotted.split(".")))
        }
    )


def _private(part: str) -> bool:
    return part.startswith("_") and not (part.startswith("__") and part.endswith("__"))


def graphics(module: Module) -> list[str]:
    """Imports of a window toolkit."""
    return [module.at(found.line, f"{found.top} in the engine") for found in module.imports if found.top in GRAPHICS]


def _findings(rule: Callable[[Module], list[str]], modules: list[Module]) -> list[str]:
    return [finding for module in modules for finding in rule(module)]


# ---------------------------------------------------------------------------------------------------------- the tests


def test_every_package_follows_the_arrows_of_the_architecture() -> None:
    assert _findings(against_the_arrows, _modules(*sorted(PACKAGES))) == []


def test_the_core_imports_only_what_is_pure() -> None:
    assert _findings(impure_imports, _modules("protocol")) == []


def test_the_core_reads_no_clock_takes_no_chance_and_does_no_io() -> None:
    assert _findings(impure_uses, _modules("protocol")) == []


def test_the_core_never_imports_its_own_files_that_do_io() -> None:
    assert _findings(uses_of_the_rim, _modules("protocol")) == []


def test_other_packages_use_only_public_names_of_each_other() -> None:
    assert _findings(private_uses, _modules("server_trio", "client_qt", "conformance", "examples", "benchmarks")) == []


def test_the_client_engine_knows_no_window_toolkit() -> None:
    assert _findings(graphics, _modules("client_qt")) == []


def test_the_package_under_test_is_the_real_one_and_not_the_folder_of_its_tests() -> None:
    # `tests/protocol` shadows `protocol` as soon as `tests` itself is on the path: everything would pass, untested.
    assert [Path(folder) for folder in protocol.__path__] == [ROOT / "protocol"]


# ------------------------------------------------------------------------------- the rules find what they are there for


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("protocol/_states.py", "from server_trio.hub import Hub"),
        ("protocol/_states.py", "def late():\n    import conformance"),
        ("protocol/_states.py", "from tests.conftest import settings"),
        ("client_qt/engine.py", "import server_trio as friend"),
        ("server_trio/hub.py", "from client_qt import session"),
        ("server_trio/hub.py", "from conformance import referee"),
        ("conformance/runner.py", "import client_qt.session"),
    ],
)
def test_an_import_against_the_arrows_is_found(path: str, source: str) -> None:
    assert len(against_the_arrows(Module(path, source))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("protocol/_states.py", "from ._types import Rev\nfrom . import _errors\nimport protocol"),
        ("client_qt/widgets/row.py", "from ..engine import Engine\nfrom protocol import Rev"),
        ("conformance/runner.py", "import protocol.trace"),
    ],
)
def test_an_import_along_the_arrows_is_not(path: str, source: str) -> None:
    assert against_the_arrows(Module(path, source)) == []


@pytest.mark.parametrize(
    "name",
    "asyncio logging os random secrets socket ssl threading time trio urllib.request zoneinfo os.path".split(),
)
def test_an_impure_import_in_the_core_is_found(name: str) -> None:
    assert len(impure_imports(Module("protocol/_client.py", f"import {name}"))) == 1
    assert len(impure_imports(Module("protocol/_client.py", f"def late():\n    from {name} import anything"))) == 1


def test_the_files_at_the_rim_may_do_their_own_io_but_not_the_network() -> None:
    assert impure_imports(Module("protocol/zones.py", "from zoneinfo import ZoneInfo")) == []
    assert len(impure_imports(Module("protocol/zones.py", "import socket"))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import datetime\ndatetime.datetime.now()",
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "from datetime import datetime\ndatetime.utcnow()",
        "from datetime import datetime as moment\nclock = moment.now",
        "from datetime import date\ndate.today()",
        "from uuid import uuid4 as fresh\nfresh()",
        "import uuid\nuuid.uuid1()",
        "open('rules')",
        "print('here')",
        "__import__('socket')",
    ],
)
def test_a_hidden_clock_or_chance_or_io_in_the_core_is_found(source: str) -> None:
    assert len(impure_uses(Module("protocol/_client.py", source))) == 1


def test_reading_a_uuid_or_a_date_is_pure() -> None:
    source = "from uuid import UUID\nfrom datetime import datetime\nUUID('x'); datetime.fromisoformat('x'); connection.open()"
    assert impure_uses(Module("protocol/_client.py", source)) == []


def test_a_parameter_named_like_a_built_in_is_not_the_built_in() -> None:
    source = "def step(input, now):\n    return react(input, now)"
    assert impure_uses(Module("protocol/_client.py", source)) == []


def test_an_import_of_the_rim_from_inside_the_core_is_found() -> None:
    assert len(uses_of_the_rim(Module("protocol/_ledger.py", "from .zones import look_up"))) == 1
    assert len(uses_of_the_rim(Module("protocol/__init__.py", "from . import zones"))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from protocol import _states",
        "from protocol._states import Live",
        "import protocol._states",
        "import protocol as core\ncore._states",
        "from protocol import trace\ntrace._decode",
    ],
)
def test_a_private_name_used_across_packages_is_found(source: str) -> None:
    assert private_uses(Module("server_trio/session.py", source)) != []


def test_a_private_name_of_the_same_package_is_not() -> None:
    source = "from ._states import Live\nimport protocol\nprotocol.__all__\nself._open"
    assert private_uses(Module("server_trio/session.py", source)) == []


def test_a_window_toolkit_is_found() -> None:
    assert len(graphics(Module("client_qt/bridge.py", "from PyQt6.QtCore import QObject"))) == 1
