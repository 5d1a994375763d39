"""The warnings of `baton check`: files that load, and will hardly do here what they are meant to."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from app.agent import agent_lint
from app.commands import exits
from tests.commands.conftest import Call

HEAD = "agents:\n  root:\n    model: anthropic/claude-sonnet-5-5\n"
NO_DOUBT = (
    HEAD
    + """    skills: [local]
    sub_agents: [other]
    toolsets:
      - {type: filesystem, tools: [read_file], defer: [write_file]}
      - {type: shell}
      - {type: fetch}
      - {type: tasks}
      - {type: memory, path: m.db}
      - {type: think}
      - {type: todo, shared: true}
      - {type: user_prompt}
      - {type: background_agents}
      - {type: model_picker, models: [anthropic/claude-sonnet-5-5]}
      - type: script
        shell: {build: {cmd: make $what, args: {what: {description: x}}}}
      - {type: api, api_config: {name: ask, endpoint: "${env.NOT_SET}/x", method: GET, args: {q: {type: string}}}}
      - {type: openapi, url: "https://example.com/openapi.json"}
      - {type: mcp, command: sh, name: git}
    hooks:
      pre_tool_use:
        - {matcher: "read_file|shell", hooks: [{type: command, command: ./check.sh}]}
        - {matcher: "git_.*", hooks: [{type: command, command: if true; then exit 0; fi}]}
        - {matcher: "*", hooks: [{type: command, command: cat}]}
      session_start: [{type: command, command: cat}]
  other: {model: anthropic/claude-sonnet-5-5, description: d}
permissions:
  allow: ["read_*", "ask:q=x*", build, "mcp:github:*", transfer_task, read_skill, search_tool]
  deny: ["shell:cmd=rm*:cwd=/x", "read_file:path=.env", "git_push", "*", "read_multiple_files:paths=x"]
"""
)


def lines(call: Call, tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "team.yaml"
    file.write_text(text)
    done = call("check", str(file))
    assert done.code == exits.OK
    return [line.removeprefix(f"{file}:") for line in done.out.splitlines()]


def test_there_is_no_doubt_about_names_that_are_right_or_that_a_server_may_have(
    call: Call, tmp_path: Path
) -> None:
    assert lines(call, tmp_path, NO_DOUBT) == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "    toolsets:\n      - type: filesytem\n",
            (
                "5:9: agents.root.toolsets[0].type: warning: unknown toolset type 'filesytem'; "
                "did you mean 'filesystem'?"
            ),
        ),
        (
            "    toolsets:\n      - type: filesystem\n        tools: [read_fil]\n",
            (
                "6:17: agents.root.toolsets[0].tools[0]: warning: toolset filesystem has no tool 'read_fil'; "
                "did you mean 'read_file'?"
            ),
        ),
        (
            "    toolsets:\n      - type: shell\n        defer: [run_background_jobs]\n",
            (
                "6:17: agents.root.toolsets[0].defer[0]: warning: toolset shell has no tool 'run_background_jobs'; "
                "did you mean 'run_background_job'?"
            ),
        ),
        (
            "    toolsets:\n      - type: a2a\n        url: https://example.com\n",
            (
                "5:9: agents.root.toolsets[0]: warning: toolset type a2a is not supported by this server: it speaks to "
                "no agents of other servers"
            ),
        ),
        (
            "    toolsets:\n      - type: script\n        shell: {a: {cmd: 'echo $b'}}\n",
            "5:9: agents.root.toolsets[0]: warning: tool 'a' uses undefined args: [b]",
        ),
        (
            "    toolsets:\n      - type: mcp\n        command: no-such-command\n",
            "5:9: agents.root.toolsets[0]: warning: there is no command 'no-such-command' here",
        ),
        (
            "    toolsets:\n      - {type: mcp, ref: 'docker:github'}\n",
            (
                "5:9: agents.root.toolsets[0]: warning: servers of a catalogue (docker:github) are not supported by "
                "this server"
            ),
        ),
        (
            "    toolsets: [{type: shell}]\npermissions:\n  deny: ['shel:cmd=rm*']\n",
            "6:10: permissions.deny[0]: warning: no tool is called 'shel'; did you mean 'shell'?",
        ),
        (
            "    toolsets: [{type: shell}, {type: mcp, command: sh}]\npermissions:\n  deny: ['shel']\n",
            "6:10: permissions.deny[0]: warning: no tool is called 'shel'; did you mean 'shell'?",
        ),
        (
            "    toolsets: [{type: shell}]\npermissions:\n  ask: ['shell:comand=rm*']\n",
            "6:9: permissions.ask[0]: warning: shell has no argument 'comand'; did you mean 'cmd'?",
        ),
        (
            (
                "    toolsets: [{type: shell}]\n    hooks:\n      pre_tool_use:\n        - matcher: shel\n"
                "          hooks: [{type: command, command: cat}]\n"
            ),
            (
                "7:11: agents.root.hooks.pre_tool_use[0].matcher: warning: no tool of this agent is called 'shel'; "
                "did you mean 'shell'?"
            ),
        ),
        (
            "    hooks:\n      session_end:\n        - type: command\n          command: no-such-command -x\n",
            "7:11: agents.root.hooks.session_end[0].command: warning: there is no command 'no-such-command' here",
        ),
    ],
)
def test_what_nothing_has_or_can_t_be_had_is_a_warning_with_its_place(
    call: Call, tmp_path: Path, text: str, warning: str
) -> None:
    assert lines(call, tmp_path, HEAD + text) == [warning]


def test_a_warning_is_a_problem_when_one_is_strict(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "team.yaml"
    file.write_text(f"{HEAD}    toolsets: [{{type: shel}}]\n")
    done = call("check", "--strict", str(file))
    words = "agents.root.toolsets[0].type: unknown toolset type 'shel'; did you mean 'shell'?"
    assert (done.code, done.out) == (exits.FAILED, f"{file}:4:17: {words}\n")
    found = json.loads(call("check", "--json", str(file)).out)
    assert (found["problems"], len(found["warnings"])) == ([], 1)
    strict = json.loads(call("check", "--json", "--strict", str(file)).out)
    assert (strict["problems"], strict["warnings"]) == (found["warnings"], [])


def test_tool_servers_need_their_package(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_lint, "find_spec", lambda _name: None)
    [line] = lines(call, tmp_path, f"{HEAD}    toolsets: [{{type: mcp, command: sh}}]\n")
    assert "warning: tool servers need the package mcp: " in line
    assert importlib.util.find_spec("mcp") is not None
