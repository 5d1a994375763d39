"""Arguments, APIs' documents and tool servers choose neither another path nor an address inside the network: tried
through the whole server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import Server, build
from tests.agent.tools.web_site import WebSite, running
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient
from tests.test_sequences import call_text

KEYS = {
    "openapi": "3.1.0",
    "paths": {
        "/users/1/keys/{key}": {
            "delete": {
                "operationId": "drop_key",
                "parameters": [{"name": "key", "in": "path", "schema": {"type": "string"}}],
            }
        },
        "/inside": {"get": {"operationId": "look_inside", "servers": [{"url": "INSIDE"}]}},
    },
}
TEAM = """
agents:
  root:
    model: anthropic/claude-sonnet-5-5
    toolsets:
      - {type: openapi, url: "SITE/openapi.json", headers: {Authorization: "Bearer of-the-api"}}
      - type: api
        api_config:
          name: read_key
          method: GET
          endpoint: "SITE/users/1/keys/${key}"
          args: {key: {type: string}}
      - {type: fetch}
  guest:
    model: anthropic/claude-sonnet-5-5
    toolsets: [{type: mcp, remote: {url: "SITE/mcp", transport_type: streamable}}]
permissions: {allow: ["*"]}
"""


@pytest.fixture
def inside() -> Iterator[WebSite]:
    with running() as inside:
        inside.add("/inside", "secret")
        inside.add("/metadata", '{"authorization_servers": ["http://x/"], "secret": "secret"}')
        yield inside


@pytest.fixture
def site(inside: WebSite) -> Iterator[WebSite]:
    with running() as site:
        site.add("/openapi.json", json.dumps(KEYS).replace("INSIDE", inside.url("")))
        challenge = f'Bearer resource_metadata="{inside.url("/metadata")}"'
        site.add("/mcp", status=401, WWW_Authenticate=challenge)
        yield site


@pytest.fixture
def local(site: WebSite, tmp_path: Path, model: OfflineServer) -> Iterator[LocalClient]:
    (tmp_path / "team.yaml").write_text(TEAM.replace("SITE", site.url("")))
    built: Server = build(make_settings(tmp_path, model.url, agents=tmp_path / "team.yaml"))
    yield LocalClient(built)
    built.close()


def result_of(local: LocalClient, call: str) -> str:
    session = local.new_session()
    local.say(session, f"{call}[then][say done]", agent="team")
    [result] = [row["content"] for row in local.messages(session) if row["role"] == "tool"]
    return str(result)


@pytest.mark.parametrize("key", ["..", ".", "", "/", "..%2f", "%2e%2e", "..;a", "x/../..", "x\r\nHost: y"])
@pytest.mark.parametrize("tool", ["drop_key", "read_key"])
def test_an_argument_asks_no_other_path(local: LocalClient, site: WebSite, tool: str, key: str) -> None:
    assert "can't be one segment of a path" in result_of(local, call_text(tool, key=key))
    assert set(site.asked) <= {"/openapi.json"}


def test_an_argument_is_one_segment(local: LocalClient, site: WebSite) -> None:
    site.add("/users/1/keys/a%2Fb", "gone")
    assert result_of(local, call_text("drop_key", key="a/b")) == "gone"
    assert site.requests[-1][0] == "DELETE"


def test_a_document_leads_to_nothing_inside_the_network(local: LocalClient, inside: WebSite) -> None:
    assert "is not a public address" in result_of(local, call_text("look_inside"))
    assert inside.requests == []


def test_a_tool_servers_metadata_leads_to_nothing_inside_the_network(
    local: LocalClient, inside: WebSite
) -> None:
    with local.run(local.new_session(), "[say hi]", agent="team/guest") as stream:
        asked = stream.until("elicitation_request")
        assert "secret" not in json.dumps(asked)
    assert inside.requests == []


@pytest.mark.parametrize(
    "host",
    [
        "168.63.129.16",
        "192.0.0.192",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[2606:4700::5efe:7f00:1]",
        "[3fff::1]",
    ],
)
def test_no_metadata_service_is_fetched(local: LocalClient, host: str) -> None:
    result = result_of(local, call_text("fetch", urls=[f"http://{host}/"], format="text"))
    assert "is not a public address" in result
