"""What the server says from welcome on (docs/protocol.md#msg-welcome)."""

import zlib

import pytest
from msgspec.structs import asdict

from protocol._messages import DevicePresence
from protocol._timers import ClientTimer as T
from protocol._types import DeviceId, Epoch, Generation, Rev, SessionId, UserId, Wall
from protocol.client import (
    CloseTransport,
    Faulted,
    HeartbeatHeard,
    LinkChanged,
    PresenceHeard,
    Received,
    ReceivedBinary,
    Stopped,
    Synced,
    Welcomed,
)

from .desk import LIFE_MS, SERVER_TIME, Desk, cursor, live, one, opening, reasons, said, sent, some, syncing


def pressed(text: str) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return b"\x01" + deflate.compress(text.encode()) + deflate.flush()


def heartbeat(n: int = 1) -> str:
    return said("heartbeat", n=n, t=SERVER_TIME, rev=41)


# --- welcome ----------------------------------------------------------------------------------------------------------


def test_welcome_leads_to_syncing_and_names_the_user() -> None:
    desk = opening(cursor=cursor(41))
    outputs = desk.welcome()
    assert desk.state == "Syncing"
    assert one(outputs, Welcomed) == Welcomed(UserId("anna"), SessionId("s1"))
    assert one(outputs, LinkChanged) == LinkChanged("syncing")


def test_welcome_is_the_first_clock_sample() -> None:
    desk = opening()
    desk.now += 0.2
    desk.welcome()
    assert desk.c.server_time(desk.now) == SERVER_TIME + 100
    assert desk.c.machine.clock.error_ms(desk.now) == pytest.approx(100)


def test_a_welcome_for_another_user_stops_before_anything_is_mixed() -> None:
    desk = opening(user="berta", cursor=cursor(41))
    outputs = desk.welcome()
    assert desk.c.state == Stopped("another user", sign_in=True)
    assert some(outputs, CloseTransport)
    assert not some(outputs, Welcomed)


def test_the_first_welcome_binds_the_store_to_its_user() -> None:
    desk = live()
    desk.step(Received(desk.gen, "{"))
    desk.again()
    desk.open()
    desk.welcome(user="berta")
    assert desk.state == "Stopped"


def test_announced_timers_and_limits_replace_the_defaults() -> None:
    desk = opening()
    desk.welcome(timers={"silence_ms": 700, "unheard_of": 5}, limits={"window": 2})
    assert desk.due_in(T.SILENCE_DUE) == 0.7
    assert desk.c.machine.limits.window == 2


def test_announced_values_hold_for_the_attempts_after_it() -> None:
    desk = opening()
    desk.welcome(timers={"opening_ms": 300})
    desk.step(Received(desk.gen, "{"))
    desk.again()
    desk.open()
    assert desk.due_in(T.OPENING_DUE) == 0.3


@pytest.mark.parametrize("value", [0, -1, 10**300])
def test_announced_nonsense_makes_no_busy_loop_and_no_eternity(value: int) -> None:
    desk = opening(cursor=cursor(41))
    names = ["silence_ms", "ping_ms", "ack_ms", "stable_ms", "refresh_ms", "backoff_floor_ms", "backoff_cap_ms"]
    desk.welcome(timers=dict.fromkeys(names, value), limits={"burst": value, "messages_per_minute": value})
    desk.synced(41)
    assert desk.c.deadline is not None
    assert desk.now < desk.c.deadline.at <= desk.now + 86_400


def test_a_second_welcome_is_a_bad_message() -> None:
    desk = syncing()
    outputs = desk.welcome()
    assert one(outputs, Faulted).fault.code == "bad_message"
    assert one(outputs, CloseTransport).code == 4000


def test_nothing_but_welcome_comes_first() -> None:
    desk = opening()
    outputs = desk.step(Received(desk.gen, heartbeat()))
    assert one(outputs, Faulted).fault.message == "`heartbeat` has no place in Opening."
    assert one(outputs, CloseTransport).code == 4000
    assert not sent(outputs)


def test_an_error_before_welcome_is_reported() -> None:
    desk = opening()
    outputs = desk.says("error", code="busy", message="Later.", retryable=True)
    assert one(outputs, Faulted).fault.code == "busy"
    assert desk.state == "Opening"


# --- synced -----------------------------------------------------------------------------------------------------------


def test_synced_leads_to_live() -> None:
    desk = syncing()
    outputs = desk.synced(41)
    assert desk.state == "Live"
    assert one(outputs, LinkChanged) == LinkChanged("live")
    assert some(outputs, Synced)


def test_a_later_synced_says_so_again_and_changes_nothing_else() -> None:
    """The server fell behind a slow reader and caught up."""
    desk = live()
    before = desk.c.machine.timers
    outputs = desk.synced(41)
    assert some(outputs, Synced)
    assert not some(outputs, LinkChanged)
    assert desk.due_in(T.STABLE_DUE) == 60
    assert len(desk.c.machine.timers.pending) == len(before.pending)


