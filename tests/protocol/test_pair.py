"""The test tools are a product too: what they promise to their users is tested here."""

import pytest

from protocol import Epoch, ItemId, Rev, SnoozedTill, client, server, will_ring
from protocol.testing import Household, MemoryStore, Pair
from protocol.testing._household import utc_only
from protocol.testing._wire import Queue


def test_a_pair_connects_and_says_where_both_sides_are() -> None:
    pair = Pair()
    assert "no transport" in repr(pair)
    pair.connect()
    assert "Live(rev=0)" in repr(pair)
    assert "<ServerConnection Live(" in repr(pair)
    assert repr(pair.device).startswith("<Device desk <ClientConnection Live")


def test_the_servers_side_is_only_there_while_a_transport_is_open() -> None:
    with pytest.raises(LookupError, match="connect"):
        _ = Pair().server


def test_one_step_is_one_thing_that_happens() -> None:
    pair = Pair()
    assert not pair.step()
    pair.device.start()
    before = len(pair.log)
    assert pair.step()
    assert len(pair.log) > before


def test_latency_is_virtual_and_exact() -> None:
    pair = Pair(latency=3.0)
    pair.device.start()
    pair.run_until_idle()
    accepted = next(event for event in pair.log if any(isinstance(o, server.Accept) for o in event.outputs))
    opened = next(event for event in pair.log if isinstance(event.input, client.Opened))
    assert (accepted.now, opened.now) == (3.0, 6.0)


def test_feeding_a_pair_returns_what_the_client_said() -> None:
    pair = Pair()
    pair.connect()
    assert isinstance(pair.feed(client.Stop())[0], client.Transmit | client.CloseTransport)


def test_a_lost_frame_is_healed() -> None:
    pair = Pair()
    pair.connect()
    pair.device.link.eat_to_server = 1
    pair.device.create("alarm", "a1", time="07:00")
    pair.run(60)
    assert pair.in_step()
    pair.device.link.eat_to_client = 2
    pair.device.patch("a1", label="x")
    pair.run(60)
    assert pair.in_step()


def test_an_event_says_what_was_heard_and_said_on_one_line() -> None:
    pair = Pair()
    pair.device.start()
    assert (
        repr(pair.log[0])
        == "   0.000     desk  Start() -> GetToken(gen=1, fresh=False), LinkChanged(state='connecting')"
    )
    pair.run_until_idle()
    assert any(repr(event).endswith("-> nothing") for event in pair.log)


def test_a_record_that_is_not_shown_cannot_be_patched() -> None:
    pair = Pair()
    pair.connect()
    with pytest.raises(LookupError, match="shows no record a9; it shows none"):
        pair.device.patch("a9", label="x")


def test_a_household_tells_its_devices_apart() -> None:
    home = Household("desk", "phone")
    assert home["phone"].name == "phone"
    assert repr(home).startswith("<Household at 0.0, <MemoryStore at e1:0, 0 records>, <Device desk")


def test_time_stands_where_nothing_happens_until_it_is_let_pass() -> None:
    home = Household("desk")
    home.run(5)
    assert home.now == 5.0


@pytest.mark.parametrize("how", ["run", "idle"])
def test_a_household_that_never_rests_is_given_up(how: str) -> None:
    home = Household("desk")

    def again() -> None:
        home.queue.put(home.now, again)

    again()
    with pytest.raises(RuntimeError, match="still busy after 50 steps"):
        home.run(1, limit=50) if how == "run" else home.run_until_idle(limit=50)


def test_a_draining_server_sends_everybody_away_and_they_come_back() -> None:
    home = Household("desk", "phone")
    home["desk"].start()
    home.run(1)
    home.drain()
    home.run(0.02)
    assert isinstance(home["desk"].client.state, client.Backoff)
    home.run(40)
    assert isinstance(home["desk"].client.state, client.Live)


def test_presence_shows_which_devices_will_ring() -> None:
    home = Household("desk", "phone")
    for device in home.devices.values():
        device.start()
    home.run(1)
    home["desk"].create("alarm", "a1", time="07:00")
    home.run(10)
    home["phone"].cut()
    home.show_presence()
    home.run(1)
    heard = [output for output in home["desk"].heard if isinstance(output, client.PresenceHeard)]
    (desk, phone) = heard[-1].devices
    assert will_ring(desk, Epoch("e1"), Rev(1))
    assert not will_ring(phone, Epoch("e1"), Rev(1))


def test_presence_is_shown_to_nobody_who_has_not_begun() -> None:
    home = Household("desk")
    home["desk"].start()
    home.run(0.015)
    home.show_presence()
    assert not any(isinstance(event.input, server.PresenceIs) for event in home.log)


