"""The JSON Schema accepts what the loader accepts, and refuses what it refuses field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from app.team.agent import AgentDefinition
from app.team.schema import agent_file_schema
from app.team.toolset_spec import ToolsetSpec

SAMPLES = Path(__file__).parents[2] / "agents"


def errors(document: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(agent_file_schema())
    return [error.message for error in validator.iter_errors(document)]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(agent_file_schema())


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_samples_fit_the_schema(path: Path) -> None:
    assert errors(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "agent",
    [
        {"commands": {"x": "do x", "y": {"description": "d"}}},
        {"commands": [{"x": "do x"}]},
        {"skills": True},
        {"skills": ["local"]},
        {"fallback": {"cooldown": "1m"}},
        {"fallback": {"cooldown": 60}},
        {"toolsets": [{"type": "think", "defer": True}]},
        {"toolsets": [{"type": "mcp", "command": "x", "args": [1, "2"]}]},
        {"structured_output": {"name": "o", "schema": {"type": "object"}}},
    ],
)
def test_every_way_of_writing_a_field_fits(agent: dict[str, Any]) -> None:
    assert errors({"agents": {"a": agent}}) == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"agents": {}},
        {"agents": {"a": {"modle": "x"}}},
        {"agents": {"a": {"max_iterations": -1}}},
        {"agents": {"a": {"toolsets": [{"tools": []}]}}},
        {"agents": {"a": {}}, "extra": 1},
    ],
)
def test_what_does_not_load_does_not_fit(document: dict[str, Any]) -> None:
    assert errors(document) != []


def test_every_field_is_in_the_schema_under_the_name_that_files_use() -> None:
    definitions = agent_file_schema()["$defs"]
    for definition in (AgentDefinition, ToolsetSpec):
        assert list(definitions[definition.__name__]["properties"]) == definition.known_fields()
    assert "schema" in definitions["StructuredOutput"]["properties"]


def test_what_is_written_below_a_field_describes_it() -> None:
    definitions = agent_file_schema()["$defs"]
    model = definitions["AgentDefinition"]["properties"]["model"]
    assert model["description"].startswith("A key of `models`")
    assert "description" not in definitions["AgentDefinition"]["properties"]["max_iterations"]


def test_the_schema_that_is_shipped_is_the_one_that_counts() -> None:
    """`baton check --schema > docs/agent-schema.json` writes it."""
    shipped = json.loads((SAMPLES.parent / "docs" / "agent-schema.json").read_text(encoding="utf-8"))
    assert shipped == agent_file_schema()
