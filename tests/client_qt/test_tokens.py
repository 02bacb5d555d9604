"""Tokens and passwords: where they come from, and that they are seen nowhere else."""

import logging
from pathlib import Path

import pytest

from client_qt.commands import CreateItem, CutNetwork
from client_qt.events import InStep
from client_qt.polling import Requests
from client_qt.server_address import read_address
from client_qt.tokens import FixedToken, PasswordTokens, TokenRefusedError

from .desk import desk
from .fake_server import PASSWORD, fake_server


async def test_a_password_brings_a_token_which_is_kept_until_a_fresh_one_is_wanted() -> None:
    async with fake_server() as home:
        requests = Requests(read_address(home.url))
        tokens = PasswordTokens(requests, "ada", PASSWORD)
        assert await tokens.token(fresh=False) == "token-1"
        assert await tokens.token(fresh=False) == "token-1"
        assert await tokens.token(fresh=True) == "token-2"
        assert (home.sign_ins, home.refreshes) == (1, 1)
        await requests.aclose()


async def test_a_refresh_token_that_has_ended_leads_back_to_the_password() -> None:
    async with fake_server() as home:
        requests = Requests(read_address(home.url))
        tokens = PasswordTokens(requests, "ada", PASSWORD)
        await tokens.token(fresh=False)
        tokens._refresh = "ended"
        assert await tokens.token(fresh=True) == "token-2"
        assert (home.sign_ins, home.refreshes) == (2, 1)
        await requests.aclose()


async def test_a_wrong_password_is_a_refusal_and_nobody_answering_is_not() -> None:
    async with fake_server() as home:
        requests = Requests(read_address(home.url))
        with pytest.raises(TokenRefusedError, match="refuses the sign-in of ada") as refused:
            await PasswordTokens(requests, "ada", "wrong").token(fresh=False)
        assert refused.value.rejected
        await requests.aclose()
    requests = Requests(read_address(home.url))
    with pytest.raises(TokenRefusedError, match="cannot be reached") as unreached:
        await PasswordTokens(requests, "ada", PASSWORD).token(fresh=False)
    assert not unreached.value.rejected
    await requests.aclose()


@pytest.mark.parametrize("token", ["", "two words", "new\nline", "schlüssel"])
async def test_a_token_that_does_not_fit_into_a_header_is_refused_without_being_quoted(token: str) -> None:
    with pytest.raises(TokenRefusedError) as refused:
        await FixedToken(token).token(fresh=False)
    assert refused.value.rejected
    assert not token or token not in str(refused.value)


async def test_no_token_and_no_password_is_seen_in_a_log_an_event_or_a_repr(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything that can be logged is, from every library; renewal in place sends a token inside a message."""
    caplog.set_level(logging.DEBUG)
    async with fake_server() as home:
        home.token_ms = 500
        tokens = PasswordTokens(Requests(read_address(home.url)), "ada", PASSWORD)
        async with desk(tmp_path, url=home.url, tokens=tokens) as device:
            await device.until(lambda event: isinstance(event, InStep))
            await device.done(CreateItem("timer", {"duration_ms": 1_000}))
            await device.reaches(lambda: "token-2" in home.verified)
            session = device.engine.session
            home.refuse_sockets = 503
            await device.done(CutNetwork(cut=True))
            await device.done(CutNetwork(cut=False))
            await device.reaches(lambda: device.engine.snapshot.status.link == "polling")
            shown = [repr(device.engine), repr(session), repr(session.network), repr(tokens), repr(device.heard)]
    everything = "\n".join([caplog.text, *shown, *(repr(vars(record)) for record in caplog.records)])
    for secret in ("token-1", "token-2", "refresh-me", PASSWORD):
        assert secret not in everything
