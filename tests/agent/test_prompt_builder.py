"""The frozen prompt with which requests begin, and when it is another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.agent.prompt_builder import definition_digest, freeze
from app.conversation.frozen_prompt import FrozenPrompt
from app.team.loading import load_team
from tests.agent.stage import SURROUNDINGS, tool

MARK = {"type": "ephemeral"}
PLAIN = "{model: anthropic/claude-sonnet-5-5, description: d, instruction: '  Be brief.  '}"


def frozen(agent: str = PLAIN, *, others: str = "", **fields: Any) -> FrozenPrompt:
    team = load_team(f"agents:\n  root: {agent}\n{others}", source="x.yaml", environment={})
    given: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "tools": [],
        "toolset_instructions": [],
        "surroundings": SURROUNDINGS,
        "definition": "d",
        **fields,
    }
    return freeze(team.agent(), team, **given)


def texts(prompt: FrozenPrompt) -> list[str]:
    return [block["text"] for block in orjson.loads(prompt.system)]


def marks(prompt: FrozenPrompt) -> list[bool]:
    return [block.get("cache_control") == MARK for block in orjson.loads(prompt.system)]


def test_the_instruction_is_a_block_of_its_own_and_marked_for_the_cache() -> None:
    assert orjson.loads(frozen().system) == [{"type": "text", "text": "Be brief.", "cache_control": MARK}]


def test_what_does_not_change_stands_before_what_the_world_says_and_each_part_ends_with_a_mark() -> None:
    world = "add_date: true, add_environment_info: true"
    agent = f"{{model: anthropic/claude-sonnet-5-5, description: d, instruction: I, {world}}}"
    around = replace(SURROUNDINGS, working_dir="/w", is_git_repository=True, prompt_files=["From a file."])
    prompt = frozen(agent, toolset_instructions=["Use tools.", "  "], surroundings=around)
    assert texts(prompt)[:3] == ["I", "Use tools.", "Today's date: 2026-11-22"]
    assert "Working directory: /w\nIs directory a git repo: Yes\n" in texts(prompt)[3]
    assert texts(prompt)[4] == "From a file."
    assert marks(prompt) == [False, True, False, False, True]


@pytest.mark.parametrize("field", ["sub_agents", "handoffs"])
def test_colleagues_are_named_first(field: str) -> None:
    agent = f"{{model: anthropic/claude-sonnet-5-5, description: d, instruction: I, {field}: [helper]}}"
    other = "  helper: {model: anthropic/claude-sonnet-5-5, description: Knows much, instruction: i}\n"
    prompt = frozen(agent, others=other)
    assert "Name: helper | Description: Knows much" in texts(prompt)[0]
    assert texts(prompt)[1] == "I"


def test_an_agent_that_says_nothing_has_no_system_prompt() -> None:
    prompt = frozen("{model: anthropic/claude-sonnet-5-5, description: d, instruction: ' '}")
    assert (prompt.system, prompt.tools) == ("", "")


def test_tools_are_described_for_the_model_and_for_readers() -> None:
    prompt = frozen(tools=[tool("look")])
    assert orjson.loads(prompt.tools) == [
        {"name": "look", "description": "Does look.", "input_schema": {"type": "object", "properties": {}}}
    ]
    assert [definition["name"] for definition in prompt.definitions] == ["look"]


def test_the_digest_changes_with_every_part() -> None:
    variants = [
        frozen(),
        frozen(definition="other"),
        frozen(model="claude-opus-5-5"),
        frozen(tools=[tool("look")]),
        frozen(toolset_instructions=["More."]),
    ]
    assert len({prompt.digest for prompt in variants}) == len(variants)
    assert frozen().digest == frozen().digest


def test_the_definition_depends_on_file_agent_model_tools_and_renewal_but_not_on_our_words() -> None:
    team = load_team(f"agents:\n  root: {PLAIN}\n  b: {PLAIN}\n", source="x.yaml", environment={})
    other = load_team(f"agents:\n  root: {PLAIN}\n  b: {PLAIN}\n# changed\n", source="x.yaml", environment={})
    root, look = team.agent(), tool("look")
    variants = [
        definition_digest(team, root, "m", [look]),
        definition_digest(other, root, "m", [look]),
        definition_digest(team, team.agent("b"), "m", [look]),
        definition_digest(team, root, "n", [look]),
        definition_digest(team, root, "m", []),
        definition_digest(team, root, "m", [look], "again"),
    ]
    assert len(set(variants)) == len(variants)
    reworded = replace(look, description="Says it otherwise.")
    assert definition_digest(team, root, "m", [reworded]) == variants[0]
