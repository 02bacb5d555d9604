"""What went wrong on the network, in words for people and codes for the protocol. No token ever stands in them."""

import os
import socket
import ssl

import msgspec
import trio


class _Error(msgspec.Struct):
    code: str
    message: str = ""


class _Refusal(msgspec.Struct):
    error: _Error


_REFUSAL = msgspec.json.Decoder(_Refusal)


def explain(error: BaseException, authority: str) -> str:
    """Why there is no connection."""
    match error:
        case trio.TooSlowError() | TimeoutError():
            return f"{authority} did not answer in time."
        case ssl.SSLCertVerificationError():
            return f"{authority} has a certificate that is not trusted: {error.verify_message}."
        case ssl.SSLError():
            return f"TLS with {authority} failed: {getattr(error, 'reason', None) or error.strerror}."
        case _:
            return f"{authority} cannot be reached: {_system_words(error) or str(error) or type(error).__name__}."


def _system_words(error: BaseException | None) -> str | None:
    """What the system calls it: of an error, or of the first that it was made from (one for each address tried)."""
    match error:
        case socket.gaierror():
            return error.strerror
        case OSError() if error.errno:
            return os.strerror(error.errno)
        case OSError():
            return _system_words(error.__cause__)
        case BaseExceptionGroup():
            return next(filter(None, map(_system_words, error.exceptions)), None)
        case _:
            return None


def refusal(body: bytes | bytearray, retry_after: str | None) -> tuple[str | None, int | None]:
    """Our error code, if the body is ours, and how many ms to stay away, if a header says."""
    return fault_code(body), _seconds_ms(retry_after)


def fault_code(body: bytes | bytearray) -> str | None:
    """The code of `{"error": {"code": …}}`; None where the body is somebody else's."""
    try:
        return _REFUSAL.decode(body).error.code
    except (msgspec.MsgspecError, RecursionError):
        return None


def _seconds_ms(retry_after: str | None) -> int | None:
    # RFC 9110, section 10.2.3 also allows a date, which no Tocsin server sends.
    text = (retry_after or "").strip()
    return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) < 8 else None
