"""Tokens, passwords, the secret beside the database, and signing in with all of them over a real store."""

import base64
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import argon2
import jwt
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from protocol import Fault, SessionId, UserId, Wall
from server_trio import auth, passwords
from server_trio.auth import EXPIRED, INVALID, Tokens, Verified
from server_trio.passwords import Checked, Passwords, TooBusy
from server_trio.secret_file import SecretUnusable, read_or_make_secret, secret_path
from server_trio.sign_in import SignIn, TokenPair, unfit_name, unfit_password
from server_trio.store_sqlite import SqliteStore, open_sqlite


SECRET, OLDER = "s" * 32, "o" * 32
NOW = Wall(1_800_000_000_000)
ANN, S1 = UserId("ann"), SessionId("s1")


class SettableClock:
    """Now is what a test says."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Wall:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now = Wall(self.now + int(seconds * 1_000))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def tokens(clock: SettableClock) -> Tokens:
    return Tokens(SECRET, clock=clock)


def claims(**changed: Any) -> dict[str, Any]:
    usual = {"sub": "ann", "sid": "s1", "iat": 1_799_999_999, "exp": 1_800_000_060, "aud": "tocsin", "iss": "tocsin"}
    return {name: value for name, value in (usual | changed).items() if value is not ...}


def made_elsewhere(
    key: str = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **changed: Any
) -> str:
    return jwt.PyJWT().encode(claims(**changed), key, algorithm, headers=headers)


def without(name: str) -> dict[str, Any]:
    return {name: ...}


def by_hand(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


# --------------------------------------------------------------------------------------------------------------- tokens


def test_a_token_names_its_user_its_session_and_its_end(tokens: Tokens) -> None:
    assert tokens.verify(tokens.issue(ANN, S1, 60)) == Verified(ANN, S1, Wall(NOW + 60_000))


def test_no_two_tokens_are_equal(tokens: Tokens) -> None:
    assert tokens.issue(ANN, S1, 60) != tokens.issue(ANN, S1, 60)


def test_a_token_ends_at_its_time_also_when_it_is_known(tokens: Tokens, clock: SettableClock) -> None:
    token = tokens.issue(ANN, S1, 60)
    assert isinstance(tokens.verify(token), Verified)
    clock.advance(59.999)
    assert isinstance(tokens.verify(token), Verified)
    clock.advance(0.001)
    assert tokens.verify(token) == EXPIRED
    assert Tokens(SECRET, clock=clock).verify(token) == EXPIRED


def test_a_token_made_elsewhere_with_the_same_secret_holds(tokens: Tokens) -> None:
    assert tokens.verify(made_elsewhere()) == Verified(ANN, S1, Wall(1_800_000_060_000))


def test_a_token_without_a_session_is_a_session_of_its_own(tokens: Tokens) -> None:
    one, other = (tokens.verify(made_elsewhere(sid=..., iat=iat)) for iat in (1, 2))
    assert isinstance(one, Verified)
    assert isinstance(other, Verified)
    assert one.session != other.session
    assert one == Tokens(SECRET, clock=tokens.clock).verify(made_elsewhere(sid=..., iat=1))


def test_a_token_without_a_session_is_the_same_session_however_its_signature_is_padded(tokens: Tokens) -> None:
    """Or whoever was signed out would come back with one character more."""
    token = made_elsewhere(sid=...)
    assert tokens.verify(token + "=") == tokens.verify(token)


def test_a_token_of_an_older_secret_lives_on(clock: SettableClock) -> None:
    token = Tokens(OLDER, clock=clock).issue(ANN, S1, 60)
    assert isinstance(Tokens(SECRET, OLDER, clock=clock).verify(token), Verified)
    assert Tokens(SECRET, clock=clock).verify(token) == INVALID


@pytest.mark.parametrize(
    "token",
    [
        made_elsewhere("x" * 32),
        made_elsewhere(algorithm="HS512", key=SECRET * 2),
        made_elsewhere(headers={"kid": "unknown"}),
        *(made_elsewhere(**without(name)) for name in ("sub", "exp", "iat", "aud", "iss")),
        made_elsewhere(aud="another"),
        made_elsewhere(aud=["tocsin", "another"]),
        made_elsewhere(iss="another"),
        made_elsewhere(iss="tocsin.evil"),
        made_elsewhere(sub=""),
        made_elsewhere(sub="x" * 201),
        made_elsewhere(sub="an\x00n"),
        made_elsewhere(sub="\ud800"),
        made_elsewhere(sid="\ud800"),
        made_elsewhere(exp=True),
        made_elsewhere(exp=1e300),
        made_elsewhere(exp=float("inf")),
        made_elsewhere(exp=float("nan")),
        made_elsewhere(exp=-1),
        made_elsewhere(nbf=1_800_000_050),
        by_hand({"alg": "none", "typ": "JWT"}, claims()),
        by_hand({"alg": "HS256", "kid": ["a"]}, claims()),
        by_hand({"alg": "HS256", "crit": ["exp"]}, claims()),
        "",
        ".",
        "a.b.c",
        "ä.b.c",
    ],
)
def test_a_token_with_anything_wrong_is_invalid(tokens: Tokens, token: str) -> None:
    assert tokens.verify(token) == INVALID
    assert tokens.verify(token) == INVALID, "and is not remembered as good"


def test_an_expired_token_with_a_wrong_signature_is_invalid_and_not_expired(tokens: Tokens) -> None:
    assert tokens.verify(made_elsewhere(exp=1)) == EXPIRED
    assert tokens.verify(made_elsewhere("x" * 32, exp=1)) == INVALID


def test_a_token_that_is_too_long_is_not_even_decoded(tokens: Tokens) -> None:
    fits = made_elsewhere(pad="x" * 2_500)
    assert isinstance(tokens.verify(fits), Verified)
    assert tokens.verify(made_elsewhere(pad="x" * 4_000)) == INVALID


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_any_string_is_answered(token: str) -> None:
    assert Tokens(SECRET).verify(token) == INVALID


@given(
    st.dictionaries(
        st.sampled_from("sub sid exp iat nbf aud iss".split()),
        st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_any_claims_are_answered(changed: dict[str, Any]) -> None:
    try:
        token = made_elsewhere(**changed)
    except (TypeError, ValueError, jwt.PyJWTError):
        return  # the library does not write such a token
    verdict = Tokens(SECRET).verify(token)
    assert verdict in (INVALID, EXPIRED) or isinstance(verdict, Verified)


def test_the_number_of_known_tokens_is_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "CACHED_TOKENS", 3)
    for _ in range(10):
        tokens.verify(tokens.issue(ANN, S1, 60))
    assert repr(tokens) == "<Tokens 1 keys, 3 tokens known>"


def test_a_short_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes") as told:
        Tokens("hunter2")
    assert "hunter2" not in str(told.value)


def test_no_secret_and_no_token_is_in_any_repr(tokens: Tokens) -> None:
    token = tokens.issue(ANN, S1, 60)
    pair = TokenPair(ANN, token, NOW, "refresh-me")
    shown = repr(tokens) + repr(tokens.verify(token)) + repr(pair) + f"{pair}"
    assert token not in shown
    assert "refresh-me" not in shown
    assert SECRET not in shown


# ------------------------------------------------------------------------------------------------------------ passwords


@pytest.fixture
def quick() -> Passwords:
    return Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def test_a_password_is_right_or_wrong(quick: Passwords) -> None:
    stored = await quick.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert await quick.check(stored, "correct horse") == Checked(right=True)
    assert await quick.check(stored, "correct hors") == Checked(right=False)
    assert await quick.check("not a hash", "correct horse") == Checked(right=False)


async def test_what_looks_the_same_is_the_same_password(quick: Passwords) -> None:
    assert (await quick.check(await quick.hash("caf\u00e9 noir"), "cafe\u0301 noir")).right


async def test_a_name_nobody_has_costs_a_verification_as_well(
    quick: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = list[str]()

    class Counting(argon2.PasswordHasher):
        def verify(self, *given: str | bytes) -> Any:
            counted.append(str(given[0]))
            return super().verify(*given)

    counting = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
    assert await counting.check(None, "whatever it is") == Checked(right=False)
    assert await counting.check(await counting.hash("x" * 8), "y" * 2_000) == Checked(right=False)
    assert len(counted) == 2


async def test_an_outdated_hash_is_made_anew_when_the_password_is_known(quick: Passwords) -> None:
    newer = Passwords(argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    checked = await newer.check(await quick.hash("correct horse"), "correct horse")
    assert checked.upgraded is not None
    assert await newer.check(checked.upgraded, "correct horse") == Checked(right=True)
    assert checked.upgraded not in repr(checked)


async def test_too_many_at_once_are_told_so(quick: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "LONGEST_QUEUE", 2)
    outcomes = list[bool]()

    async def one() -> None:
        try:
            await quick.hash("correct horse")
        except TooBusy:
            outcomes.append(False)
        else:
            outcomes.append(True)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(one)
    assert outcomes.count(True) == passwords.THREADS + 2


# ----------------------------------------------------------------------------------------------------------- signing in


TOKEN_S, REFRESH_S = 60, 3_600


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_sqlite(tmp_path / "tocsin.db") as opened:
        yield opened


@pytest.fixture
def ended() -> list[SessionId]:
    return []


@pytest.fixture
async def service(store: SqliteStore, tokens: Tokens, quick: Passwords, ended: list[SessionId]) -> SignIn:
    await store.add_user("ann", await quick.hash("correct horse"), NOW)
    return SignIn(store, tokens, quick, token_s=TOKEN_S, refresh_s=REFRESH_S, ended=ended.append)


async def signed_in(service: SignIn) -> TokenPair:
    pair = await service.sign_in("ann", "correct horse")
    assert isinstance(pair, TokenPair)
    return pair


def verified(tokens: Tokens, pair: TokenPair | Fault) -> Verified:
    assert isinstance(pair, TokenPair)
    found = tokens.verify(pair.token)
    assert isinstance(found, Verified)
    return found


async def test_the_right_password_opens_a_session_of_its_own(service: SignIn, tokens: Tokens) -> None:
    pairs = [await signed_in(service) for _ in range(2)]
    one, other = (verified(tokens, pair) for pair in pairs)
    assert (one.user, other.user) == (ANN, ANN)
    assert one.session != other.session
    assert one.expires_at == pairs[0].expires_at == NOW + TOKEN_S * 1_000


async def test_a_wrong_name_and_a_wrong_password_read_the_same(service: SignIn) -> None:
    answers = [
        await service.sign_in(name, password)
        for name, password in [("ann", "wrong horse"), ("bob", "correct horse"), ("\ud800", "x"), ("", "")]
    ]
    assert {answer.code for answer in answers if isinstance(answer, Fault)} == {"forbidden"}
    assert len({repr(answer) for answer in answers}) == 1


async def test_too_many_sign_ins_are_busy_and_may_try_again(service: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "LONGEST_QUEUE", 0)
    answer = await service.sign_in("ann", "correct horse")
    assert isinstance(answer, Fault)
    assert (answer.code, answer.retryable) == ("busy", True)
    assert answer.retry_after_ms is not None


async def test_refreshing_keeps_the_session_and_uses_the_token_up(
    service: SignIn, tokens: Tokens, clock: SettableClock
) -> None:
    first = await signed_in(service)
    clock.advance(TOKEN_S + 1)
    second = await service.refresh(first.refresh_token)
    assert isinstance(second, TokenPair)
    assert second.refresh_token != first.refresh_token
    assert verified(tokens, second).user == ANN
    assert tokens.verify(first.token) == EXPIRED


async def test_a_refresh_token_used_twice_ends_the_session_for_both(
    service: SignIn, tokens: Tokens, store: SqliteStore, ended: list[SessionId]
) -> None:
    first = await signed_in(service)
    second = await service.refresh(first.refresh_token)
    assert isinstance(second, TokenPair)
    stolen = await service.refresh(first.refresh_token)
    assert isinstance(stolen, Fault)
    assert stolen.code == "token_invalid"
    assert ended == [verified(tokens, first).session]
    assert not await store.session_alive(ended[0])
    assert isinstance(await service.refresh(second.refresh_token), Fault)


async def test_a_refresh_token_has_an_end(service: SignIn, clock: SettableClock) -> None:
    pair = await signed_in(service)
    clock.advance(REFRESH_S)
    assert isinstance(await service.refresh(pair.refresh_token), Fault)


@pytest.mark.parametrize("token", ["", "never given", "\ud800", "x" * 100_000])
async def test_a_refresh_token_nobody_gave_is_refused(service: SignIn, token: str) -> None:
    assert isinstance(await service.refresh(token), Fault)


async def test_signing_out_ends_the_session_at_once_and_no_other(
    service: SignIn, tokens: Tokens, store: SqliteStore, ended: list[SessionId]
) -> None:
    one, other = await signed_in(service), await signed_in(service)
    await service.sign_out(verified(tokens, one))
    assert ended == [verified(tokens, one).session]
    assert not await store.session_alive(ended[0])
    assert isinstance(await service.refresh(one.refresh_token), Fault)
    assert isinstance(await service.refresh(other.refresh_token), TokenPair)


async def test_a_session_signed_out_is_remembered_as_long_as_its_token_could_hold(
    service: SignIn, tokens: Tokens, store: SqliteStore
) -> None:
    long = tokens.verify(made_elsewhere(exp=1_900_000_000))
    assert isinstance(long, Verified)
    await service.sign_out(long)
    await store.forget_sessions(Wall(long.expires_at))
    assert not await store.session_alive(long.session)


async def test_the_database_holds_neither_password_nor_token(service: SignIn, tmp_path: Path) -> None:
    pair = await signed_in(service)
    data = b"".join([file.read_bytes() for file in tmp_path.iterdir()])  # noqa: ASYNC240 - a test may wait for its disk
    for secret in ("correct horse", pair.token, pair.refresh_token):
        assert secret.encode() not in data


@pytest.mark.parametrize("name", ["", "x" * 201, " ann", "ann ", "a\nb", "a\x00", "\ud800"])
def test_a_name_that_no_store_could_keep_is_refused(name: str) -> None:
    assert unfit_name(name) is not None


def test_a_usual_name_and_password_are_taken() -> None:
    assert unfit_name("ann.o'hara+x@example.com") is None
    assert unfit_password("12345678") is None
    assert unfit_password("1234567") is not None
    assert unfit_password("x" * 1_025) is not None


# ------------------------------------------------------------------------------------------- the secret beside the file


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    return secret_path(tmp_path / "tocsin.db")


def test_a_secret_is_made_once_and_for_the_owner_alone(secret_file: Path) -> None:
    secret = read_or_make_secret(secret_file)
    assert len(secret) >= 48
    assert read_or_make_secret(secret_file) == secret
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    assert list(secret_file.parent.iterdir()) == [secret_file], "no draft is left"


def test_a_secret_that_others_may_read_is_refused(secret_file: Path) -> None:
    secret = read_or_make_secret(secret_file)
    secret_file.chmod(0o640)
    with pytest.raises(SecretUnusable, match="mode 640") as told:
        read_or_make_secret(secret_file)
    assert "chmod 600" in str(told.value)
    assert secret not in str(told.value)


def test_a_secret_that_was_cut_short_is_refused(secret_file: Path) -> None:
    secret_file.touch(mode=0o600)
    with pytest.raises(SecretUnusable, match="shorter than 32"):
        read_or_make_secret(secret_file)
    assert secret_file.read_bytes() == b""


def test_a_secret_without_a_place_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SecretUnusable, match="nowhere"):
        read_or_make_secret(tmp_path / "nowhere" / "tocsin.db.secret")


async def test_two_processes_that_start_at_once_agree_on_one_secret(secret_file: Path) -> None:
    found = set[str]()

    async def start() -> None:
        found.add(await trio.to_thread.run_sync(read_or_make_secret, secret_file))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(start)
    assert len(found) == 1
