"""From the request for a socket to a session: token, hello, resume."""

from typing import Any

import pytest

from protocol._settings import Limits, Timing
from protocol._timers import ServerTimer
from protocol._types import DeviceId, Handle, Rev
from protocol.server import (
    Accept,
    AwaitHello,
    Behind,
    Blocked,
    ClassicLive,
    Closed,
    CloseTransport,
    Drain,
    Drained,
    Draining,
    Evicted,
    Gone,
    Ignored,
    Join,
    Joining,
    Leave,
    Live,
    Overlong,
    PresenceIs,
    ReadPage,
    ReadState,
    ReceivedBinary,
    Refuse,
    RenewEpoch,
    Requested,
    Resync,
    ServerConnection,
    StoreFailed,
    Terms,
    Tick,
    TokenRejected,
    VerifyToken,
)

from .sessions import (
    ANNA,
    EPOCH,
    EXPIRES,
    HANDLE,
    OTHER,
    SESSION,
    WALL,
    awaiting_auth,
    awaiting_hello,
    classic,
    classic_joining,
    cursor,
    handshake,
    hello,
    join,
    joining,
    kinds,
    messages,
    mutate,
    only,
    page,
    published,
    say,
    verdict,
    verifying,
)


DESK = DeviceId("desk")

# --- the request -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("via", ["header", "query", "subprotocol"])
def test_a_token_in_the_request_is_verified_before_accept(via: Any) -> None:
    """docs/protocol.md#auth-order."""
    c = ServerConnection()
    assert c.step(Requested("v1", via, HANDLE), 0.0) == [VerifyToken(HANDLE)]
    assert c.step(verdict(), 1.0) == [Accept("tocsin.v1")]
    assert isinstance(c.state, AwaitHello)


def test_without_a_token_v1_is_accepted_and_hello_must_bring_it() -> None:
    c = ServerConnection()
    assert c.step(Requested("v1"), 0.0) == [Accept("tocsin.v1")]
    assert say(c, hello(token="h-9")) == [VerifyToken(Handle("h-9"))]
    assert kinds(c.step(verdict(handle=Handle("h-9")), 0.0)) == ["Join"]


def test_a_classic_request_without_a_token_is_refused() -> None:
    """docs/protocol.md#auth-reject-http."""
    c = ServerConnection()
    (refusal,) = c.step(Requested("classic"), 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.code, c.state) == (401, "token_invalid", Gone(0))


@pytest.mark.parametrize(
    ("why", "status", "code"),
    [
        ("expired", 401, "token_expired"),
        ("invalid", 401, "token_invalid"),
        ("revoked", 403, "forbidden"),
        ("forbidden", 403, "forbidden"),
    ],
)
@pytest.mark.parametrize("via", ["header", "query"])
@pytest.mark.parametrize("profile", ["classic", "v1"])
def test_a_bad_token_in_header_or_query_is_refused_before_accept(
    why: Any, status: int, code: str, via: Any, profile: Any
) -> None:
    """docs/protocol.md#auth-reject-http."""
    c = handshake(via=via, profile=profile)
    (refusal,) = c.step(TokenRejected(HANDLE, why), 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.code) == (status, code)
    assert (c.state, c.deadline) == (Gone(0), None)


@pytest.mark.parametrize(
    ("why", "code"), [("expired", 4301), ("invalid", 4302), ("revoked", 4003), ("forbidden", 4002)]
)
@pytest.mark.parametrize("where", ["subprotocol", "hello"])
def test_a_bad_token_in_subprotocol_or_hello_is_told_after_accept(why: Any, code: int, where: str) -> None:
    """Browsers cannot read a 401 (docs/protocol.md#auth-reject-4302, docs/protocol.md#auth-reject-4301)."""
    c = handshake(via="subprotocol") if where == "subprotocol" else verifying()
    outputs = c.step(TokenRejected(HANDLE, why), 0.0)
    accepted = ["Accept"] if where == "subprotocol" else []
    assert kinds(outputs) == [*accepted, "goodbye", "CloseTransport"]
    assert only(outputs)["code"] == code
    assert c.state == Draining(code)