# --- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rev", [0, 41])
def test_a_heartbeat_tells_the_server_time(rev: int) -> None:
    desk = live()
    outputs = desk.says("heartbeat", n=3, t=SERVER_TIME + 9, rev=rev)
    assert outputs == [HeartbeatHeard(Wall(SERVER_TIME + 9))]
    assert desk.c.machine.cursor == cursor(41)


def test_a_heartbeat_above_the_cursor_shows_that_something_was_lost_on_the_way() -> None:
    desk = live()
    outputs = desk.says("heartbeat", n=3, t=SERVER_TIME, rev=42)
    assert one(outputs, CloseTransport).code == 4202
    assert desk.c.machine.cursor == cursor(41), "it is a sign, not a cursor"


def test_a_heartbeat_during_a_snapshot_shows_nothing() -> None:
    desk = live()
    desk.says("sync_required", reason="epoch", epoch="e2", rev=3)
    assert not some(desk.says("heartbeat", n=3, t=SERVER_TIME, rev=42), CloseTransport)


def test_a_heartbeat_before_any_snapshot_shows_nothing() -> None:
    desk = opening()
    desk.welcome()
    assert not some(desk.says("heartbeat", n=3, t=SERVER_TIME, rev=42), CloseTransport)


def test_presence_is_passed_on() -> None:
    desk = live()
    phone = DevicePresence(DeviceId("phone"), "Phone", True, Epoch("e1"), Rev(7), Wall(5))
    outputs = desk.says("presence", devices=[asdict(phone)])
    assert outputs == [PresenceHeard((phone,))]


def test_an_unknown_type_is_ignored_and_counted() -> None:
    desk = live()
    outputs = desk.says("confetti", amount=7)
    assert reasons(outputs) == ["message of unknown type 'confetti'"]
    assert desk.c.statistics()["unknown"] == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type":5}', '{"type":"heartbeat"}', '{"type":"synced","rev":"x"}'])
def test_what_cannot_be_understood_closes_with_4000(text: str) -> None:
    desk = live()
    outputs = desk.step(Received(desk.gen, text))
    assert some(outputs, Faulted)
    assert one(outputs, CloseTransport).code == 4000
    assert sent(outputs)[-1]["type"] == "bye"
    assert desk.state == "Backoff"


def test_the_third_bad_message_in_five_minutes_stops() -> None:
    desk = live()
    for _ in range(2):
        desk.step(Received(desk.gen, "{"))
        desk.again()
        desk.open()
        desk.welcome()
    desk.step(Received(desk.gen, "{"))
    assert desk.c.state == Stopped("not understood")


def test_classic_messages_have_no_place_here() -> None:
    desk = live()
    assert one(desk.says("subscribed", topics=["alarms"]), CloseTransport).code == 4000


def test_a_message_above_the_bound_closes_with_1009() -> None:
    desk = live()
    outputs = desk.step(Received(desk.gen, " " * 300_000))
    assert one(outputs, Faulted).fault.code == "too_big"
    assert one(outputs, CloseTransport).code == 1009


def test_an_error_without_a_number_is_reported() -> None:
    desk = live()
    outputs = desk.says("error", code="internal", message="A fault of the server.", retryable=False)
    assert one(outputs, Faulted).fault.message == "A fault of the server."
    assert desk.state == "Live"


# --- deflate ----------------------------------------------------------------------------------------------------------


def test_a_deflated_message_counts_as_its_text() -> None:
    desk = live()
    outputs = desk.step(ReceivedBinary(desk.gen, pressed(heartbeat())))
    assert outputs == [HeartbeatHeard(Wall(SERVER_TIME))]


def test_a_binary_message_that_was_not_agreed_is_a_bad_message() -> None:
    desk = opening(cursor=cursor(41))
    desk.welcome(caps=["presence"])
    assert one(desk.step(ReceivedBinary(desk.gen, pressed(heartbeat()))), CloseTransport).code == 4000


def test_nothing_is_agreed_before_welcome() -> None:
    desk = opening()
    assert one(desk.step(ReceivedBinary(desk.gen, pressed(heartbeat()))), CloseTransport).code == 4000


def test_a_bomb_is_not_inflated() -> None:
    desk = live()
    assert one(desk.step(ReceivedBinary(desk.gen, pressed(" " * 10_000_000))), CloseTransport).code == 1009


def test_a_server_that_announces_a_huge_limit_cannot_send_a_bomb_either() -> None:
    """docs/protocol.md#invariant-12."""
    desk = opening(cursor=cursor(41))
    desk.welcome(limits={"inflate": 1 << 60})
    assert one(desk.step(ReceivedBinary(desk.gen, pressed(" " * 20_000_000))), CloseTransport).code == 1009


def test_rubbish_after_the_tag_is_a_bad_message() -> None:
    desk = live()
    assert one(desk.step(ReceivedBinary(desk.gen, b"\x01rubbish")), CloseTransport).code == 4000


def test_a_deflated_message_of_an_old_transport_is_not_even_inflated() -> None:
    assert reasons(Desk().step(ReceivedBinary(Generation(9), b"\x01rubbish")))


# --- the end of a token -----------------------------------------------------------------------------------------------


def test_renewal_is_planned_by_the_announced_expiry() -> None:
    assert syncing().due_in(T.RENEW_DUE) == LIFE_MS / 1000 - 60
