"""One attempt: a token where one is needed, then a transport (docs/protocol.md#life-client)."""

from .._facts import Dialled
from .._timers import ClientTimer as T
from .._types import Generation, Handle
from ._outputs import GetToken, OpenTransport
from ._polling import mind
from ._states import Connecting, Refreshing
from ._turn import BESIDE, LARGEST, Turn


def attempt(turn: Turn, *, strict: bool = False) -> None:
    """Begin one now. `strict`: the token in hand was refused just now, and the same one again is not worth it."""
    m = turn.machine
    turn.set(timers=m.timers.only(*BESIDE))
    mind(turn)
    gen = turn.new_gen()
    if m.token is None or m.refused:
        _fetch(turn, gen, strict)
    else:
        dial(turn, gen, m.token)


def _fetch(turn: Turn, gen: Generation, strict: bool) -> None:
    m = turn.machine
    turn.set(state=Refreshing(gen, strict))
    turn.after(T.REFRESH_DUE, m.timing.refresh_ms)
    turn.do(GetToken(gen, m.refused))
    turn.show()


def dial(turn: Turn, gen: Generation, handle: Handle) -> None:
    """Open a transport; the attempt is counted on disk first (docs/protocol.md#msg-conn-counter)."""
    conn = min(turn.machine.conn + 1, LARGEST)
    turn.clear(T.REFRESH_DUE)
    turn.set(state=Connecting(gen), conn=conn)
    turn.count("attempts")
    turn.store(Dialled(conn))
    turn.after(T.CONNECT_DUE, turn.machine.timing.connect_ms)
    turn.do(OpenTransport(gen, handle))
    turn.show()