def test_a_bad_bearer_item_without_v1_is_accepted_and_closed_without_goodbye() -> None:
    """docs/protocol.md#classic-no-goodbye."""
    outputs = handshake(via="subprotocol", profile="classic").step(TokenRejected(HANDLE, "invalid"), 0.0)
    assert outputs == [Accept(None), CloseTransport(4302, "token invalid")]


def test_a_first_hello_with_no_token_anywhere_is_closed_with_4302() -> None:
    """docs/protocol.md#auth-reject-4302."""
    c = awaiting_auth()
    assert only(say(c, hello()))["code"] == 4302


def test_an_origin_that_is_not_allowed_is_refused_whatever_token_it_brings() -> None:
    """docs/protocol.md#auth-origin."""
    terms = Terms(origins=frozenset({"https://ours"}))
    c = ServerConnection(terms)
    (refusal,) = c.step(Requested("v1", "header", HANDLE, origin="https://theirs"), 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.code) == (403, "origin")


@pytest.mark.parametrize("origin", [None, "https://ours"])
def test_no_origin_and_an_allowed_one_pass(origin: str | None) -> None:
    c = ServerConnection(Terms(origins=frozenset({"https://ours"})))
    assert c.step(Requested("v1", "header", HANDLE, origin), 0.0) == [VerifyToken(HANDLE)]


def test_without_a_list_of_origins_any_passes() -> None:
    assert ServerConnection().step(Requested("v1", origin="https://any"), 0.0) == [Accept("tocsin.v1")]


def test_a_query_token_is_refused_where_it_is_switched_off() -> None:
    """docs/protocol.md#auth-query-off."""
    c = ServerConnection(Terms(query_tokens=False))
    (refusal,) = c.step(Requested("classic", "query", HANDLE), 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.code) == (401, "token_invalid")
    assert ServerConnection(Terms(query_tokens=False)).step(Requested("v1", "header", HANDLE), 0.0) == [
        VerifyToken(HANDLE)
    ]


@pytest.mark.parametrize("make", [handshake, verifying])
@pytest.mark.parametrize("i", [verdict(handle=Handle("other")), TokenRejected(Handle("other"), "invalid")])
def test_a_verdict_on_another_token_changes_nothing(make: Any, i: Any) -> None:
    c = make()
    before = c.machine
    assert c.step(i, 0.0) == [Ignored("verdict on another token")]
    assert c.machine == before


# --- too late --------------------------------------------------------------------------------------------------------


def test_a_verdict_that_does_not_come_before_accept_is_503() -> None:
    """docs/protocol.md#auth-verify-late."""
    c = handshake()
    (refusal,) = c.step(Tick(), 10.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.code) == (503, "busy")
    assert c.step(verdict(), 11.0) == [Ignored("TokenAccepted after the end")]


def test_a_verdict_that_does_not_come_after_accept_is_4103() -> None:
    """Not the client's fault (docs/protocol.md#auth-verify-late)."""
    assert only(verifying().step(Tick(), 10.0))["code"] == 4103


def test_no_hello_with_a_token_within_ten_seconds_is_4300() -> None:
    """docs/protocol.md#life-await-auth."""
    c = awaiting_auth()
    assert c.step(Tick(), 9.999) == []
    assert only(c.step(Tick(), 10.0))["code"] == 4300


def test_no_hello_after_a_good_token_within_ten_seconds_is_4300() -> None:
    """docs/protocol.md#life-await-hello."""
    c = awaiting_hello()
    assert c.step(Tick(), 9.999) == []
    assert only(c.step(Tick(), 10.0))["code"] == 4300


def test_hello_does_not_restart_the_time_in_which_a_token_must_be_judged() -> None:
    """Ten seconds are for hello and its verdict together (docs/protocol.md#auth-hello-bound)."""
    c = awaiting_auth()
    say(c, hello(token=HANDLE), 9.0)
    assert c.deadline is not None
    assert (c.deadline.timer, c.deadline.at) == (ServerTimer.AUTH_DUE, 10.0)


