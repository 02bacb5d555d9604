"""One WebSocket from dialling to its end, as facts for the connection; the only file that knows trio-websocket.

TCP and TLS are opened here and not by the library, which would turn a wrong certificate into a timeout without cause
(python-trio/trio-websocket#199).
"""

import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from protocol import Generation, client

from .server_address import SOCKET_PATH, ServerAddress
from .words import explain, refusal


SUBPROTOCOL = "tocsin.v1"

QUEUE = 64
"""Messages read ahead: with fewer, a busy program would keep pongs and closes waiting behind them."""

RECEIVE_BYTES = 65_536
LARGEST_MESSAGE = 1 << 20
"""Far above what the protocol allows, which judges the size itself; this bounds memory."""

HEARD_S = 1.0
"""Signs of life are told at most so often; a message is one by itself."""

Feed = Callable[[client.ClientInput], None]


class Say(NamedTuple):
    """Send this text, which may hold a token."""

    text: str

    def __repr__(self) -> str:
        return f"Say({len(self.text)} characters)"


class HangUp(NamedTuple):
    """Close after all that was said before."""

    code: int
    reason: str


class Socket:
    """One attempt.

    Args:
        gen: goes with every fact. feed: takes them: exactly one of `Unreachable`, `Refused`, or `Opened` and later
            `Lost`, with what was received in between; nothing any more once it was told to hang up or was cut.
    """

    def __init__(self, gen: Generation, address: ServerAddress, feed: Feed) -> None:
        self.gen = gen
        self._address = address
        self._feed = feed
        self._scope = trio.CancelScope()
        self._orders, self._pending = trio.open_memory_channel[Say | HangUp](float("inf"))
        self._is_open = False
        self._silenced = False
        self._heard_at = float("-inf")
        self._bug: Exception | None = None

    def __repr__(self) -> str:
        return f"<Socket {self.gen} to {self._address.authority}, {'open' if self._is_open else 'dialling'}>"

    # --- orders, none of which waits ---

    def say(self, text: str) -> None:
        """Send a text in its turn."""
        self._orders.send_nowait(Say(text))

    def hang_up(self, code: int, reason: str, within_s: float) -> None:
        """Close, politely but in bounded time; nothing is told of it."""
        self._silenced = True
        if self._is_open:
            self._orders.send_nowait(HangUp(code, reason))
            self._scope.deadline = trio.current_time() + within_s
        else:
            self._scope.cancel()

    def cut(self) -> None:
        """Let it break off, as a pulled cable would."""
        self._tell(self._broke("cut"))
        self._silenced = True
        self._scope.cancel()

    # --- its life ---

    async def run(self, token: str, connect_s: float) -> None:
        """Dial, then read until it ends."""
        with self._scope:
            self._tell(await self._live(token, connect_s))

    def _tell(self, fact: client.ClientInput) -> None:
        if self._silenced:
            return
        try:
            self._feed(fact)
        except Exception as bug:
            self._bug = bug
            raise

    async def _live(self, token: str, connect_s: float) -> client.ClientInput:
        """The whole of it; returns how it ended."""
        deadline = trio.current_time() + connect_s
        try:
            with trio.fail_at(deadline):
                stream = await _dial(self._address)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            return client.Unreachable(self.gen, explain(error, self._address.authority))
        try:
            return await self._talk(_Watched(stream, self._hear), token, deadline)
        finally:
            await trio.aclose_forcefully(stream)

    def _hear(self) -> None:
        now = trio.current_time()
        if self._is_open and now >= self._heard_at + HEARD_S:
            self._heard_at = now
            self._tell(client.Heard(self.gen))

    async def _talk(self, stream: "_Watched", token: str, deadline: float) -> client.ClientInput:
        ending: list[client.ClientInput] = []
        try:
            async with trio.open_nursery() as nursery:
                ending.append(await self._converse(nursery, stream, token, deadline))
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as group:
            ending.append(self._refused(_first(group)))
        except* Exception as group:
            if self._is_ours(group):
                raise
            # The library's reader dies of a ping that crosses our close (python-trio/trio-websocket#184), and whatever
            # else a stranger's bytes do to it must not take the alarms with it. The text may quote a header: not told.
            ending.append(self._broke(f"the connection broke: {type(_first(group)).__name__}"))
        return ending[-1]

    def _is_ours(self, group: BaseExceptionGroup[Exception]) -> bool:
        """Whether what went wrong is the connection's or the engine's: a bug, which is not to be papered over."""
        return self._bug is not None and group.subgroup(lambda error: error is self._bug) is not None

    def _broke(self, why: str) -> client.ClientInput:
        return client.Lost(self.gen, 1006, why) if self._is_open else client.Unreachable(self.gen, why)

    async def _converse(
        self, nursery: trio.Nursery, stream: "_Watched", token: str, deadline: float
    ) -> client.ClientInput:
        with trio.move_on_at(deadline) as opening:
            stream.when_over = opening.cancel
            socket = await wrap_client_stream(
                nursery,
                # The library uses nothing of a stream but the three methods of `trio.abc.Stream`.
                stream,  # type: ignore[arg-type]
                self._address.authority,
                self._address.prefix + SOCKET_PATH,
                subprotocols=[SUBPROTOCOL],
                extra_headers=[(b"Authorization", b"Bearer " + token.encode())],
                message_queue_size=QUEUE,
                max_message_size=LARGEST_MESSAGE,
                receive_buffer_size=RECEIVE_BYTES,
            )
        if opening.cancelled_caught:
            why = "closed the connection before it answered" if stream.is_over else "did not answer in time"
            return client.Unreachable(self.gen, f"{self._address.authority} {why}.")
        self._is_open = True
        stream.when_over = _nothing
        self._tell(client.Opened(self.gen, socket.subprotocol))
        nursery.start_soon(self._obey, socket)
        return await self._read(socket)

    async def _read(self, socket: WebSocketConnection) -> client.ClientInput:
        try:
            while True:
                match await socket.get_message():
                    case str(text):
                        self._tell(client.Received(self.gen, text))
                    case data:
                        self._tell(client.ReceivedBinary(self.gen, data))
        except ConnectionClosed as closed:
            code = closed.reason.code if closed.reason else 1006
            return client.Lost(self.gen, code, (closed.reason.reason if closed.reason else "") or "")

    async def _obey(self, socket: WebSocketConnection) -> None:
        try:
            async for order in self._pending:
                match order:
                    case Say(text=text):
                        await socket.send_message(text)
                    case HangUp(code=code, reason=reason):
                        await socket.aclose(code, reason)
                        self._scope.cancel()
        except ConnectionClosed:
            return  # `_read` sees the same end, and tells it

    def _refused(self, rejected: ConnectionRejected) -> client.ClientInput:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in rejected.headers or ()}
        code, retry_after_ms = refusal(rejected.body or b"", headers.get("retry-after"))
        return client.Refused(self.gen, rejected.status_code, code, retry_after_ms)


class _Watched(trio.abc.Stream):
    """A stream that says when bytes come, and when no more will: signs that the library keeps to itself."""

    def __init__(self, stream: trio.abc.Stream, heard: Callable[[], None]) -> None:
        self._stream = stream
        self._heard = heard
        self.when_over: Callable[[], None] = _nothing
        self.is_over = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise
        if data:
            self._heard()
        else:
            self._end()
        return data

    def _end(self) -> None:
        self.is_over = True
        self.when_over()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _dial(address: ServerAddress) -> trio.abc.Stream:
    """TCP, then TLS with a certificate error that says so."""
    stream = await trio.open_tcp_stream(address.host, address.port)
    if address.tls is None:
        return stream
    secured: trio.SSLStream[trio.SocketStream] = trio.SSLStream(
        stream, address.tls, server_hostname=address.host, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error.__cause__, ssl.SSLError):
            raise error.__cause__ from error
        raise
    return secured


def _first(group: BaseExceptionGroup[Exception]) -> Any:
    """One of the exceptions; they are all of the kind that was asked for."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _nothing() -> None:
    """Nobody waits to be told."""
