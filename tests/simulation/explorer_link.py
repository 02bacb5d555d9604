"""The way between one device and the server, and the real server's ends of it; the driver of `server_trio` in short.

A line is all connections of one device that anything may still come of, oldest first: an end whose client is gone and
does not know it yet, a mutation at the store whose connection is over. The last one may be the client's.

What is left out so that states merge: time (no deadline of the server is ever due; what they do, a cut does), the
client's allowance (never used up), heartbeats, deflate and presence, which change no record. The handshake up to hello
is one moment, since nothing before hello touches the store or another connection. An end that has sent its close frame
is gone at once: the real one ignores whatever still comes.
"""

from msgspec import Struct
from msgspec.structs import replace

from protocol import (
    DeviceId,
    Handle,
    Member,
    Mid,
    Monotonic,
    Roster,
    SessionId,
    UserId,
    Wall,
    server,
)
from protocol._timers import ServerTimer, Timers
from protocol.server._machine import ServerMachine, Terms

from .explorer_device import DAY, LIMITS, NOW, TIMING, Deed, Dial, Hang, Say
from .explorer_store import NOON, Decided, Vault, decide, page, whole
from .run import Violation


TERMS = Terms(timing=TIMING, limits=LIMITS)

Asked = server.Join | server.ReadPage | server.ReadState
Read = server.Joined | server.PageRead | server.StateRead


class Path(Struct, frozen=True):
    """One connection.

    Attributes:
        key: its name in this line. conn: the attempt's counter, as hello says.
        end: the server's end; None when it is over. member: the hub counts it among the user's.
        up, down: frames on their way, and close codes; `down` is None when the client listens no more.
        writes: mutations at the store, in order; None for one that is committed and not told.
        reads: other questions at the store, and answers that are on their way back.
    """

    key: int
    conn: int
    end: ServerMachine | None
    member: bool = False
    up: tuple[str | int, ...] = ()
    down: tuple[str | int, ...] | None = ()
    writes: tuple[server.Apply | None, ...] = ()
    reads: tuple[Asked | Read, ...] = ()


class Line(Struct, frozen=True):
    """All connections of one device.

    Attributes:
        lingers: whether an end that nobody listens to stays for as long as it likes, though nothing can come of it.
    """

    paths: tuple[Path, ...] = ()
    lingers: bool = False


# --- the client's side ------------------------------------------------------------------------------------------------


def carry(line: Line, deeds: tuple[Deed, ...]) -> Line:
    """What the client does to its transport."""
    for deed in deeds:
        match deed:
            case Dial(conn=conn):
                key = min(set(range(len(line.paths) + 1)) - {path.key for path in line.paths})
                line = Line((*line.paths, Path(key, conn, _HANDSHAKEN)), line.lingers)
            case Say(text=text):
                line = _say(line, text)
            case Hang(code=code):
                line = _hang(line, code)
    return line


def _hang(line: Line, code: int) -> Line:
    if not line.paths or line.paths[-1].down is None:
        return line
    last = line.paths[-1]
    return _with(line, len(line.paths) - 1, replace(last, up=(*last.up, code), down=None))


def _say(line: Line, what: str) -> Line:
    if not line.paths or line.paths[-1].down is None:
        # The end was heard in the same moment, so this was said to nobody.
        return line
    index, last = len(line.paths) - 1, line.paths[-1]
    if last.end is not None and isinstance(last.end.state, server.AwaitHello):
        return _step(line, index, server.Received(what, NOON))
    broken = bool(last.up) and isinstance(last.up[-1], int)
    return line if broken else _with(line, index, replace(last, up=(*last.up, what)))


def next_down(line: Line) -> tuple[tuple[str | int, ...], Line] | None:
    """What the client hears next, with what is heard in the same moment, and the line after it."""
    if not line.paths or not line.paths[-1].down:
        return None
    last = line.paths[-1]
    assert last.down is not None
    count = 1
    while count < len(last.down) and _is_glued(last.down[count]):
        count += 1
    heard = last.down[:count]
    down = None if isinstance(heard[-1], int) else last.down[count:]
    return heard, _with(line, len(line.paths) - 1, replace(last, down=down))


def has_welcome(line: Line) -> bool:
    """Whether the client will hear next that its session begins."""
    what = _first_down(line)
    return isinstance(what, str) and what.startswith('{"type":"welcome"')


def _first_down(line: Line) -> str | int | None:
    down = line.paths[-1].down if line.paths else None
    return down[0] if down else None


def _is_glued(what: str | int) -> bool:
    return isinstance(what, int) or what.startswith(GLUED)