@pytest.mark.parametrize("make", [joining, classic_joining])
def test_a_store_that_never_takes_it_in_ends_the_connection_with_1013(make: Any) -> None:
    """docs/protocol.md#life-store-busy."""
    c = make()
    outputs = c.step(Tick(), 10.0)
    assert outputs[-2:] == [CloseTransport(1013, "the store is busy"), Leave()]


@pytest.mark.parametrize("make", [joining, classic_joining])
def test_a_store_that_cannot_join_ends_the_connection_with_1013(make: Any) -> None:
    """docs/protocol.md#life-store-busy."""
    outputs = make().step(StoreFailed("join", retry_after_ms=2_000), 0.0)
    assert CloseTransport(1013, "the store is busy") in outputs
    assert [(m["min_ms"], m["max_ms"]) for m in messages(outputs)] in ([], [(2_000, 20_000)])


def test_a_token_that_expires_while_joining_ends_it_with_4301() -> None:
    c = classic_joining(Terms(timing=Timing(opening_ms=10**8)))
    assert kinds(c.step(Tick(), 3_630.0)) == ["error", "CloseTransport", "Leave"]
    assert c.state == Draining(4301)


def test_a_token_that_expires_before_hello_ends_it_with_4301() -> None:
    c = handshake()
    c.step(verdict(expires=WALL - 29_000), 0.0)
    assert only(c.step(Tick(), 1.0))["code"] == 4301


def test_a_token_accepted_long_after_its_expiry_is_due_at_once_and_not_in_the_past() -> None:
    c = handshake()
    c.step(verdict(expires=WALL - 60_000), 5.0)
    assert c.deadline is not None
    assert (c.deadline.timer, c.deadline.at) == (ServerTimer.TOKEN_DUE, 5.0)


# --- hello -----------------------------------------------------------------------------------------------------------


def test_hello_joins_with_all_that_the_store_and_the_hub_must_know() -> None:
    c = awaiting_hello()
    (asked,) = say(c, hello(cursor=cursor(41), caps=["presence", "x"]))
    assert isinstance(asked, Join)
    assert (asked.profile, asked.user, asked.session, asked.conn) == ("v1", ANNA, SESSION, 7)
    assert asked.device is not None
    assert (asked.device.id, asked.device.name, asked.app.name) == ("desk", "Desk", "t")
    assert (asked.cursor, asked.presence) == (asked.cursor, True)
    assert asked.cursor is not None
    assert (asked.cursor.epoch, asked.cursor.rev) == (EPOCH, 41)


def test_a_token_in_hello_after_one_in_the_request_is_not_looked_at() -> None:
    """The first that is found counts (docs/protocol.md#auth-order)."""
    assert kinds(say(awaiting_hello(), hello(token="h-other"))) == ["Join"]


BAD_HELLOS = {
    "an id that is no identifier": hello(device={"id": "desk 1", "name": ""}),
    "no id": hello(device={"id": "", "name": ""}),
    "a long id": hello(device={"id": "d" * 65, "name": ""}),
    "a long name": hello(device={"id": "desk", "name": "n" * 201}),
    "no attempt": hello(conn=0),
    "an attempt that no store can keep": hello(conn=1 << 53),
    "a cursor before the beginning": hello(cursor=cursor(-1)),
    "a cursor that no store can keep": hello(cursor=cursor(1 << 53)),
    "a NUL in the name": hello(device={"id": "desk", "name": "a\0"}),
    "a NUL in the program's name": hello(app={"name": "\0", "version": ""}),
    "a NUL in the epoch": hello(cursor=cursor(1, "a\0")),
    "no device": '{"type":"hello","conn":1}',
    "not hello": mutate(1),
    "a ping": '{"type":"ping"}',
    "an unknown type": '{"type":"news"}',
    "no type": "{}",
    "no JSON": "{",
}


