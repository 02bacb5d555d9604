"""Unexpected errors told in a log without what they say: a message may hold what a peer sent, a token included."""

import traceback
from typing import Final


_FRAMES_SHOWN: Final = 4


def leaves(error: BaseException) -> list[BaseException]:
    """The errors inside a group, however deep; any other error is its own only leaf."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def described(error: BaseException) -> str:
    """Type and place of an error, or of each in a group, without its message."""
    told = []
    for leaf in leaves(error):
        frames = traceback.extract_tb(leaf.__traceback__)[-_FRAMES_SHOWN:]
        places = " < ".join(
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
        )
        told.append(f"{type(leaf).__name__} at {places or 'an unknown place'}")
    return "; ".join(told)
