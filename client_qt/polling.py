"""Plain HTTP requests: polls for the connection, and sign-in for the token source; the only file that knows httpx."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
import trio

from protocol import client

from .server_address import ServerAddress
from .words import explain, refusal


LARGEST_BODY = 48 << 20
"""Above what a snapshot of the most and longest records can need; bounds memory whoever answers."""


class Answer(NamedTuple):
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswerError(Exception):
    """Nobody answered; the message says why."""


class Requests:
    """Requests to one server, over connections that are kept open between them."""

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        # A proxy of the environment is for what lies behind it, and never for this machine.
        self._client = httpx.AsyncClient(
            base_url=address.base_url,
            verify=address.tls if address.tls is not None else True,
            trust_env=not address.is_loopback,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - each request runs under Trio's own deadline
        )

    def __repr__(self) -> str:
        return f"<Requests to {self.address.base_url}>"

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def ask(
        self, method: str, path: str, *, body: str | None = None, token: str | None = None, within_s: float
    ) -> Answer:
        """One request and its whole answer.

        Raises:
            NoAnswerError: no answer in time, or none that could be read.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            with trio.fail_after(within_s):
                return await self._exchange(method, path, body, headers)
        except (trio.TooSlowError, httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
            raise NoAnswerError(explain(_cause(error), self.address.authority)) from None

    async def _exchange(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        content = None if body is None else body.encode()
        async with self._client.stream(method, path, content=content, headers=headers) as response:
            chunks, size = list[bytes](), 0
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST_BODY:
                    raise httpx.DecodingError(f"the answer is longer than {LARGEST_BODY} bytes")
            return Answer(response.status_code, response.headers, b"".join(chunks))

    async def poll(self, poll: client.Poll, token: str) -> client.PollAnswered | client.PollFailed:
        """Carry out a poll."""
        try:
            answer = await self.ask(
                poll.method, poll.path, body=poll.body, token=token, within_s=poll.timeout_ms / 1000
            )
            if 200 <= answer.status < 300:
                return client.PollAnswered(poll.gen, answer.body.decode())
        except (NoAnswerError, UnicodeDecodeError):
            return client.PollFailed(poll.gen, 0)
        code, retry_after_ms = refusal(answer.body, answer.headers.get("retry-after"))
        return client.PollFailed(poll.gen, answer.status, code, retry_after_ms)


def _cause(error: BaseException) -> Any:
    """The system's own error beneath the library's, where there is one: it says more."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error
