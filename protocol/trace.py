"""A session as a file: record, dump, load, replay, compare.

A trace is the list of `(now, input, outputs)` that a connection took, and how it was set up. One line of JSON each; the
first line says what the rest is:

    {"tocsin-trace":1,"protocol":1,"side":"server","setup":{…}}
    {"now":0.3,"input":{"is":"Opened",…},"outputs":[{"is":"Transmit",…}]}

A replay builds the same connection, feeds the same inputs and must give the same outputs, byte for byte. Tokens never
enter a connection, so no trace can hold one.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from . import client, server
from ._machine import Connection, Record
from ._types import Monotonic


FORMAT = 1
PROTOCOL = 1

AnyConnection = client.ClientConnection | server.ServerConnection


class TraceError(ValueError):
    """A trace cannot be read: where, and why."""


class Header(Struct, frozen=True, rename={"version": "tocsin-trace"}, kw_only=True):
    """The first line.

    Attributes:
        version: of the trace format. protocol: version spoken.
        side: which connection it is of. setup: the arguments it was built with.
    """

    version: int = FORMAT
    protocol: int = PROTOCOL
    side: Literal["client", "server"]
    setup: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class _Line(Struct, frozen=True):
    now: Monotonic
    input: msgspec.Raw
    outputs: msgspec.Raw


class Trace(Struct, frozen=True):
    """A header and its steps. `lines` are the outputs as recorded, one canonical JSON text per step."""

    header: Header
    steps: tuple[tuple[Monotonic, Any], ...]
    lines: tuple[str, ...]

    def __repr__(self) -> str:
        end = f" until {round(self.steps[-1][0], 3)}" if self.steps else ""
        return f"<Trace of a {self.header.side}, {len(self.steps)} steps{end}>"


class Difference(Struct, frozen=True):
    """Where a replay left its recording.

    Attributes:
        step: index of the step, from 0. now, input: what was fed.
        expected, actual: outputs as canonical JSON.
    """

    step: int
    now: Monotonic
    input: Any
    expected: str
    actual: str

    def __str__(self) -> str:
        """Both sides, one above the other, cut to where they part."""
        return "\n".join(
            (f"step {self.step} at {round(self.now, 3)}: {self.input!r}", *beside(self.expected, self.actual))
        )


_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
_ENCODE = msgspec.json.Encoder().encode
_HEADER = msgspec.json.Decoder(Header)
_LINE = msgspec.json.Decoder(_Line)
_INPUTS: dict[str, msgspec.json.Decoder[Any]] = {
    "client": msgspec.json.Decoder(client.ClientInput),
    "server": msgspec.json.Decoder(server.ServerInput),
}


def text(value: Any) -> str:
    """An input, or a list of outputs, as canonical JSON."""
    return _ENCODE(value).decode()


def header_of(connection: Connection[Any, Any]) -> Header:
    """The header of a recording of this connection."""
    side: Literal["client", "server"] = "client" if isinstance(connection, client.ClientConnection) else "server"
    setup = connection.setup()
    return Header(side=side, setup=msgspec.to_builtins(setup))


def dump(connection: Connection[Any, Any]) -> str:
    """A connection's recording as JSON Lines.

    Raises:
        TraceError: recording is off.
    """
    if connection.trace is None:
        raise TraceError("this connection was built with record=False: it has no trace")
    return "".join(f"{line}\n" for line in (text(header_of(connection)), *map(_record_text, connection.trace)))


def _record_text(record: Record) -> str:
    return text({"now": record.now, "input": record.input, "outputs": record.outputs})


def load(lines: str | Iterable[str]) -> Trace:
    """Read a trace.

    Raises:
        TraceError: it is not one, or of another format; the message names the line.
    """
    # Not `splitlines`: it also cuts at U+2028 and its like, which JSON text holds as they are.
    numbered = enumerate(lines.split("\n") if isinstance(lines, str) else lines, 1)
    filled = [(n, line) for n, line in numbered if line.strip()]
    if not filled:
        raise TraceError("line 1: empty; a trace begins with its header")
    header = _read(_HEADER, *filled[0])
    if header.version != FORMAT or header.protocol != PROTOCOL:
        raise TraceError(
            f"line 1: format {header.version}, protocol {header.protocol}; this reads {FORMAT}, {PROTOCOL}"
        )
    steps = list[tuple[Monotonic, Any]]()
    outputs = list[str]()
    for number, line in filled[1:]:
        raw = _read(_LINE, number, line)
        steps.append((raw.now, _read(_INPUTS[header.side], number, bytes(raw.input))))
        outputs.append(_read_outputs(number, raw.outputs))
    return Trace(header, tuple(steps), tuple(outputs))


def _read(decoder: msgspec.json.Decoder[Any], number: int, line: str | bytes) -> Any:
    try:
        return decoder.decode(line)
    except _UNREADABLE as error:
        raise TraceError(f"line {number}: {error}") from None


def _read_outputs(number: int, raw: msgspec.Raw) -> str:
    try:
        return text(msgspec.json.decode(raw))
    except _UNREADABLE as error:
        raise TraceError(f"line {number}: outputs: {error}") from None


def build(header: Header) -> AnyConnection:
    """A connection set up as the recorded one was, recording.

    Raises:
        TraceError: the setup does not fit.
    """
    factory = client.ClientConnection if header.side == "client" else server.ServerConnection
    try:
        return factory.from_setup(header.setup)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise TraceError(f"line 1: setup: {error}") from None


def replay(trace: Trace) -> Iterator[Difference]:
    """Feed the inputs again; yields every step whose outputs are not the recorded ones. None at all: all is well."""
    connection = build(trace.header)
    for index, ((now, stimulus), expected) in enumerate(zip(trace.steps, trace.lines, strict=True)):
        actual = text(connection.step(stimulus, now))
        if actual != expected:
            yield Difference(index, now, stimulus, expected, actual)


def beside(expected: str, actual: str, width: int = 100) -> tuple[str, str, str]:
    """Two texts, one above the other, from a little before where they part, with a mark under that place."""
    at = next(
        (n for n, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), min(len(expected), len(actual))
    )
    start = max(0, at - width // 3)
    lead = "…" if start else ""
    rows = (f"  expected {lead}{expected[start : start + width]}", f"  actual   {lead}{actual[start : start + width]}")
    return (*rows, " " * (11 + len(lead) + at - start) + "^")
