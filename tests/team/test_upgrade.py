"""Old versions load as if they had been written today."""

from __future__ import annotations

import pytest

from app.team.toolset_spec import ToolsetSpec
from tests.team.teams import problems, team


@pytest.mark.parametrize("version", [str(number) for number in range(17)])
@pytest.mark.parametrize("quote", ["", "'"])
def test_every_version_loads_and_is_remembered(version: str, quote: str) -> None:
    loaded = team(f"version: {quote}{version}{quote}\nagents: {{root: {{model: auto}}}}")
    assert loaded.version == version


def test_a_file_without_a_version_is_of_the_newest() -> None:
    assert team("agents: {root: {}}").version == "16"


def test_version_0_named_the_provider_type() -> None:
    loaded = team("version: 0\nagents: {a: {model: m}}\nmodels: {m: {type: anthropic, model: claude-x}}")
    assert loaded.agents[0].models[0].id == "anthropic/claude-x"


def test_version_0_switched_toolsets_on_in_the_agent() -> None:
    agent = team(
        """\
        version: "0"
        agents:
          a:
            name: a
            think: true
            todo: {shared: true}
            memory: {path: ./m.db}
            toolsets:
              - type: shell
          b:
            todo: true
            think: false
            memory: {}
        """
    )
    assert agent.agents[0].toolsets == (
        ToolsetSpec(type="todo", shared=True),
        ToolsetSpec(type="think"),
        ToolsetSpec(type="memory", path="./m.db"),
        ToolsetSpec(type="shell"),
    )
    assert agent.agents[1].toolsets == (ToolsetSpec(type="todo"),)


def test_an_error_in_what_was_moved_points_to_where_it_was_written() -> None:
    moved, after = problems(
        """\
        version: 0
        agents:
          a:
            todo:
              share: true
            toolsets:
              - {type: x, y: z}
        """
    )
    assert moved.startswith("5:7: agents.a.toolsets[0].share: unknown field")
    assert after.startswith("7:19: agents.a.toolsets[1].y: unknown field")


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("env: {A: b}", "3:1: env: is not supported any more;"),
        ("models: {m: {env: {A: b}}}", "3:14: models.m.env: is not supported any more;"),
    ],
)
def test_environments_inside_old_files_are_refused(rest: str, problem: str) -> None:
    (found,) = problems(f"version: 1\nagents: {{a: {{}}}}\n{rest}")
    assert found.startswith(problem)


def test_environment_files_of_old_toolsets_are_refused() -> None:
    text = "version: 1\nagents: {a: {toolsets: [{type: mcp, command: x, env_file: .env}]}}"
    assert "agents.a.toolsets[0].env_file: is not supported any more" in problems(text)[0]


@pytest.mark.parametrize(("version", "temperature"), [(0, None), (1, None), (2, 0), (7, 0)])
def test_a_zero_of_the_oldest_models_means_that_nothing_was_set(
    version: int, temperature: float | None
) -> None:
    kind = "provider" if version else "type"
    model = f"{{{kind}: anthropic, model: x, temperature: 0}}"
    loaded = team(f"version: {version}\nagents: {{a: {{model: m}}}}\nmodels: {{m: {model}}}")
    assert loaded.agents[0].models[0].temperature == temperature


def test_no_tokens_meant_the_default_until_version_2() -> None:
    rest = "agents: {a: {model: m}}\nmodels: {m: {provider: anthropic, model: x, max_tokens: 0}}"
    assert team(f"version: 2\n{rest}").agents[0].models[0].max_tokens is None
    assert "models.m.max_tokens: must be at least 1" in problems(f"version: 3\n{rest}")[0]


def test_the_description_of_an_old_source_belongs_to_its_tool() -> None:
    source = "{description: docs, strategies: [{type: bm25, k1: 2}]}"
    loaded = team(f"version: 2\nagents: {{a: {{rag: [d]}}}}\nrag: {{d: {source}}}")
    assert loaded.file.rag["d"].tool.description == "docs"


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_sandbox_is_refused_rather_than_dropped(version: int) -> None:
    toolset = "{type: shell, sandbox: {paths: [.]}}"
    (found,) = problems(f"version: {version}\nagents: {{a: {{toolsets: [{toolset}]}}}}")
    assert found.startswith(
        "2:39: agents.a.toolsets[0].sandbox: is not supported any more; without this field,"
    )


def test_fields_of_a_later_version_are_accepted_in_an_older_one() -> None:
    assert team("version: 2\nagents: {a: {}}\npermissions: {allow: [think]}").permissions.allow == ("think",)


def test_fields_of_an_older_version_are_unknown_in_a_later_one() -> None:
    assert "agents.a.think: unknown field" in problems("version: 1\nagents: {a: {think: true}}")[0]
