"""Text to message and back: two pure functions each way; what cannot be read is a value, never an exception."""

import re
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct

from ._errors import Fault
from ._messages import ClientMessage, Message, ServerMessage


T = TypeVar("T")


class Unknown(Struct, frozen=True):
    """A well-formed message of a type this version does not know: counted and ignored (docs/protocol.md#msg-unknown)."""

    type: str


class _Head(Struct):
    type: str


def _tags(union: Any) -> frozenset[str]:
    return frozenset(str(member.__struct_config__.tag) for member in get_args(union))


_ENCODE = msgspec.json.Encoder().encode
_CLIENT: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_SERVER: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_HEAD = msgspec.json.Decoder(_Head)
_CLIENT_TAGS = _tags(ClientMessage)
_SERVER_TAGS = _tags(ServerMessage)
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_QUOTED = re.compile(r"^(Invalid (?:enum )?value) .*?( - at `\$[^`]*`)?$", re.DOTALL)
_MISSING = re.compile(r" missing required field `([^`]*)`")


def encode(message: Message) -> str:
    """A message as the text that travels."""
    return _ENCODE(message).decode()


def decode_client(text: str, limit: int) -> ClientMessage | Unknown | Fault:
    """Read what a client sent; `limit` in bytes."""
    if len(text) * 4 > limit and len(text.encode(errors="surrogatepass")) > limit:
        return _too_big(limit)
    try:
        return _CLIENT.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        return _explain(text, error, _CLIENT_TAGS)


def decode_server(text: str, limit: int) -> ServerMessage | Unknown | Fault:
    """Read what a server sent; `limit` in bytes."""
    if len(text) * 4 > limit and len(text.encode(errors="surrogatepass")) > limit:
        return _too_big(limit)
    try:
        return _SERVER.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        return _explain(text, error, _SERVER_TAGS)


def read_fault(error: Exception) -> Fault:
    """A validation error of the message classes as a fault that names the field."""
    # What was said is never said back: a type can be said twice, and be a secret or very long (docs/protocol.md#msg-error-secret).
    sentence = _QUOTED.sub(r"\1\2", str(error))
    if not isinstance(error, msgspec.ValidationError):
        return Fault("bad_json", f"Not JSON: {sentence}.")
    if sentence.startswith("Expected `object`") and "`$" not in sentence:
        return Fault("bad_json", f"A message is a JSON object: {sentence}.")
    found = (_PATH.search(sentence), _MISSING.search(sentence))
    names = (match.group(1) for match in found if match is not None)
    return Fault("bad_message", f"{sentence}.", field=".".join(filter(None, names)) or None)


def _too_big(limit: int) -> Fault:
    return Fault("too_big", f"A message may have at most {limit} bytes.")


def _explain(text: str, error: Exception, known: frozenset[str]) -> Unknown | Fault:
    try:
        head = _HEAD.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as worse:
        return read_fault(worse)
    return read_fault(error) if head.type in known else Unknown(head.type)