@pytest.mark.parametrize("what", BAD_HELLOS)
@pytest.mark.parametrize("make", [awaiting_auth, awaiting_hello])
def test_anything_but_a_good_hello_is_explained_and_closed_with_4000(what: str, make: Any) -> None:
    """docs/protocol.md#frame-hello-first, docs/protocol.md#frame-bad, docs/protocol.md#terms-device-id."""
    c = make()
    outputs = say(c, BAD_HELLOS[what])
    assert kinds(outputs) == ["error", "goodbye", "CloseTransport"]
    assert c.state == Draining(4000)


def test_the_limits_of_hello_themselves_are_fine() -> None:
    longest = hello(device={"id": "d" * 64, "name": "n" * 200}, conn=(1 << 53) - 1, cursor=cursor((1 << 53) - 1))
    assert kinds(say(awaiting_hello(), longest)) == ["Join"]


@pytest.mark.parametrize("make", [awaiting_auth, awaiting_hello])
def test_more_than_8_kib_before_welcome_is_closed_with_1009(make: Any) -> None:
    """docs/protocol.md#limit-frame, docs/protocol.md#auth-hello-bound."""
    c = make()
    assert say(c, hello(token=HANDLE).ljust(8_192))
    assert not isinstance(c.state, Draining)
    c = make()
    outputs = say(c, hello(token=HANDLE).ljust(8_193))
    assert [m["code"] for m in messages(outputs)] == ["too_big", 1009]


@pytest.mark.parametrize("make", [awaiting_auth, awaiting_hello, verifying, joining])
def test_bye_before_welcome_is_answered_with_goodbye_and_1000(make: Any) -> None:
    assert only(say(make(), {"type": "bye", "reason": "user"}))["code"] == 1000


@pytest.mark.parametrize("make", [awaiting_auth, awaiting_hello, verifying, joining])
def test_a_binary_message_before_welcome_is_a_bad_message(make: Any) -> None:
    """Nothing is agreed yet (docs/protocol.md#frame-deflate-cap)."""
    outputs = make().step(ReceivedBinary(b"\x01", WALL), 0.0)
    assert [m["code"] for m in messages(outputs)] == ["bad_message", 4000]


@pytest.mark.parametrize("make", [verifying, joining])
def test_between_hello_and_welcome_ping_is_answered_and_the_rest_is_bad(make: Any) -> None:
    """docs/protocol.md#msg-client."""
    c = make()
    assert only(say(c, {"type": "ping", "t0": 1.5})) == {"type": "pong", "t0": 1.5, "t1": WALL, "t2": WALL}
    assert kinds(say(c, {"type": "news"})) == ["Ignored"]
    assert c.statistics()["unknown"] == 1
    assert [m["code"] for m in messages(say(c.copy(), hello()))] == ["bad_message", 4000]
    assert [m["code"] for m in messages(say(c.copy(), mutate(1)))] == ["bad_message", 4000]
    assert [m["code"] for m in messages(say(c, "["))] == ["bad_json", 4000]


@pytest.mark.parametrize("make", [verifying, joining])
def test_impatience_is_metered_too(make: Any) -> None:
    """docs/protocol.md#limit-rate."""
    c = make()
    answers = [kinds(say(c, {"type": "ping", "t0": n}))[0] for n in range(41)]
    assert answers == ["pong"] * 40 + ["error"]


# --- resume ----------------------------------------------------------------------------------------------------------


def opened(said: dict[str, Any] | None, rev: int, floor: int = 0) -> tuple[ServerConnection, list[Any]]:
    c = joining(cursor=said)
    return c, join(c, rev, floor)


