"""Tools of strangers behind a whole Baton: those that the model's API would refuse cost no run."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from anthropic_standin.standin_server import OfflineServer
from app.factory import build
from tests.agent.tools import odd_server
from tests.agent.tools.web_site import running
from tests.conftest import make_settings
from tests.harness.in_process import LocalClient

TOOLS = [
    {"name": "limited", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1,
        "exclusiveMinimum": True}, "s": {"type": "any", "required": True}, "t": {"items": [{"type": "string"}]}}}},
    {"name": "rootless", "inputSchema": {"properties": {"a": {"type": "string"}}}},
    {"name": "unclear", "inputSchema": {"type": "object", "properties": {"a": {"type": "wibble"}}}},
    {"name": "shell", "inputSchema": {"type": "object"}},
    {"name": "schemaless"},
    {"name": "keys", "inputSchema": {"type": "object", "properties": {"filter[x]": {"type": "string"}, "$top": {}}}},
    {"name": "n" * 130, "inputSchema": {"type": "object"}},
    {"name": "dotted.name", "inputSchema": {"type": "object"}},
    "no tool at all",
]  # fmt: skip
DOCUMENT = {
    "openapi": "3.0.1",
    "paths": {
        "/find": {
            "get": {
                "operationId": "find",
                "parameters": [
                    {"name": "filter[x]", "in": "query", "schema": {"type": "string", "nullable": True}},
                    {"name": "$top", "in": "query", "schema": {"type": "integer", "exclusiveMinimum": True}},
                ],
            }
        },
        "/find/again": {"get": {"operationId": "find"}},
    },
}


def test_odd_tools_cost_no_run_and_each_that_is_left_out_is_named(
    tmp_path: Path, model: OfflineServer, caplog: pytest.LogCaptureFixture
) -> None:
    wanted, agents = tmp_path / "wanted.json", tmp_path / "agents"
    wanted.write_text(json.dumps({"tools": TOOLS}))
    agents.mkdir()
    with running() as site:
        site.add("/openapi.json", json.dumps(DOCUMENT))
        site.add("/find", "found")
        site.add("/call", "called")
        server_of = {
            "type": "mcp",
            "command": sys.executable,
            "args": ["-S", odd_server.__file__, str(wanted)],
        }
        toolsets: list[dict[str, Any]] = [
            {"type": "shell"},
            server_of,
            {"type": "openapi", "url": site.url("/openapi.json")},
            {"type": "script", "shell": {"run it": {"cmd": "echo $a", "args": {"a": {"type": "any"}}}}},
            {"type": "api", "api_config": {"name": "call", "method": "POST", "endpoint": site.url("/call"),
                "instruction": "Calls.", "args": {"@id": {"type": "int", "required": True}}}},
            {**server_of, "name": "few", "tools": ["dotted.name"]},
        ]  # fmt: skip
        root = {"model": "anthropic/claude-sonnet-5-5", "instruction": "Be brief.", "toolsets": toolsets}
        (agents / "odd.yaml").write_text(
            json.dumps({"agents": {"root": root}, "permissions": {"allow": ["*"]}})
        )
        server = build(make_settings(tmp_path, model.url, agents=agents))
        try:
            client = LocalClient(server)
            said = (
                '[call keys {"filter_x": "a", "top": 2}][then][call find {"filter_x": "b c", "top": 3}]'
                '[then][call call {"id": 7}][then][call run_it {"a": "words"}][then][say done]'
            )
            with caplog.at_level(logging.INFO):
                events = client.say(client.new_session(), said, agent="odd")
        finally:
            server.close()
    answers = [event["response"] for event in events if event["type"] == "tool_call_response"]
    assert answers == ['{"filter[x]": "a", "$top": 2}', "found", "called", "words\n"]
    assert [one[1] for one in site.requests if "find" in one[1]] == ["/find?filter%5Bx%5D=b+c&%24top=3"]
    assert [one[3] for one in site.requests if one[0] == "POST"] == [b'{"@id": 7}']
    warnings = [event["message"] for event in events if event["type"] == "warning"]
    assert len(warnings) == 5, "each once, however many turns there were"
    for words in (
        "'unclear'",
        "'wibble'",
        "root/mcp#1",
        "no name",
        "n" * 130,
        "shell of root/shell#0 and root/mcp#1",
    ):
        assert any(words in warning for warning in warnings), (words, warnings)
    assert any("find of root/openapi#2, twice" in warning for warning in warnings)
    for warning in warnings:
        assert f"odd.yaml: {warning}" in caplog.text
    assert events[-1]["type"] == "stream_stopped"
    offered = {tool["name"] for tool in model.requests[0]["tools"]}
    assert {"limited", "rootless", "schemaless", "keys", "say", "shell", "find", "run_it", "call"} <= offered
    assert "unclear" not in offered
    assert {name for name in offered if name.startswith("few_")} == {"few_dotted_name"}


def test_a_tool_server_that_dies_at_its_start_is_one_line_in_the_log_and_one_warning(
    tmp_path: Path, model: OfflineServer, caplog: pytest.LogCaptureFixture
) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    dies = {"type": "mcp", "command": sys.executable, "args": ["-S", "-c", "import no_such_module"]}
    root = {"model": "anthropic/claude-sonnet-5-5", "instruction": "Be brief.", "toolsets": [dies]}
    (agents / "dying.yaml").write_text(json.dumps({"agents": {"root": root}}))
    server = build(make_settings(tmp_path, model.url, agents=agents))
    try:
        client = LocalClient(server)
        with caplog.at_level(logging.INFO):
            events = client.say(client.new_session(), "[say done]", agent="dying")
    finally:
        server.close()
    last = "ModuleNotFoundError: No module named 'no_such_module'"
    (line,) = [record for record in caplog.records if last in record.getMessage()]
    for part in ("dying.yaml", "root/mcp#0", sys.executable):
        assert part in line.getMessage()
    assert "Traceback" not in caplog.text
    assert len(caplog.text.split("Connection closed")) == 2
    (warning,) = [event["message"] for event in events if event["type"] == "warning"]
    assert last in warning
    assert events[-1]["type"] == "stream_stopped"
