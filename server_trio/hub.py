"""Who is connected, and how a change reaches them: encoded once, one step and one write for each connection."""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import trio
from msgspec import Struct

from protocol import Account, Change, DeviceId, Member, Monotonic, Record, SessionId, UserId, event_type
from protocol.server import Drain, Evicted, Join, Resync, ServerInput, Terms, publication

from .background import Background
from .people import Person
from .presence import Presence
from .store import DeviceRow
from .websocket import text_frame


if TYPE_CHECKING:
    from .session import Session

_LOG: Final = logging.getLogger("tocsin.hub")

_ORDERLY: Final = frozenset({1000, 1012, 4200})


class Statistics(Struct, frozen=True):
    """Counts of one hub; the first two are now, the others since the start.

    Attributes:
        connections: sockets open. users: people with at least one that is past its handshake.
        events: changes published, by type. deliveries: to how many connections, all together.
        errors: sessions the server ended by close code, requests refused by fault code, and `internal`.
    """

    connections: int
    users: int
    events: dict[str, int]
    deliveries: int
    errors: dict[str, int]


class Hub:
    """Tracks connections by user and publishes to them."""

    def __init__(self, terms: Terms, presence: Presence, background: Background, now: Callable[[], float]) -> None:
        self._terms = terms
        self._presence = presence
        self._background = background
        self._now = now
        self._keys = itertools.count(1)
        self._sessions: set[Session] = set()
        self._people: dict[UserId, Person] = {}
        self._departed: set[Person] = set()
        self._events: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._deliveries = 0

    def __repr__(self) -> str:
        return f"<Hub {len(self._sessions)} connections of {len(self._people)} users>"

    # ----------------------------------------------------------------------------------------------- who is connected

    def next_key(self) -> int:
        """A name for a new connection."""
        return next(self._keys)

    def connect(self, session: "Session") -> None:
        """A socket is open."""
        self._sessions.add(session)

    def disconnect(self, session: "Session") -> None:
        """A socket is over."""
        self._sessions.discard(session)

    def active_connections(self, user: UserId | None = None) -> int:
        """How many sockets are open: of one user, past their handshake, or of all."""
        if user is None:
            return len(self._sessions)
        return len(self._people[user].sessions) if user in self._people else 0

    def join(self, session: "Session", join: Join) -> bool:
        """Take a connection among its user's, and end those that must leave for it; False where that is itself."""
        now = Monotonic(self._now())
        person = self._person(join.user)
        device = None if join.device is None else join.device.id
        self._note_silence(person)
        member = Member(session.key, device, join.conn, now)
        person.roster, verdicts = person.roster.join(member, self._terms.limits.sockets)
        person.sessions[session.key] = session
        session.person = person
        if join.presence:
            person.viewers |= {session.key}
            person.shown = None
        for verdict in verdicts:
            loser = person.sessions[verdict.key]
            self._give(loser, Evicted(verdict.code, verdict.reason, verdict.conn), now)
        self._presence.changed(person)
        return session.person is person

    def _note_silence(self, person: Person) -> None:
        # Only a full house asks who was silent longest; a message costs nothing here.
        if len(person.roster.members) >= self._terms.limits.sockets:
            for key, session in person.sessions.items():
                person.roster = person.roster.heard(key, Monotonic(session.heard_at))

    def leave(self, session: "Session") -> None:
        """A connection is no longer among its user's."""
        person = session.person
        if person is None:
            return
        session.person = None
        person.sessions.pop(session.key, None)
        person.viewers -= {session.key}
        person.roster = person.roster.leave(session.key, Monotonic(self._now()))
        self._settle(person)

    def _person(self, user: UserId) -> Person:
        person = self._people.get(user)
        if person is None:
            person = self._people[user] = Person(user)
        return person

    def _settle(self, person: Person) -> None:
        """Someone has left: remember the user for as long as there is a reason."""
        if person.roster.left:
            self._departed.add(person)
        elif person.absent:
            self._people.pop(person.user, None)
        self._presence.changed(person)

    def know_devices(self, user: UserId, devices: tuple[DeviceRow, ...]) -> None:
        """The store has told about a user's devices."""
        if (person := self._people.get(user)) is not None:
            self._presence.know(person, devices)

    def devices_changed(self, users: set[UserId]) -> None:
        """The store knows something new about devices of these users."""
        self._presence.refresh(person for user in users if (person := self._people.get(user)) is not None)

    # -------------------------------------------------------------------------------------------------- what they get

    def publish(self, user: UserId, change: Change, record: Record | None) -> None:
        """A committed change, to every connection and long poll of its user; to be called in the order of the log."""
        self._events[event_type(change)] += 1
        person = self._people.get(user)
        if person is None:
            return
        if person.sessions:
            self._deliveries += len(person.sessions)
            self._give_all(person, publication(change, record, self._terms.limits))
        person.wake()

    def resync(self, user: UserId, account: Account, reason: Literal["epoch", "asked"] = "epoch") -> None:
        """A user's log has a new epoch, or all their clients are asked to start afresh."""
        person = self._people.get(user)
        if person is not None:
            self._give_all(person, Resync(account.epoch, account.rev, reason))
            person.wake()

    def sign_out(self, ended: SessionId) -> None:
        """Every socket that came with a token of this session is closed at once."""
        now = self._now()
        for session in tuple(self._sessions):
            session.sign_out(ended, now)

    def drain(self) -> None:
        """The server is going down."""
        now, drain = self._now(), Drain(len(self._sessions))
        for session in tuple(self._sessions):
            self._give(session, drain, now)
        for person in tuple(self._people.values()):
            person.wake()

    def sweep(self, now: float) -> None:
        """Let every session whose deadline has come have its tick."""
        for session in [session for session in self._sessions if session.due <= now]:
            try:
                session.tick(now)
            except Exception as error:  # noqa: BLE001 - one session's failure is not the others'
                self._failed(session, error)
        self._presence.sweep(now)
        for person in tuple(self._departed):
            self._forget_departures(person, now)

    def _forget_departures(self, person: Person, now: float) -> None:
        settled = person.roster.settled(Monotonic(now), self._terms.timing.offline_ms)
        if settled == person.roster:
            return
        person.roster = settled
        self._departed.discard(person)
        self._settle(person)

    def _give_all(self, person: Person, input: ServerInput) -> None:
        """All steps, then all writes: steps and system calls in turn would push each other out of the caches."""
        now = self._now()
        writes: list[tuple[Session, bytes]] = []
        for session in tuple(person.sessions.values()):
            try:
                writes.append((session, session.advance(input, now)))
            except Exception as error:  # noqa: BLE001 - one session's failure is not the others'
                self._failed(session, error)
        for session, wire in writes:
            try:
                session.send(wire)
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(session, error)

    def _give(self, session: "Session", input: ServerInput, now: float) -> None:
        try:
            session.take(input, now)
        except Exception as error:  # noqa: BLE001 - one session's failure is not the others'
            self._failed(session, error)

    def _failed(self, session: "Session", error: Exception) -> None:
        self._errors["internal"] += 1
        self._background.failed(error)
        session.broken()

    # ------------------------------------------------------------------------------------------------------ long polls

    @contextmanager
    def watch(self, user: UserId, device: DeviceId | None) -> Iterator[trio.Event]:
        """While a long poll is served; the event is set at the user's next change.

        Enter it before you look at the log, or a change in between is missed.
        """
        person = self._person(user)
        changed = person.poll_begins(device)
        self._presence.changed(person)
        try:
            yield changed
        finally:
            person.poll_ends(device, Monotonic(self._now()))
            self._settle(person)

    # ------------------------------------------------------------------------------------------- for server-side code

    def send_to_user(self, user: UserId, event: Mapping[str, Any]) -> int:
        """Send an event to the user's classic sockets; v1 sockets take part in the log alone. Returns how many it went to."""
        person = self._people.get(user)
        return 0 if person is None else self._send(tuple(person.sessions.values()), event)

    def send_to_all(self, event: Mapping[str, Any]) -> int:
        """The same, to the classic sockets of all users."""
        return self._send(tuple(self._sessions), event)

    def _send(self, sessions: "tuple[Session, ...]", event: Mapping[str, Any]) -> int:
        frame = text_frame(msgspec.json.encode(event))
        receivers = [session for session in sessions if session.classic]
        for session in receivers:
            session.send(frame)
        self._events[str(event.get("type"))] += 1
        self._deliveries += len(receivers)
        return len(receivers)

    # ------------------------------------------------------------------------------------------------------ statistics

    def count_close(self, code: int) -> None:
        """The server ends a session."""
        if code not in _ORDERLY:
            self._errors[str(code)] += 1

    def count_refusal(self, code: str) -> None:
        """A request was answered with an error."""
        self._errors[code] += 1

    def statistics(self) -> Statistics:
        """The counts as they are now."""
        users = sum(1 for person in self._people.values() if person.sessions)
        return Statistics(len(self._sessions), users, dict(self._events), self._deliveries, dict(self._errors))
