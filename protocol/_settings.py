"""Every protocol timer and limit in two frozen values; the server announces both in `welcome`, so a test can shrink them."""

from msgspec import Struct


class Timing(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Protocol timers, all in milliseconds (docs/protocol.md#msg-welcome).

    Attributes:
        connect_ms, opening_ms, refresh_ms: client: transport open; welcome after hello; new token.
        auth_ms, hello_ms: server: token after accept; hello after token.
        heartbeat_ms: server to client. silence_ms: client gives up after hearing nothing.
        liveness_ms: server gives up on a v1 peer after hearing nothing.
        ping_ms: client to server, after a burst of five. ack_ms: at most one ack in this time, or per `ack_events`.
        answer_ms: client sends a mutation again that had no answer for so long.
        unwritable_ms: server gives up on a peer that does not read.
        leeway_ms: how long past its expiry a token still holds. renew_ms: renewal begins this long before expiry.
        backoff_floor_ms, backoff_base_ms, backoff_cap_ms: see `_reconnect`. stable_ms: Live this long resets the backoff.
        poll_after_ms: without reaching Opening for this long, poll. poll_wait_ms: long poll held open by the server.
        poll_every_ms: between polls where a proxy cuts long ones.
        presence_ms: at most one presence message in this time. offline_ms: gone this long is shown as offline.
        settle_ms: after start or reconnect, rings wait this long for `synced`.
        close_ms: how long a closing transport may take.
        drain_per_socket_ms, drain_min_ms, drain_max_ms: spread of reconnects after a drain.
    """

    connect_ms: int = 10_000
    opening_ms: int = 10_000
    refresh_ms: int = 10_000
    auth_ms: int = 10_000
    hello_ms: int = 10_000
    heartbeat_ms: int = 30_000
    silence_ms: int = 45_000
    liveness_ms: int = 75_000
    ping_ms: int = 30_000
    ack_ms: int = 5_000
    ack_events: int = 50
    answer_ms: int = 15_000
    unwritable_ms: int = 10_000
    leeway_ms: int = 30_000
    renew_ms: int = 60_000
    backoff_floor_ms: int = 100
    backoff_base_ms: int = 1_000
    backoff_cap_ms: int = 60_000
    stable_ms: int = 60_000
    poll_after_ms: int = 10_000
    poll_wait_ms: int = 25_000
    poll_every_ms: int = 15_000
    presence_ms: int = 5_000
    offline_ms: int = 10_000
    settle_ms: int = 3_000
    close_ms: int = 2_000
    drain_per_socket_ms: int = 20
    drain_min_ms: int = 1_000
    drain_max_ms: int = 30_000


class Limits(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Protocol limits; sizes in bytes (docs/protocol.md#msg-welcome).

    Attributes:
        frame: one message. opening_frame: one message before authentication.
        record: a record as JSON. label: characters. extra: the client's own object as JSON.
        items, devices, sockets: per user.
        messages_per_minute, burst: client messages, as a token bucket.
        window: mutations a client may have unanswered. batch: mutations in one HTTP request.
        resume_rows: more missed rows than this are not replayed. page_rows: read from the log at once.
        snapshot_part: one part of a snapshot. held_events, held_bytes: live events kept for a slow reader.
        inflate: a deflated message, inflated. results: stored results per device.
    """

    frame: int = 65_536
    opening_frame: int = 8_192
    record: int = 8_192
    label: int = 200
    extra: int = 2_048
    items: int = 2_000
    devices: int = 50
    sockets: int = 20
    messages_per_minute: int = 120
    burst: int = 40
    window: int = 16
    batch: int = 64
    resume_rows: int = 500
    page_rows: int = 100
    snapshot_part: int = 65_536
    held_events: int = 256
    held_bytes: int = 1_048_576
    inflate: int = 262_144
    results: int = 256


DEFAULT_TIMING = Timing()
DEFAULT_LIMITS = Limits()
