"""The client's half of the protocol as one table: (state, input or timer) -> rule and where it may land.

Rules for this file: one row per pair, sorted by the life of a connection; a pair that is absent is illegal and raises;
nothing else decides. Diagrams and `accepts` are made from it. A fact of a connection that is over is legal everywhere:
no driver can know in time that it is.
"""

from typing import Final

from .._machine import Rule, Table, rows, same
from .._timers import ClientTimer as T
from . import _inputs as i
from . import _rules_connecting as connecting
from . import _rules_ending as ending
from . import _rules_outbox as outbox
from . import _rules_polling as polling
from . import _rules_session as session
from . import _rules_upkeep as upkeep
from ._states import Backoff, Connecting, Idle, Live, Opening, Refreshing, Stopped, Syncing


AGAIN = (Refreshing, Connecting, Backoff, Stopped)
"""Where an ending leads."""

EVERY = (Idle, Refreshing, Connecting, Opening, Syncing, Live, Backoff, Stopped)
WANTED = (Refreshing, Connecting, Opening, Syncing, Live, Backoff)
TOKENS = (i.TokenReady, i.TokenFailed)
TRANSPORT = (i.Opened, i.Refused, i.Unreachable)
TALK = (i.Received, i.ReceivedBinary, i.Heard)
POLLED = (i.PollAnswered, i.PollFailed)

# fmt: off
CLIENT: Final[Table] = {
    (Idle,       i.Start):          Rule(connecting.start,          to=(Refreshing,)),

    (Refreshing, i.TokenReady):     Rule(connecting.token_ready,    to=(Refreshing, Connecting, Backoff)),
    (Refreshing, i.TokenFailed):    Rule(connecting.token_failed,   to=(Refreshing, Backoff, Stopped)),
    (Refreshing, T.REFRESH_DUE):    Rule(connecting.refresh_late,   to=(Backoff,)),

    (Connecting, i.Opened):         Rule(connecting.opened,         to=(Connecting, Opening, Backoff)),
    (Connecting, i.Refused):        Rule(connecting.refused,        to=AGAIN),
    (Connecting, i.Unreachable):    Rule(connecting.unreachable,    to=(Connecting, Backoff)),
    (Connecting, i.Lost):           Rule(ending.lost,               to=AGAIN),
    (Connecting, T.CONNECT_DUE):    Rule(connecting.connect_late,   to=(Backoff,)),

    (Opening,    i.Received):       Rule(session.received,          to=(Opening, Syncing, *AGAIN)),
    (Opening,    i.ReceivedBinary): Rule(session.received_binary,   to=(Opening, *AGAIN)),
    (Opening,    i.Heard):          Rule(upkeep.heard,              to=(Opening,)),
    (Opening,    i.Lost):           Rule(ending.lost,               to=(Opening, *AGAIN)),
    (Opening,    T.OPENING_DUE):    Rule(connecting.opening_late,   to=AGAIN),

    (Syncing,    i.Received):       Rule(session.received,          to=(Syncing, Live, *AGAIN)),
    (Syncing,    i.ReceivedBinary): Rule(session.received_binary,   to=(Syncing, Live, *AGAIN)),
    (Syncing,    i.Lost):           Rule(ending.lost,               to=(Syncing, *AGAIN)),

    (Live,       i.Received):       Rule(session.received,          to=(Live, *AGAIN)),
    (Live,       i.ReceivedBinary): Rule(session.received_binary,   to=(Live, *AGAIN)),
    (Live,       i.Lost):           Rule(ending.lost,               to=(Live, *AGAIN)),
    (Live,       T.PING_DUE):       Rule(upkeep.ping_due,           to=(Live,)),
    (Live,       T.STABLE_DUE):     Rule(upkeep.stable_due,         to=(Live,)),

    (Backoff,    T.RECONNECT_DUE):  Rule(connecting.reconnect,      to=(Refreshing, Connecting)),
    (Backoff,    i.NetworkChanged): Rule(connecting.hurry,          to=(Refreshing, Connecting, Backoff)),
    (Backoff,    i.SyncNow):        Rule(connecting.hurry,          to=(Refreshing, Connecting, Backoff)),

    (Stopped,    i.Start):          Rule(connecting.start,          to=(Refreshing,)),
    (Stopped,    i.TakeOver):       Rule(connecting.take_over,      to=(Refreshing, Connecting)),

    **rows((Syncing, Live), {
        i.TokenReady:               Rule(upkeep.renewed,            to=(Syncing, Live)),
        i.TokenFailed:              Rule(upkeep.renewal_failed,     to=(Syncing, Live)),
        i.Heard:                    Rule(upkeep.heard,              to=(Syncing, Live)),
        i.SyncNow:                  Rule(upkeep.sync_now,           to=(Syncing, Live)),
        T.SILENCE_DUE:              Rule(ending.silent,             to=AGAIN),
        T.ACK_DUE:                  Rule(upkeep.ack_due,            to=(Syncing, Live)),
        T.RENEW_DUE:                Rule(upkeep.renew_due,          to=(Syncing, Live)),
    }),

    **rows(WANTED, {
        i.Woke:                     Rule(connecting.woke,           to=AGAIN),
        i.PollAnswered:             Rule(polling.poll_answered,     to=WANTED),
        i.PollFailed:               Rule(polling.poll_failed,       to=(*WANTED, Stopped)),
    }),

    **rows(EVERY, {
        i.Stop:                     Rule(connecting.stop_asked,     to=(Stopped,)),
    }),

    **same(EVERY,                             (i.Submit,),          outbox.submit),
    **same(EVERY,                             (i.Stored,),          outbox.stored),
    **same(WANTED,                            (T.RESEND_DUE,),      outbox.resend),
    **same(WANTED,                            (T.POLL_DUE,),        polling.poll_due),
    **same(WANTED,                            (T.POLL_LATE_DUE,),   polling.poll_late),
    **same((Refreshing, Connecting, Backoff), (T.POLL_START_DUE,),  polling.poll_start),
    **same((Idle, Stopped),                   (i.Woke,),            connecting.woke_unconnected),
    **same((Idle, Refreshing, Connecting, Opening, Syncing, Live, Stopped), (i.NetworkChanged,), connecting.no_hurry),
    **same((Refreshing, Connecting, Opening), (i.SyncNow,),         connecting.no_hurry),

    **same((Idle, Stopped, Backoff),          (*TOKENS, *TRANSPORT, *TALK, i.Lost), ending.stale),
    **same((Refreshing,),                     (*TRANSPORT, *TALK, i.Lost),          ending.stale),
    **same((Connecting,),                     (*TOKENS, *TALK),                     ending.stale),
    **same((Opening, ),                       (*TOKENS, *TRANSPORT),                ending.stale),
    **same((Syncing, Live),                   TRANSPORT,                            ending.stale),
    **same((Idle, Stopped),                   POLLED,                               ending.stale),
}
# fmt: on
