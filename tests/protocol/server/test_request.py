"""From HTTP headers to `Requested`, and tokens to handles (docs/protocol.md#auth-order, docs/protocol.md#auth-handles)."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol._types import Handle
from protocol.server import Requested, hide_token, read_request

from .sessions import hello


class Vault:
    """Keeps what was hidden."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def hide(self, token: str) -> Handle:
        self.tokens.append(token)
        return Handle(f"#{len(self.tokens)}")


def read(
    subprotocols: tuple[str, ...] = (), authorization: str | None = None, query: str | None = None
) -> tuple[Requested, list[str]]:
    vault = Vault()
    return read_request(subprotocols, authorization, query, "https://o", vault.hide), vault.tokens


def item(token: bytes) -> str:
    return "tocsin.bearer." + base64.urlsafe_b64encode(token).decode().rstrip("=")


def test_the_header_comes_first_then_the_subprotocol_then_the_query() -> None:
    """docs/protocol.md#auth-order."""
    all_three = ("tocsin.v1", item(b"sub"))
    assert read(all_three, "Bearer head", "query") == (Requested("v1", "header", Handle("#1"), "https://o"), ["head"])
    assert read(all_three, None, "query") == (Requested("v1", "subprotocol", Handle("#1"), "https://o"), ["sub"])
    assert read(("tocsin.v1",), None, "query") == (Requested("v1", "query", Handle("#1"), "https://o"), ["query"])
    assert read(("tocsin.v1",)) == (Requested("v1", "nothing", None, "https://o"), [])


@pytest.mark.parametrize("offered", [(), ("tocsin.v2",), ("chat",), (item(b"t"),)])
def test_without_the_subprotocol_of_v1_it_is_classic(offered: tuple[str, ...]) -> None:
    """docs/protocol.md#frame-subprotocol."""
    assert read(offered)[0].profile == "classic"


def test_the_scheme_is_read_in_any_case() -> None:
    """RFC 9110, section 11.1."""
    assert read((), "bEARER  abc ")[1] == ["abc"]


@pytest.mark.parametrize("header", ["Basic abc", "abc", "", "Bearer", "Bearer "])
def test_another_scheme_is_a_bad_token_and_not_a_missing_one(header: str) -> None:
    """docs/protocol.md#auth-other-scheme."""
    assert read(("tocsin.v1", item(b"sub")), header, "query") == (
        Requested("v1", "header", Handle("#1"), "https://o"), [""],
    )  # fmt: skip


@pytest.mark.parametrize("wrapped", ["tocsin.bearer.", "tocsin.bearer.a", "tocsin.bearer.žluť", item(b"\xff\xfe")])
def test_a_bearer_item_that_cannot_be_unwrapped_is_a_bad_token(wrapped: str) -> None:
    assert read((wrapped,))[1] == [""]


@given(st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_any_token_comes_out_of_its_item_as_it_went_in(token: str) -> None:
    assert read((item(token.encode()),))[1] == [token]


@given(st.lists(st.text(max_size=30), max_size=4), st.none() | st.text(max_size=30), st.none() | st.text(max_size=30))
def test_any_headers_give_a_request(offered: list[str], header: str | None, query: str | None) -> None:
    """docs/protocol.md#invariant-13."""
    request, tokens = read(tuple(offered), header, query)
    assert (request.via == "nothing") == (request.handle is None) == (tokens == [])


# --- messages --------------------------------------------------------------------------------------------------------


def test_the_token_of_hello_and_auth_is_replaced_by_a_handle() -> None:
    """docs/protocol.md#auth-handles."""
    for said in (hello(token="s3cret"), '{"type":"auth","token":"s3cret"}', '{"type":"auth","tok\\u0065n":"s3cret"}'):
        vault = Vault()
        hidden = hide_token(said, vault.hide)
        assert "s3cret" not in hidden
        assert vault.tokens == ["s3cret"]
        assert {**json.loads(said), "token": "#1"} == json.loads(hidden)


@pytest.mark.parametrize(
    "said",
    ['{"type":"ping","t0":1}', '{"type":"x","fields":{"token":"a"}}', '{"token":null}'],
)
def test_a_message_without_a_token_stays_as_it_is(said: str) -> None:
    vault = Vault()
    assert (hide_token(said, vault.hide), vault.tokens) == (said, [])


@pytest.mark.parametrize(
    "said",
    ['{"type":"auth","token":"s3cret', '["token","s3cret"]', '{"tok\\u0065n":"s3cret"', '{"token":"s3cret"}\ud800', '{"token":["s3cret"]}',
     '{"type":"auth","token":{"a":"s3cret"}}', '{"token":1e999,"x":"s3cret"}', '{"token":"s3cret","token":null}'],
)  # fmt: skip
def test_what_is_not_quite_a_token_does_not_pass_either(said: str) -> None:
    """docs/protocol.md#auth-token-secret."""
    assert "s3cret" not in hide_token(said, Vault().hide)


def test_hiding_does_not_make_a_message_shorter() -> None:
    """The core judges its length, so a long token must not slip under the limit (docs/protocol.md#auth-hello-bound)."""
    said = hello(token="t" * 9_000, name="ž")
    hidden = hide_token(said, Vault().hide)
    assert len(hidden.encode()) == len(said.encode())
    assert json.loads(hidden)["token"] == "#1"


@given(st.text(), st.sampled_from(['"token"', '"tok\\u0065n"', "\\u", "x"]), st.text())
def test_any_text_can_be_looked_through(before: str, key: str, after: str) -> None:
    """docs/protocol.md#invariant-13."""
    assert isinstance(hide_token(before + key + after, Vault().hide), str)


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.dictionaries(st.text(), inner)), st.text())
def test_any_json_with_a_token_loses_it(rest: Any, token: str) -> None:
    said = json.dumps({**rest, "token": "<" + token} if isinstance(rest, dict) else {"x": rest, "token": "<" + token})
    vault = Vault()
    hidden = hide_token(said, vault.hide)
    if vault.tokens:
        assert json.loads(hidden)["token"] == "#1"
        assert vault.tokens == ["<" + token]