def has_only_ended(line: Line) -> bool:
    """Whether all that the client will still hear of its transport is that it is over."""
    return isinstance(_first_down(line), int)


def is_whole(line: Line) -> bool:
    """Whether the last connection is one that can be cut."""
    if not line.paths or line.paths[-1].end is None or line.paths[-1].down is None:
        return False
    last = line.paths[-1]
    return not any(isinstance(what, int) for what in (*last.up, *(last.down or ())))


def cut(line: Line, *, lose_up: bool, lose_down: bool) -> Line:
    """The transport breaks; either end learns of it when it has heard what still arrives."""
    last = line.paths[-1]
    up = () if lose_up else last.up
    down = () if lose_down else last.down or ()
    return _with(line, len(line.paths) - 1, replace(last, up=(*up, LOST), down=(*down, LOST)))


def deserted(line: Line, *, lose_up: bool) -> Line:
    """The device is gone in an instant."""
    if not line.paths or line.paths[-1].down is None:
        return line
    last = line.paths[-1]
    up = () if lose_up else last.up
    ended = up if up and isinstance(up[-1], int) else (*up, LOST)
    return _with(line, len(line.paths) - 1, replace(last, up=ended, down=None))


LOST = 1006

GLUED = ('{"type":"synced"', '{"type":"sync_required"')
"""Frames heard in the same moment as the one before, as is the end of the transport."""


# --- the server's side ------------------------------------------------------------------------------------------------


def arrives(line: Line, index: int) -> Line:
    """The server's end hears what was said first."""
    path = line.paths[index]
    what, *rest = path.up
    line = _with(line, index, replace(path, up=tuple(rest)), prune=False)
    return _step(line, index, server.Received(what, NOON) if isinstance(what, str) else server.Closed(what))


def mutate_arrives(line: Line) -> Line | None:
    """The line after a mutation has reached the end that the client listens to; None: none is on its way."""
    index = len(line.paths) - 1
    if index < 0 or line.paths[index].down is None or not line.paths[index].up:
        return None
    return arrives(line, index) if _is_mutate(line.paths[index].up[0]) else None


def gives(line: Line, index: int, number: int) -> Line:
    """The store's answer to a read arrives."""
    path = line.paths[index]
    answer = path.reads[number]
    assert isinstance(answer, Read)
    reads = (*path.reads[:number], *path.reads[number + 1 :])
    return _step(_with(line, index, replace(path, reads=reads), prune=False), index, answer)


def publish(line: Line, publication: server.Publish) -> Line:
    """A change, to every connection that the hub knows."""
    for index, path in enumerate(line.paths):
        if path.member:
            line = _step(line, index, publication, prune=False)
    return _pruned(line)


def told(line: Line, decided: Decided) -> Line:
    """The author's connection hears what became of its mutation."""
    index = next(n for n, path in enumerate(line.paths) if path.key == decided.key)
    path = line.paths[index]
    assert path.writes[0] is None
    line = _with(line, index, replace(path, writes=path.writes[1:]), prune=False)
    if path.end is None:
        return _pruned(line)
    if decided.fault is not None:
        return _step(line, index, server.Declined(decided.mid, decided.fault))
    assert decided.result is not None
    return _step(line, index, server.Answered(decided.result))


def server_lost(line: Line) -> Line:
    """The server's process dies: its ends go, what waited at its store, and what was on its way."""
    last = line.paths[-1:]
    kept = tuple(Path(0, path.conn, None, down=(LOST,)) for path in last if path.down is not None)
    return Line(kept, line.lingers)


# --- the store --------------------------------------------------------------------------------------------------------


def commits(line: Line, index: int, vault: Vault, device: int) -> tuple[Line, Vault]:
    """The writer commits the first mutation of a connection."""
    path = line.paths[index]
    asked = next(write for write in path.writes if write is not None)
    place = path.writes.index(asked)
    vault, outcome = decide(vault, asked.device, asked.submission, LIMITS)
    decided = Decided(
        device, path.key, asked.submission.mid, outcome.change, outcome.record, outcome.result, outcome.fault
    )
    writes = (*path.writes[:place], None, *path.writes[place + 1 :])
    return _with(line, index, replace(path, writes=writes)), replace(vault, decided=(*vault.decided, decided))


def looks_up(line: Line, index: int, number: int, vault: Vault) -> Line:
    """The store answers a read; the answer is on its way back."""
    path = line.paths[index]
    answer = _answer(path.reads[number], vault)
    return _with(line, index, replace(path, reads=(*path.reads[:number], answer, *path.reads[number + 1 :])))


