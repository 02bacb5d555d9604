"""A long text as a binary frame, and back: tag 0x01 and raw deflate (RFC 1951), a fresh context each time.

Per-message-deflate would keep memory for each socket, and inflates before anybody can look at the size.
"""

import zlib

from ._errors import Fault
from ._settings import Limits


TAG = b"\x01"
WORTH_BYTES = 1_024
_RAW = -zlib.MAX_WBITS


def pack(text: str, limits: Limits) -> bytes | None:
    """The frame for a text, or None where it goes as it is: short, hardly smaller, or too long to be inflated again."""
    plain = text.encode()
    if not WORTH_BYTES < len(plain) <= limits.inflate:
        return None
    deflate = zlib.compressobj(wbits=_RAW)
    frame = TAG + deflate.compress(plain) + deflate.flush()
    return frame if len(frame) * 5 <= len(plain) * 4 else None


def unpack(data: bytes, limits: Limits) -> str | Fault:
    """The text of a frame; never makes more than `limits.inflate` bytes of it."""
    if data[:1] != TAG:
        return Fault("bad_message", "A binary frame begins with the tag 0x01; send everything else as text.")
    inflate = zlib.decompressobj(_RAW)
    try:
        # One byte above the limit tells "too long" from "just fits".
        plain = inflate.decompress(data[1:], limits.inflate + 1)
        if len(plain) > limits.inflate:
            return Fault("too_big", f"A deflated message may have at most {limits.inflate} bytes when inflated.")
        if not inflate.eof or inflate.unused_data:
            return Fault("bad_message", "A binary frame holds exactly one whole deflate stream.")
        return plain.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        return Fault("bad_message", f"A binary frame must inflate to UTF-8 text: {error}.")
