"""The status: two axes, derived from what the connection told and nothing else."""

from typing import Any

import pytest

from client_qt.commands import CommandError
from client_qt.sync_manager import Counts, SyncManager
from protocol import Monotonic, client


NOTHING = Counts(waiting=0, rejected=0, clock_offset_ms=0)


def manager(*, fed: list[Any] | None = None) -> tuple[SyncManager, client.ClientConnection]:
    connection = client.ClientConnection("desk")
    given = fed if fed is not None else []
    return SyncManager(connection, given.append, lambda: 100.0, lambda: 5_000), connection


def test_connected_is_not_up_to_date() -> None:
    sync, _ = manager()
    sync.link_changed(client.LinkChanged("live"))
    assert (sync.status(NOTHING).link, sync.status(NOTHING).data) == ("live", "catching_up")
    sync.synced()
    assert (sync.status(NOTHING).data, sync.status(NOTHING).last_sync_ms) == ("up_to_date", 5_000)


def test_it_is_never_up_to_date_while_something_waits_or_was_refused() -> None:
    sync, _ = manager()
    sync.link_changed(client.LinkChanged("live"))
    sync.synced()
    assert sync.status(Counts(1, 0, 0)).data == "waiting"
    assert sync.status(Counts(1, 1, 0)).data == "attention"


@pytest.mark.parametrize("state", ["offline", "connecting", "syncing", "stopped"])
def test_a_link_that_is_lost_is_not_up_to_date_but_knows_when_it_was(state: client.LinkName) -> None:
    sync, _ = manager()
    sync.synced()
    sync.link_changed(client.LinkChanged(state))
    assert sync.status(NOTHING).data != "up_to_date"
    assert sync.status(NOTHING).last_sync_ms == 5_000


def test_polling_can_be_up_to_date() -> None:
    sync, _ = manager()
    sync.link_changed(client.LinkChanged("polling"))
    sync.synced()
    assert sync.status(NOTHING).data == "up_to_date"


def test_polling_without_an_answer_for_a_minute_is_not_up_to_date() -> None:
    now = [5_000]
    sync = SyncManager(client.ClientConnection("desk"), lambda _: None, lambda: 0.0, lambda: now[0])
    sync.link_changed(client.LinkChanged("polling"))
    sync.synced()
    now[0] += 60_001
    assert sync.status(NOTHING).data == "catching_up"
    sync.link_changed(client.LinkChanged("live"))
    assert sync.status(NOTHING).data == "up_to_date"


def test_whoever_must_sign_in_needs_attention_and_the_next_attempt_is_told_as_a_time_to_wait() -> None:
    sync, _ = manager()
    sync.link_changed(client.LinkChanged("offline", "expired", Monotonic(102.5), sign_in=True))
    status = sync.status(NOTHING)
    assert (status.data, status.retry_in_ms, status.sign_in, status.why) == ("attention", 2_500, True, "expired")


def test_without_a_server_everything_is_local_and_nothing_can_be_asked() -> None:
    sync = SyncManager(None, lambda _: None, lambda: 0.0, lambda: 0)
    assert (sync.status(Counts(3, 0, 0)).data, sync.status(Counts(3, 0, 0)).waiting) == ("local", 0)
    with pytest.raises(CommandError) as refused:
        sync.sync_now()
    assert refused.value.code == "no_server"


def test_asking_for_a_sync_starts_what_was_stopped() -> None:
    fed: list[Any] = []
    sync, connection = manager(fed=fed)
    sync.sync_now()
    connection.step(client.Start(), 0.0)
    sync.sync_now()
    connection.step(client.Stop(), 1.0)
    sync.sync_now()
    sync.take_over()
    assert fed == [client.Start(), client.SyncNow(), client.Start(), client.TakeOver()]


def test_there_is_nothing_to_take_over_while_nothing_has_stopped() -> None:
    sync, _ = manager()
    with pytest.raises(CommandError, match="No newer connection"):
        sync.take_over()