def test_welcome_says_everything_that_a_client_must_know() -> None:
    """docs/protocol.md#msg-welcome, docs/protocol.md#msg-welcome-announces, docs/protocol.md#msg-caps."""
    c = joining(cursor=cursor(40), caps=["presence", "deflate", "magic"])
    welcome = messages(join(c, 41))[0]
    assert {k: v for k, v in welcome.items() if k not in ("timers", "limits")} == {
        "type": "welcome", "user": ANNA, "session_id": SESSION, "epoch": EPOCH, "rev": 41, "resume": "replay",
        "last_mid": 3, "server_time": WALL, "caps": ["deflate", "presence"], "auth_exp": EXPIRES,
    }  # fmt: skip
    assert set(welcome["timers"]) == set(Timing.__struct_fields__)
    assert set(welcome["limits"]) == set(Limits.__struct_fields__)


def test_nothing_missed_is_welcome_none_and_synced_at_once() -> None:
    """docs/protocol.md#resume-welcome, docs/protocol.md#msg-synced."""
    c, outputs = opened(cursor(41), 41)
    assert kinds(outputs) == ["welcome", "synced"]
    assert messages(outputs)[0]["resume"] == "none"
    assert messages(outputs)[1] == {"type": "synced", "epoch": EPOCH, "rev": 41}
    assert isinstance(c.state, Live)


def test_rev_0_of_an_empty_log_is_a_cursor_like_any_other() -> None:
    """docs/protocol.md#cursor-zero."""
    assert kinds(opened(cursor(0), 0)[1]) == ["welcome", "synced"]
    assert kinds(opened(cursor(0), 1)[1]) == ["welcome", "ReadPage"]


@pytest.mark.parametrize(
    ("said", "rev", "floor", "reason"),
    [
        (None, 41, 0, "epoch"),
        (cursor(41, OTHER), 41, 0, "epoch"),
        (cursor(9, OTHER), 600, 20, "epoch"),
        (cursor(19), 41, 20, "trimmed"),
        (cursor(19), 900, 20, "trimmed"),
        (cursor(40), 541, 0, "too_many"),
    ],
)
def test_a_cursor_of_no_use_is_told_why_and_gets_a_snapshot(
    said: dict[str, Any] | None, rev: int, floor: int, reason: str
) -> None:
    """docs/protocol.md#resume-order, docs/protocol.md#resume-stale, docs/protocol.md#msg-snapshot-deleted."""
    c, outputs = opened(said, rev, floor)
    assert kinds(outputs) == ["welcome", "sync_required", "ReadState"]
    assert messages(outputs)[0]["resume"] == "snapshot"
    assert messages(outputs)[1] == {"type": "sync_required", "reason": reason, "epoch": EPOCH, "rev": rev}
    assert outputs[-1] == ReadState(ANNA, DESK, said is not None and said["epoch"] == OTHER)
    assert isinstance(c.state, Behind)


@pytest.mark.parametrize(("said", "rev", "floor"), [(20, 41, 20), (41, 541, 0), (0, 500, 0)])
def test_a_cursor_just_good_enough_is_replayed(said: int, rev: int, floor: int) -> None:
    """The cursor's own row need not exist (docs/protocol.md#resume-replay)."""
    _, outputs = opened(cursor(said), rev, floor)
    assert kinds(outputs) == ["welcome", "ReadPage"]
    assert outputs[-1] == ReadPage(ANNA, Rev(said), 100)


def test_a_cursor_above_the_head_asks_for_a_new_epoch_before_it_is_answered() -> None:
    """docs/protocol.md#log-ahead-epoch."""
    c = joining(cursor=cursor(50))
    assert join(c, 41) == [RenewEpoch(ANNA, EPOCH)]
    assert isinstance(c.state, Joining)
    outputs = join(c, 41, 41, OTHER)
    assert messages(outputs)[0]["epoch"] == OTHER
    assert messages(outputs)[1] == {"type": "sync_required", "reason": "ahead", "epoch": OTHER, "rev": 41}
    assert outputs[-1] == ReadState(ANNA, DESK, with_deleted=True)


def test_a_store_that_keeps_its_epoch_is_not_asked_for_ever() -> None:
    c = joining(cursor=cursor(50))
    join(c, 41)
    assert kinds(join(c, 41)) == ["welcome", "sync_required", "ReadState"]


