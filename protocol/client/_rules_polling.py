"""What answers over HTTP mean (docs/protocol.md#life-polling)."""

from msgspec import UNSET
from msgspec.structs import asdict

from .._close_codes import RefreshThenRetry, StopFor, row_for_http
from .._messages import Error, ItemEvent
from .._reconnect import believed
from .._timers import ClientTimer as T
from .._types import Cursor, Rev
from ._answers import errored, is_placed, resulted
from ._download import apply_events, is_malformed, take_snapshot
from ._ending import finish, hang_up
from ._http import Changes, Results, State, read_answer
from ._inputs import PollAnswered, PollFailed
from ._outputs import Synced
from ._polling import begin, hurry, poll, rest
from ._states import Backoff, Polling, PollSoon, Pushing
from ._turn import LARGEST, Turn, due, rule
from ._upkeep import sampled
from ._upload import pause, pump, stop_pushing


CUT = frozenset({0, 408, 502, 503, 504})
"""How a proxy that cuts long polls answers, 0 for not at all."""

NOT_OURS = 200
"""The status of an answer that makes no sense: a captive portal's, mostly."""


# --- deadlines --------------------------------------------------------------------------------------------------------


@due(T.POLL_START_DUE)
def poll_start(turn: Turn) -> None:
    """The socket has been away for long enough."""
    begin(turn)
    turn.show()


@due(T.POLL_DUE)
def poll_due(turn: Turn) -> None:
    """Ask again."""
    hurry(turn)


@due(T.POLL_LATE_DUE)
def poll_late(turn: Turn) -> None:
    """A request that has not been answered in time has failed; a later answer belongs to nobody."""
    m = turn.machine
    if isinstance(m.pushed, Pushing) and m.pushed.late_at <= turn.now:
        _push_failed(turn, 0)
    if isinstance(m.polled, Polling) and m.polled.late_at <= turn.now:
        _poll_failed(turn, m.polled, 0, 0)


# --- answers ----------------------------------------------------------------------------------------------------------


@rule
def poll_answered(turn: Turn, input: PollAnswered) -> None:
    """The answer to the request for news, or to the one with mutations."""
    m = turn.machine
    if isinstance(m.polled, Polling) and m.polled.gen == input.gen:
        _news(turn, m.polled, input.body)
    elif isinstance(m.pushed, Pushing) and m.pushed.gen == input.gen:
        _pushed(turn, m.pushed, input.body)
    else:
        turn.ignore(f"the answer to request {input.gen}, which is over")


def _news(turn: Turn, polling: Polling, body: str) -> None:
    kind: type[Changes | State] = Changes if polling.what == "changes" else State
    answer = read_answer(body, kind, turn.machine.limits)
    if answer is None or not 0 <= answer.rev <= LARGEST:
        _poll_failed(turn, polling, NOT_OURS, 0)
        return
    sampled(turn, polling.sent_at, answer.t1, answer.t2)
    cursor = turn.machine.cursor
    if (None if cursor is None else cursor.epoch) != polling.epoch:
        turn.ignore("an answer from before the epoch changed")
        poll(turn)
    elif isinstance(answer, State):
        _state(turn, answer)
    else:
        _changes(turn, polling, answer)
    pump(turn)


def _state(turn: Turn, answer: State) -> None:
    place, before = Cursor(answer.epoch, answer.rev), turn.machine.cursor
    if not take_snapshot(turn, place, answer.last_mid, answer.items, answer.deleted):
        rest(turn)
        return
    if before is None or before.epoch != answer.epoch:
        # What was held back for the old epoch may go under the new one.
        turn.set(paused=turn.now)
    turn.do(Synced())
    poll(turn, afresh=True)


