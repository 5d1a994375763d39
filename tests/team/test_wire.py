"""The JSON of a team is the contract's, and holds no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.team.masking import scrubbed
from tests.fuzz.limits import bounded
from tests.team.teams import team

BARE_TOOLSET = {"defer": {}, "remote": {"url": ""}, "api_config": {}}


def wire(text: str) -> dict[str, Any]:
    payload = team(text, {"SECRET": "s3cret"}).wire()
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
    return payload


def test_a_minimal_file_shows_only_what_is_always_there() -> None:
    assert wire("agents: {a: {}}") == {"version": "16", "agents": [{"Name": "a"}], "metadata": {}}


def test_every_field_of_an_agent_is_shown_under_its_name() -> None:
    payload = wire(
        """\
        version: 6
        agents:
          b:
            model: m
            fallback: {models: [auto], retries: -1, cooldown: 90s}
            description: d ${env.SECRET}
            welcome_message: w
            instruction: i
            sub_agents: [a]
            handoffs: [a]
            rag: [docs]
            add_date: true
            add_environment_info: true
            add_description_parameter: true
            max_iterations: 3
            num_history_items: 4
            add_prompt_files: [P.md]
            commands: {x: do x, y: {description: about y}}
            structured_output: {name: o, schema: {type: object}, strict: true}
            skills: true
            hooks:
              pre_tool_use: [{matcher: shell, hooks: [{type: command, command: c, timeout: 5}]}]
              session_end: [{type: command, command: e}]
          a: {skills: [local, "https://x.test"], fallback: {}, hooks: {}}
        models:
          m: {provider: anthropic, model: x, temperature: 0, thinking_budget: none}
        rag: {docs: {docs: [./d], strategies: [{type: bm25, k1: 1.5, chunking: {size: 9}}]}}
        permissions: {}
        metadata: {author: me}
        """
    )
    assert payload["version"] == "6"
    assert payload["agents"][0] == {
        "Name": "b",
        "model": "m",
        "fallback": {"models": ["auto"], "retries": -1, "cooldown": "1m30s"},
        "description": "d ${env.SECRET}",
        "welcome_message": "w",
        "instruction": "i",
        "sub_agents": ["a"],
        "handoffs": ["a"],
        "rag": ["docs"],
        "add_date": True,
        "add_environment_info": True,
        "add_description_parameter": True,
        "max_iterations": 3,
        "num_history_items": 4,
        "add_prompt_files": ["P.md"],
        "commands": {
            "x": {"instruction": "do x"},
            "y": {"description": "about y", "instruction": "about y"},
        },
        "structured_output": {"name": "o", "schema": {"type": "object"}, "strict": True},
        "skills": True,
        "hooks": {
            "pre_tool_use": [
                {"matcher": "shell", "hooks": [{"type": "command", "command": "c", "timeout": 5}]}
            ],
            "session_end": [{"type": "command", "command": "e"}],
        },
    }
    assert payload["agents"][1] == {
        "Name": "a",
        "skills": ["local", "https://x.test"],
        "fallback": {"cooldown": ""},
        "hooks": {},
    }
    assert payload["models"] == {
        "m": {
            "provider": "anthropic",
            "model": "x",
            "temperature": 0,
            "parallel_tool_calls": True,
            "thinking_budget": "none",
        }
    }
    assert payload["rag"] == {
        "docs": {
            "tool": {},
            "docs": ["./d"],
            "strategies": [{"type": "bm25", "chunking": {"size": 9}, "k1": 1.5}],
            "results": {"limit": 15, "deduplicate": True},
        }
    }
    assert payload["permissions"] == {}
    assert payload["metadata"] == {"author": "me"}


def test_inline_models_are_listed_and_declared_ones_call_tools_in_parallel_unless_they_say_no() -> None:
    payload = wire(
        """\
        agents: {a: {model: "mix, anthropic/z"}, b: {model: auto, fallback: {models: [anthropic/hidden]}}}
        models:
          mix: {model: "m,anthropic/y"}
          m: {provider: anthropic, model: x, parallel_tool_calls: false, routing: [{model: anthropic/r}]}
        """
    )
    assert [agent.get("model") for agent in payload["agents"]] == ["m,anthropic/y,anthropic/z", "auto"]
    assert payload["models"] == {
        "anthropic/r": {"provider": "anthropic", "model": "r"},
        "anthropic/y": {"provider": "anthropic", "model": "y"},
        "anthropic/z": {"provider": "anthropic", "model": "z"},
        "m": {
            "provider": "anthropic",
            "model": "x",
            "parallel_tool_calls": False,
            "routing": [{"model": "anthropic/r", "examples": None}],
        },
        "mix": {"model": "m,anthropic/y", "parallel_tool_calls": True},
    }


@pytest.mark.parametrize(
    ("toolset", "shown"),
    [
        ("{type: think}", {"type": "think"}),
        ("{type: todo, shared: true, defer: true}", {"type": "todo", "shared": True}),
        ("{type: todo, defer: [a], tools: [a]}", {"type": "todo", "tools": ["a"]}),
        ("{type: filesystem, ignore_vcs: false}", {"type": "filesystem", "ignore_vcs": False}),
        (
            "{type: filesystem, post_edit: [{path: '*.py', cmd: fmt}]}",
            {"type": "filesystem", "post_edit": [{"path": "*.py", "cmd": "fmt"}]},
        ),
        ("{type: fetch, timeout: 7}", {"type": "fetch", "timeout": 7}),
        ("{type: memory, path: m.db, toon: x}", {"type": "memory", "path": "m.db", "toon": "x"}),
        (
            "{type: script, shell: {a: {cmd: c}, b: {cmd: c, args: {x: {}}, required: [x]}}}",
            {
                "type": "script",
                "shell": {
                    "a": {"cmd": "c", "description": "", "required": None},
                    "b": {"cmd": "c", "description": "", "args": {"x": {}}, "required": ["x"]},
                },
            },
        ),
        (
            "{type: api, api_config: {name: n, endpoint: e, method: GET}}",
            {"type": "api", "api_config": {"name": "n", "endpoint": "e", "method": "GET"}},
        ),
        (
            "{type: mcp, remote: {url: u, transport_type: sse}}",
            {"type": "mcp", "remote": {"url": "u", "transport_type": "sse"}},
        ),
        ("{type: mcp, ref: 'docker:x', config: {}}", {"type": "mcp", "ref": "docker:x", "config": {}}),
        ("{type: unheard_of}", {"type": "unheard_of"}),
    ],
)
def test_a_toolset_always_has_the_three_objects_that_clients_expect(
    toolset: str, shown: dict[str, Any]
) -> None:
    payload = wire(f"agents: {{a: {{toolsets: [{toolset}]}}}}")
    assert payload["agents"][0]["toolsets"] == [{**BARE_TOOLSET, **shown}]


def test_secrets_in_the_file_are_masked_and_references_are_shown_e47() -> None:
    payload = wire(
        """\
        mcps: {m: {command: x, env: {A: s3cret}}}
        agents:
          a:
            toolsets:
              - {type: shell, env: {A: s3cret, B: $SECRET, C: "${env.SECRET}", D: "x$SECRET"}}
              - {type: openapi, url: u, headers: {A: s3cret, B: "${headers.B}"}}
              - {type: mcp, remote: {url: u, headers: {A: "Bearer s3cret", B: "${env.SECRET || 's3cret'}"}}}
              - {type: api, api_config: {headers: {A: s3cret, B: "${env.SECRET}"}}}
              - {type: script, shell: {t: {cmd: c, env: {A: s3cret}}}}
              - {type: mcp, ref: m}
        """
    )
    shell, openapi, mcp, api, script, merged = payload["agents"][0]["toolsets"]
    assert "s3cret" not in json.dumps(payload)
    assert shell["env"] == {"A": "***", "B": "$SECRET", "C": "${env.SECRET}", "D": "***"}
    assert openapi["headers"] == {"A": "***", "B": "${headers.B}"}
    assert mcp["remote"]["headers"] == {"A": "***", "B": "***"}
    assert api["api_config"]["headers"] == {"A": "***", "B": "${env.SECRET}"}
    assert script["shell"]["t"]["env"] == merged["env"] == payload["mcps"]["m"]["env"] == {"A": "***"}


def test_providers_are_shown_even_though_their_models_are_not_served() -> None:
    payload = wire("agents: {a: {}}\nproviders: {p: {base_url: 'https://p.test', token_key: K}}")
    assert payload["providers"] == {"p": {"base_url": "https://p.test", "token_key": "K"}}


LEAKS = [
    "https://user:hunter2@example.org/x",
    "https://hunter2@example.org/x",
    "postgres://u:hunter2@db/x?sslmode=require",
    "https://example.org/x?a=b&api_key=hunter2",
    "curl -H 'Authorization: Bearer hunter2' https://example.org",
    "tool --api-key hunter2 --verbose",
    "tool --token=hunter2",
    "GITHUB_TOKEN=hunter2 tool",
    'tool --password "hunter2 and more"',
    "https://example.org/x?key=hunter2",
    "https://example.org/x?accessToken=hunter2&sig=hunter2",
    "tool --private-key hunter2",
    "clientSecret=hunter2 tool",
]
REFERENCES = ["https://u:${env.SECRET}@example.org", "tool --token=$SECRET", "Bearer ${env.SECRET}"]


@pytest.mark.parametrize("text", LEAKS)
def test_a_secret_in_a_text_is_masked_wherever_the_text_stands(text: str) -> None:
    hook = {"type": "command", "command": text}
    agent = {
        "model": "anthropic/claude-sonnet-5-5",
        "instruction": text,
        "hooks": {"session_start": [hook], "pre_tool_use": [{"hooks": [hook]}]},
        "toolsets": [
            {"type": "mcp", "command": text, "args": [text, "--flag", "hunter2", "--x=hunter2", "$SECRET"]},
            {"type": "mcp", "remote": {"url": text}},
            {"type": "openapi", "url": text},
            {"type": "script", "shell": {"t": {"cmd": text}}},
            {"type": "api", "api_config": {"name": "a", "endpoint": text}},
            {"type": "filesystem", "post_edit": [{"path": "*", "cmd": text}]},
        ],
    }
    models = {
        "m": {
            "provider": "anthropic",
            "model": "x",
            "base_url": text,
            "provider_opts": {"password": "hunter2", "key": "hunter2", "accessKey": "hunter2"},
        }
    }
    payload = wire(json.dumps({"agents": {"root": agent}, "models": models}))
    assert "hunter2" not in json.dumps(payload)
    assert payload["agents"][0]["toolsets"][0]["args"][1:] == ["--flag", "***", "--x=***", "$SECRET"]


@pytest.mark.parametrize("text", ["a.", "--a-", "key", "a=", "x://"])
def test_a_long_text_is_looked_through_in_linear_time(text: str) -> None:
    with bounded():
        scrubbed(text * 60_000)


@pytest.mark.parametrize("text", REFERENCES)
def test_a_reference_in_a_text_is_shown(text: str) -> None:
    agent = {"model": "anthropic/claude-sonnet-5-5", "instruction": text}
    payload = wire(json.dumps({"agents": {"root": agent}}))
    assert "SECRET" in payload["agents"][0]["instruction"]
