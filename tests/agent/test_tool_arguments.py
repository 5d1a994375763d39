"""Arguments as models write them, set right or refused by the tool's schema, for every tool that the server brings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.agent.delegation import tools_for
from app.agent.tool_arguments import Unfit, check, fitted
from app.agent.tools import registry
from app.agent.tools.deferred import DeferredToolset, Shelf
from app.agent.tools.model_picker import ModelPickerToolset
from app.agent.tools.skills import SkillsToolset
from app.agent.toolset import Tool, ToolContext, ToolResult
from app.roots import Ground
from app.team.loading import load_team
from app.team.toolset_spec import ToolsetSpec
from tests.agent.cancellation import FakeCancellation

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "deep": {"type": "boolean"},
        "names": {"type": ["null", "array"], "items": {"type": "string"}},
        "form": {"type": "object"},
        "edits": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"oldText": {"type": "string"}, "kind": {"enum": ["a", "b"]}},
                "required": ["oldText"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["path"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("given", "fit"),
    [
        ({"edits": '[{"oldText": "x"}]'}, {"edits": [{"oldText": "x"}]}),
        ({"edits": ' [ {"oldText": "x"} ]\n'}, {"edits": [{"oldText": "x"}]}),
        ({"edits": ['{"oldText": "x"}']}, {"edits": [{"oldText": "x"}]}),
        ({"names": '["a"]'}, {"names": ["a"]}),
        ({"names": "null"}, {"names": None}),
        ({"form": '{"a": 1}'}, {"form": {"a": 1}}),
        ({"count": "3"}, {"count": 3}),
        ({"count": "3.0"}, {"count": 3}),
        ({"count": 3.0}, {"count": 3}),
        ({"count": 1e30}, {"count": 1e30}),  # no integer that JSON of ours could hold
        ({"count": "1e30"}, {"count": "1e30"}),
        ({"form": '{"n": 100000000000000000000}'}, {"form": {"n": 1e20}}),
        ({"share": "0.5"}, {"share": 0.5}),
        ({"deep": "true"}, {"deep": True}),
        ({"deep": "False"}, {"deep": False}),
        ({"count": None, "deep": "null"}, {"deep": "null"}),
        ({"Path": "x"}, {"path": "x"}),
        ({"edits": [{"old_text": "x"}]}, {"edits": [{"oldText": "x"}]}),
        # What is no such JSON stays as it is.
        ({"path": '["a"]'}, {"path": '["a"]'}),
        ({"path": "3"}, {"path": "3"}),
        ({"edits": "[{"}, {"edits": "[{"}),
        ({"count": "3.5"}, {"count": "3.5"}),
        ({"count": '"3"'}, {"count": '"3"'}),
        ({"edits": "[" * 5000}, {"edits": "[" * 5000}),
        ({"path": "a", "PATH": "b"}, {"path": "a", "PATH": "b"}),
    ],
)
def test_what_is_meant_is_clear(given: dict[str, Any], fit: dict[str, Any]) -> None:
    assert fitted(SCHEMA, given) == fit
    assert fitted(SCHEMA, fit) == fit


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "path is missing"),
        ({"path": 5}, "path must be a string, not a number"),
        ({"path": None}, "path must be a string, not null"),
        ({"path": "", "count": True}, "count must be a whole number, not a boolean"),
        ({"path": "", "count": "many"}, "count must be a whole number, not a string"),
        ({"path": "", "names": "a"}, "names must be a list, not a string"),
        ({"path": "", "names": [1]}, "names[0] must be a string, not a number"),
        ({"path": "", "edits": [{}]}, "edits[0].oldText is missing"),
        ({"path": "", "edits": ["x"]}, "edits[0] must be an object, not a string"),
        (
            {"path": "", "edits": [{"oldText": "", "kind": "c"}]},
            "edits[0].kind must be one of a, b, not 'c'",
        ),
        ({"path": "", "nmes": []}, "there is no argument nmes (did you mean names?)"),
        (
            {"path": "", "edits": [{"zzz": 1}]},
            "edits[0].oldText is missing; there is no argument edits[0].zzz (there are oldText, kind)",
        ),
        (
            {"count": "x", "share": "y"},
            "path is missing; count must be a whole number, not a string; share must be a number, not a string",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_all_that_is_wrong(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Unfit) as refused:
        check(SCHEMA, given)
    assert str(refused.value) == words


def test_a_refusal_is_short_however_much_is_wrong() -> None:
    with pytest.raises(Unfit) as refused:
        check(SCHEMA, {"x" * 1000 + str(number): 1 for number in range(1000)})
    assert len(str(refused.value)) < 2000
    assert str(refused.value).endswith("; and 996 more")


def builtin_tools(root: Path) -> Iterator[Tool]:
    specs = [
        ToolsetSpec(type="filesystem"),
        ToolsetSpec(type="shell"),
        ToolsetSpec(type="fetch"),
        ToolsetSpec(type="tasks"),
        ToolsetSpec(type="memory", path="memory.db"),
        ToolsetSpec(type="think"),
        ToolsetSpec(type="todo"),
        ToolsetSpec(type="user_prompt"),
        ToolsetSpec(type="background_agents"),
    ]
    for spec in specs:
        yield from registry.build(spec, environment={"HOME": str(root)}).tools()
    yield from DeferredToolset(Shelf()).tools()
    yield from ModelPickerToolset(["a"], find=lambda _: (), under="", state=None).tools()
    skill = root / ".claude" / "skills" / "one"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\ndescription: one\n---\n")
    (skill / "more.md").write_text("")
    skills = SkillsToolset(
        ["local"], ground=Ground((root,)), working_dir=root, cancellation=FakeCancellation()
    )
    skills.start()
    yield from skills.tools()
    team = load_team(
        "agents: {root: {model: anthropic/a, sub_agents: [b], handoffs: [b]}, b: {model: anthropic/a}}",
        source="x.yaml",
        environment={},
    )
    yield from tools_for(team.agent("root"))


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tool]:
    return {tool.name: tool for tool in builtin_tools(tmp_path_factory.mktemp("tools"))}


def refusals(tool: Tool, arguments: dict[str, Any]) -> str:
    outcome = tool.call(arguments, ToolContext(Path("/"), FakeCancellation()))
    assert isinstance(outcome, ToolResult)
    assert outcome.is_error
    return outcome.output


def valid(schema: dict[str, Any]) -> Any:
    kind = schema.get("type")
    kind = next((one for one in kind if one != "null"), None) if isinstance(kind, list) else kind
    match kind:
        case "object":
            return {name: valid(inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [valid(schema["items"])]
        case "integer":
            return 1
        case "boolean":
            return True
    return schema.get("enum", ["text"])[0]


def test_every_tool_is_here_and_takes_what_its_schema_says(tools: dict[str, Tool]) -> None:
    assert len(tools) > 35
    for tool in tools.values():
        assert tool.fit(valid(dict(tool.parameters or {"type": "object"}))) is not None


def test_every_tool_refuses_what_its_schema_does_not_know(tools: dict[str, Tool]) -> None:
    checked = 0
    for tool in tools.values():
        if tool.parameters is None:
            continue
        good = valid(dict(tool.parameters))
        known = tool.parameters["properties"]
        assert tool.fit({**good, "zzzz": 1})
        for name in known if tool.parameters.get("additionalProperties") is False else ():
            misspelt = {f"{name}x" if key == name else key: value for key, value in good.items()}
            assert f"{name}x (did you mean {name}?)" in refusals(tool, misspelt), tool.name
        for name, schema in known.items():
            wrong = 5 if schema["type"] == "string" else "text"
            assert f"{name} must be a" in refusals(tool, {**good, name: wrong}), tool.name
            without = {key: value for key, value in good.items() if key != name}
            if name in tool.parameters.get("required", ()) and "default" not in schema:
                assert f"{name} is missing" in refusals(tool, without), tool.name
            if "enum" in schema:
                assert f"{name} must be one of" in refusals(tool, {**good, name: "?"}), tool.name
            checked += 1
    assert checked > 40


def test_every_tool_takes_its_lists_objects_numbers_and_switches_in_a_string(tools: dict[str, Tool]) -> None:
    checked = 0
    for tool in tools.values():
        if tool.parameters is None:
            continue
        good = valid(dict(tool.parameters))
        for name, schema in tool.parameters["properties"].items():
            if schema["type"] != "string":
                assert tool.fit({**good, name: json.dumps(good[name])}) == good, (tool.name, name)
                checked += 1
    assert checked > 8
