"""Odd JSON Schemas of tools, from every source that describes its tools so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.agent.socket_server import Peer
from tests.corpus.case import Case, Kind
from tests.corpus.judging import Seen
from tests.corpus.play_tool_servers import JSON, toolset_at, write_script
from tests.corpus.play_web import FINE, answer_of
from tests.corpus.stage import Stage

MCP: Final = "mcp"
API: Final = "api"
OPENAPI: Final = "openapi"

KIND: Final = Kind(
    doors=(MCP, API, OPENAPI),
    takes=frozenset({"schema"}),
    tells=frozenset({"offered", "beside", "schema", "heard", "warns", "finishes"}),
    usual={"finishes": True, "offered": True, "beside": True},
)


def play(case: Case, stage: Stage) -> dict[str, Seen]:
    """A run in which the model sees its tools, and one in which it calls each with all the arguments that it was
    told of. Beside each odd tool stands an ordinary one from the same source."""
    schema, place = case.given["schema"], stage.place(case.name)
    site, log = _Site(schema), place / "log"
    odd = {"name": "odd", "description": "Odd.", "inputSchema": schema}
    plain = {"name": "plain", "description": "Plain.", "inputSchema": {"type": "object", "properties": {}}}
    write_script(place / "script", log, {}, [odd, plain])
    url = stage.web.add(site)
    fields = {"endpoint": f"{url}/api", "method": "POST", "instruction": "Asks."}
    sources: dict[str, list[dict[str, Any]]] = {
        MCP: [toolset_at(stage, JSON, place / "script", MCP)],
        API: [
            {
                "type": "api",
                "api_config": {
                    **fields,
                    "name": "api_odd",
                    "args": (schema.get("properties") if isinstance(schema, Mapping) else None) or {},
                    "required": (schema.get("required") if isinstance(schema, Mapping) else None) or [],
                },
            },
            {"type": "api", "api_config": {**fields, "name": "api_plain"}},
        ],
        OPENAPI: [{"type": "openapi", "url": f"{url}/document"}],
    }
    agent = stage.agent(*(toolset for door in case.expected for toolset in sources[door]))
    session = stage.session(place)
    first = stage.say(session, "[say hello]", agent)
    names = [name for name in first.tools if name.endswith("odd")]
    calls = "".join(f"[call {name} {json.dumps(_filled(first.tools[name]))}]" for name in names)
    again = stage.say(session, f"{calls}[then][say more]" if calls else "[say more]", agent)
    stage.servers.end_idle()
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    heard = {**site.heard, MCP: [one["params"] for one in requests if one["method"] == "tools/call"]}
    return {
        door: {
            "offered": f"{door}_odd" in first.tools,
            "beside": f"{door}_plain" in first.tools,
            "schema": json.dumps(first.tools.get(f"{door}_odd"), ensure_ascii=False),
            "heard": json.dumps(heard.get(door), ensure_ascii=False),
            "warns": first.texts("warning"),
            "finishes": first.finishes and again.finishes and again.said == "more",
        }
        for door in case.expected
    }


def _filled(tool: Mapping[str, Any]) -> dict[str, Any]:
    properties = tool["input_schema"].get("properties") or {}
    return {name: _value(part) for name, part in properties.items()}


def _value(schema: Any) -> Any:
    """Something of the type that the schema asks for."""
    if not isinstance(schema, Mapping):
        return "v"
    if schema.get("enum"):
        return schema["enum"][0]
    kinds = schema.get("type") or "string"
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        return {name: _value(part) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_value(schema.get("items"))]
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(kind, "v")


@dataclass
class _Site:
    """An API whose operations take the schema as their body."""

    schema: Any
    heard: dict[str, list[Any]] = field(default_factory=dict)

    def serve(self, peer: Peer, method: str, target: str, body: bytes) -> None:
        base, _, last = target.partition("?")[0].rpartition("/")
        if last == "document":
            peer.send(answer_of({"answer": {"body": json.dumps(self._document(base))}}))
        else:
            self.heard.setdefault(last, []).append(json.loads(body or b"null"))
            peer.send(FINE)
        raise ConnectionAbortedError

    def close(self) -> None:
        """Nobody waits for it."""

    def _document(self, base: str) -> dict[str, Any]:
        content = {"application/json": {"schema": self.schema}}
        odd = {"operationId": "openapi_odd", "requestBody": {"content": content}}
        paths = {f"{base}/openapi": {"post": odd}, f"{base}/plain": {"get": {"operationId": "openapi_plain"}}}
        return {"openapi": "3.1.0", "paths": paths}
