"""Which ways through the code a run took: the fuzzer's eyes, on both generations of Python.

From 3.12 on `sys.monitoring` (PEP 669) reports each line, and each way out of a branch, until it has been seen; then the code
runs at full speed. Before, `sys.settrace` reports every line of every run.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Protocol

import protocol
from server_trio import websocket


_CORE = Path(protocol.__file__).parent
_FILES = frozenset(
    [str(path) for path in _CORE.rglob("*.py") if "testing" not in path.parts] + [str(Path(websocket.__file__))]
)
"""Whose edges count: the code under test and not the test."""

PATIENCE = 50
"""How often a branch is looked at."""

Edge = tuple[object, ...]


class Eyes(Protocol):
    """Sees edges while it watches."""

    found: set[Edge]

    def watch(self) -> Any:
        """A context; what runs inside adds to `found`."""
        ...


class Tracer:
    """For Python 3.11: pairs of lines that follow each other in one call."""

    def __init__(self) -> None:
        self.found: set[Edge] = set()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Trace what runs inside; whoever traced before (a coverage tool) goes on afterwards."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        code = frame.f_code
        if code.co_filename not in _FILES:
            return None
        name, last, add = id(code), 0, self.found.add

        def local(frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
            nonlocal last
            if event == "line":
                line = frame.f_lineno
                add((name, last, line))
                last = line
            return local

        return local


class Monitor:
    """For Python 3.12 and later."""

    def __init__(self) -> None:
        self.found: set[Edge] = set()
        self._api: Any = getattr(sys, "monitoring")  # noqa: B009 - absent in 3.11, which the type checker looks at too
        self._tool = next(tool for tool in (3, 4) if self._api.get_tool(tool) is None)
        self._api.use_tool_id(self._tool, "tocsin-fuzz")
        events = self._api.events
        self._events = events.LINE | events.BRANCH
        self._api.register_callback(self._tool, events.LINE, self._line)
        self._api.register_callback(self._tool, events.BRANCH, self._branch)
        self._off: object = self._api.DISABLE
        self._seen: dict[tuple[int, int], int] = {}
        self._api.restart_events()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Monitor what runs inside."""
        self._api.set_events(self._tool, self._events)
        try:
            yield
        finally:
            self._api.set_events(self._tool, 0)

    def close(self) -> None:
        """Let another take the place."""
        self._api.free_tool_id(self._tool)

    def _line(self, code: CodeType, line: int) -> object:
        if code.co_filename in _FILES:
            self.found.add((id(code), line))
        return self._off

    def _branch(self, code: CodeType, offset: int, destination: int) -> object:
        if code.co_filename not in _FILES:
            return self._off
        place = (id(code), offset)
        self.found.add((*place, destination))
        # Switching off concerns the instruction, both ways out; the rarer one mostly leads to a line nobody has seen.
        self._seen[place] = times = self._seen.get(place, 0) + 1
        return self._off if times > PATIENCE else None


@contextmanager
def opened() -> Iterator[Eyes]:
    """The eyes that this Python has."""
    if sys.version_info < (3, 12):
        yield Tracer()
    else:
        monitor = Monitor()
        try:
            yield monitor
        finally:
            monitor.close()