# --- what happens while it joins ---------------------------------------------------------------------------------------


def test_a_change_published_while_joining_is_read_from_the_log() -> None:
    """Registered before the head was read, so no change falls between the two (docs/protocol.md#invariant-2)."""
    c = joining(cursor=cursor(41))
    c.step(published(43), 0.0)
    c.step(published(42), 0.0)
    outputs = join(c, 41)
    assert kinds(outputs) == ["welcome", "ReadPage"]
    outputs = c.step(page(41, 43), 0.0)
    assert [m.get("rev") for m in messages(outputs)] == [42, 43, 43]
    assert isinstance(c.state, Live)


def test_a_change_published_while_the_epoch_is_renewed_is_remembered() -> None:
    c = joining(cursor=cursor(50))
    join(c, 41)
    c.step(published(42), 0.0)
    join(c, 41, 41, OTHER)
    assert c.state.goal == 42


def test_presence_told_while_joining_is_shown_as_soon_as_the_session_begins() -> None:
    """The news that this device is here may overtake its own welcome."""
    c = joining(cursor=cursor(41), caps=["presence"])
    assert c.step(PresenceIs(()), 0.0) == []
    assert kinds(join(c, 41, now=1.0)) == ["welcome", "synced"]
    assert c.deadline is not None
    assert c.deadline.at == 1.0
    assert kinds(c.step(Tick(), 1.0)) == ["presence"]


@pytest.mark.parametrize("make", [joining, classic_joining])
def test_presence_told_while_joining_is_not_kept_for_one_without_the_cap(make: Any) -> None:
    """docs/protocol.md#presence-cap."""
    c = make()
    assert kinds(c.step(PresenceIs(()), 0.0)) == ["Ignored"]
    assert c.machine.presence is None


def test_a_new_epoch_told_while_joining_means_nothing_to_a_session_that_has_none() -> None:
    assert kinds(joining().step(Resync(OTHER, Rev(1)), 0.0)) == ["Ignored"]


def test_an_eviction_while_joining_names_the_winner() -> None:
    """docs/protocol.md#life-replaced."""
    goodbye = only(joining().step(Evicted(4005, "replaced", 9), 0.0))
    assert (goodbye["code"], goodbye["conn"]) == (4005, 9)


@pytest.mark.parametrize("make", [awaiting_auth, verifying, awaiting_hello, joining])
def test_a_peer_that_does_not_read_before_welcome_is_given_up_too(make: Any) -> None:
    """docs/protocol.md#life-unwritable."""
    c = make(Terms(timing=Timing(unwritable_ms=100)))
    assert c.step(Blocked(), 0.0) == []
    assert kinds(c.step(Blocked(), 0.0)) == ["Ignored"]
    d = c.copy()
    assert only(c.step(Tick(), 0.1))["code"] == 4101
    assert d.step(Drained(), 0.0) == []
    assert d.step(Tick(), 0.1) == []


@pytest.mark.parametrize(("said", "state"), [(cursor(41), Live), (cursor(40), Behind), (None, Behind)])
def test_a_peer_blocked_before_welcome_is_blocked_after_it(said: Any, state: Any) -> None:
    """The driver says it once; forgetting it would let the queue grow without a bound (docs/protocol.md#invariant-12)."""
    c = joining(cursor=said)
    c.step(Blocked(), 0.0)
    join(c, 41)
    assert isinstance(c.state, state)
    assert c.state.blocked
    assert ServerTimer.UNWRITABLE_DUE in c.machine.timers


def test_a_classic_peer_blocked_before_its_session_is_blocked_after_it() -> None:
    c = classic_joining()
    c.step(Blocked(), 0.0)
    join(c, 41)
    assert c.state.blocked


# --- classic ---------------------------------------------------------------------------------------------------------


def test_a_classic_socket_joins_at_once_and_says_nothing_by_itself() -> None:
    """docs/protocol.md#classic-silent."""
    c = handshake(via="query", profile="classic")
    assert c.step(verdict(), 0.0) == [Accept(None), Join("classic", ANNA, SESSION)]
    assert join(c, 41) == []
    assert isinstance(c.state, ClassicLive)


