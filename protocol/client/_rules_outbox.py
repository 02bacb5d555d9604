"""What the user did, and what is on disk (docs/protocol.md#outbox-durable)."""

from .._errors import LocalProtocolError
from .._facts import Edited, Entry
from .._framing import encode
from .._settings import Limits
from .._submission import write
from .._timers import ClientTimer as T
from .._types import Epoch
from ._inputs import Stored, Submit
from ._polling import hurry
from ._states import PollSoon
from ._turn import Turn, due, rule
from ._upkeep import acknowledge
from ._upload import ask_again, pump


LONGEST_EPOCH = Epoch("-" * 64)


@rule
def submit(turn: Turn, input: Submit) -> None:
    """Kept in every state; sent in its turn, once it is on disk.

    Raises:
        LocalProtocolError: the entry is not numbered above all earlier ones, or could never be sent.
    """
    m, entry = turn.machine, input.entry
    if entry.mid <= m.newest or entry.answered is not None:
        raise LocalProtocolError(f"entry {entry.mid} is out of turn; legal: a fresh one above {m.newest}")
    _check_sendable(entry, m.limits)
    turn.set(outbox=(*m.outbox, entry), newest=entry.mid)
    turn.store(Edited(entry), mid=entry.mid)


def _check_sendable(entry: Entry, limits: Limits) -> None:
    """What would stick in the outbox is refused at creation (docs/protocol.md#limit-frame)."""
    try:
        size = len(encode(write(LONGEST_EPOCH, entry.mid, entry.edit)).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"entry {entry.mid} is no JSON: {error}") from error
    if size > limits.frame:
        raise LocalProtocolError(f"entry {entry.mid} has {size} bytes as a message; legal: {limits.frame}")


@rule
def stored(turn: Turn, input: Stored) -> None:
    """What is on disk may be sent and acknowledged."""
    m = turn.machine
    done = [waiting for waiting in m.storing if waiting.seq <= input.seq]
    if not done:
        turn.ignore(f"nothing waits for seq {input.seq}")
        return
    cursor = next((waiting.cursor for waiting in reversed(done) if waiting.cursor is not None), m.stored)
    kept = max(m.kept, *(waiting.mid for waiting in done))
    turn.set(storing=m.storing[len(done) :], stored=cursor, kept=kept)
    acknowledge(turn)
    if isinstance(m.polled, PollSoon) and m.polled.storing:
        hurry(turn)
    pump(turn)


@due(T.RESEND_DUE)
def resend(turn: Turn) -> None:
    """A pause is over, the allowance has grown, or an answer is overdue."""
    ask_again(turn)
    pump(turn)
