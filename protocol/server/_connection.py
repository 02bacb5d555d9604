"""The server's side of one connection, as a driver uses it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .._machine import Connection
from .._timers import Timers
from ._machine import ServerMachine, Terms
from ._outputs import ServerOutput
from ._states import New
from ._table import SERVER


DEFAULT_TERMS = Terms()


class ServerConnection(Connection[ServerMachine, ServerOutput]):
    """One client's connection: bytes, verdicts and store answers in; frames and requests to the driver out.

    Args:
        terms: what holds for every connection of this server.
        record: keep every step, for `trace`, `undo` and the REPL. A server with many connections switches it off.
    """

    __slots__ = ()
    table = SERVER

    def __init__(self, terms: Terms = DEFAULT_TERMS, *, record: bool = True) -> None:
        super().__init__(ServerMachine(New(), Timers(), terms), record=record)

    def setup(self) -> dict[str, Terms]:
        """What `from_setup` needs to build the same connection again."""
        return {"terms": self.machine.terms}

    @classmethod
    def from_setup(cls, setup: Mapping[str, Any]) -> "ServerConnection":
        """A connection as `setup` describes it, recording.

        Raises:
            msgspec.ValidationError: the description does not fit.
        """
        return cls(msgspec.convert(setup.get("terms", {}), Terms))

    def statistics(self) -> dict[str, int]:
        """Counters of this session: heartbeat rounds, messages of unknown types."""
        return {"beats": self.machine.beats, "unknown": self.machine.unknown}
