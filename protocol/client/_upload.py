"""How the outbox leaves: over the socket while there is a session, else by HTTP while polling.

What to send is read off the outbox each time, so nothing can be forgotten: on every new transport sending starts at the
lowest unanswered mid by itself (docs/protocol.md#outbox-send-from).
"""

from collections.abc import Iterator
from urllib.parse import quote

from .._facts import Entry
from .._framing import encode
from .._submission import write
from .._timers import ClientTimer as T
from .._types import Epoch, Mid
from ._outputs import Poll
from ._states import Polling, PollOff, Pushing, PushOff, Session
from ._turn import Turn


MUTATIONS = "/api/alarms-timers/mutations"
MARGIN_MS = 1_000
"""How much longer than the driver the machine itself waits for an answer over HTTP."""


def pump(turn: Turn) -> None:
    """Send what may be sent now."""
    session = turn.session
    if turn.now < turn.machine.paused:
        return
    if session is not None:
        _pump_socket(turn, session)
    elif not isinstance(turn.machine.polled, PollOff):
        _push(turn)


def pause(turn: Turn, ms: float) -> None:
    """Send nothing of the outbox for a while."""
    turn.set(paused=turn.later(ms))
    turn.after(T.RESEND_DUE, ms)


def _pump_socket(turn: Turn, session: Session) -> None:
    m = turn.machine
    # A client sends under the epoch that it is in, and none is sent again before the snapshot of a new one.
    elsewhere = m.cursor is not None and m.cursor.epoch != session.epoch
    if session.goodbye is not None or elsewhere:
        return
    for entry in waiting(turn, session.sent):
        if len(session.unanswered) >= m.limits.window:
            return
        if (wait_ms := session.allowance.wait_ms(turn.now, m.limits)) > 0:
            turn.after(T.RESEND_DUE, wait_ms)
            return
        turn.send(write(session.epoch, entry.mid, entry.edit))
        asked_at = session.asked_at if session.unanswered else turn.now
        turn.in_session(sent=entry.mid, unanswered=(*session.unanswered, entry.mid), asked_at=asked_at)
        session = turn.session or session
        if T.RESEND_DUE not in turn.machine.timers:
            turn.after(T.RESEND_DUE, m.timing.answer_ms)


def rewind(turn: Turn, mid: int) -> None:
    """Send again from here on."""
    session = turn.session
    if session is not None:
        before = tuple(other for other in session.unanswered if other < mid)
        turn.in_session(sent=Mid(min(session.sent, mid - 1)), unanswered=before)


def ask_again(turn: Turn) -> None:
    """What has had no answer for too long was lost on a link that still stands (docs/protocol.md#outbox-ask-again)."""
    session = turn.session
    if session is None or not session.unanswered:
        return
    # The same sum sets the timer and compares with it: a rest too small to add to the clock would never pass.
    overdue = session.asked_at + turn.machine.timing.answer_ms / 1000
    if turn.now >= overdue:
        rewind(turn, min(session.unanswered))
    else:
        turn.set(timers=turn.machine.timers.set(T.RESEND_DUE, overdue))


def waiting(turn: Turn, sent: Mid) -> Iterator[Entry]:
    """Unanswered entries after `sent` that are on disk (docs/protocol.md#outbox-durable)."""
    m = turn.machine
    last = min(m.kept, m.settled_by) if m.displaced else m.kept
    for entry in m.outbox:
        if entry.mid > last:
            return
        if entry.mid > sent and entry.answered is None and entry.mid not in m.displaced:
            yield entry


def _push(turn: Turn) -> None:
    m = turn.machine
    if isinstance(m.pushed, Pushing) or m.token is None or m.refused or m.cursor is None:
        return
    mutations = _batch(turn, m.cursor.epoch)
    if not mutations:
        return
    gen, timeout_ms = turn.new_gen(), request_ms(turn)
    path = f"{MUTATIONS}?device_id={quote(m.device, safe='')}"
    turn.set(pushed=Pushing(gen, turn.now, turn.later(timeout_ms + MARGIN_MS), m.cursor.epoch))
    watch(turn)
    turn.count("polls")
    turn.do(Poll(gen, m.token, "POST", path, f'{{"mutations":[{",".join(mutations)}]}}', timeout_ms))


def _batch(turn: Turn, epoch: Epoch) -> list[str]:
    limits = turn.machine.limits
    texts: list[str] = []
    size = 0
    for entry in waiting(turn, Mid(0)):
        text = encode(write(epoch, entry.mid, entry.edit))
        size += len(text)
        if len(texts) >= limits.batch or (texts and size > limits.inflate):
            break
        texts.append(text)
    return texts


def request_ms(turn: Turn) -> int:
    """How long a request that does not wait may take."""
    return turn.machine.timing.connect_ms + turn.machine.timing.opening_ms


def watch(turn: Turn) -> None:
    """POLL_LATE_DUE belongs to the request that will be late first."""
    m = turn.machine
    late = [out.late_at for out in (m.polled, m.pushed) if isinstance(out, Polling | Pushing)]
    turn.set(timers=m.timers.set(T.POLL_LATE_DUE, min(late)) if late else m.timers.clear(T.POLL_LATE_DUE))


def stop_pushing(turn: Turn) -> None:
    """Whatever is still answered belongs to nobody."""
    turn.set(pushed=PushOff())
    watch(turn)
