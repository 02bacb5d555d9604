"""What every connection and request of one server shares."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol import Wall
from protocol.server import Terms

from .access import Access
from .background import Background
from .batches import Acks, Heads
from .commits import Commits
from .framing import Framer
from .sign_in import SignIn
from .store import Store


if TYPE_CHECKING:
    from .hub import Hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Built once, when a server starts.

    Attributes:
        wall: the server's clock, ms since 1970.
        now: seconds of a clock that never steps.
    """

    terms: Terms
    store: Store
    hub: "Hub"
    commits: Commits
    access: Access
    sign_in: SignIn
    heads: Heads
    acks: Acks
    framer: Framer
    background: Background
    wall: Callable[[], Wall]
    now: Callable[[], float]
