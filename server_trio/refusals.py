"""What a request gets that no application has seen: the transport's refusals in the one form that errors have.

docs/protocol.md#http-errors, #http-clock and #http-retry-after.
"""

from typing import Final

from protocol import Fault, fault_text

from .auth import wall_clock


_FAULTS: Final[dict[int, Fault]] = {
    413: Fault("too_big", "The body is larger than this server takes."),
    431: Fault("bad_message", "The headers are longer than this server reads."),
    500: Fault("internal", "Something failed on the server; it has been noted there.", retryable=True),
    503: Fault("busy", "The server is going down; try again.", retryable=True, retry_after_ms=1_000),
}
_UNREADABLE: Final = Fault("bad_message", "This is not a request that can be answered here.")


def refusal(status: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of an answer that ends its connection."""
    now = wall_clock()
    fault = _FAULTS.get(status, _UNREADABLE)
    body = fault_text(fault, None, (now, now)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if fault.retry_after_ms is not None:
        headers.append((b"retry-after", b"%d" % -(-fault.retry_after_ms // 1_000)))
    return [*headers, (b"connection", b"close")], body
