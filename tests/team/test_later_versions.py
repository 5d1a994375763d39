"""The fields that versions 8 to 16 of the schema have added: read, checked, shown, or refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from app.team.lifecycle import Lifecycle
from tests.team.teams import problems, team


def agent_of(fields: str, rest: str = "") -> Any:
    return team(f"version: 16\nagents: {{a: {{{fields}}}, b: {{}}}}\n{rest}").agent("a")


@pytest.mark.parametrize(
    ("file", "field"),
    [
        ("agents: {a: {harness: {type: codex}}}", "agents.a.harness"),
        ("agents: {a: {cache: {enabled: true, path: x}}}", "agents.a.cache.path"),
        ("agents: {a: {instruction_file: p.md}}", "agents.a.instruction_file"),
        ("agents: {a: {force_handoff: b}, b: {}}", "agents.a.force_handoff"),
        ("agents: {a: {add_prompt_files_depth: 2}}", "agents.a.add_prompt_files_depth"),
        (
            "agents: {a: {structured_output: {name: x, schema: {}, mode: tool}}}",
            "agents.a.structured_output.mode",
        ),
        (
            "agents: {a: {skills: [{name: x, description: y, instructions: z, context: fork}]}}",
            "agents.a.skills[0].context",
        ),
        ("agents: {a: {}}\nflavors: {x: {}}", "flavors"),
        ("agents: {a: {}}\nruntime: {sandbox: true}", "runtime.sandbox"),
        ("agents: {a: {}}\nruntime: {network_allowlist: [a.test]}", "runtime.network_allowlist"),
        ("agents: {a: {}}\nmodels: {m: {auth: {type: x}}}", "models.m.auth"),
        ("agents: {a: {}}\nmodels: {m: {capabilities: {image: true}}}", "models.m.capabilities"),
        ("agents: {a: {}}\nproviders: {p: {provider: anthropic, auth: {type: x}}}", "providers.p.auth"),
        ("agents: {a: {toolsets: [{type: shell, sudo_askpass: true}]}}", "agents.a.toolsets[0].sudo_askpass"),
        ("agents: {a: {toolsets: [{type: filesystem, allow_list: [.]}]}}", "agents.a.toolsets[0].allow_list"),
        ("agents: {a: {toolsets: [{type: background_jobs, recall: true}]}}", "agents.a.toolsets[0].recall"),
        (
            "agents: {a: {toolsets: [{type: mcp, remote: {url: u, oauth: {clientId: x}}}]}}",
            "agents.a.toolsets[0].remote.oauth",
        ),
        (
            "agents: {a: {toolsets: [{type: mcp, command: x, lifecycle: {required: true}}]}}",
            "agents.a.toolsets[0].lifecycle.required",
        ),
    ],
)
def test_what_can_not_be_done_here_is_refused_by_name_with_the_reason(file: str, field: str) -> None:
    (problem,) = problems(file)
    assert f": {field}: is not supported here: " in problem


@pytest.mark.parametrize(
    "file",
    [
        "agents: {a: {harness: {}, force_handoff: '', add_prompt_files_depth: 0, instruction_file: []}}",
        "agents: {a: {toolsets: [{type: shell, sudo_askpass: false}]}}\nflavors: {}\nruntime: {sandbox: false}",
    ],
)
def test_a_switch_that_is_off_asks_for_nothing(file: str) -> None:
    assert team(file).agents


def test_every_refused_field_has_a_line_of_its_own() -> None:
    assert len(problems("agents: {a: {harness: {type: pi}, force_handoff: a}}")) == 2


def test_an_instruction_may_be_a_list_of_paragraphs() -> None:
    assert agent_of("instruction: [Be kind., Be brief.]").instruction == "Be kind.\n\nBe brief."
    assert problems("agents: {a: {instruction: [x, {}]}}") == ["1:14: agents.a.instruction: must be text"]


def test_groups_of_commands_skills_and_toolsets_are_shared_by_name() -> None:
    found = agent_of(
        "commands: {x: mine}, use_commands: [c], skills: [git], use_skills: [s], "
        "toolsets: [{type: think}], use_toolsets: [t]",
        "commands: {c: {x: theirs, y: {agent: b}}}\n"
        "skills: {s: [local, {name: n, description: d, instructions: i}]}\n"
        "toolsets: {t: {type: mcp, ref: m}}\nmcps: {m: {command: x}}",
    )
    assert {name: command.instruction for name, command in found.commands.items()} == {"x": "mine", "y": ""}
    assert found.commands["y"].agent == "b"
    assert found.skills[:2] == ("git", "local")
    assert found.skills[2].instructions == "i"
    assert [(toolset.type, toolset.command) for toolset in found.toolsets] == [("think", ""), ("mcp", "x")]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("budgets: [x]", "agents.a.budgets[0]: agent 'a' references non-existent budget 'x'"),
        (
            "use_commands: [x]",
            "agents.a.use_commands[0]: agent 'a' references non-existent group of commands 'x'",
        ),
        ("use_skills: [x]", "agents.a.use_skills[0]: agent 'a' references non-existent group of skills 'x'"),
        ("use_toolsets: [x]", "agents.a.use_toolsets[0]: agent 'a' references non-existent toolset 'x'"),
        (
            "commands: {c: {agent: x}}",
            "agents.a.commands.c.agent: command 'c' references non-existent agent 'x'",
        ),
        ("compaction_model: x", "agents.a.compaction_model: agent 'a' references non-existent model 'x'"),
        ("compaction_threshold: 0", "agents.a.compaction_threshold: must be greater than 0"),
        ("max_old_tool_call_tokens: -2", "agents.a.max_old_tool_call_tokens: must be at least -1"),
        ("safety: yolo", "agents.a.safety: "),
        ("toolsets: [{type: webhook}]", "webhook toolset requires a url in webhook_config"),
        (
            "toolsets: [{type: webhook, webhook_config: {url: u, provider: x}}]",
            "toolsets[0].webhook_config.provider: provider must be",
        ),
        ("toolsets: [{type: open_url}]", "toolsets[0].url: open_url toolset requires a url to be set"),
        ("toolsets: [{type: fetch, allowed_domains: ['*.a.*']}]", "must be a host like"),
        ("toolsets: [{type: fetch, blocked_domains: ['10.0.0.0/33']}]", "must be a host like"),
        (
            "toolsets: [{type: fetch, allowed_domains: [a.test], blocked_domains: [b.test]}]",
            "allowed_domains and blocked_domains are mutually exclusive",
        ),
        (
            "toolsets: [{type: shell, allow_private_ips: true}]",
            "allow_private_ips can only be used with type",
        ),
        (
            "toolsets: [{type: mcp, remote: {url: u}, working_dir: x}]",
            "working_dir is not valid for remote MCP toolsets",
        ),
        ("toolsets: [{type: mcp, command: x, lifecycle: {profile: odd}}]", "toolsets[0].lifecycle.profile: "),
        (
            "toolsets: [{type: mcp, command: x, lifecycle: {call_timeout: -1s}}]",
            "lifecycle.call_timeout must be non-negative",
        ),
    ],
)
def test_what_is_wrong_with_a_new_field_is_said_where_it_is_wrong(fields: str, problem: str) -> None:
    (found,) = problems(f"agents: {{a: {{{fields}}}}}")
    assert problem in found


@pytest.mark.parametrize(
    ("written", "tokens"), [("128000", 128_000), ("{type: tokens, total: 5}", 5), ("{total: 5}", 5), ("0", 0)]
)
def test_a_task_budget_is_written_in_two_ways(written: str, tokens: int) -> None:
    found = team(
        f"agents: {{a: {{model: m}}}}\nmodels: {{m: {{provider: anthropic, model: x, task_budget: {written}}}}}"
    )
    assert found.agents[0].models[0].task_budget == tokens


def test_a_provider_of_anthropics_models_gives_them_what_they_leave_open() -> None:
    found = team(
        """\
        agents: {a: {model: m}, b: {model: ours/claude-y}}
        models: {m: {provider: ours, model: claude-x, max_tokens: 7}}
        providers:
          ours: {provider: anthropic, base_url: "https://p.test", max_tokens: 9, compaction_model: auto}
        """
    )
    (own,), (other,) = (agent.models for agent in found.agents)
    assert (own.id, own.base_url, own.max_tokens) == ("anthropic/claude-x", "https://p.test", 7)
    assert (other.id, other.max_tokens, other.compaction_model) == ("anthropic/claude-y", 9, "auto")


def test_the_first_model_that_can_be_asked_stands_for_those_before_it() -> None:
    models = (
        "models: {m: {first_available: [openai/gpt-5, n, auto]}, n: {provider: anthropic, model: claude-x}}"
    )
    (found,) = team(f"agents: {{a: {{model: m}}}}\n{models}").agents[0].models
    assert (found.name, found.id) == ("m", "anthropic/claude-x")
    (problem,) = problems("agents: {a: {model: m}}\nmodels: {m: {first_available: [openai/gpt-5, m]}}")
    assert "models.m.first_available: none of these is a model of 'anthropic'" in problem
    (problem,) = problems("agents: {a: {}}\nmodels: {m: {first_available: [auto], temperature: 1}}")
    assert "first_available cannot be combined with temperature" in problem


def test_a_lifecycle_says_how_long_to_wait_before_each_attempt() -> None:
    def waits(**fields: Any) -> tuple[float, ...]:
        return Lifecycle.model_validate(fields).waits

    assert waits() == (1.0, 2.0, 4.0, 8.0, 16.0)
    assert waits(profile="strict") == waits(restart="never") == waits(profile="best-effort") == ()
    assert waits(profile="strict", restart="always", max_restarts=2) == (1.0, 2.0)
    backoff = {"initial": "10s", "max": "20s", "multiplier": 3.0}
    assert waits(max_restarts=3, backoff=backoff) == (10.0, 20.0, 20.0)
    assert len(waits(max_restarts=-1)) == 1000


def test_the_new_fields_are_shown_to_clients_under_their_names() -> None:
    shown = team(
        """\
        agents:
          a:
            model: m
            readonly: true
            safety: restricted
            redact_secrets: true
            budgets: [tight]
            max_old_tool_call_tokens: -1
            session_compaction: false
            skills: [git, {name: n, description: d, instructions: i}]
            commands: {plan: {agent: b}, docs: {url: "https://x.test/{{session_id}}"}}
            toolsets:
              - {type: webhook, webhook_config: {url: "https://hooks.test/T0/s3cret"}}
              - {type: mcp, command: x, working_dir: sub, lifecycle: {call_timeout: 90s}}
          b: {}
        models: {m: {provider: anthropic, model: x, task_budget: 5, cost: {input: 1}}}
        budget: {max_time: 10m}
        budgets: {tight: {max_cost: 0.5, max_tokens: 10}}
        runtime: {safety: strict}
        metadata: {tags: [x]}
        """
    ).wire()
    agent = shown["agents"][0]
    assert (agent["readonly"], agent["safety"], agent["redact_secrets"]) == (True, "restricted", True)
    assert (agent["budgets"], agent["max_old_tool_call_tokens"]) == (["tight"], -1)
    assert agent["session_compaction"] is False
    assert agent["skills"] == ["git", {"name": "n", "description": "d", "instructions": "i"}]
    assert agent["commands"] == {"plan": {"agent": "b"}, "docs": {"url": "https://x.test/{{session_id}}"}}
    assert agent["toolsets"][0]["webhook_config"] == {"url": "***"}
    assert agent["toolsets"][1]["working_dir"] == "sub"
    assert agent["toolsets"][1]["lifecycle"] == {"call_timeout": "1m30s"}
    assert (shown["models"]["m"]["task_budget"], shown["models"]["m"]["cost"]) == (5, {"input": 1.0})
    assert (shown["budget"], shown["budgets"]) == (
        {"max_time": "10m0s"},
        {"tight": {"max_cost": 0.5, "max_tokens": 10}},
    )
    assert (shown["runtime"], shown["metadata"]) == ({"safety": "strict"}, {"tags": ["x"]})
