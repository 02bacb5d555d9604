"""The role of a store: keeps every user's log, records, devices and sign-ins, and decides nothing.

A unit of `Work` names what a decision needs and holds the decision as a pure function. The store loads, asks, writes
the answer in the same transaction, and answers only when that transaction is durable.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from msgspec import Struct

from protocol import (
    Account,
    Cursor,
    DeviceId,
    Epoch,
    Found,
    ItemId,
    Mid,
    Outcome,
    Page,
    Record,
    Rev,
    SessionId,
    State,
    UserId,
    Wall,
)


class StoreUnavailable(Exception):
    """The store cannot do this now: disk full, file locked, thread overloaded. Nothing of the request is promised.

    Attributes:
        retryable: the same may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class StoreUnusable(Exception):
    """The store cannot be opened at all: foreign, damaged, newer than this program, or in use by another server."""


class Work(Struct, frozen=True, kw_only=True):
    """One decision to be taken under the user's lock.

    Attributes:
        decide: pure; it may be called more than once with the same or newer facts, the last answer counts.
        now: the server's clock, ms; the device counts as seen then.
        id: the record to load. None: none.
        device, mid, fingerprint: who submitted it, under which number, and the digest to keep beside the answer.
            No device: nothing is numbered and no answer is kept.
    """

    decide: Callable[[Found], Outcome]
    now: Wall
    id: ItemId | None = None
    device: DeviceId = DeviceId("")
    mid: Mid = Mid(0)
    fingerprint: str = ""


Outcomes = tuple[Outcome, ...]
Answer = Callable[[Outcomes | Exception], None]
"""Takes the outcomes of a unit, or why there are none, on the thread of the event loop. It must not raise."""


class DeviceRow(Struct, frozen=True):
    """What is kept of one device.

    Attributes:
        conn: the greatest connection counter it came with.
        last_mid: its last mutation consumed.
        acked: how far it has stored. None: not at all, or unknown.
        seen: when it was last heard of, ms of the server's clock.
    """

    id: DeviceId
    name: str = ""
    conn: int = 0
    last_mid: Mid = Mid(0)
    acked: Cursor | None = None
    seen: Wall = Wall(0)


class JoinedDevice(Struct, frozen=True):
    """What a joining device must be told, and all devices of its user, itself included.

    Attributes:
        room: False: the user has as many devices as are allowed, and this one was not noted.
    """

    account: Account
    last_mid: Mid
    devices: tuple[DeviceRow, ...]
    room: bool = True


class Rotated(Struct, frozen=True):
    """A refresh token was good and is used up; its successor is stored."""

    user: UserId
    session: SessionId


class Reused(Struct, frozen=True):
    """A refresh token came a second time: somebody else has a copy, so its session is revoked."""

    session: SessionId


class Login(Struct, frozen=True):
    """A user who can sign in here. `made` is ms of the server's clock."""

    name: str
    made: Wall


class LogStore(Protocol):
    """Logs, records and devices. Every method raises `StoreUnavailable` where the store cannot do it now."""

    async def head(self, user: UserId) -> Account:
        """The head of the user's log. A user never heard of has one too, at rev 0."""
        ...

    async def heads(self, users: Collection[UserId]) -> dict[UserId, Account]:
        """The heads of many users at the price of one question."""
        ...

    async def commit(self, user: UserId, work: Work) -> Outcome:
        """Load, decide, write, and come back when it is durable. Not interrupted by cancellation.

        Works of one user take effect in the order of the calls. An exception of `decide` is raised here, and harms
        no other work of the same transaction.
        """
        ...

    def submit(self, user: UserId, works: Sequence[Work], answer: Answer) -> None:
        """The same for works in order, without a task that waits: `answer` is called once, when all is durable.

        The works end after the first outcome with a `fault`: its author has to think again before the next. Where a
        `decide` raises, `answer` gets the exception, and what was decided before it stays.
        """
        ...

    async def page(self, user: UserId, after: Rev, limit: int) -> Page:
        """At most `limit` rows after a rev, and the head they were read at."""
        ...

    async def state(self, user: UserId, device: DeviceId | None, *, with_deleted: bool) -> State:
        """All records at one rev, in order of their identifiers."""
        ...

    async def record(self, user: UserId, item: ItemId) -> Record | None:
        """One record, None where it never was or is deleted."""
        ...

    async def join(
        self, user: UserId, device: DeviceId, name: str, conn: int, cursor: Cursor | None, now: Wall
    ) -> JoinedDevice:
        """Note that a device is here and what it has; `acked` goes to `cursor`, also downwards.

        A user has a bounded number of devices: one more is not noted, and `room` says so (docs/protocol.md#limit-devices).
        """
        ...

    async def acked(self, user: UserId, device: DeviceId, epoch: Epoch, rev: Rev, now: Wall) -> None:
        """The device has stored everything up to here. An ack of another epoch, or a lower one, only counts as seen."""
        ...

    async def devices(self, user: UserId) -> tuple[DeviceRow, ...]:
        """All devices of a user, in order of their identifiers."""
        ...

    async def forget_devices(self, unseen_since: Wall, limit: int = 500) -> int:
        """Drop devices not seen since then, with their answers; at most `limit`. Returns how many went."""
        ...

    async def renew_epoch(self, user: UserId, seen: Epoch) -> Account:
        """Give the log a new name, unless it is no longer `seen`; the floor rises to the head. Returns the head."""
        ...

    async def renew_all_epochs(self) -> None:
        """The same for all users: once after anything that may have lost commits, a restored backup above all."""
        ...

    async def trim(self, older_than: Wall, keep_rows: int, limit: int = 2_000) -> int:
        """Drop log rows made before then and beyond the newest `keep_rows` of their user; returns how many went.

        At most `limit` rows, so that commits wait only briefly; call again while something goes.
        """
        ...


class AccountStore(Protocol):
    """Sign-ins. Passwords and refresh tokens come in as hashes only."""

    async def add_user(self, name: str, password_hash: str, now: Wall) -> bool:
        """Let somebody sign in. False: the name is taken, and nothing changed."""
        ...

    async def set_password(self, name: str, password_hash: str) -> bool:
        """Replace a password's hash. False: there is no such user."""
        ...

    async def password_of(self, name: str) -> str | None:
        """The hash kept for a name."""
        ...

    async def logins(self) -> tuple[Login, ...]:
        """Everybody who can sign in, by name."""
        ...

    async def open_session(self, session: SessionId, user: UserId, refresh_hash: str, ends: Wall) -> None:
        """Begin a session with its first refresh token, good until `ends`."""
        ...

    async def rotate(self, refresh_hash: str, next_hash: str, ends: Wall, now: Wall) -> Rotated | Reused | None:
        """Trade a refresh token for the next, good until `ends`. None: unknown, out of time, or its session is over."""
        ...

    async def revoke_session(self, session: SessionId, user: UserId, ends: Wall, now: Wall) -> None:
        """End a session, known or not; it is remembered as ended until `ends` at least."""
        ...

    async def session_alive(self, session: SessionId) -> bool:
        """Whether it was not revoked. A session never heard of is alive."""
        ...

    async def forget_sessions(self, ended_before: Wall, limit: int = 500) -> int:
        """Drop refresh tokens and sessions whose time was over before then; returns how many went."""
        ...


class Store(LogStore, AccountStore, Protocol):
    """All of it."""
