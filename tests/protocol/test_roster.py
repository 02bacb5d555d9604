"""Who of one user is connected, who must leave, and what the others are shown."""

from hypothesis import given
from hypothesis import strategies as st

from protocol._messages import DevicePresence
from protocol._roster import DeviceRow, Member, Roster, Verdict, has_it, has_room, presence, will_ring
from protocol._types import DeviceId, Epoch, Monotonic, Rev, Wall


K = Epoch("k3v9")
DESK, LAP = DeviceId("desk"), DeviceId("lap")


def member(key: int, device: str | None = "desk", conn: int = 1, heard: float = 0.0) -> Member:
    return Member(key, None if device is None else DeviceId(device), conn if device else 0, Monotonic(heard))


def roster(*members: Member) -> Roster:
    """Joined in order, without a limit."""
    found = Roster()
    for one in members:
        found, _ = found.join(one, 99)
    return found


def keys(found: Roster) -> list[int]:
    return [one.key for one in found.members]


def later(found: Roster, now: float) -> frozenset[DeviceId]:
    return found.online(Monotonic(now), 10_000)


# --- the same device twice ---------------------------------------------------------------------------------------------


def test_the_higher_conn_wins_over_the_older_socket() -> None:
    """docs/protocol.md#life-replaced."""
    found, verdicts = roster(member(1, conn=7)).join(member(2, conn=8), 20)
    assert (keys(found), verdicts) == ([2], (Verdict(1, 4005, "a newer connection of this device", 8),))


def test_of_equal_conns_the_later_wins() -> None:
    """docs/protocol.md#life-replaced."""
    found, verdicts = roster(member(1, conn=7)).join(member(2, conn=7), 20)
    assert (keys(found), verdicts[0].key, verdicts[0].conn) == ([2], 1, 7)


def test_a_late_attempt_with_a_lower_conn_is_refused_with_the_winner_s_conn() -> None:
    """docs/protocol.md#life-replaced, docs/protocol.md#life-take-over."""
    before = roster(member(1, conn=7))
    found, verdicts = before.join(member(2, conn=6), 20)
    assert (found, verdicts) == (before, (Verdict(2, 4005, "a newer connection of this device", 7),))


def test_classic_sockets_replace_nobody() -> None:
    assert keys(roster(member(1, None), member(2, None), member(3), member(4, None))) == [1, 2, 3, 4]


# --- the limit -------------------------------------------------------------------------------------------------------


def test_at_the_limit_the_v1_socket_silent_longest_goes() -> None:
    """docs/protocol.md#limit-sockets."""
    full = roster(member(1, None), member(2, "a", heard=5.0), member(3, "b", heard=3.0))
    found, verdicts = full.join(member(4, "c", heard=9.0), 3)
    assert (keys(found), verdicts) == ([1, 2, 4], (Verdict(3, 4104, "at most 3 connections"),))
    assert keys(full.join(member(4, None), 3)[0]) == [1, 2, 4]


def test_who_said_something_is_not_the_silent_one() -> None:
    """docs/protocol.md#heartbeat-any-bytes."""
    full = roster(member(2, "a", heard=5.0), member(3, "b", heard=3.0)).heard(3, Monotonic(6.0))
    assert full.join(member(4, "c"), 2)[1][0].key == 2
    assert full.heard(77, Monotonic(9.0)) == full


def test_without_a_v1_socket_the_newcomer_is_refused() -> None:
    """docs/protocol.md#limit-sockets."""
    full = roster(member(1, None), member(2, None))
    for newcomer in (member(3, None), member(3, "a")):
        found, verdicts = full.join(newcomer, 2)
        assert (found, [v.key for v in verdicts], verdicts[0].code) == (full, [3], 4104)


def test_a_device_that_replaces_itself_needs_no_room() -> None:
    full = roster(member(1, None), member(2, "a", conn=1))
    found, verdicts = full.join(member(3, "a", conn=2), 2)
    assert (keys(found), [v.code for v in verdicts]) == ([1, 3], [4005])


def test_a_limit_that_shrank_may_cost_two_their_place() -> None:
    full = roster(member(1, "a"), member(2, "b"), member(3, "c"))
    found, verdicts = full.join(member(4, "a", conn=2), 2)
    assert (keys(found), [(v.key, v.code) for v in verdicts]) == ([3, 4], [(1, 4005), (2, 4104)])


# --- presence --------------------------------------------------------------------------------------------------------


def test_a_device_is_shown_offline_only_after_ten_seconds() -> None:
    """docs/protocol.md#presence-offline."""
    found = roster(member(1, "desk"), member(2, "lap")).leave(1, Monotonic(100.0))
    assert later(found, 109.9) == {DESK, LAP}
    assert later(found, 110.0) == {LAP}


