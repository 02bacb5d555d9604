"""The client's half of the protocol as one table: (state, input or timer) -> rule and where it may land.

Rules for this file: one row per pair, sorted by the life of a connection; a pair that is absent is illegal and raises;
nothing else decides. Diagrams and `accepts` are made from it. A fact of a connection that is over is legal everywhere:
no driver can know in time that it is.
"""

from collections.abc import Mapping
from typing import Final

from .._machine import Rule, Table, rows, same
from .._timers import ClientTimer as T
from . import _rules_connecting as connecting
from . import _rules_ending as ending
from . import _rules_outbox as outbox
from . import _rules_polling as polling
from . import _rules_session as session
from . import _rules_upkeep as upkeep
from ._inputs import (
    Heard,
    Lost,
    NetworkChanged,
    Opened,
    PollAnswered,
    PollFailed,
    Received,
    ReceivedBinary,
    Refused,
    Start,
    Stop,
    Stored,
    Submit,
    SyncNow,
    TakeOver,
    TokenFailed,
    TokenReady,
    Unreachable,
    Woke,
)
from ._states import (
    Backoff,
    Connecting,
    Idle,
    Live,
    Opening,
    Polled,
    Polling,
    PollOff,
    PollSoon,
    Refreshing,
    Stopped,
    Syncing,
)


AGAIN = (Refreshing, Connecting, Backoff, Stopped)
"""Where an ending leads."""

EVERY = (Idle, Refreshing, Connecting, Opening, Syncing, Live, Backoff, Stopped)
WANTED = (Refreshing, Connecting, Opening, Syncing, Live, Backoff)
TOKENS = (TokenReady, TokenFailed)
TRANSPORT = (Opened, Refused, Unreachable)
TALK = (Received, ReceivedBinary, Heard)
POLLED = (PollAnswered, PollFailed)

