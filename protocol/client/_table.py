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


OVER = (Refreshing, Backoff, Stopped)
"""Where an ending leads that the server or the network decided."""

RENAMED = (Refreshing, Connecting, Backoff)
"""Where it leads that the store turned out to be a copy."""

AGAIN = (Refreshing, Connecting, Backoff, Stopped)
EVERY = (Idle, Refreshing, Connecting, Opening, Syncing, Live, Backoff, Stopped)
WANTED = (Refreshing, Connecting, Opening, Syncing, Live, Backoff)
POLLABLE = (Refreshing, Connecting, Opening, Syncing, Backoff)
"""Where polling may run beside the link."""

UNHURRIED = (Idle, Refreshing, Connecting, Opening, Syncing, Live, Stopped)
TOKEN = (TokenReady, TokenFailed)
TRANSPORT = (Opened, Refused, Unreachable)
SPEECH = (Received, ReceivedBinary, Heard)
TALK = (*SPEECH, Lost)

# fmt: off
CLIENT: Final[Table] = {
    (Idle,       Start):           Rule(connecting.start,            to=(Refreshing,)),

    (Refreshing, TokenReady):      Rule(connecting.token_ready,      to=(Refreshing, Connecting, Backoff)),
    (Refreshing, TokenFailed):     Rule(connecting.token_failed,     to=(Refreshing, Backoff, Stopped)),
    (Refreshing, T.REFRESH_DUE):   Rule(connecting.refresh_late,     to=(Backoff,)),
    (Refreshing, Woke):            Rule(connecting.woke,             to=(Refreshing,)),
    (Refreshing, PollAnswered):    Rule(polling.poll_answered,       to=(Refreshing,)),
    (Refreshing, PollFailed):      Rule(polling.poll_failed,         to=(Refreshing, Stopped)),

    (Connecting, Opened):          Rule(connecting.opened,           to=(Connecting, Opening, Backoff)),
    (Connecting, Refused):         Rule(connecting.refused,          to=(Connecting, *OVER)),
    (Connecting, Unreachable):     Rule(connecting.unreachable,      to=(Connecting, Backoff)),
    (Connecting, Lost):            Rule(ending.lost,                 to=(Connecting, *OVER)),
    (Connecting, T.CONNECT_DUE):   Rule(connecting.connect_late,     to=(Backoff,)),
    (Connecting, Woke):            Rule(connecting.woke,             to=(Connecting, Refreshing)),
    (Connecting, PollAnswered):    Rule(polling.poll_answered,       to=(Connecting,)),
    (Connecting, PollFailed):      Rule(polling.poll_failed,         to=(Connecting, Stopped)),

    (Opening,    Received):        Rule(session.received,            to=(Opening, Syncing, *AGAIN)),
    (Opening,    ReceivedBinary):  Rule(session.received_binary,     to=(Opening, *AGAIN)),
    (Opening,    Heard):           Rule(upkeep.heard,                to=(Opening,)),
    (Opening,    Lost):            Rule(ending.lost,                 to=(Opening, *AGAIN)),
    (Opening,    T.OPENING_DUE):   Rule(connecting.opening_late,     to=AGAIN),
    (Opening,    Woke):            Rule(connecting.woke,             to=AGAIN),
    (Opening,    PollAnswered):    Rule(polling.poll_answered,       to=(Opening, *RENAMED)),
    (Opening,    PollFailed):      Rule(polling.poll_failed,         to=(Opening, Stopped)),

    (Syncing,    Received):        Rule(session.received,            to=(Syncing, Live, *AGAIN)),
    (Syncing,    ReceivedBinary):  Rule(session.received_binary,     to=(Syncing, Live, *AGAIN)),
    (Syncing,    Lost):            Rule(ending.lost,                 to=(Syncing, *OVER)),
    (Syncing,    PollAnswered):    Rule(polling.poll_answered,       to=(Syncing, *RENAMED)),
    (Syncing,    PollFailed):      Rule(polling.poll_failed,         to=(Syncing, Stopped)),

    (Live,       Received):        Rule(session.received,            to=(Live, *AGAIN)),
    (Live,       ReceivedBinary):  Rule(session.received_binary,     to=(Live, *AGAIN)),
    (Live,       Lost):            Rule(ending.lost,                 to=(Live, *OVER)),
    (Live,       T.PING_DUE):      Rule(upkeep.ping_due,             to=(Live,)),
    (Live,       T.STABLE_DUE):    Rule(upkeep.stable_due,           to=(Live,)),

    (Backoff,    T.RECONNECT_DUE): Rule(connecting.reconnect,        to=(Refreshing, Connecting)),
    (Backoff,    NetworkChanged):  Rule(connecting.hurry,            to=(Refreshing, Connecting, Backoff)),
    (Backoff,    SyncNow):         Rule(connecting.hurry,            to=(Refreshing, Connecting, Backoff)),
    (Backoff,    Woke):            Rule(connecting.woke,             to=(Refreshing, Connecting)),
    (Backoff,    PollAnswered):    Rule(polling.poll_answered,       to=(Backoff,)),
    (Backoff,    PollFailed):      Rule(polling.poll_failed,         to=(Refreshing, Backoff, Stopped)),

    (Stopped,    Start):           Rule(connecting.start,            to=(Refreshing,)),
    (Stopped,    TakeOver):        Rule(connecting.take_over,        to=(Refreshing, Connecting)),

    **rows((Syncing, Live), {
        Woke:                      Rule(connecting.woke,             to=AGAIN),
        T.SILENCE_DUE:             Rule(ending.silent,               to=OVER),
        T.STALLED_DUE:             Rule(ending.stalled,              to=OVER),
    }),

    **rows(EVERY, {
        Stop:                      Rule(connecting.stop_asked,       to=(Stopped,)),
    }),

    **same((Syncing, Live),                   (TokenReady,),                  upkeep.renewed),
    **same((Syncing, Live),                   (TokenFailed,),                 upkeep.renewal_failed),
    **same((Syncing, Live),                   (Heard,),                       upkeep.heard),
    **same((Syncing, Live),                   (SyncNow,),                     upkeep.sync_now),
    **same((Syncing, Live),                   (T.ACK_DUE,),                   upkeep.ack_due),
    **same((Syncing, Live),                   (T.RENEW_DUE,),                 upkeep.renew_due),

    **same(EVERY,                             (Submit,),                      outbox.submit),
    **same(EVERY,                             (Stored,),                      outbox.stored),
    **same(WANTED,                            (T.RESEND_DUE,),                outbox.resend),

    **same((Refreshing, Connecting, Backoff), (T.POLL_START_DUE,),            polling.poll_start),
    **same(POLLABLE,                          (T.POLL_DUE,),                  polling.poll_due),
    **same(POLLABLE,                          (T.POLL_LATE_DUE,),             polling.poll_late),

    **same((Idle, Stopped),                   (Woke,),                        connecting.woke_unconnected),
    **same((Refreshing, Connecting, Opening), (SyncNow,),                     connecting.no_hurry),
    **same(UNHURRIED,                         (NetworkChanged,),              connecting.no_hurry),

    **same((Idle, Stopped, Backoff),          (*TOKEN, *TRANSPORT, *TALK),    ending.stale),
    **same((Refreshing,),                     (*TRANSPORT, *TALK),            ending.stale),
    **same((Connecting,),                     (*TOKEN, *SPEECH),              ending.stale),
    **same((Opening,),                        (*TOKEN, *TRANSPORT),           ending.stale),
    **same((Syncing, Live),                   TRANSPORT,                      ending.stale),
    **same((Idle, Live, Stopped),             (PollAnswered, PollFailed),     ending.stale),
}
# fmt: on


POLLING: Final[Mapping[tuple[type[Polled], type[Polled]], str]] = {
    (PollOff, Polling): "two attempts failed, or no socket in time",
    (PollOff, PollSoon): "the same, without a token to poll with",
    (PollSoon, Polling): "POLL_DUE",
    (Polling, PollSoon): "PollAnswered, PollFailed, POLL_LATE_DUE",
    (PollSoon, PollOff): "synced, Stopped",
    (Polling, PollOff): "synced, Stopped",
}
"""The region beside the link: every way polling goes from one state to another, and why."""