def _answer(asked: Asked | Read, vault: Vault) -> Read:
    match asked:
        case server.Join(device=device):
            assert device is not None
            return server.Joined(vault.account, vault.last_mids.get(device.id, Mid(0)), NOON)
        case server.ReadPage(after=after, limit=limit):
            return server.PageRead(page(vault, after, limit))
        case server.ReadState(device=reader, with_deleted=with_deleted):
            return server.StateRead(whole(vault, reader, with_deleted=with_deleted))
        case _:
            raise AssertionError(f"{asked!r} is no question")


def first_asked(line: Line) -> tuple[int, int] | None:
    """The first read that the store has not answered: of which connection, and which of its reads."""
    for index, path in enumerate(line.paths):
        for number, read in enumerate(path.reads):
            if isinstance(read, Asked):
                return index, number
    return None


# --- one step ---------------------------------------------------------------------------------------------------------


def _step(line: Line, index: int, input: server.ServerInput, *, prune: bool = True) -> Line:
    path = line.paths[index]
    if path.end is None:
        return _pruned(line) if prune else line
    connection = _TEMPLATE.copy()
    connection.machine = path.end
    joins: int | None = None
    for output in connection.step(input, NOW):
        match output:
            case server.Transmit(data=data):
                path = replace(path, down=None if path.down is None else (*path.down, data))
            case server.CloseTransport(code=code, reason=reason):
                _check_closed(code, reason)
                path = replace(path, down=None if path.down is None else (*path.down, code))
            case server.Apply():
                path = replace(path, writes=(*path.writes, output))
            case server.ReadPage() | server.ReadState():
                path = replace(path, reads=(*path.reads, output))
            case server.Join(conn=conn):
                path, joins = replace(path, reads=(output,)), conn
            case server.Leave():
                path = replace(path, member=False)
            case _:
                assert isinstance(output, server.Ignored), output
    over = isinstance(connection.state, server.Draining | server.Gone)
    path = replace(path, end=None, member=False) if over else replace(path, end=_merged(connection.machine))
    line = _with(line, index, path, prune=False)
    if joins is not None:
        line = _join(line, index, joins)
    return _pruned(line) if prune else line


def _join(line: Line, index: int, conn: int) -> Line:
    """What the hub does: of two connections of one device the one with the higher counter stays."""
    this, now = DeviceId("this"), Monotonic(0.0)
    members = tuple(Member(n, this, path.conn, now) for n, path in enumerate(line.paths) if path.member)
    _, verdicts = Roster(members).join(Member(index, this, conn, now), LIMITS.sockets)
    line = _with(line, index, replace(line.paths[index], member=True), prune=False)
    for verdict in verdicts:
        line = _step(line, verdict.key, server.Evicted(verdict.code, verdict.reason, verdict.conn), prune=False)
    return line


def _check_closed(code: int, reason: str) -> None:
    if code not in {1000, 4005}:
        raise Violation(
            "invariant-13", "server", 0.0, "that both ends understand each other", f"closed {code}: {reason}"
        )


def _merged(machine: ServerMachine) -> ServerMachine:
    """The machine without what this explorer leaves out."""
    return ServerMachine(machine.state, Timers[ServerTimer](), TERMS)


# --- a line -----------------------------------------------------------------------------------------------------------


def _with(line: Line, index: int, path: Path, *, prune: bool = True) -> Line:
    changed = Line((*line.paths[:index], path, *line.paths[index + 1 :]), line.lingers)
    return _pruned(changed) if prune else changed


def _pruned(line: Line) -> Line:
    """Without what nothing can come of any more."""
    shorn = [_shorn(path, line.lingers) for path in line.paths]
    kept = tuple(path for path in shorn if path.end is not None or path.down or path.writes)
    return Line(kept, line.lingers)


def _shorn(path: Path, lingers: bool) -> Path:
    alive = path.end is not None and (path.down is not None or lingers or any(map(_is_mutate, path.up)))
    return path if alive else replace(path, end=None, member=False, up=(), reads=())


def _is_mutate(what: str | int) -> bool:
    return isinstance(what, str) and what.startswith('{"type":"mutate"')


def _handshaken() -> ServerMachine:
    connection = server.ServerConnection(TERMS, record=False)
    connection.step(server.Requested("v1", "header", Handle("token")), NOW)
    expires = Wall(NOON + DAY)
    connection.step(server.TokenAccepted(Handle("token"), UserId("anna"), SessionId("s"), expires, NOON), NOW)
    return _merged(connection.machine)


_HANDSHAKEN = _handshaken()
_TEMPLATE = server.ServerConnection(TERMS, record=False)
