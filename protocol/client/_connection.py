"""The client's side of a sync session, as a driver uses it."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from .._chance import Chance
from .._facts import Entry
from .._machine import Connection
from .._messages import App
from .._settings import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from .._types import Cursor, DeviceId, Generation, Mid, UserId, Wall
from ._machine import ClientMachine
from ._outputs import ClientOutput
from ._states import Backoff, Live, PollOff, Stopped, Syncing
from ._table import CLIENT
from ._turn import link_gen


NO_APP = App()


class _Setup(Struct, frozen=True, kw_only=True):
    """The constructor's arguments, as a trace holds them."""

    device: str
    name: str = ""
    cursor: Cursor | None = None
    outbox: tuple[Entry, ...] = ()
    conn: int = 0
    seed: int = 0
    user: str | None = None
    app: App = NO_APP
    timing: Timing = DEFAULT_TIMING
    limits: Limits = DEFAULT_LIMITS
    caps: tuple[str, ...] = ()


class ClientConnection(Connection[ClientMachine, ClientOutput]):
    """One device's connection for life: it opens, loses and reopens sockets, and polls where it has none.

    Args:
        device: under which name the store sends. name: for people.
        cursor: how far the stored replica has read; None asks for a snapshot.
        outbox: stored entries by ascending mid; all of them count as being on disk.
        conn: counter of the last attempt, as stored.
        seed: of jitter and identifiers. The same seed and inputs give the same outputs.
        user: whose store this is, where that is known.
        app: the program that speaks.
        timing, limits: in force until a welcome announces others.
        caps: capabilities to offer.
        record: keep every step, for `trace`, `undo` and the REPL.
    """

    __slots__ = ()
    table = CLIENT

    def __init__(  # noqa: PLR0913 - all but the first are by name, and each is a fact of its own
        self,
        device: str,
        *,
        name: str = "",
        cursor: Cursor | None = None,
        outbox: Iterable[Entry] = (),
        conn: int = 0,
        seed: int = 0,
        user: str | None = None,
        app: App = NO_APP,
        timing: Timing = DEFAULT_TIMING,
        limits: Limits = DEFAULT_LIMITS,
        caps: tuple[str, ...] = ("deflate", "presence"),
        record: bool = True,
    ) -> None:
        # Numbers below 1 were answered under an earlier name and are never sent again.
        entries = tuple(entry for entry in outbox if entry.mid >= 1)
        newest = entries[-1].mid if entries else Mid(0)
        machine = ClientMachine(
            device=DeviceId(device),
            name=name,
            app=app,
            caps=caps,
            user=None if user is None else UserId(user),
            timing=timing,
            limits=limits,
            chance=Chance(seed),
            conn=conn,
            cursor=cursor,
            stored=cursor,
            outbox=entries,
            newest=newest,
            kept=newest,
        )
        super().__init__(machine, record=record)

    @property
    def gen(self) -> Generation:
        """The generation of the attempt in hand, 0 where there is none; what comes from it carries this number."""
        return link_gen(self.machine.state) or Generation(0)

    def setup(self) -> Mapping[str, Any]:
        """What `from_setup` needs to build the same connection again, for the header of a trace."""
        first = self._past[0][0] if self._past else self.machine
        return {
            "device": first.device,
            "name": first.name,
            "cursor": first.cursor,
            "outbox": first.outbox,
            "conn": first.conn,
            "seed": first.chance.state,
            "user": first.user,
            "app": first.app,
            "timing": first.timing,
            "limits": first.limits,
            "caps": first.caps,
        }

    @classmethod
    def from_setup(cls, setup: Mapping[str, Any]) -> "ClientConnection":
        """A connection as `setup` describes it, recording.

        Raises:
            msgspec.ValidationError: the description does not fit.
        """
        fitted = msgspec.convert(setup, _Setup)
        return cls(**{name: getattr(fitted, name) for name in fitted.__struct_fields__})

    def server_time(self, now: float) -> Wall | None:
        """The server's clock at monotonic `now` (seconds), ms; None before the first sample."""
        return self.machine.clock.server_time(now)

    def statistics(self) -> dict[str, int]:
        """Counters of this connection's life, and what waits now."""
        m = self.machine
        return {**asdict(m.counts), "conn": m.conn, "outbox": len(m.outbox), "storing": len(m.storing)}

    def _facts(self) -> str:
        m = self.machine
        facts = [self._where(), str(self.deadline or "no timer")]
        if not isinstance(m.polled, PollOff):
            facts.append("polling")
        return ", ".join([*facts, f"outbox {len(m.outbox)}"])

    def _where(self) -> str:
        m = self.machine
        inside = ""
        match m.state:
            case Syncing() | Live():
                inside = f"rev={m.cursor.rev}" if m.cursor is not None else "no cursor"
            case Backoff():
                inside = m.state.why
            case Stopped():
                inside = m.state.reason + (", sign in" * m.state.sign_in)
            case _:
                pass
        return f"{type(m.state).__name__}({inside})"
