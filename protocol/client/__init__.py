"""The client's half of the protocol, without IO.

A driver carries bytes and time to one `ClientConnection`: it calls `step(input, now)` with what happened, does what the
outputs say in the order said, and calls `step(Tick(), now)` at `deadline.at`. `GetToken`, `OpenTransport`, `Store` and
`Poll` are questions; their answers come back as inputs with the number that the question carried. The connection
decides everything else: when to try again, what to send, what to apply, when to poll.

>>> from protocol import client
>>> c = client.ClientConnection(device="desk", seed=7)
>>> c.step(client.Start(), now=0.0)
[GetToken(gen=1, fresh=False), LinkChanged(state='connecting')]
>>> c
<ClientConnection Refreshing(), POLL_START_DUE at 10.0, outbox 0>
"""

from .._machine import (
    Tick,
)
from ._connection import (
    ClientConnection,
)
from ._inputs import (
    ClientInput,
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
from ._machine import (
    ClientMachine,
)
from ._outputs import (
    Answered,
    ClientOutput,
    ClockSampled,
    CloseTransport,
    Faulted,
    GetToken,
    HeartbeatHeard,
    Ignored,
    LinkChanged,
    LinkName,
    OpenTransport,
    Poll,
    PresenceHeard,
    Store,
    Synced,
    Transmit,
    Welcomed,
)
from ._states import (
    Backoff,
    Connecting,
    Idle,
    Link,
    Live,
    Opening,
    Polled,
    Polling,
    PollOff,
    PollSoon,
    Pushed,
    Pushing,
    PushOff,
    Refreshing,
    Session,
    Stopped,
    Syncing,
)
from ._table import (
    CLIENT,
    POLLING,
)


__all__ = [
    "CLIENT",
    "POLLING",
    "Answered",
    "Backoff",
    "ClientConnection",
    "ClientInput",
    "ClientMachine",
    "ClientOutput",
    "ClockSampled",
    "CloseTransport",
    "Connecting",
    "Faulted",
    "GetToken",
    "Heard",
    "HeartbeatHeard",
    "Idle",
    "Ignored",
    "Link",
    "LinkChanged",
    "LinkName",
    "Live",
    "Lost",
    "NetworkChanged",
    "OpenTransport",
    "Opened",
    "Opening",
    "Poll",
    "PollAnswered",
    "PollFailed",
    "PollOff",
    "PollSoon",
    "Polled",
    "Polling",
    "PresenceHeard",
    "PushOff",
    "Pushed",
    "Pushing",
    "Received",
    "ReceivedBinary",
    "Refreshing",
    "Refused",
    "Session",
    "Start",
    "Stop",
    "Stopped",
    "Store",
    "Stored",
    "Submit",
    "SyncNow",
    "Synced",
    "Syncing",
    "TakeOver",
    "Tick",
    "TokenFailed",
    "TokenReady",
    "Transmit",
    "Unreachable",
    "Welcomed",
    "Woke",
]
