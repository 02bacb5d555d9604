"""From HTTP headers to `Requested`, and tokens to handles: what the driver does before the core may look.

The core never sees a token (docs/protocol.md#auth-handles): it is taken out here and put back by nobody.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .._types import Handle
from ._inputs import Requested, Via


SUBPROTOCOL = "tocsin.v1"
BEARER_ITEM = "tocsin.bearer."


def read_request(
    subprotocols: Sequence[str],
    authorization: str | None,
    query_token: str | None,
    origin: str | None,
    hide: Callable[[str], Handle],
) -> Requested:
    """What a request for a socket asks; its token goes through `hide`.

    The first of Authorization header, subprotocol item and query wins (docs/protocol.md#auth-order).

    Args:
        subprotocols: items of Sec-WebSocket-Protocol, stripped.
        authorization: the Authorization header.
        query_token: the `token` parameter.
        origin: the Origin header.
        hide: keeps a token and returns its handle.
    """
    via, token = _find_token(subprotocols, authorization, query_token)
    handle = None if token is None else hide(token)
    return Requested("v1" if SUBPROTOCOL in subprotocols else "classic", via, handle, origin)


def _find_token(
    subprotocols: Sequence[str], authorization: str | None, query_token: str | None
) -> tuple[Via, str | None]:
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        # Another scheme is a wrong token, not a missing one: the client meant to authenticate here.
        return "header", token.strip() if scheme.lower() == "bearer" else ""
    for item in subprotocols:
        if item.startswith(BEARER_ITEM):
            return "subprotocol", _unwrap(item.removeprefix(BEARER_ITEM))
    return ("query", query_token) if query_token is not None else ("nothing", None)


def _unwrap(item: str) -> str:
    try:
        return base64.urlsafe_b64decode(item + "=" * (-len(item) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def hide_token(text: str, hide: Callable[[str], Handle]) -> str:
    """A client's message with the value of its top-level `token` replaced by a handle; other text is returned as it is.

    Only `hello` and `auth` carry tokens; whatever else has such a field loses it too. The text stays as long as it was,
    padded with spaces, so that the limits of the core judge what was sent (docs/protocol.md#limit-frame).
    """
    if '"token"' not in text and "\\u" not in text:
        return text
    try:
        message = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        # No JSON object, so the core will refuse it unread; but a half token must not reach a trace.
        return '{"type":"","token":'
    if "token" not in message:
        return text
    token = message["token"]
    # What is no string is no token of ours, but may hold one. Written anew even where it is null: a member can be said twice.
    hidden = msgspec.json.encode({**message, "token": hide(token) if isinstance(token, str) else None})
    return hidden.ljust(len(text.encode())).decode()
