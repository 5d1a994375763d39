"""Tool servers over HTTP, with what they are told and what they want to be told."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings

from app.agent.tools.mcp.authorization import how_to_authorize, renew
from app.agent.tools.mcp.credentials import Credentials
from app.agent.tools.mcp.mcp_toolset import McpToolset
from app.agent.tools.mcp.server_address import ServerAddress
from app.agent.tools.mcp.server_calls import ServerUnavailable
from app.agent.tools.mcp.server_state import ServerTimeouts
from app.agent.tools.mcp.tool_servers import ToolServers
from app.agent.toolset import Elicitation, QuestionFirst, ToolResult
from tests.agent.cancellation import FakeCancellation
from tests.agent.tools.mcp_server import make
from tests.agent.tools.test_mcp import call, context, names
from tests.agent.tools.web_site import WebSite
from tests.agent.tools.web_site import running as web_site
from tests.agent.tools.workbench import find
from tests.harness.process import eventually

PATIENCE = ServerTimeouts(start=60.0, call=60.0, retry=0.0, restarts=(0.01,))
CHALLENGE = 'Bearer resource_metadata="{url}/.well-known/oauth-protected-resource/mcp"'


@dataclass
class Site:
    """A tool server with both ways in. With a `token` it lets nobody in without it."""

    url: str = ""
    token: str = ""
    next_tokens: dict[str, tuple[str, str]] = field(default_factory=dict)  # by refresh token: both new ones
    seen: list[dict[str, str]] = field(default_factory=list)
    challenge: str = CHALLENGE
    issuer: str = ""
    redirect: str = ""  # of its metadata

    def guard(self, inner: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await inner(scope, receive, send)  # its lifespan
                return
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.seen.append(headers)
            metadata = self.metadata().get(scope["path"])
            if scope["path"] == "/token":
                await self._renew(receive, send)
            elif metadata is not None and self.redirect:
                await _answer(send, 302, "", [(b"location", self.redirect.encode())])
            elif metadata is not None:
                await _answer(send, 200, metadata, [])
            elif self.token and headers.get("authorization") != f"Bearer {self.token}":
                challenge = self.challenge.format(url=self.url).encode()
                await _answer(send, 401, "{}", [(b"www-authenticate", challenge)])
            else:
                await inner(scope, receive, send)

        return app

    async def _renew(self, receive: Any, send: Any) -> None:
        form = parse_qs((await receive())["body"].decode())
        assert (form["grant_type"], form["client_id"]) == (["refresh_token"], ["me"])
        found = self.next_tokens.pop(form["refresh_token"][0], None)  # each counts once
        if found is None:
            await _answer(send, 400, '{"error": "invalid_grant"}', [])
        else:
            self.token, refresh = found
            body = json.dumps({"access_token": self.token, "refresh_token": refresh})
            await _answer(send, 200, body, [])

    def metadata(self) -> dict[str, str]:
        return {
            "/.well-known/oauth-protected-resource/mcp": json.dumps(
                {"authorization_servers": [self.issuer or f"{self.url}/auth"]}
            ),
            "/.well-known/oauth-authorization-server/auth": (
                f'{{"issuer": "{self.url}/auth", "token_endpoint": "{self.url}/token"}}'
            ),
        }


async def _answer(send: Any, status: int, body: str, headers: list[tuple[bytes, bytes]]) -> None:
    kind = (b"content-type", b"application/json")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": body.encode()})


@contextmanager
def running(transport: str, site: Site) -> Iterator[None]:
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    server = make()
    if transport == "sse":
        app: Any = server.sse_app(transport_security=security)
    else:
        app = server.streamable_http_app(transport_security=security)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        site.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            site.guard(app),
            log_level="critical",
            timeout_graceful_shutdown=1,
            ws="none",
        )
        web = uvicorn.Server(config)
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield
        finally:
            web.should_exit = True
            thread.join()


@pytest.fixture(params=["streamable", "sse"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(transport: str) -> Iterator[Site]:
    site = Site()
    with running(transport, site):
        yield site


@pytest.fixture
def toolset(site: Site, transport: str) -> Iterator[McpToolset]:
    servers = ToolServers(patience=PATIENCE)
    path = "/sse" if transport == "sse" else "/mcp"
    where = ServerAddress.of_url(site.url + path, transport, headers={"X-Team": "red"}, owner="")
    toolset = McpToolset(servers, where, cancellation=FakeCancellation())
    yield toolset
    toolset.stop()
    servers.close()


def test_a_server_is_listed_called_and_answered(toolset: McpToolset, site: Site, transport: str) -> None:
    assert toolset.label == f"mcp(remote host={site.url[7:]} transport={transport})"
    toolset.start()
    assert "echo" in names(toolset)
    assert call(toolset, "echo", text="hi").output == "hi"
    assert all(headers["x-team"] == "red" for headers in site.seen)
    asked = find(toolset, "ask").call({}, context(Path()))
    assert isinstance(asked, Elicitation)
    assert asked.then is not None
    outcome = asked.then("accept", {"colour": "blue"})
    assert isinstance(outcome, ToolResult)
    assert outcome.output == "painted blue"


def test_a_server_that_wants_a_token_asks_for_it_first(toolset: McpToolset, site: Site) -> None:
    site.token = "secret"
    with pytest.raises(QuestionFirst) as raised:
        toolset.start()
    meta = raised.value.question.meta
    assert meta is not None
    assert meta["cagent/type"] == "oauth_flow"
    assert meta["cagent/server_url"].startswith(site.url)
    assert meta["auth_server"] == f"{site.url}/auth"
    assert meta["auth_server_metadata"] == {
        "issuer": f"{site.url}/auth",
        "token_endpoint": f"{site.url}/token",
    }
    assert meta["resource_metadata"] == {"authorization_servers": [f"{site.url}/auth"]}
    assert raised.value.settle("accept", {"access_token": "secret", "token_type": "Bearer"})
    toolset.start()
    assert call(toolset, "echo", text="in").output == "in"


@pytest.fixture
def inside() -> Iterator[WebSite]:
    """A server inside the network, where only the tool server sends us."""
    with web_site() as inside:
        metadata = json.dumps({"token_endpoint": inside.url("/token"), "secret": "inside"})
        inside.add("/resource", json.dumps({"authorization_servers": [inside.url("/auth")]}))
        inside.add("/.well-known/oauth-authorization-server/auth", metadata)
        inside.add("/token", json.dumps({"access_token": "second"}))
        yield inside


@pytest.mark.parametrize("named_by", ["challenge", "metadata", "redirect"])
def test_a_tool_server_does_not_choose_what_is_read_inside_the_network(
    toolset: McpToolset, site: Site, inside: WebSite, named_by: str
) -> None:
    site.token = "secret"
    if named_by == "challenge":
        site.challenge = f'Bearer resource_metadata="{inside.url("/resource")}"'
    elif named_by == "metadata":
        site.issuer = inside.url("/auth")
    else:
        site.redirect = inside.url("/resource")
    with pytest.raises(QuestionFirst) as raised:
        toolset.start()
    meta = raised.value.question.meta
    assert meta is not None
    assert "inside" not in json.dumps(meta["auth_server_metadata"])
    assert inside.requests == []


@pytest.mark.parametrize("allowed", [False, True])
def test_a_refresh_token_goes_to_a_private_address_only_if_the_agents_author_allows_it(
    site: Site, inside: WebSite, transport: str, allowed: bool
) -> None:
    where = ServerAddress.of_url(
        site.url, transport, headers={"X-Team": "red"}, owner="", origins=[inside.url("")] if allowed else []
    )
    credentials = Credentials("first", "r1", inside.url("/token"), "me")
    assert asyncio.run(renew(where, credentials)) is allowed
    assert [path for _, path, _, _ in inside.requests] == (["/token"] if allowed else [])
    assert not any("X-Team" in headers for _, _, headers, _ in inside.requests)
    found = asyncio.run(how_to_authorize(where, f'Bearer resource_metadata="{inside.url("/resource")}"'))
    assert ("secret" in found["auth_server_metadata"]) is allowed


def test_a_token_that_has_run_out_is_renewed_and_the_call_goes_on(toolset: McpToolset, site: Site) -> None:
    site.token = "first"
    site.next_tokens = {"r1": ("second", "r2"), "r2": ("third", "r3")}
    with pytest.raises(QuestionFirst) as raised:
        toolset.start()
    granted = {"access_token": "first", "refresh_token": "r1", "expires_in": 60, "client_id": "me"}
    assert raised.value.settle("accept", granted)
    toolset.start()
    for number in ("one", "two"):
        site.token = "run out"
        assert call(toolset, "echo", text=number).output == number
    assert site.token == "third"
    assert site.next_tokens == {}, "each refresh token was used once, the newest each time"


def test_somebody_is_asked_again_when_a_token_can_not_be_renewed(toolset: McpToolset, site: Site) -> None:
    site.token = "first"
    with pytest.raises(QuestionFirst) as raised:
        toolset.start()
    granted = {"access_token": "first", "refresh_token": "gone", "client_id": "me"}
    assert raised.value.settle("accept", granted)
    toolset.start()
    site.token = "run out"
    assert call(toolset, "echo", text="x").is_error
    eventually(lambda: toolset._server is not None and toolset._server._state == "unauthorized", "it asks")
    with pytest.raises(QuestionFirst):
        toolset.start()


def test_a_server_stays_out_when_nobody_gets_a_token(toolset: McpToolset, site: Site) -> None:
    site.token = "secret"
    with pytest.raises(QuestionFirst) as raised:
        toolset.start()
    assert not raised.value.settle("decline", None)
    with pytest.raises(ServerUnavailable, match="nobody authorized"):
        toolset.start()
