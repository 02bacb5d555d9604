"""The server's half of the protocol as one table: (state, input or timer) -> rule and where it may land.

Rules for this file: one row per pair, sorted by the life of a connection; a pair that is absent is illegal and raises;
nothing else decides. Diagrams and `accepts` are made from it.
"""

from typing import Final

from .._machine import Rule, Table, rows, same
from .._timers import ServerTimer as T
from . import _inputs as i  # pyright: ignore[reportPrivateUsage]  # a module of this very package
from . import _rules_classic as classic
from . import _rules_ending as ending
from . import _rules_opening as opening
from . import _rules_session as session
from . import _rules_stream as stream
from ._states import (
    AwaitAuth,
    AwaitHello,
    Behind,
    ClassicLive,
    Draining,
    Gone,
    Handshake,
    Joining,
    Live,
    New,
    Verifying,
)


ON = (Behind, Live, Draining)
LATE = (
    i.TokenAccepted, i.TokenRejected, i.Received, i.ReceivedBinary, i.Overlong, i.Malformed, i.Joined, i.Evicted,
    i.Answered, i.Declined, i.PageRead, i.StateRead, i.HeadRead, i.StoreFailed, i.Publish, i.Resync, i.PresenceIs, i.Heard,
    i.Blocked, i.Drained, i.Drain,
)  # fmt: skip
"""What may still arrive for a session that is ending."""

