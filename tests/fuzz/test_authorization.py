"""How a tool server wants to be authorized: its challenge, the metadata that it leads to, and answers with tokens."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.agent.tools.configured_http import HttpAnswer, RequestFailed
from app.agent.tools.mcp import authorization
from app.agent.tools.mcp.credentials import Credentials
from app.agent.tools.mcp.server_address import ServerAddress
from tests.fuzz.limits import LARGE, bounded, joined, large, tries

SERVER: Final = ServerAddress(url="https://tools.example/mcp")
WORDS: Final = (
    *(
        "http://",
        "https://",
        "file://",
        "tools.example",
        "10.0.0.1",
        "[",
        "]",
        "[::1]",
        ":",
        "99999",
        "@",
        "\\",
        "/",
    ),
    *("?", "#", "%", "..", "é", "\0", "\n", "\ud800", "", "a"),
)
ADDRESSES = joined(WORDS, most=6) | st.text(max_size=8)
KEYS = st.sampled_from(
    ("authorization_servers", "token_endpoint", "issuer", "access_token", "refresh_token", "client_id", "a")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | ADDRESSES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
BODIES = st.one_of((OBJECTS | VALUES).map(json.dumps).map(str.encode), st.binary(max_size=30))
CHALLENGE: Final = (
    "Bearer ",
    'resource_metadata="',
    '"',
    ", ",
    "=",
    'scope="a',
    "\\",
    "https://a",
    "Basic ",
    "é",
)


class Strangers:
    """Answers each request with the same body, and knows who was asked."""

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = HttpAnswer(status, "application/json", body, is_cut=False)
        self.asked: list[tuple[str, bool]] = []

    def send(self, _method: str, url: str, **options: Any) -> HttpAnswer:
        assert not any(name.lower() == "authorization" for name in options["headers"])
        self.asked.append((url, options["public_only"]))
        if not url.startswith(("http://", "https://")):
            raise RequestFailed("not an address")
        return self._answer


def test_any_challenge_and_metadata_tell_what_a_client_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    @tries(200)
    @given(
        st.one_of(
            joined(CHALLENGE),
            large(CHALLENGE, size=8000),
            ADDRESSES.map(lambda url: f'Bearer resource_metadata="{url}"'),
        ),
        st.sampled_from((200, 404)),
        BODIES,
    )
    @example('resource_metadata="' * 5000, 200, b"{}")
    @example("", 200, b'{"authorization_servers":' + b"[" * LARGE)
    @example("", 200, json.dumps({"authorization_servers": ["http://["]}).encode())
    def each(challenge: str, status: int, body: bytes) -> None:
        strangers = Strangers(status, body)
        monkeypatch.setattr(authorization, "send", strangers.send)
        with bounded():
            meta = asyncio.run(authorization.how_to_authorize(SERVER, challenge))
        assert isinstance(meta["auth_server_metadata"], dict)
        assert isinstance(meta["resource_metadata"], dict)
        assert len(strangers.asked) == 2
        for url, public_only in strangers.asked:
            assert public_only or url.lower().startswith("https://tools.example")
        Credentials.granted({"access_token": "a"}, meta)

    each()


def test_any_answer_with_tokens_is_one_or_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    @tries(150)
    @given(OBJECTS, OBJECTS, st.sampled_from((200, 400)), BODIES)
    def each(content: dict[str, Any], metadata: dict[str, Any], status: int, body: bytes) -> None:
        credentials = Credentials.granted(content, {"auth_server_metadata": metadata})
        strangers = Strangers(status, body)
        monkeypatch.setattr(authorization, "send", strangers.send)
        with bounded():
            is_renewed = asyncio.run(authorization.renew(SERVER, credentials))
        assert not is_renewed or credentials.access_token
        assert len(strangers.asked) <= 1

    each()


@tries(100)
@given(VALUES)
@example("\ud800")
@example("\0")
@example(2**80)
def test_metadata_can_be_told_to_readers(value: Any) -> None:
    """Values that were read as JSON are written as JSON again, in an event."""
    answer = HttpAnswer(200, "application/json", json.dumps({"a": value}).encode(), is_cut=False)
    with bounded():
        told = orjson.dumps(authorization._json_object(answer))
    assert b"\\u0000" not in told
