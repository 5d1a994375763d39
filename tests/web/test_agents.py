"""Agents on the wire, and whether the server is well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.agent.tools.think import ThinkToolset
from app.factory import Server, build
from tests.conftest import AGENTS, make_settings
from tests.harness.in_process import LocalClient


def test_agents_are_listed_by_file(http: FlaskClient) -> None:
    listed = http.get("/api/agents").get_json()
    assert [agent["name"] for agent in listed] == sorted(path.stem for path in AGENTS.glob("*.yaml"))
    plain = next(agent for agent in listed if agent["name"] == "plain")
    assert plain == {"name": "plain", "description": "Says what it is told to say", "multi": False}


def test_an_agent_file_is_shown_as_the_contracts_client_decodes_it(http: FlaskClient) -> None:
    body = http.get("/api/agents/tools").get_json()
    assert isinstance(body["version"], str)
    assert body["metadata"] == {}
    assert body["permissions"] == {"deny": ["shell:cmd=forbidden*"]}
    (agent,) = body["agents"]
    assert agent["Name"] == "root"
    for toolset in agent["toolsets"]:
        assert (toolset["defer"], toolset["remote"], toolset["api_config"]) == ({}, {"url": ""}, {})


def test_an_unknown_file_is_just_not_found(http: FlaskClient) -> None:
    response = http.get("/api/agents/nobody")
    assert (response.status_code, response.get_json()["message"]) == (404, "Not Found")
    assert response.get_json()["code"] == "unknown_agent"


def test_tools_are_counted(http: FlaskClient) -> None:
    assert http.get("/api/agents/plain/root/tools/count").get_json() == {"available_tools": 0}
    many = http.get("/api/agents/tools/root/tools/count").get_json()
    assert list(many) == ["available_tools"]
    assert many["available_tools"] > 5


def test_toolsets_are_not_started_again_to_count_their_tools_unless_the_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(ThinkToolset, "start", lambda _toolset: started.append(1))
    file = tmp_path / "one.yaml"
    file.write_text("agents: {root: {toolsets: [{type: think}]}}")
    server = build(make_settings(tmp_path, "", agents=file))
    client = LocalClient(server)
    asked = "/api/agents/one/root/tools/count"
    assert [client.call("GET", asked)["available_tools"] for _ in range(3)] == [1, 1, 1]
    assert started == [1]
    file.write_text("agents: {root: {toolsets: [{type: think}, {type: todo}]}}")
    assert client.call("GET", asked)["available_tools"] == 5
    server.close()


@pytest.mark.parametrize("path", ["nobody/root", "plain/nobody", "plain/a/b"])
def test_tools_of_an_unknown_agent_are_refused_in_the_contracts_words(http: FlaskClient, path: str) -> None:
    response = http.get(f"/api/agents/{path}/tools/count")
    assert response.status_code == 404
    assert response.get_json()["message"].startswith("failed to get agent tool count: agent not found: ")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nobody", "failed to run session: agent not found: nobody"),
        ("plain/nobody", "failed to run session: agent not found: nobody (available agents: root)"),
        ("plain/a/b", "failed to run session: agent not found: a/b (available agents: root)"),
    ],
)
def test_a_run_of_an_unknown_agent_is_refused_in_the_contracts_words(
    http: FlaskClient, session: str, path: str, words: str
) -> None:
    response = http.post(f"/api/sessions/{session}/agent/{path}", json=[{"content": "hi"}])
    assert (response.status_code, response.get_json()["message"]) == (404, words)
    assert response.get_json()["code"] == "unknown_agent"


@pytest.fixture
def with_broken_files(tmp_path: Path) -> Iterator[Server]:
    """Without a key, too."""
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "broken.yaml").write_text("agents: [")
    (agents / "empty.yaml").write_text("agents: {}")
    (agents / "good.yaml").write_text("agents:\n  root:\n    model: anthropic/claude-sonnet-5-5\n")
    built = build(make_settings(tmp_path, "", agents=agents, api_key=""))
    yield built
    built.close()


def test_files_that_do_not_load_are_left_out_and_cannot_be_run(with_broken_files: Server) -> None:
    http = with_broken_files.app.test_client()
    assert [agent["name"] for agent in http.get("/api/agents").get_json()] == ["good"]
    assert http.get("/api/agents/broken").status_code == 404
    session = http.post("/api/sessions").get_json()["id"]
    for key in ("broken", "empty"):
        response = http.post(f"/api/sessions/{session}/agent/{key}", json=[{"content": "hi"}])
        assert (response.status_code, response.get_json()["code"]) == (400, "invalid_agent_config")
        assert response.get_json()["message"].startswith("failed to run session: ")
    assert http.get(f"/api/sessions/{session}").get_json().get("messages") is None


def test_a_run_without_a_key_is_refused_and_the_variable_is_named(with_broken_files: Server) -> None:
    http = with_broken_files.app.test_client()
    session = http.post("/api/sessions").get_json()["id"]
    response = http.post(f"/api/sessions/{session}/agent/good", json=[{"content": "hi"}])
    assert (response.status_code, response.get_json()["code"]) == (503, "missing_environment")
    assert response.get_json()["message"] == (
        "failed to run session: The following environment variables must be set:\n - ANTHROPIC_API_KEY"
    )
    assert http.get(f"/api/sessions/{session}").get_json().get("messages") is None


def test_a_ping_is_answered(http: FlaskClient) -> None:
    assert (http.get("/api/ping").status_code, http.get("/api/ping").get_data()) == (
        200,
        b'{"status":"ok"}\n',
    )
    assert http.get("/health").get_json()["status"] == "ok"


def test_a_server_is_ready_until_it_drains(with_broken_files: Server) -> None:
    http = with_broken_files.app.test_client()
    assert http.get("/ready").get_json()["status"] == "ready"
    with_broken_files.runtime.supervisor.drain(0)
    refused = http.get("/ready")
    assert (refused.status_code, refused.get_json()["code"]) == (503, "draining")
    assert refused.headers["Retry-After"]
    assert http.get("/api/ping").status_code == 200