# fmt: off
SERVER: Final[Table] = {
    (New,         i.Requested):      Rule(opening.request,             to=(Handshake, AwaitAuth, Gone)),
    (New,         i.Drain):          Rule(opening.handshake_drained,   to=(Gone,)),
    (New,         i.Closed):         Rule(ending.closed,               to=(Gone,)),

    (Handshake,   i.TokenAccepted):  Rule(opening.handshake_accepted,  to=(AwaitHello, Joining, Handshake)),
    (Handshake,   i.TokenRejected):  Rule(opening.handshake_rejected,  to=(Gone, Draining, Handshake)),
    (Handshake,   i.Drain):          Rule(opening.handshake_drained,   to=(Gone,)),
    (Handshake,   i.Closed):         Rule(ending.closed,               to=(Gone,)),
    (Handshake,   T.AUTH_DUE):       Rule(opening.verification_late,   to=(Gone,)),

    (AwaitAuth,   i.Received):       Rule(opening.first_message,       to=(Verifying, Draining)),
    (AwaitAuth,   i.ReceivedBinary): Rule(opening.binary_too_early,    to=(Draining,)),
    (AwaitAuth,   T.AUTH_DUE):       Rule(ending.no_token,             to=(Draining,)),

    (Verifying,   i.TokenAccepted):  Rule(opening.hello_accepted,      to=(Joining, Verifying)),
    (Verifying,   i.TokenRejected):  Rule(opening.hello_rejected,      to=(Draining, Verifying)),
    (Verifying,   i.Received):       Rule(opening.impatient,           to=(Verifying, Draining)),
    (Verifying,   i.ReceivedBinary): Rule(opening.binary_too_early,    to=(Draining,)),
    (Verifying,   T.AUTH_DUE):       Rule(ending.verdict_late,         to=(Draining,)),

    (AwaitHello,  i.Received):       Rule(opening.greeted,             to=(Joining, Draining)),
    (AwaitHello,  i.ReceivedBinary): Rule(opening.binary_too_early,    to=(Draining,)),
    (AwaitHello,  T.HELLO_DUE):      Rule(ending.no_hello,             to=(Draining,)),
    (AwaitHello,  T.TOKEN_DUE):      Rule(session.token_expired,       to=(Draining,)),

    (Joining,     i.Joined):         Rule(opening.joined,              to=(Joining, Behind, Live, ClassicLive, Draining)),
    (Joining,     i.Evicted):        Rule(ending.evicted,              to=(Draining,)),
    (Joining,     i.StoreFailed):    Rule(ending.store_busy,           to=(Draining,)),
    (Joining,     i.Publish):        Rule(opening.published_early,     to=(Joining,)),
    (Joining,     i.Resync):         Rule(opening.not_yet,             to=(Joining,)),
    (Joining,     i.PresenceIs):     Rule(opening.presence_early,      to=(Joining,)),
    (Joining,     i.Received):       Rule(opening.joining_said,        to=(Joining, Draining)),
    (Joining,     i.ReceivedBinary): Rule(opening.joining_binary,      to=(Joining, Draining)),
    (Joining,     T.JOIN_DUE):       Rule(ending.join_late,            to=(Draining,)),
    (Joining,     T.TOKEN_DUE):      Rule(session.token_expired,       to=(Draining,)),

    (Behind,      i.Publish):        Rule(stream.publish_behind,       to=(Behind,)),
    (Behind,      i.PageRead):       Rule(stream.page_read,            to=(Behind, Live)),
    (Behind,      i.StateRead):      Rule(stream.state_read,           to=(Behind, Live)),
    (Behind,      i.Blocked):        Rule(stream.blocked,              to=(Behind,)),
    (Behind,      i.Drained):        Rule(stream.behind_drained,       to=(Behind,)),

    (Live,        i.Publish):        Rule(stream.publish,              to=(Live, Behind)),
    (Live,        i.PageRead):       Rule(opening.not_asked,           to=(Live,)),
    (Live,        i.StateRead):      Rule(opening.not_asked,           to=(Live,)),
    (Live,        i.Blocked):        Rule(stream.blocked,              to=(Live,)),
    (Live,        i.Drained):        Rule(stream.live_drained,         to=(Live,)),

    (ClassicLive, i.Publish):        Rule(classic.publish,             to=(ClassicLive,)),
    (ClassicLive, i.Received):       Rule(classic.received,            to=(ClassicLive, Draining)),
    (ClassicLive, i.ReceivedBinary): Rule(classic.received_binary,     to=(ClassicLive,)),
    (ClassicLive, i.HeadRead):       Rule(classic.head_read,           to=(ClassicLive,)),
    (ClassicLive, i.Resync):         Rule(classic.resync,              to=(ClassicLive,)),
    (ClassicLive, i.Blocked):        Rule(stream.blocked,              to=(ClassicLive,)),
    (ClassicLive, i.Drained):        Rule(classic.drained,             to=(ClassicLive,)),
    (ClassicLive, i.Evicted):        Rule(ending.evicted,              to=(Draining,)),
    (ClassicLive, i.StoreFailed):    Rule(opening.not_asked,           to=(ClassicLive,)),
    (ClassicLive, i.PresenceIs):     Rule(opening.not_asked,           to=(ClassicLive,)),
    (ClassicLive, T.HEARTBEAT_DUE):  Rule(stream.heartbeat_due,        to=(ClassicLive,)),
    (ClassicLive, T.UNWRITABLE_DUE): Rule(stream.unwritable,           to=(Draining,)),
    (ClassicLive, T.TOKEN_DUE):      Rule(session.token_expired,       to=(Draining,)),

    (Draining,    i.Closed):         Rule(ending.closed,               to=(Gone,)),
    (Draining,    T.CLOSE_DUE):      Rule(ending.give_up,              to=(Gone,)),

    (Gone,        i.Closed):         Rule(ending.over,                 to=(Gone,)),

    **rows((Behind, Live), {
        i.Received:                  Rule(session.received,            to=ON),
        i.ReceivedBinary:            Rule(session.received_binary,     to=ON),
        i.Answered:                  Rule(session.answered,            to=(Behind, Live)),
        i.Declined:                  Rule(session.declined,            to=(Behind, Live)),
        i.StoreFailed:               Rule(session.store_failed,        to=ON),
        i.TokenAccepted:             Rule(session.token_accepted,      to=ON),
        i.TokenRejected:             Rule(session.token_rejected,      to=ON),
        i.Heard:                     Rule(session.heard,               to=(Behind, Live)),
        i.HeadRead:                  Rule(stream.head_read,            to=(Behind, Live)),
        i.Resync:                    Rule(stream.resync,               to=(Behind, Live)),
        i.PresenceIs:                Rule(session.presence_is,         to=(Behind, Live)),
        i.Evicted:                   Rule(ending.evicted,              to=(Draining,)),
        T.HEARTBEAT_DUE:             Rule(stream.heartbeat_due,        to=ON),
        T.LIVENESS_DUE:              Rule(session.silent,              to=(Draining,)),
        T.UNWRITABLE_DUE:            Rule(stream.unwritable,           to=(Draining,)),
        T.TOKEN_DUE:                 Rule(session.token_expired,       to=(Draining,)),
        T.PRESENCE_DUE:              Rule(session.presence_due,        to=(Behind, Live)),
    }),

    **rows((AwaitAuth, Verifying, AwaitHello, Joining, Behind, Live, ClassicLive), {
        i.Overlong:                  Rule(ending.overlong,             to=(Draining,)),
        i.Malformed:                 Rule(ending.malformed,            to=(Draining,)),
        i.Drain:                     Rule(ending.drain,                to=(Draining,)),
        i.Closed:                    Rule(ending.closed,               to=(Gone,)),
    }),

    **same((AwaitAuth, Verifying, AwaitHello, Joining), (i.Heard,), opening.not_asked),
    **same((AwaitAuth, Verifying, AwaitHello, Joining), (i.Blocked,), opening.blocked_early),
    **same((AwaitAuth, Verifying, AwaitHello, Joining), (i.Drained,), opening.drained_early),
    **rows((AwaitAuth, Verifying, AwaitHello, Joining), {
        T.UNWRITABLE_DUE:            Rule(stream.unwritable,           to=(Draining,)),
    }),
    **same((ClassicLive,), (i.Heard, i.Answered, i.Declined, i.PageRead, i.StateRead, i.TokenAccepted, i.TokenRejected),
           opening.not_asked),
    **same((Draining, Gone), LATE, ending.over),
}
# fmt: on
