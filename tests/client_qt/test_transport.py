"""One socket from dialling to its end: exactly one ending is told, and in words that help."""

import base64
import errno
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from client_qt.polling import NoAnswerError, Requests
from client_qt.server_address import AddressError, ServerAddress, read_address
from client_qt.transport import Say, Socket
from client_qt.words import explain
from protocol import Generation, client

from .fake_server import fake_server


PEM = Path(__file__).with_name("localhost.pem")
Handler = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A port on which somebody behaves oddly."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(partial(trio.serve_listeners, handler, listeners, handler_nursery=nursery))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def told(address: ServerAddress, *, connect_s: float = 5) -> list[client.ClientInput]:
    """Everything that an attempt tells, until it ends."""
    facts: list[client.ClientInput] = []
    with trio.fail_after(10):
        await Socket(Generation(1), address, facts.append).run("token-0", connect_s)
    return facts


def over_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(PEM))


async def test_a_certificate_that_nobody_vouches_for_is_named_as_the_reason_at_once() -> None:
    async def handshake(stream: trio.abc.Stream) -> None:
        secured = trio.SSLStream(stream, over_tls(), server_side=True)
        with pytest.raises(trio.BrokenResourceError):
            await secured.do_handshake()

    async with serving(handshake) as port:
        with trio.fail_after(3):
            (fact,) = await told(read_address(f"https://localhost:{port}"), connect_s=60)
        assert isinstance(fact, client.Unreachable)
        assert "certificate that is not trusted" in fact.why


async def test_a_server_that_is_vouched_for_is_reached_over_tls() -> None:
    async with fake_server() as home:

        async def decrypt(stream: trio.abc.Stream) -> None:
            await home.serve(trio.SSLStream(stream, over_tls(), server_side=True, https_compatible=True))

        async with serving(decrypt) as port:
            address = read_address(f"https://localhost:{port}", trusting())
            facts: list[client.ClientInput] = []
            async with trio.open_nursery() as nursery:
                socket = Socket(Generation(1), address, facts.append)
                nursery.start_soon(socket.run, "token-0", 5)
                with trio.fail_after(5):
                    while not facts:  # noqa: ASYNC110 - facts come without an event
                        await trio.sleep(0.01)
                assert facts[0] == client.Opened(Generation(1), "tocsin.v1")
                requests = Requests(address)
                answer = await requests.ask("GET", "/api/alarms-timers", token="token-0", within_s=5)
                assert answer.status == 200
                await requests.aclose()
                nursery.cancel_scope.cancel()


async def test_plain_http_where_tls_was_expected_fails_in_words() -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await stream.aclose()

    async with serving(talk) as port:
        (fact,) = await told(read_address(f"https://localhost:{port}"))
        assert isinstance(fact, client.Unreachable)
        assert "TLS with localhost" in fact.why


