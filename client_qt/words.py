"""What went wrong on the network, in words for people and codes for the protocol. No token ever stands in them."""

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
            return f"TLS with {authority} failed: {error.reason or error}."
        case OSError() if error.strerror:
            return f"{authority} cannot be reached: {error.strerror}."
        case OSError() if isinstance(error.__cause__, BaseExceptionGroup):
            return f"{authority} cannot be reached: {error.__cause__.exceptions[0]}."
        case _:
            return f"{authority} cannot be reached: {str(error) or type(error).__name__}."


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
