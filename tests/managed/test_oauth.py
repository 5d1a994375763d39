"""OAuth credentials: tokens that run out are replaced, once, whoever finds out."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Barrier, Event
from typing import Any
from urllib.parse import parse_qs

import anthropic
import pytest

from anthropic_standin.standin_server import OfflineServer
from app.agent.tools.mcp.vault_access import TokenUnavailable
from app.factory import Server, build
from app.managed.vaults.resealing import reseal_all
from app.managed.vaults.secret_box import SecretBox
from app.managed.vaults.server_tokens import ServerTokens
from app.store.credential_store import CredentialStore
from app.store.engine import Database
from tests.agent.tools.web_site import WebSite
from tests.agent.tools.web_site import running as web_site
from tests.conftest import make_settings
from tests.managed.conftest import VAULT_KEY, Sdk

OLD, NEW = "the-old-access-token", "the-new-access-token"


@pytest.fixture
def web() -> Iterator[WebSite]:
    with web_site() as site:
        site.add("/token", json.dumps({"access_token": NEW, "refresh_token": "r2", "expires_in": 3600}))
        yield site


@pytest.fixture
def server(tmp_path: Path, stand_in: OfflineServer) -> Iterator[Server]:
    built = build(make_settings(tmp_path, stand_in.url, vault_keys=(VAULT_KEY,)))
    yield built
    built.close()


@pytest.fixture
def sdk(server: Server) -> Iterator[Sdk]:
    with Sdk(server, "anything") as client:
        yield client


def credential(sdk: Sdk, web: WebSite, *, method: str = "none", **more: Any) -> tuple[str, str]:
    """The ids of a new vault and its credential."""
    secret = {} if method == "none" else {"client_secret": "s:1"}
    refresh = {
        "token_endpoint": web.url("/token"),
        "client_id": "c 1",
        "refresh_token": "r1",
        "token_endpoint_auth": {"type": method, **secret},
        "scope": "read",
        "resource": "https://mcp.example.com",
    }
    auth: Any = {
        "type": "mcp_oauth",
        "access_token": OLD,
        "mcp_server_url": web.url("/mcp"),
        "refresh": refresh,
        **more,
    }
    vault = sdk.beta.vaults.create(display_name="v").id
    return vault, sdk.beta.vaults.credentials.create(vault, auth=auth).id


def soon() -> str:
    return (datetime.now(UTC) + timedelta(seconds=20)).isoformat()


def tokens(server: Server) -> ServerTokens:
    return ServerTokens(server.store.credentials, SecretBox((VAULT_KEY,)), public_only=False)


@pytest.fixture
def either(tmp_path: Path, stand_in: OfflineServer, database_url: str) -> Iterator[Server]:
    """Once with each kind of database."""
    built = build(make_settings(tmp_path, stand_in.url, database_url=database_url, vault_keys=(VAULT_KEY,)))
    yield built
    built.close()


def test_processes_that_find_out_at_once_use_a_refresh_token_once(either: Server, web: WebSite) -> None:
    with Sdk(either, "anything") as sdk:
        _used_once(sdk, either, web)


def _used_once(sdk: Sdk, server: Server, web: WebSite) -> None:
    vault, credential_id = credential(sdk, web)
    all_ready = Barrier(6)

    def ask(_number: int) -> str:
        with closing(Database(server.settings.database_url)) as database:
            mine = ServerTokens(CredentialStore(database), SecretBox((VAULT_KEY,)), public_only=False)
            all_ready.wait()
            return mine.token([vault], web.url("/mcp"), refused=OLD)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, range(6))) == {NEW}
    assert web.asked == ["/token"]
    assert tokens(server).token([vault], web.url("/MCP/")) == NEW
    shown = sdk.checked(sdk.beta.vaults.credentials.retrieve(credential_id, vault_id=vault))
    assert sdk.sent["auth"]["expires_at"] > datetime.now(UTC).isoformat()
    assert shown.updated_at > shown.created_at
    assert tokens(server).token([vault], web.url("/mcp"), refused=NEW) == NEW
    assert parse_qs(web.requests[-1][3].decode())["refresh_token"] == ["r2"]
    assert reseal_all(server.store.credentials, SecretBox((VAULT_KEY,))) == (1, [])
    second = credential(sdk, web)[0]
    assert tokens(server).token([second, vault], web.url("/mcp")) == OLD
    assert tokens(server).token([vault, second], web.url("/mcp")) == NEW
    credentials = sdk.beta.vaults.credentials
    assert [one.id for one in credentials.list(vault, limit=1)] == [credential_id]
    credentials.archive(credential_id, vault_id=vault)
    assert tokens(server).token([vault, second], web.url("/mcp")) == OLD
    assert list(credentials.list(vault)) == []
    assert [one.id for one in credentials.list(vault, include_archived=True)] == [credential_id]
    credentials.delete(credential_id, vault_id=vault)
    sdk.beta.vaults.archive(second)
    assert tokens(server).token([vault, second], web.url("/mcp")) == ""
    sdk.beta.vaults.delete(second)
    assert second not in [one.id for one in sdk.beta.vaults.list(include_archived=True)]


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_a_client_says_who_it_is_as_the_credential_says(
    sdk: Sdk, server: Server, web: WebSite, method: str
) -> None:
    vault, _ = credential(sdk, web, method=method, expires_at=soon())
    assert tokens(server).token([vault], web.url("/mcp")) == NEW
    _, _, headers, body = web.requests[-1]
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    expected = {
        "grant_type": "refresh_token",
        "refresh_token": "r1",
        "scope": "read",
        "resource": "https://mcp.example.com",
    }
    if method == "client_secret_basic":
        assert b64decode(headers["Authorization"].removeprefix("Basic ")) == b"c+1:s%3A1"
    else:
        expected["client_id"] = "c 1"
    if method == "client_secret_post":
        expected["client_secret"] = "s:1"
    assert form == expected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, '{"error": "invalid_grant"}'),
        (200, "[]"),
        (200, "x"),
        (200, '{"access_token": "a\\nb"}'),
        (0, ""),
    ],
)
def test_a_refresh_that_fails_changes_nothing_and_can_be_tried_again(
    sdk: Sdk, server: Server, web: WebSite, status: int, body: str
) -> None:
    vault, _ = credential(sdk, web, expires_at=soon())
    if status:
        web.add("/token", body, status=status)
    else:
        web.pages["/token"] = lambda _request: None
    assert tokens(server).token([vault], web.url("/mcp")) == OLD  # it may still be taken
    assert tokens(server).token([vault], web.url("/mcp"), refused=OLD) == ""
    assert web.asked == ["/token", "/token"]
    web.add("/token", json.dumps({"access_token": NEW}))
    assert tokens(server).token([vault], web.url("/mcp"), refused=OLD) == NEW
    assert tokens(server).token([vault], web.url("/mcp"), refused=NEW) == NEW


def test_a_token_that_its_owner_gives_meanwhile_counts(sdk: Sdk, server: Server, web: WebSite) -> None:
    vault, credential_id = credential(sdk, web)
    answer = web.pages["/token"]
    asked, given = Event(), Event()

    def page(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        assert given.wait(30)
        answer(request)

    web.pages["/token"] = page
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(tokens(server).token, [vault], web.url("/mcp"), refused=OLD)
        assert asked.wait(30)
        auth: Any = {"type": "mcp_oauth", "access_token": "by-hand"}
        sdk.beta.vaults.credentials.update(credential_id, vault_id=vault, auth=auth)
        given.set()
        assert found.result() == "by-hand"
    assert tokens(server).token([vault], web.url("/mcp")) == "by-hand"
    sdk.beta.vaults.credentials.archive(credential_id, vault_id=vault)
    assert tokens(server).token([vault], web.url("/mcp")) == ""


def test_a_private_token_endpoint_is_not_asked_where_users_must_not_reach_it(
    sdk: Sdk, server: Server, web: WebSite
) -> None:
    vault, _ = credential(sdk, web)
    careful = ServerTokens(server.store.credentials, SecretBox((VAULT_KEY,)), public_only=True)
    assert careful.token([vault], web.url("/mcp"), refused=OLD) == ""
    assert web.asked == []
    with pytest.raises(TokenUnavailable, match="has no BATON_VAULT_KEY"):
        ServerTokens(server.store.credentials, SecretBox(()), public_only=True).token(
            [vault], web.url("/mcp")
        )


def _mcp(web: WebSite, *, takes: str) -> None:
    """A server that lets in only who has that token, and says everything again that it is told."""

    def page(request: BaseHTTPRequestHandler) -> None:
        given = request.headers["Authorization"]
        lets_in = given == f"Bearer {takes}"
        data = json.dumps({"you sent": given}).encode()
        request.send_response(200 if lets_in else 401)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    web.pages["/mcp"] = page


def test_a_credential_is_tried_at_its_server(sdk: Sdk, web: WebSite) -> None:
    validate = sdk.beta.vaults.credentials.mcp_oauth_validate
    _mcp(web, takes=OLD)
    vault, one = credential(sdk, web)
    found = sdk.checked(validate(one, vault_id=vault))
    assert (found.status, found.has_refresh_token, found.mcp_probe, found.refresh) == (
        "valid",
        True,
        None,
        None,
    )
    _mcp(web, takes=NEW)
    found = sdk.checked(validate(one, vault_id=vault))
    assert found.refresh is not None
    assert (found.status, found.mcp_probe, found.refresh.status) == ("valid", None, "succeeded")
    _mcp(web, takes="something else")
    web.add("/token", '{"error": "r2 is used up"}', status=400)
    found = sdk.checked(validate(one, vault_id=vault))
    assert found.mcp_probe is not None
    assert found.mcp_probe.http_response is not None
    assert found.refresh is not None
    assert found.refresh.http_response is not None
    assert (found.status, found.refresh.status, found.mcp_probe.method) == ("invalid", "failed", "initialize")
    assert found.mcp_probe.http_response.body == '{"you sent": "Bearer [REDACTED]"}'
    assert found.refresh.http_response.body == '{"error": "[REDACTED] is used up"}'
    _, bare = credential(sdk, web, refresh=None)
    vault = sdk.beta.vaults.create(display_name="v").id
    auth: Any = {"type": "mcp_oauth", "access_token": OLD, "mcp_server_url": web.url("/mcp")}
    bare = sdk.beta.vaults.credentials.create(vault, auth=auth).id
    found = sdk.checked(validate(bare, vault_id=vault))
    assert found.refresh is not None
    assert (found.status, found.has_refresh_token, found.refresh.status) == (
        "invalid",
        False,
        "no_refresh_token",
    )
    auth = {**auth, "mcp_server_url": "http://127.0.0.1:1/mcp"}
    gone = sdk.beta.vaults.credentials.create(vault, auth=auth).id
    found = sdk.checked(validate(gone, vault_id=vault))
    assert found.mcp_probe is not None
    assert (found.status, found.mcp_probe.http_response, found.refresh) == ("unknown", None, None)
    fixed: Any = {"type": "static_bearer", "token": "x", "mcp_server_url": "https://a.org"}
    other = sdk.beta.vaults.credentials.create(vault, auth=fixed).id
    for refused, words in (
        (other, "only credentials of the type mcp_oauth"),
        (gone, "Credential is archived"),
    ):
        sdk.beta.vaults.credentials.archive(gone, vault_id=vault)
        with pytest.raises(anthropic.BadRequestError, match=words):
            validate(refused, vault_id=vault)