async def test_a_server_that_says_nothing_is_given_up_at_the_deadline() -> None:
    async def wait(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with serving(wait) as port:
        with trio.fail_after(3):
            (fact,) = await told(read_address(f"http://127.0.0.1:{port}"), connect_s=0.2)
        assert fact == client.Unreachable(Generation(1), f"127.0.0.1:{port} did not answer in time.")


REFUSALS = [
    (b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", client.Refused(Generation(1), 503, None, 7_000)),
    (b"HTTP/1.1 302 X\r\nLocation: /login\r\nContent-Length: 2\r\n\r\nhi", client.Refused(Generation(1), 302)),
    (
        b'HTTP/1.1 401 X\r\nContent-Length: 33\r\n\r\n{"error":{"code":"token_expired"}}'[:-1],
        client.Refused(Generation(1), 401, None),
    ),
    (
        b'HTTP/1.1 401 X\r\nContent-Length: 34\r\n\r\n{"error":{"code":"token_expired"}}',
        client.Refused(Generation(1), 401, "token_expired"),
    ),
]


@pytest.mark.parametrize(("answer", "fact"), REFUSALS)
async def test_an_http_answer_in_place_of_a_socket_is_told_with_our_code_if_it_is_ours(
    answer: bytes, fact: client.ClientInput
) -> None:
    async def refuse(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    async with serving(refuse) as port:
        assert await told(read_address(f"http://127.0.0.1:{port}")) == [fact]


OPEN = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: tocsin.v1\r\n"
ODD = [b"", b"\x00" * 10, b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 101 X\r\n\r\n", OPEN + b"Sec-WebSocket-Accept: x\r\n\r\n"]


@pytest.mark.parametrize("answer", ODD)
async def test_whatever_else_answers_is_no_server(answer: bytes) -> None:
    async def answer_oddly(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    async with serving(answer_oddly) as port:
        (fact,) = await told(read_address(f"http://127.0.0.1:{port}"))
        assert isinstance(fact, client.Unreachable)


FRAMES = [
    (b"", 1006),
    (b"\x88\x02\x10\x04", 4100),
    (b"\x88\x00", 1005),
    (b"\x88\x01\x00", 1006),
    (b"\x88\x02\x00\x00", 1006),
    (b"\xff\xff\xff\xff", 1006),
    (b"\x81\x02\xff\xff", 1006),
    (b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 1006),
]


@pytest.mark.parametrize(("frames", "code"), FRAMES)
async def test_whatever_a_server_sends_the_socket_ends_once_and_the_program_lives(frames: bytes, code: int) -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        request = bytes(await stream.receive_some())
        await stream.send_all(OPEN + b"Sec-WebSocket-Accept: " + _accepted(request) + b"\r\n\r\n" + frames)
        await stream.aclose()

    async with serving(talk) as port:
        opened, *others = await told(read_address(f"http://127.0.0.1:{port}"))
        assert opened == client.Opened(Generation(1), "tocsin.v1")
        ending = others[-1]
        assert isinstance(ending, client.Lost)
        assert ending.code in {code, 1002, 1007}
        assert [fact for fact in others[:-1] if not isinstance(fact, client.Heard)] == []


async def test_a_bug_behind_the_socket_is_not_taken_for_the_networks() -> None:
    def stumble(fact: client.ClientInput) -> None:
        raise ZeroDivisionError

    async with fake_server() as home:
        with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
            await Socket(Generation(1), read_address(home.url), stumble).run("token-0", 5)


async def test_nothing_is_told_after_hanging_up() -> None:
    facts: list[client.ClientInput] = []
    async with fake_server() as home, trio.open_nursery() as nursery:
        socket = Socket(Generation(1), read_address(home.url), facts.append)
        nursery.start_soon(socket.run, "token-0", 5)
        with trio.fail_after(5):
            while not facts:  # noqa: ASYNC110 - facts come without an event
                await trio.sleep(0.01)
            socket.say('{"type":"bye"}')
            socket.hang_up(1000, "done", 1)
            while home.peers:  # noqa: ASYNC110 - the fake server tells nobody
                await trio.sleep(0.01)
    assert [type(fact) for fact in facts] == [client.Opened]


async def test_a_peer_that_does_not_answer_a_close_is_left_after_the_time_given() -> None:
    async def ignore(stream: trio.abc.Stream) -> None:
        request = bytes(await stream.receive_some())
        await stream.send_all(OPEN + b"Sec-WebSocket-Accept: " + _accepted(request) + b"\r\n\r\n")
        await trio.sleep_forever()

    facts: list[client.ClientInput] = []
    async with serving(ignore) as port:
        with trio.fail_after(3):
            async with trio.open_nursery() as nursery:
                socket = Socket(Generation(1), read_address(f"http://127.0.0.1:{port}"), facts.append)
                nursery.start_soon(socket.run, "token-0", 5)
                while not facts:  # noqa: ASYNC110 - facts come without an event
                    await trio.sleep(0.01)
                socket.hang_up(1000, "done", 0.1)


def test_what_is_to_be_said_is_not_shown() -> None:
    assert repr(Say('{"type":"auth","token":"secret"}')) == "Say(32 characters)"


# --- plain requests ---------------------------------------------------------------------------------------------------


async def test_a_request_to_nobody_says_who_did_not_answer() -> None:
    requests = Requests(read_address("http://127.0.0.1:9"))
    with pytest.raises(NoAnswerError, match=r"127\.0\.0\.1:9 cannot be reached"):
        await requests.ask("GET", "/", within_s=5)
    await requests.aclose()


async def test_a_request_is_given_up_at_its_deadline() -> None:
    async def wait(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with serving(wait) as port:
        requests = Requests(read_address(f"http://127.0.0.1:{port}"))
        with pytest.raises(NoAnswerError, match="did not answer in time"):
            await requests.ask("GET", "/", within_s=0.1)
        await requests.aclose()


POLLS = [
    (b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}", client.PollAnswered(Generation(4), "{}")),
    (b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n\xff\xff", client.PollFailed(Generation(4), 0)),
    (b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{}", client.PollFailed(Generation(4), 0)),
    (b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", client.PollFailed(Generation(4), 302)),
    (
        b'HTTP/1.1 429 X\r\nRetry-After: 3\r\nContent-Length: 25\r\n\r\n{"error":{"code":"busy"}}',
        client.PollFailed(Generation(4), 429, "busy", 3_000),
    ),
]


@pytest.mark.parametrize(("answer", "fact"), POLLS)
async def test_a_poll_is_answered_by_what_came_back(answer: bytes, fact: client.ClientInput) -> None:
    async def reply(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    async with serving(reply) as port:
        requests = Requests(read_address(f"http://127.0.0.1:{port}"))
        poll = client.Poll(Generation(4), "h", "GET", "/x", None, 5_000)  # type: ignore[arg-type]  # any word will do
        assert await requests.poll(poll, "token-0") == fact
        await requests.aclose()


WORDS = [
    (trio.TooSlowError(), "x did not answer in time."),
    (ConnectionRefusedError(errno.ECONNREFUSED, "anything"), "x cannot be reached: Connection refused."),
    (socket.gaierror(-2, "Name or service not known"), "x cannot be reached: Name or service not known."),
    (OSError("all attempts failed"), "x cannot be reached: all attempts failed."),
    (trio.BrokenResourceError(), "x cannot be reached: BrokenResourceError."),
    (ssl.SSLError(1, "wrong version"), "TLS with x failed: wrong version."),
]


@pytest.mark.parametrize(("error", "words"), WORDS)
def test_errors_are_said_in_words(error: BaseException, words: str) -> None:
    assert explain(error, "x") == words


async def test_an_error_made_of_several_says_the_first_that_the_system_has_words_for() -> None:
    (fact,) = await told(read_address("http://127.0.0.1:9"))
    assert fact == client.Unreachable(Generation(1), "127.0.0.1:9 cannot be reached: Connection refused.")


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "authority", "base"),
    [
        ("http://127.0.0.1:8765", "127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("http://[::1]:80/", "[::1]", "http://[::1]"),
        ("http://[::1]:8080/tocsin/", "[::1]:8080", "http://[::1]:8080/tocsin"),
    ],
)
def test_an_address_is_read_once_for_both_roads(url: str, authority: str, base: str) -> None:
    address = read_address(url)
    assert (address.authority, address.base_url, address.is_loopback) == (authority, base, True)


def test_https_has_its_own_port_and_its_context() -> None:
    address = read_address("https://tocsin.example")
    assert (address.authority, address.port, address.is_loopback) == ("tocsin.example", 443, False)
    assert address.tls is not None
    assert repr(address) == "<ServerAddress https://tocsin.example>"


@pytest.mark.parametrize(
    "url",
    ["", "example.org", "ftp://x", "http://", "http://x:port", "http://ada:pw@x", "http://x/?token=1", "http://[::1"],
)
def test_what_is_no_servers_url_is_refused_in_words(url: str) -> None:
    with pytest.raises(AddressError):
        read_address(url)


def _accepted(request: bytes) -> bytes:
    """The answer to the handshake's key (RFC 6455, section 4.2.2)."""
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    digest = hashlib.sha1(
        key.partition(b":")[2].strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False
    )
    return base64.b64encode(digest.digest())