def _changes(turn: Turn, polling: Polling, answer: Changes) -> None:
    cursor = turn.machine.cursor
    assert cursor is not None
    if answer.sync_required is not UNSET or answer.epoch != cursor.epoch:
        if polling.afresh:
            rest(turn, PollSoon("snapshot"))
        else:
            poll(turn, "snapshot")
        return
    fresh = following(cursor.rev, answer.events)
    if fresh is None:
        _poll_failed(turn, polling, NOT_OURS, 0)
        return
    if fresh:
        apply_events(turn, cursor.epoch, fresh)
    turn.set(cuts=0 if polling.wait else turn.machine.cuts)
    turn.do(Synced())
    # An answer without news that did not wait would make a busy loop of the next one.
    patient = polling.wait and turn.now - polling.sent_at >= turn.machine.timing.poll_wait_ms / 2_000
    if fresh or patient:
        poll(turn)
    else:
        rest(turn)


def following(rev: Rev, events: tuple[ItemEvent, ...]) -> tuple[ItemEvent, ...] | None:
    """The events after `rev`; None where they have a hole or lack a member."""
    fresh = tuple(event for event in events if event.rev > rev)
    whole = all(event.rev == rev + n for n, event in enumerate(fresh, 1))
    return fresh if whole and not any(map(is_malformed, fresh)) else None


def _pushed(turn: Turn, pushing: Pushing, body: str) -> None:
    answer = read_answer(body, Results, turn.machine.limits)
    if answer is None or not all(map(is_placed, answer.results)):
        _push_failed(turn, 0)
        return
    stop_pushing(turn)
    sampled(turn, pushing.sent_at, answer.t1, answer.t2)
    cursor = turn.machine.cursor
    if cursor is None or cursor.epoch != pushing.epoch:
        turn.ignore("an answer from before the epoch changed")
    else:
        _take_results(turn, answer)
    pump(turn)


def _take_results(turn: Turn, answer: Results) -> None:
    for result in answer.results:
        resulted(turn, result, answer.epoch)
    if answer.error is None:
        return
    if turn.session is not None:
        # The socket sends the same entries and hears for itself what is wrong with them.
        turn.ignore(f"error {answer.error.code}: the socket has taken over")
        return
    errored(turn, Error(**asdict(answer.error)))
    _mend(turn, answer.error.code)


def _mend(turn: Turn, code: str) -> None:
    """The epoch has ended: nothing is sent again before the snapshot of the next one."""
    if code == "epoch":
        pause(turn, turn.machine.timing.poll_every_ms)
        poll(turn, "snapshot")


# --- failures ---------------------------------------------------------------------------------------------------------


@rule
def poll_failed(turn: Turn, input: PollFailed) -> None:
    """HTTP answers decide as before accept (docs/protocol.md#close-http)."""
    m = turn.machine
    if isinstance(m.polled, Polling) and m.polled.gen == input.gen:
        _poll_failed(turn, m.polled, input.status, believed(input.retry_after_ms or 0))
    elif isinstance(m.pushed, Pushing) and m.pushed.gen == input.gen:
        _push_failed(turn, believed(input.retry_after_ms or 0))
    else:
        turn.ignore(f"the failure of request {input.gen}, which is over")
        return
    _decide(turn, input)


def _poll_failed(turn: Turn, polling: Polling, status: int, retry_after_ms: int) -> None:
    turn.count("poll_failures")
    turn.ignore(f"request {polling.gen} failed ({status or 'no answer'}); asked again later")
    if polling.wait and status in CUT:
        turn.set(cuts=turn.machine.cuts + 1)
    rest(turn, PollSoon(polling.what), retry_after_ms)


def _push_failed(turn: Turn, retry_after_ms: int) -> None:
    turn.count("poll_failures")
    turn.ignore("a request with mutations failed; sent again later")
    stop_pushing(turn)
    pause(turn, max(retry_after_ms, turn.draw(0.8, 1.2) * turn.machine.timing.poll_every_ms))


def _decide(turn: Turn, input: PollFailed) -> None:
    row = row_for_http(input.status, input.code)
    match row.decision:
        case StopFor():
            hang_up(turn, 1000, "refused")
            finish(turn, row, f"HTTP {input.status} {input.code}")
        case RefreshThenRetry():
            already = turn.machine.refused
            turn.set(refused=True)
            if isinstance(turn.machine.state, Backoff) and not already:
                finish(turn, row, f"HTTP {input.status} {input.code}")
        case _:
            pass