def test_a_classic_client_may_speak_before_its_session_has_begun() -> None:
    """Most subscribe as soon as their socket is open (docs/protocol.md#classic-subscribe)."""
    c = classic_joining()
    assert say(c, {"type": "subscribe", "topics": ["timers"]}) == []
    assert say(c, {"type": "ping", "t0": 1}) == []
    assert say(c, "rubbish") == []
    outputs = join(c, 41)
    assert kinds(outputs) == ["subscribed", "pong", "error"]
    assert c.state.topics == {"timers"}


def test_what_a_classic_client_says_early_is_bounded() -> None:
    """docs/protocol.md#invariant-12."""
    c = classic_joining()
    assert say(c, "x" * 8_000) == []
    assert only(say(c, "x" * 193))["code"] == "rate_limited"
    assert say(c, "x" * 192) == []
    assert sum(len(said.data) for said in c.state.said) == 8_192


def test_what_a_classic_client_says_early_is_bounded_in_bytes_and_not_in_characters() -> None:
    """docs/protocol.md#invariant-12."""
    c = classic_joining()
    assert say(c, "\u017e" * 4_096) == []
    assert only(say(c, "x"))["code"] == "rate_limited"


def test_empty_messages_said_early_are_counted() -> None:
    """They have no bytes, so the bound on those would let any number of them be kept (docs/protocol.md#invariant-12)."""
    c = classic_joining()
    for _ in range(40):
        assert say(c, "") == []
    assert only(say(c, ""))["code"] == "rate_limited"
    assert len(c.state.said) == 40


def test_early_words_survive_a_change_that_is_published_meanwhile() -> None:
    c = classic_joining()
    say(c, {"type": "ping"})
    c.step(published(42), 0.0)
    say(c, {"type": "ping"})
    assert kinds(join(c, 42)) == ["pong", "pong"]


def test_a_classic_client_that_said_bye_while_joining_is_let_go() -> None:
    c = classic_joining()
    say(c, {"type": "bye"})
    say(c, {"type": "ping"})
    assert kinds(join(c, 41)) == ["CloseTransport", "Leave", "Ignored"]
    assert c.state == Draining(1000)


def test_a_binary_message_does_not_end_a_classic_session_that_begins() -> None:
    """docs/protocol.md#classic-bad-message."""
    c = classic_joining()
    assert only(c.step(ReceivedBinary(b"", WALL), 0.0))["code"] == "bad_message"
    assert isinstance(c.state, Joining)


def test_a_classic_client_that_missed_a_change_while_joining_is_told_to_load_again() -> None:
    c = classic_joining()
    c.step(published(43), 0.0)
    assert only(join(c, 42)) == {"type": "sync_required", "reason": "slow", "epoch": EPOCH, "rev": 43}
    assert c.state.rev == 43


# --- the end before the beginning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ServerConnection, handshake])
def test_a_drain_before_accept_is_503(make: Any) -> None:
    c = make()
    (refusal,) = c.step(Drain(1), 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.code) == (503, "busy")


@pytest.mark.parametrize("make", [ServerConnection, handshake, awaiting_auth, verifying, awaiting_hello])
def test_a_transport_lost_before_joining_leaves_nothing_behind(make: Any) -> None:
    c = make()
    assert c.step(Closed(1006), 0.0) == []
    assert (c.state, c.deadline) == (Gone(1006), None)


@pytest.mark.parametrize("make", [joining, classic_joining, classic])
def test_a_transport_lost_later_leaves_the_roster(make: Any) -> None:
    assert kinds(make().step(Closed(1006), 0.0)) == ["Leave"]


def test_an_overlong_message_is_closed_with_1009() -> None:
    """docs/protocol.md#limit-frame."""
    assert only(awaiting_auth().step(Overlong(9_000), 0.0))["code"] == 1009
