"""One device: its connection, its replica, which is also its disk, and the server's end of its transport."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .. import client, server
from .._edits import Create, Delete, Dismiss, Edit, Patch, Snooze, Start
from .._facts import Entry
from .._messages import App
from .._replica import Replica, absorb, next_at, next_mid, shown, view
from .._rings import RingState, ring_state
from .._types import DeviceId, Handle, ItemId, Kind, Monotonic, RunId
from ._polls import answer_poll
from ._wire import Link


if TYPE_CHECKING:
    from ._household import Household


class Event(Struct, frozen=True):
    """One step of one side, for the log."""

    now: Monotonic
    who: str
    input: Any
    outputs: tuple[Any, ...]

    def __repr__(self) -> str:
        said = ", ".join(map(repr, self.outputs)) or "nothing"
        return f"{self.now:8.3f} {self.who:>8}  {self.input!r} -> {said}"


class Device:
    """One device of a household.

    Attributes:
        link: the way to the server. server: the server's end of the open transport, None where there is none.
        gen: generation of that transport. heard: outputs that are for the app, in order.
    """

    def __init__(self, home: "Household", name: str, seed: int, latency: float) -> None:
        self.home = home
        self.name = name
        self.seed = seed
        self.link = Link(latency)
        self.replica = Replica(DeviceId(name))
        self.client = self._new_client()
        self.server: server.ServerConnection | None = None
        self.gen = 0
        self.heard: list[Any] = []

    def _new_client(self) -> client.ClientConnection:
        r = self.replica
        return client.ClientConnection(
            device=r.device, cursor=r.cursor, outbox=r.entries, conn=r.conn, seed=self.seed, app=App("pair", "1"),
            timing=self.home.timing, caps=("deflate", "presence"),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Device {self.name} {self.client!r}>"

    # --- the user ---

    def start(self) -> None:
        """Let it connect."""
        self.feed(client.Start())

    def do(self, edit: Edit) -> Entry:
        """The user does something: it is stored here at once, and sent in its turn."""
        entry = Entry(next_mid(self.replica), edit)
        self.feed(client.Submit(entry))
        return entry

    def at(self, item: str) -> int:
        """The `at` of the next edit of a record."""
        return next_at(self.replica, ItemId(item), self.home.wall)

    def create(self, kind: Kind, item: str, **fields: Any) -> Entry:
        """A new alarm or timer."""
        return self.do(Create(kind=kind, id=ItemId(item), at=self.at(item), fields=fields))

    def patch(self, item: str, **fields: Any) -> Entry:
        """Change fields of a record."""
        return self.do(Patch(kind=self.kind(item), id=ItemId(item), at=self.at(item), fields=fields))

    def delete(self, item: str) -> Entry:
        """Remove a record."""
        return self.do(Delete(kind=self.kind(item), id=ItemId(item), at=self.at(item)))

    def start_timer(self, item: str, run: str) -> Entry:
        """Start a timer."""
        return self.do(Start(kind="timer", id=ItemId(item), at=self.at(item), run=RunId(run), moment=self.home.wall))

    def dismiss(self, item: str, occ: int) -> Entry:
        """Stop an alarm's ring."""
        return self.do(Dismiss(kind="alarm", id=ItemId(item), at=self.at(item), occ=occ))

    def snooze(self, item: str, occ: int, n: int, length_ms: int) -> Entry:
        """Postpone an alarm's ring."""
        edit = Snooze(
            kind="alarm", id=ItemId(item), at=self.at(item), occ=occ, n=n, length_ms=length_ms, moment=self.home.wall
        )
        return self.do(edit)

    def kind(self, item: str) -> Kind:
        """What a record is."""
        record = shown(self.replica, ItemId(item))
        if record is None:
            raise LookupError(f"{self.name} shows no record {item}; it shows {', '.join(self.view) or 'none'}")
        return record.kind

    @property
    def view(self) -> dict[ItemId, Any]:
        """What the user sees."""
        return view(self.replica)

    def ring(self, item: str) -> RingState:
        """Whether a record rings now."""
        return ring_state(self.view[ItemId(item)], self.home.wall, self.home.zones)

    # --- the device ---

    def restart(self) -> None:
        """Crash: only what was stored survives."""
        self.hang_up(1006)
        self.gen += 1
        self.client = self._new_client()
        self.heard.clear()

    def cut(self) -> None:
        """The link breaks; both ends notice."""
        self.link.up = False
        self.lose()

    def lose(self) -> None:
        """The transport breaks; the link stays as it is."""
        if self.hang_up(1006):
            self.feed_lost(1006)

    def heal(self) -> None:
        """The link works again; nobody is told."""
        self.link.up = True

    def hang_up(self, code: int) -> bool:
        """The server's end is over. True where there was one."""
        end, self.server = self.server, None
        if end is not None:
            self.home.feed_server(self, end, server.Closed(code))
        return end is not None

    def feed_lost(self, code: int) -> None:
        """The client's end is over."""
        self.feed(client.Lost(self.client.machine.gen, code))

    def feed(self, stimulus: client.ClientInput) -> None:
        """One step of the client, and all that follows from it here."""
        now = self.home.now
        outputs = self.client.step(stimulus, now)
        self.home.log.append(Event(now, self.name, stimulus, tuple(outputs)))
        for output in outputs:
            self.perform(output)

    def perform(self, output: client.ClientOutput) -> None:
        """Carry out what the client asks."""
        home = self.home
        match output:
            case client.GetToken(gen=gen, fresh=fresh):
                home.queue.put(home.now, lambda: self.feed(client.TokenReady(gen, Handle(f"{self.name}:{gen}"), fresh)))
            case client.OpenTransport(gen=gen):
                home.later(self, lambda: home.open(self, gen), lambda: self.feed(client.Unreachable(gen, "no route")))
            case client.CloseTransport(gen=gen, code=code):
                end = self.server
                home.later(self, lambda: home.closed_by_client(self, end, code))
            case client.Transmit(gen=gen, data=data):
                end = self.server
                home.to_server(self, end, data)
            case client.Store(seq=seq, fact=fact):
                self.replica, _ = absorb(self.replica, fact)
                home.queue.put(home.now, self.storing(seq))
            case client.Poll():
                home.later(
                    self,
                    lambda: answer_poll(home, self, output),
                    lambda: self.feed(client.PollFailed(output.gen, 0)),
                )
            case _:
                self.heard.append(output)

    def storing(self, seq: int) -> Any:
        """Says that a store is done, to the connection that asked."""
        asked = self.client
        return lambda: self.feed(client.Stored(seq)) if self.client is asked else None
