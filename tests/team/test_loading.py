"""A file loads, or every error in it is named with its line, column and field."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidAgentConfig
from app.team.loading import MAX_SIZE, check_file, load_team, load_team_file
from app.team.toolset_spec import ToolsetSpec
from tests.team.teams import problems, steady, team

MINIMAL = "agents:\n  root:\n    model: auto\n"


def test_an_unknown_field_is_named_with_its_place_and_with_what_is_known() -> None:
    (problem,) = problems(
        """\
        agents:
          root:
            toolsets:
              - type: shell
                typ: x
        """
    )
    assert problem.startswith(
        "5:9: agents.root.toolsets[0].typ: unknown field; known fields: allow_private_ips, allowed_domains,"
    )


def test_every_problem_of_a_file_is_reported_in_the_order_of_its_lines() -> None:
    assert problems(
        """\
        agents:
          root:
            max_iterations: -1
            add_date: maybe
            toolsets: shell
            sub_agents: {a: b}
          two:
            fallback:
              retries: -2
        models:
          m:
            temperature: hot
        """
    ) == [
        "3:5: agents.root.max_iterations: must be at least 0",
        "4:5: agents.root.add_date: must be true or false",
        "5:5: agents.root.toolsets: must be a list",
        "6:5: agents.root.sub_agents: must be a list",
        (
            "9:7: agents.two.fallback.retries:"
            " fallback.retries must be >= -1 (use -1 for no retries, 0 for default)"
        ),
        "12:5: models.m.temperature: must be a number",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("agents: {}", "1:1: agents: must not be empty"),
        ("agents:", "1:1: agents: is required"),
        ("version: '7'", "1:1: agents: is required"),
        ("[]", "1:1: must be a mapping with `agents`"),
        ("agents: [root]", "1:1: agents: must be a mapping"),
        ("agents: {root: auto}", "1:10: agents.root: must be a mapping"),
        ("agents: {' ': {}}", "1:10: agents. : an agent needs a name"),
        ("agents: {a: {}, a: {}}", "1:17: agents.a: is there twice"),
        (
            "version: 17\nagents: {a: {}}",
            "1:1: version: unsupported config version: 17 (valid versions: 0, 1, 2,",
        ),
        ("agents: {a: {commands: {x: {}}}}", "1:25: agents.a.commands.x: command must have at least"),
        ("agents: {a: {commands: [{x: {}}]}}", "1:26: agents.a.commands.x: command must have at least"),
        ("agents: {a: {commands: {x: 3}}}", "1:25: agents.a.commands.x: must be a mapping"),
        ("agents: {a: {fallback: {cooldown: soon}}}", "1:25: agents.a.fallback.cooldown: invalid duration;"),
        (
            "agents: {a: {fallback: {cooldown: -5s}}}",
            "1:25: agents.a.fallback.cooldown: fallback.cooldown must be",
        ),
        (
            "agents: {a: {skills: local}}",
            "1:14: agents.a.skills: skills must be a boolean or a list of sources",
        ),
        (
            "agents: {a: {structured_output: {name: x}}}",
            "1:14: agents.a.structured_output.schema: is required",
        ),
        (
            "agents: {a: {structured_output: {json_schema: {}}}}",
            "1:34: agents.a.structured_output.json_schema: unknown field",
        ),
        (
            "agents: {a: {code_mode_tools: true}}",
            "1:14: agents.a.code_mode_tools: is not supported: this server",
        ),
        (
            "agents: {a: {rag: [docs]}}",
            "1:20: agents.a.rag[0]: agent 'a' references non-existent RAG source 'docs'",
        ),
        (
            "agents: {a: {sub_agents: [b]}}",
            "1:27: agents.a.sub_agents[0]: agent 'a' references non-existent sub-",
        ),
        (
            "agents: {a: {handoffs: [b]}}",
            "1:25: agents.a.handoffs[0]: agent 'a' references non-existent handoff",
        ),
        (
            "agents: {a: {sub_agents: [hub/b]}}",
            "1:27: agents.a.sub_agents[0]: agent 'a' references 'hub/b'; this",
        ),
        (
            "agents: {a: {hooks: {session_start: [{}]}}}",
            "agents.a.hooks.session_start[0].type: type is required",
        ),
        (
            "agents: {a: {hooks: {session_end: [{type: http}]}}}",
            "hooks.session_end[0].type: unsupported hook type 'http' (only 'command' and 'builtin' are supported)",
        ),
        (
            "agents: {a: {hooks: {on_user_input: [{type: command}]}}}",
            "hooks.on_user_input[0].command: command is required for command hooks",
        ),
        (
            "agents: {a: {hooks: {pre_tool_use: [{matcher: x}]}}}",
            "hooks.pre_tool_use[0].hooks: at least one hook is required",
        ),
        ("agents: {a: {}}\nproviders: {p: {}}", "2:13: providers.p.base_url: base_url is required"),
        (
            "agents: {a: {}}\nproviders: {'a/b': {base_url: x}}",
            "2:13: providers.a/b: a provider's name has no",
        ),
        (
            "agents: {a: {}}\npermissions: {deny: ['ok', 'a[']}",
            "2:28: permissions.deny[1]: is not a valid pattern",
        ),
        (
            "agents: {a: {}}\nmodels: {m: {thinking_budget: [1]}}",
            "2:14: models.m.thinking_budget: must be a number",
        ),
        ("agents: {a: {}}\nmodels: {m: {max_tokens: 0}}", "2:14: models.m.max_tokens: must be at least 1"),
    ],
)
def test_what_is_wrong_is_said_where_it_is_wrong(text: str, problem: str) -> None:
    assert problem in "\n".join(problems(text))


@pytest.mark.parametrize(
    ("toolset", "problem"),
    [
        ("{type: shell, path: x}", "path: path can only be used with type 'memory' or 'tasks'"),
        (
            "{type: think, env: {A: b}}",
            "env: env can only be used with type 'shell', 'background_jobs', 'script', 'mcp' or 'lsp'",
        ),
        ("{type: think, shared: true}", "shared: shared can only be used with type 'todo'"),
        ("{type: shell, shell: {a: {cmd: b}}}", "shell: shell can only be used with type 'script'"),
        (
            "{type: think, post_edit: [{}]}",
            "post_edit: post_edit can only be used with type 'filesystem' or 'file'",
        ),
        (
            "{type: think, ignore_vcs: false}",
            "ignore_vcs: ignore_vcs can only be used with type 'filesystem'",
        ),
        ("{type: think, file_types: [a]}", "file_types: file_types can only be used with type 'lsp'"),
        ("{type: think, models: [a]}", "models: models can only be used with type 'model_picker'"),
        ("{type: think, version: 1}", "version: version can only be used with type 'mcp' or 'lsp'"),
        ("{type: think, command: a}", "command: command can only be used with type 'mcp' or 'lsp'"),
        ("{type: think, args: [a]}", "args: args can only be used with type 'mcp' or 'lsp'"),
        ("{type: think, ref: a}", "ref: ref can only be used with type 'mcp' or 'rag'"),
        ("{type: think, remote: {url: a}}", "remote: remote can only be used with type 'mcp'"),
        (
            "{type: think, remote: {headers: {a: b}}}",
            "remote.headers: remote headers can only be used with type 'mcp' or 'a2a'",
        ),
        (
            "{type: mcp, headers: {a: b}}",
            "headers: headers can only be used with type 'openapi', 'a2a' or 'fetch'",
        ),
        ("{type: think, config: {}}", "config: config can only be used with type 'mcp'"),
        ("{type: think, url: a}", "url: url can only be used with type 'a2a', 'openapi' or 'open_url'"),
        ("{type: think, name: a}", "name: name can only be used with type 'mcp', 'a2a', 'rag' or 'open_url'"),
        (
            "{type: mcp, command: a, ref: b}",
            "ref: either command, remote or ref must be set, but only one of those",
        ),
        ("{type: mcp, ref: b}", "ref: agent 'a' references non-existent MCP definition 'b'"),
        ("{type: a2a}", "url: a2a toolset requires a url to be set"),
        ("{type: lsp}", "command: lsp toolset requires a command to be set"),
        ("{type: openapi}", "url: openapi toolset requires a url to be set"),
        (
            "{type: model_picker}",
            "models: model_picker toolset requires at least one model in the 'models' list",
        ),
        ("{type: script, shell: {a: {}}}", "shell.a.cmd: is required"),
        ("{type: think, defer: 3}", "defer: must be true, false or a list of tool names"),
        ("{tools: [a]}", "type: is required"),
        ("{type: ''}", "type: must not be empty"),
    ],
)
def test_a_toolset_has_only_the_fields_of_its_type(toolset: str, problem: str) -> None:
    (found,) = problems(f"agents:\n  a:\n    toolsets:\n      - {toolset}\n")
    assert found.startswith("4:")
    assert found.endswith(f": agents.a.toolsets[0].{problem}")


def test_a_tool_server_needs_exactly_one_source() -> None:
    assert problems("agents: {a: {toolsets: [{type: mcp}]}}\nmcps: {m: {env: {A: b}}}") == [
        "1:25: agents.a.toolsets[0]: either command, remote or ref must be set",
        "2:8: mcps.m: either command, remote or ref must be set",
    ]


def test_a_toolset_of_a_type_that_nobody_knows_loads_and_is_marked() -> None:
    loaded = team("agents: {a: {toolsets: [{type: telepathy}, {type: lsp, command: gopls}]}}")
    assert [toolset.is_known for toolset in loaded.agent("a").toolsets] == [False, True]


def test_fields_without_a_value_count_as_absent() -> None:
    loaded = team("agents:\n  a:\n    description:\n    toolsets:\n    hooks: ~\n  b:\n")
    assert [agent.description for agent in loaded.agents] == ["", ""]
    assert loaded.agents[0].toolsets == ()


def test_a_number_where_text_is_wanted_means_its_spelling() -> None:
    loaded = team(
        """\
        metadata: {version: 1.10}
        agents: {a: {toolsets: [{type: mcp, command: x, args: [8080, true, 010]}]}}
        """
    )
    assert loaded.metadata.version == "1.10"
    assert loaded.agents[0].toolsets[0].args == ("8080", "true", "010")


def test_commands_may_be_texts_objects_or_a_list() -> None:
    as_mapping = team("agents: {a: {commands: {x: do x, y: {description: do y}}}}")
    as_list = team("agents: {a: {commands: [{x: do x}, {y: {description: do y}}]}}")
    assert as_mapping.agents[0].commands == as_list.agents[0].commands
    assert {name: command.instruction for name, command in as_list.agents[0].commands.items()} == {
        "x": "do x",
        "y": "do y",
    }


@pytest.mark.parametrize(
    ("written", "sources"),
    [("true", ("local",)), ("false", ()), ("[local, https://x.test]", ("local", "https://x.test"))],
)
def test_skills_are_a_switch_or_a_list(written: str, sources: tuple[str, ...]) -> None:
    assert team(f"agents: {{a: {{skills: {written}}}}}").agents[0].skills == sources


@pytest.mark.parametrize(("written", "seconds"), [("1m30s", 90), ("45", 45), ("''", 0)])
def test_a_cooldown_is_a_duration_or_seconds(written: str, seconds: float) -> None:
    agent = team(f"agents: {{a: {{fallback: {{cooldown: {written}}}}}}}").agents[0]
    assert agent.fallback is not None
    assert agent.fallback.cooldown == seconds


def test_agents_keep_the_order_of_the_file() -> None:
    assert [agent.name for agent in team("agents: {z: {}, a: {}, m: {}}").agents] == ["z", "a", "m"]


def test_texts_are_expanded_and_instructions_and_toolset_environments_are_not() -> None:
    agent = team(
        """\
        agents:
          a:
            description: for ${env.WHO}
            welcome_message: hello ${env.NOBODY || 'you'}
            instruction: call ${env.WHO}
            commands: {x: "greet ${env.WHO}"}
            toolsets:
              - {type: openapi, url: "https://${env.WHO}.test", headers: {A: "${env.WHO}", B: "${headers.B}"}}
              - {type: mcp, remote: {url: "https://${env.WHO}", headers: {A: "${env.WHO}"}}}
              - {type: api, api_config: {endpoint: "https://${env.WHO}/${city}", headers: {A: "${env.WHO}"}}}
              - {type: shell, env: {A: "${WHO}"}}
        """,
        {"WHO": "ada"},
    ).agents[0]
    openapi, mcp, api, shell = agent.toolsets
    assert (agent.description, agent.welcome_message) == ("for ada", "hello you")
    assert agent.instruction == "call ${env.WHO}"
    assert agent.commands["x"].instruction == "greet ada"
    assert (openapi.url, openapi.headers) == ("https://ada.test", {"A": "ada", "B": "${headers.B}"})
    assert (mcp.remote.url, mcp.remote.headers) == ("https://ada", {"A": "ada"})
    assert (api.api_config.endpoint, api.api_config.headers) == ("https://ada/${city}", {"A": "ada"})
    assert shell.env == {"A": "${WHO}"}


def test_the_digest_changes_with_the_text_and_with_the_variables_that_it_uses() -> None:
    text = "agents: {a: {description: '${env.A}'}}"
    digest = team(text, {"A": "1", "B": "1"}).digest
    assert team(text, {"A": "1", "B": "2"}).digest == digest
    assert team(text, {"A": "2", "B": "1"}).digest != digest
    assert team(f"{text} ", {"A": "1", "B": "1"}).digest != digest


def test_a_toolset_takes_what_it_leaves_open_from_the_mcp_definition_it_names() -> None:
    loaded = team(
        """\
        mcps:
          tracker:
            command: track
            args: [serve]
            env: {A: "1", B: "1"}
            tools: [list]
            instruction: be gentle
        agents:
          a:
            toolsets:
              - {type: mcp, ref: tracker, env: {B: "2"}, tools: [open]}
        """
    )
    assert loaded.agents[0].toolsets == (
        ToolsetSpec(
            type="mcp",
            command="track",
            args=("serve",),
            env={"A": "1", "B": "2"},
            tools=("open",),
            instruction="be gentle",
        ),
    )


def test_an_mcp_definition_can_only_refer_to_dockers_catalogue() -> None:
    assert problems("agents: {a: {}}\nmcps: {m: {ref: other}}") == [
        "2:12: mcps.m.ref: only docker refs are supported (e.g., 'docker:context7')"
    ]
    loaded = team("agents: {a: {toolsets: [{type: mcp, ref: m}]}}\nmcps: {m: {ref: 'docker:x'}}")
    assert loaded.agents[0].toolsets[0].ref == "docker:x"


def test_free_form_fields_hold_plain_json() -> None:
    loaded = team("agents: {a: {toolsets: [{type: mcp, ref: 'docker:x', config: {n: 1.5, l: [1]}}]}}")
    config = loaded.agents[0].toolsets[0].config
    assert config == {"n": 1.5, "l": [1]}
    assert [type(value) for value in (config, config["n"], config["l"], config["l"][0])] == [
        dict,
        float,
        list,
        int,
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe", "1:1: is not UTF-8"),
        (b"#" * (MAX_SIZE + 1), "1:1: is larger than 1,000,000 bytes"),
        (
            b'agents: {a: {description: "\\0"}}',
            "1:27: agents.a.description: has a character that can't be stored",
        ),
        (b'agents: {a: {description: "\\ud800"}}', "can't be stored"),
        (b"agents: {a: {max_iterations: 99999999999999999999}}", "is not a valid int"),
        (b"agents: {a: {}}\nmodels: {m: {temperature: 1e999}}", "is not a valid float"),
    ],
)
def test_what_could_be_neither_stored_nor_sent_is_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    (found,) = check_file(path)
    assert problem in str(found)
    with pytest.raises(InvalidAgentConfig, match=r"x\.yaml:[12]:"):
        load_team_file(path, environment={})


def test_a_file_that_is_not_there_is_a_problem_too(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    assert [str(problem) for problem in check_file(missing)] == [
        f"{missing}:1:1: can't be read: No such file or directory"
    ]
    with pytest.raises(InvalidAgentConfig, match="can't be read"):
        load_team_file(missing, environment={})


def test_a_good_file_has_no_problems(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("\ufeff" + MINIMAL, encoding="utf-8")
    assert check_file(path) == []
    assert load_team_file(path, environment={}).key == "good"


def test_errors_do_not_repeat_values_which_may_be_secrets() -> None:
    text = "agents: {a: {toolsets: [{type: mcp, command: x, env: {KEY: [s3cret]}}]}}"
    assert "s3cret" not in "\n".join(problems(text))


VERSIONS = [str(number) for number in range(17)]
SAMPLE = dedent(
    """\
    version: "7"
    agents:
      root: {model: m, toolsets: [{type: shell, env: {A: b}}, {type: todo}], commands: [{x: y}], skills: true}
      two: {fallback: {models: [auto], cooldown: 1m}, hooks: {session_start: [{type: command, command: x}]}}
    models: {m: {provider: anthropic, model: claude-sonnet-5-5, thinking_budget: 2048}}
    permissions: {deny: ["shell:cmd=rm*"]}
    """
)


@steady
@given(
    start=st.integers(0, len(SAMPLE)),
    length=st.integers(0, 12),
    put=st.text("{}[]:,-#&*!|>'\"\\ \n\tax0~", max_size=4),
)
def test_any_damage_to_a_file_is_an_invalid_config_or_still_a_team(start: int, length: int, put: str) -> None:
    damaged = SAMPLE[:start] + put + SAMPLE[start + length :]
    try:
        outcome = load_team(damaged, source="x.yaml", environment={}).wire()["version"]
    except InvalidAgentConfig as error:
        outcome = error.message
    assert outcome in VERSIONS or outcome.startswith("x.yaml:")


def test_a_command_whose_words_come_from_an_unset_variable_is_an_empty_one() -> None:
    team = load_team("agents: {a: {commands: {x: '${env.NOWHERE}'}}}", source="x.yaml", environment={})
    assert team.agents[0].commands["x"].instruction == ""