# fmt: off
CLIENT: Final[Table] = {
    (Idle,       Start):           Rule(connecting.start,            to=(Refreshing,)),

    (Refreshing, TokenReady):      Rule(connecting.token_ready,      to=(Refreshing, Connecting, Backoff)),
    (Refreshing, TokenFailed):     Rule(connecting.token_failed,     to=(Refreshing, Backoff, Stopped)),
    (Refreshing, T.REFRESH_DUE):   Rule(connecting.refresh_late,     to=(Backoff,)),

    (Connecting, Opened):          Rule(connecting.opened,           to=(Connecting, Opening, Backoff)),
    (Connecting, Refused):         Rule(connecting.refused,          to=AGAIN),
    (Connecting, Unreachable):     Rule(connecting.unreachable,      to=(Connecting, Backoff)),
    (Connecting, Lost):            Rule(ending.lost,                 to=AGAIN),
    (Connecting, T.CONNECT_DUE):   Rule(connecting.connect_late,     to=(Backoff,)),

    (Opening,    Received):        Rule(session.received,            to=(Opening, Syncing, *AGAIN)),
    (Opening,    ReceivedBinary):  Rule(session.received_binary,     to=(Opening, *AGAIN)),
    (Opening,    Heard):           Rule(upkeep.heard,                to=(Opening,)),
    (Opening,    Lost):            Rule(ending.lost,                 to=(Opening, *AGAIN)),
    (Opening,    T.OPENING_DUE):   Rule(connecting.opening_late,     to=AGAIN),

    (Syncing,    Received):        Rule(session.received,            to=(Syncing, Live, *AGAIN)),
    (Syncing,    ReceivedBinary):  Rule(session.received_binary,     to=(Syncing, Live, *AGAIN)),
    (Syncing,    Lost):            Rule(ending.lost,                 to=(Syncing, *AGAIN)),

    (Live,       Received):        Rule(session.received,            to=(Live, *AGAIN)),
    (Live,       ReceivedBinary):  Rule(session.received_binary,     to=(Live, *AGAIN)),
    (Live,       Lost):            Rule(ending.lost,                 to=(Live, *AGAIN)),
    (Live,       T.PING_DUE):      Rule(upkeep.ping_due,             to=(Live,)),
    (Live,       T.STABLE_DUE):    Rule(upkeep.stable_due,           to=(Live,)),

    (Backoff,    T.RECONNECT_DUE): Rule(connecting.reconnect,        to=(Refreshing, Connecting)),
    (Backoff,    NetworkChanged):  Rule(connecting.hurry,            to=(Refreshing, Connecting, Backoff)),
    (Backoff,    SyncNow):         Rule(connecting.hurry,            to=(Refreshing, Connecting, Backoff)),

    (Stopped,    Start):           Rule(connecting.start,            to=(Refreshing,)),
    (Stopped,    TakeOver):        Rule(connecting.take_over,        to=(Refreshing, Connecting)),

    **rows((Syncing, Live), {
        TokenReady:                Rule(upkeep.renewed,              to=(Syncing, Live)),
        TokenFailed:               Rule(upkeep.renewal_failed,       to=(Syncing, Live)),
        Heard:                     Rule(upkeep.heard,                to=(Syncing, Live)),
        SyncNow:                   Rule(upkeep.sync_now,             to=(Syncing, Live)),
        T.SILENCE_DUE:             Rule(ending.silent,               to=AGAIN),
        T.ACK_DUE:                 Rule(upkeep.ack_due,              to=(Syncing, Live)),
        T.RENEW_DUE:               Rule(upkeep.renew_due,            to=(Syncing, Live)),
    }),

    **rows(WANTED, {
        Woke:                      Rule(connecting.woke,             to=AGAIN),
        PollAnswered:              Rule(polling.poll_answered,       to=WANTED),
        PollFailed:                Rule(polling.poll_failed,         to=(*WANTED, Stopped)),
    }),

    **rows(EVERY, {
        Stop:                      Rule(connecting.stop_asked,       to=(Stopped,)),
    }),

    **same(EVERY,                             (Submit,),          outbox.submit),
    **same(EVERY,                             (Stored,),          outbox.stored),
    **same(WANTED,                            (T.RESEND_DUE,),      outbox.resend),
    **same(WANTED,                            (T.POLL_DUE,),        polling.poll_due),
    **same(WANTED,                            (T.POLL_LATE_DUE,),   polling.poll_late),
    **same((Refreshing, Connecting, Backoff), (T.POLL_START_DUE,),  polling.poll_start),
    **same((Idle, Stopped),                   (Woke,),            connecting.woke_unconnected),
    **same((Idle, Refreshing, Connecting, Opening, Syncing, Live, Stopped), (NetworkChanged,), connecting.no_hurry),
    **same((Refreshing, Connecting, Opening), (SyncNow,),         connecting.no_hurry),

    **same((Idle, Stopped, Backoff),          (*TOKENS, *TRANSPORT, *TALK, Lost), ending.stale),
    **same((Refreshing,),                     (*TRANSPORT, *TALK, Lost),          ending.stale),
    **same((Connecting,),                     (*TOKENS, *TALK),                     ending.stale),
    **same((Opening, ),                       (*TOKENS, *TRANSPORT),                ending.stale),
    **same((Syncing, Live),                   TRANSPORT,                            ending.stale),
    **same((Idle, Stopped),                   POLLED,                               ending.stale),
}
# fmt: on


POLLING: Final[Mapping[tuple[type[Polled], type[Polled]], str]] = {
    (PollOff, PollSoon): "two attempts failed, or no socket in time",
    (PollSoon, Polling): "POLL_DUE",
    (Polling, PollSoon): "PollAnswered, PollFailed, POLL_LATE_DUE",
    (PollSoon, PollOff): "synced, Stopped",
    (Polling, PollOff): "synced, Stopped",
}
"""The region beside the link: every way polling goes from one state to another, and why."""
