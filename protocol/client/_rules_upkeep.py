"""What a session does by itself (docs/protocol.md#heartbeat-ping)."""

from .._messages import Auth
from .._reconnect import stable
from .._timers import ClientTimer as T
from ._inputs import Heard, SyncNow, TokenFailed, TokenReady
from ._rules_connecting import is_new
from ._turn import Turn, current, due, rule
from ._upkeep import acknowledge, ask_for_renewal, ping, stay


@current
def heard(turn: Turn, _: Heard) -> None:
    """Part of a message."""
    stay(turn)


@due(T.PING_DUE)
def ping_due(turn: Turn) -> None:
    """The clock is sampled again."""
    turn.after(T.PING_DUE, turn.machine.timing.ping_ms)
    session = turn.session
    assert session is not None
    ping(turn, session)


@rule
def sync_now(turn: Turn, _: SyncNow) -> None:
    """Changes come by themselves; a ping shows whether the line still carries anything."""
    session = turn.session
    assert session is not None
    if session.allowance.wait_ms(turn.now, turn.machine.limits) > 0:
        turn.ignore("that was asked often enough")
    else:
        ping(turn, session)


@due(T.ACK_DUE)
def ack_due(turn: Turn) -> None:
    """What was stored since the last ack."""
    acknowledge(turn)


@due(T.STABLE_DUE)
def stable_due(turn: Turn) -> None:
    """Earlier failures are forgotten (docs/protocol.md#backoff-reset)."""
    turn.set(history=stable(turn.machine.history))


@due(T.RENEW_DUE)
def renew_due(turn: Turn) -> None:
    """The token in force ends soon."""
    ask_for_renewal(turn)


@current
def renewed(turn: Turn, input: TokenReady) -> None:
    """Renew in place; the same token again renews nothing (docs/protocol.md#auth-renewal)."""
    if is_new(turn, input):
        turn.set(token=input.handle, refused=False, sign_in=False)
        turn.send(Auth(token=input.handle), input.handle)
    else:
        _ask_sign_in(turn, "the token ends soon, and there is no other; sign in again")


@current
def renewal_failed(turn: Turn, input: TokenFailed) -> None:
    """The old token stays in force; RENEW_DUE asks again."""
    if input.rejected:
        _ask_sign_in(turn, input.why)
    else:
        turn.ignore(f"no token yet: {input.why}")


def _ask_sign_in(turn: Turn, why: str) -> None:
    turn.set(sign_in=True)
    turn.show(why)