def test_a_token_can_be_refused_by_name_of_the_device() -> None:
    home = Household("desk")
    home.rejects["desk"] = "expired"
    home["desk"].start()
    home.run(1)
    assert any(isinstance(event.input, client.Refused) and event.input.status == 401 for event in home.log)


def test_a_cursor_above_the_head_takes_a_new_epoch() -> None:
    pair = Pair()
    pair.connect()
    pair.device.create("alarm", "a1", time="07:00")
    pair.run(1)
    pair.cut()
    pair.store = MemoryStore(utc_only)
    pair.heal()
    pair.run(60)
    assert pair.store.account.epoch == "e1+"
    assert "a1" in pair.device.view


def test_a_server_end_that_is_gone_hears_nothing() -> None:
    pair = Pair(latency=1.0)
    pair.device.start()
    pair.run(1.5)
    pair.device.hang_up(1006)
    pair.run(10)
    assert not pair.in_step() or not pair.replica.entries


def test_deflated_messages_travel_as_bytes() -> None:
    pair = Pair()
    pair.connect()
    for n in range(30):
        pair.device.create("alarm", f"a{n}", time="07:00", label="the same words again and again")
    pair.run(60)
    pair.device.restart()
    pair.store.trim(Rev(pair.store.account.rev))
    pair.device.replica = type(pair.device.replica)(pair.replica.device)
    pair.device.restart()
    pair.device.start()
    pair.run(5)
    assert any(isinstance(event.input, client.ReceivedBinary) for event in pair.log)
    assert pair.in_step()


def test_utc_is_the_only_zone_of_a_household_without_zones() -> None:
    assert utc_only("UTC") is not None
    assert utc_only("Europe/Warsaw") is None


def test_the_queue_keeps_the_order_of_equal_times() -> None:
    queue, said = Queue(), list[int]()
    queue.put(1.0, lambda: said.append(1))
    queue.put(0.5, lambda: said.append(0))
    queue.put(1.0, lambda: said.append(2))
    while len(queue):
        queue.pop()()
    assert said == [0, 1, 2]


def test_a_peer_that_does_not_answer_a_close_is_cut_off() -> None:
    home = Household("desk")
    home["desk"].start()
    home.run(1)
    home["desk"].link.up = False
    home.drain()
    home.run(3)
    assert any(isinstance(output, server.AbortTransport) for event in home.log for output in event.outputs)
    assert home["desk"].server is None


def test_a_push_under_an_epoch_that_has_ended_is_declined_and_sent_again() -> None:
    pair = Pair()
    pair.refuse_sockets.add("desk")
    pair.device.start()
    pair.run(40)
    pair.device.create("alarm", "a1", time="07:00")
    pair.run(0.005)
    pair.store.renew(Epoch("e2"))
    pair.run(120)
    assert pair.in_step()


def test_a_snooze_postpones_the_ring_on_every_device() -> None:
    home = Household("desk", "phone")
    for device in home.devices.values():
        device.start()
    home.run(1)
    home["desk"].create("alarm", "a1", time="14:14", days=["mo"])
    home.run(60)
    home["desk"].snooze("a1", 1_790_000_040_000, 1, 60_000)
    home.run(1)
    assert isinstance(home["phone"].ring("a1"), SnoozedTill)


def test_a_timer_started_here_runs_there() -> None:
    home = Household("desk", "phone")
    for device in home.devices.values():
        device.start()
    home.run(1)
    home["desk"].create("timer", "t1", duration_ms=60_000)
    home["desk"].start_timer("t1", "r1")
    home.run(1)
    assert home["phone"].view[ItemId("t1")].phase == "running"
    assert home["phone"].delete("t1").mid == 1


def test_a_poll_with_a_cursor_of_no_use_is_told_to_fetch_everything() -> None:
    pair = Pair()
    pair.connect()
    pair.device.create("alarm", "a1", time="07:00")
    pair.run(1)
    pair.refuse_sockets.add("desk")
    pair.device.lose()
    pair.store.renew(Epoch("e2"))
    pair.run(60)
    assert pair.replica.cursor is not None
    assert pair.replica.cursor.epoch == "e2"


def test_a_change_is_published_to_nobody_who_has_not_begun() -> None:
    home = Household("desk", "phone")
    home["desk"].start()
    home.run(1)
    home["phone"].start()
    home["desk"].create("alarm", "a1", time="07:00")
    home.run_until_idle()
    assert home.in_step()
