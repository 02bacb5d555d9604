"""The server's half of the protocol, without IO.

>>> from protocol import server
>>> c = server.ServerConnection()
>>> c.step(server.Requested("v1"), now=0.0)
[Accept(subprotocol='tocsin.v1')]
>>> c
<ServerConnection AwaitAuth(), AUTH_DUE at 10.0>
"""

from .._machine import (
    Tick,
)
from ._connection import (
    ServerConnection,
)
from ._inputs import (
    Answered,
    Blocked,
    Closed,
    Drain,
    Drained,
    Evicted,
    HeadRead,
    Heard,
    Joined,
    Malformed,
    Overlong,
    PageRead,
    PresenceIs,
    Profile,
    Publish,
    Received,
    ReceivedBinary,
    Requested,
    Resync,
    ServerInput,
    StateRead,
    StoreFailed,
    TokenAccepted,
    TokenRejected,
    Via,
)
from ._machine import (
    Terms,
)
from ._outputs import (
    AbortTransport,
    Accept,
    Apply,
    CloseTransport,
    Ignored,
    Join,
    Leave,
    ReadHead,
    ReadPage,
    ReadState,
    Refuse,
    RenewEpoch,
    ServerOutput,
    StoreAck,
    Transmit,
    TransmitBinary,
    VerifyToken,
)
from ._publish import publication
from ._request import (
    SUBPROTOCOL,
    hide_token,
    read_request,
)
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
    Login,
    New,
    Peer,
    ServerState,
    Verifying,
)
from ._table import (
    SERVER,
)


__all__ = [
    "SERVER",
    "SUBPROTOCOL",
    "AbortTransport",
    "Accept",
    "Answered",
    "Apply",
    "AwaitAuth",
    "AwaitHello",
    "Behind",
    "Blocked",
    "ClassicLive",
    "CloseTransport",
    "Closed",
    "Drain",
    "Drained",
    "Draining",
    "Evicted",
    "Gone",
    "Handshake",
    "HeadRead",
    "Heard",
    "Ignored",
    "Join",
    "Joined",
    "Joining",
    "Leave",
    "Live",
    "Login",
    "Malformed",
    "New",
    "Overlong",
    "PageRead",
    "Peer",
    "PresenceIs",
    "Profile",
    "Publish",
    "ReadHead",
    "ReadPage",
    "ReadState",
    "Received",
    "ReceivedBinary",
    "Refuse",
    "RenewEpoch",
    "Requested",
    "Resync",
    "ServerConnection",
    "ServerInput",
    "ServerOutput",
    "ServerState",
    "StateRead",
    "StoreAck",
    "StoreFailed",
    "Terms",
    "Tick",
    "TokenAccepted",
    "TokenRejected",
    "Transmit",
    "TransmitBinary",
    "VerifyToken",
    "Verifying",
    "Via",
    "hide_token",
    "publication",
    "read_request",
]
