"""Asking over HTTP while no socket can be had (docs/protocol.md#life-poll-start): beginning, one request, ending."""

from urllib.parse import quote

from msgspec.structs import replace

from .._timers import ClientTimer as T
from .._types import Cursor
from ._outputs import Poll
from ._states import Idle, Polling, PollOff, PollSoon, PushOff, Stopped, What
from ._turn import POLLING, Turn
from ._upload import MARGIN_MS, pump, request_ms, watch


SNAPSHOT = "/api/alarms-timers"
CHANGES = "/api/alarms-timers/changes"
CUTS = 2
"""After so many long polls cut in a row the rest are short (docs/protocol.md#life-poll-long)."""

NEXT = PollSoon()
_JITTER = 0.2


def mind(turn: Turn) -> None:
    """The socket is not there: from now on so long, then polling begins."""
    m = turn.machine
    if isinstance(m.polled, PollOff) and T.POLL_START_DUE not in m.timers:
        turn.after(T.POLL_START_DUE, m.timing.poll_after_ms)


def begin(turn: Turn) -> None:
    """Start polling, unless it runs or nobody wants to be connected."""
    m = turn.machine
    if not isinstance(m.polled, PollOff) or isinstance(m.state, Idle | Stopped):
        return
    turn.clear(T.POLL_START_DUE)
    turn.set(polled=PollSoon(), cuts=0)
    poll(turn)
    pump(turn)


def end(turn: Turn) -> None:
    """Stop polling; whatever is still answered belongs to nobody."""
    turn.set(polled=PollOff(), pushed=PushOff())
    turn.clear(*POLLING)


def poll(turn: Turn, what: What = "changes", *, afresh: bool = False) -> None:
    """Ask now, if that is possible; `afresh`: right after a snapshot."""
    m = turn.machine
    turn.clear(T.POLL_DUE)
    if m.token is None or m.refused:
        rest(turn, PollSoon(what, afresh))
    elif any(waiting.cursor for waiting in m.storing):
        # `since` counts as an ack, so it may only name what is on disk (docs/protocol.md#http-changes-ack).
        rest(turn, PollSoon(what, afresh, storing=True))
    elif m.cursor is None or what == "snapshot":
        _ask(turn, PollSoon("snapshot"), SNAPSHOT, 0)
    else:
        wait = 0 if m.cuts >= CUTS else m.timing.poll_wait_ms // 1000
        _ask(turn, PollSoon("changes", afresh), CHANGES, wait)


def hurry(turn: Turn) -> None:
    """Do not wait for POLL_DUE, unless the server asked to (docs/protocol.md#close-http)."""
    soon = turn.machine.polled
    if isinstance(soon, PollSoon) and turn.now >= soon.not_before:
        poll(turn, soon.what, afresh=soon.afresh)


def begin_again(turn: Turn) -> None:
    """Whatever is out went out before a sleep: nobody waits for its answer."""
    if isinstance(turn.machine.polled, Polling):
        turn.set(polled=PollSoon(turn.machine.polled.what))
    turn.set(pushed=PushOff())
    watch(turn)
    hurry(turn)
    pump(turn)


def rest(turn: Turn, soon: PollSoon = NEXT, ms: float = 0) -> None:
    """Poll again later: after the usual time, give or take a fifth, and not before `ms`."""
    usual = turn.machine.timing.poll_every_ms
    delay = turn.draw((1 - _JITTER) * usual, (1 + _JITTER) * usual)
    turn.set(polled=replace(soon, not_before=turn.later(ms)) if ms else soon)
    turn.after(T.POLL_DUE, max(ms, delay))
    watch(turn)


def _ask(turn: Turn, asked: PollSoon, path: str, wait: int) -> None:
    m = turn.machine
    assert m.token is not None
    gen, timeout_ms = turn.new_gen(), wait * 1000 + request_ms(turn)
    epoch = None if m.cursor is None else m.cursor.epoch
    late_at = turn.later(timeout_ms + MARGIN_MS)
    turn.set(polled=Polling(gen, asked.what, turn.now, late_at, epoch, wait > 0, asked.afresh))
    watch(turn)
    turn.count("polls")
    query = _since(m.cursor) + (f"&wait={wait}" if wait else "")
    turn.do(Poll(gen, m.token, "GET", f"{path}?device_id={quote(m.device, safe='')}{query}", None, timeout_ms))


def _since(cursor: Cursor | None) -> str:
    return "" if cursor is None else f"&since={quote(cursor.epoch, safe='')}:{cursor.rev}"