def test_one_evicted_for_the_limit_is_shown_offline_no_earlier() -> None:
    """docs/protocol.md#presence-offline."""
    found, _ = roster(member(1, "desk")).join(member(2, "lap", heard=100.0), 1)
    found = found.leave(1, Monotonic(100.5))
    assert later(found, 109.9) == {DESK, LAP}
    assert later(found, 110.0) == {LAP}


def test_a_reconnect_within_that_time_is_not_seen_at_all() -> None:
    """docs/protocol.md#presence-offline."""
    found, _ = roster(member(1, "desk")).leave(1, Monotonic(100.0)).join(member(2, "desk", conn=2), 20)
    assert later(found, 105.0) == {DESK}
    assert later(found, 999.0) == {DESK}
    assert found.left == ()


def test_leaving_twice_or_after_being_replaced_changes_nothing() -> None:
    found, _ = roster(member(1, conn=7)).join(member(2, conn=8), 20)
    assert found.leave(1, Monotonic(5.0)) == found
    gone = found.leave(2, Monotonic(5.0))
    assert gone.leave(2, Monotonic(9.0)) == gone


def test_a_classic_socket_leaves_no_trace() -> None:
    assert roster(member(1, None)).leave(1, Monotonic(5.0)) == Roster()
    assert later(roster(member(1, None)), 0.0) == frozenset()


def test_departures_are_forgotten_when_everybody_has_been_shown() -> None:
    found = roster(member(1, "desk")).leave(1, Monotonic(100.0))
    assert found.settled(Monotonic(109.9), 10_000) == found
    assert found.settled(Monotonic(110.0), 10_000) == Roster()


# --- the armed receipt -------------------------------------------------------------------------------------------------


def test_devices_are_shown_in_a_fixed_order() -> None:
    """docs/protocol.md#msg-presence."""
    rows = [DeviceRow(LAP, "Lap", None, Rev(0), Wall(7)), DeviceRow(DESK, "Desk", K, Rev(41), Wall(8))]
    assert presence(rows, frozenset({DESK})) == (
        DevicePresence(DESK, "Desk", True, K, Rev(41), Wall(8)),
        DevicePresence(LAP, "Lap", False, None, Rev(0), Wall(7)),
    )
    assert presence(reversed(rows), frozenset({DESK})) == presence(rows, frozenset({DESK}))


def test_a_device_will_ring_only_if_online_and_it_has_stored_the_item_in_this_epoch() -> None:
    """docs/protocol.md#presence-armed."""
    online = DevicePresence(DESK, "", True, K, Rev(41), Wall(0))
    offline = DevicePresence(DESK, "", False, K, Rev(41), Wall(0))
    assert [will_ring(online, K, Rev(rev)) for rev in (40, 41, 42)] == [True, True, False]
    assert [will_ring(offline, K, Rev(41)), has_it(offline, K, Rev(41))] == [False, True]
    assert not has_it(online, Epoch("p0q4"), Rev(1))


# --- any order -------------------------------------------------------------------------------------------------------

moves = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "leave", "heard", "settle"]),
        st.integers(0, 30),
        st.sampled_from([None, "a", "b", "c", "d"]),
        st.integers(1, 3),
    ),
    max_size=40,
)


@given(moves, st.integers(1, 4))
def test_never_more_than_the_limit_and_never_two_of_one_device(
    steps: list[tuple[str, int, str | None, int]], sockets: int
) -> None:
    """docs/protocol.md#limit-sockets, docs/protocol.md#life-replaced, docs/protocol.md#invariant-12."""
    found, inside, now = Roster(), set[int](), 0.0
    for key, (move, which, device, conn) in enumerate(steps):
        now += which / 10
        match move:
            case "join":
                before = {one.device for one in found.members}
                found, verdicts = found.join(member(100 + key, device, conn, now), sockets)
                inside = (inside | {100 + key}) - {verdict.key for verdict in verdicts}
                # Nobody disappears from sight in the same moment.
                assert before - {None} <= found.online(Monotonic(now), 10_000)
            case "leave":
                found = found.leave(100 + which, Monotonic(now))
                inside.discard(100 + which)
            case "heard":
                found = found.heard(100 + which, Monotonic(now))
            case _:
                found = found.settled(Monotonic(now), 10_000)
        named = [one.device for one in found.members if one.device is not None]
        assert set(keys(found)) == inside
        assert len(found.members) <= sockets
        assert len(named) == len(set(named))
        assert not {device for device, _ in found.left} & set(named)
        assert len({device for device, _ in found.left}) == len(found.left)


def test_a_known_device_always_has_room_and_an_unknown_one_only_below_the_limit() -> None:
    """docs/protocol.md#limit-devices"""
    assert has_room(DESK, {DESK}, 1)
    assert not has_room(LAP, {DESK}, 1)
    assert has_room(LAP, {DESK}, 2)
