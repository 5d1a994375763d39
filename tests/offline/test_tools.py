"""Tool definitions and the choice among them."""

from __future__ import annotations

import pytest

from tests.offline.conversations import (
    NEWEST,
    OLD,
    OPTIONAL,
    TOOL,
    Json,
    accepted,
    assistant,
    call,
    refused,
    request,
    result,
    user,
)


def tool(**fields: object) -> Json:
    return {**TOOL, **fields}


def schema(**fields: object) -> Json:
    return tool(input_schema={"type": "object", **fields})


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (tool(name="x" * 129), "tools.0.custom.name: String should have at most 128 characters"),
        (tool(name="a b"), "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
        (tool(annotations={}), "tools.0.custom.annotations: Extra inputs are not permitted"),
        ({"name": "x"}, "tools.0.custom.input_schema: Field required"),
        (tool(input_schema={}), "tools.0.custom.input_schema.type: Field required"),
        (tool(input_schema={"type": "string"}), "tools.0.custom.input_schema.type: Input should be 'object'"),
        (
            schema(anyOf=[{"required": ["a"]}]),
            "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top",
        ),
        (tool(type="imaginary_20990101"), "tools.0: Input tag 'imaginary_20990101'"),
    ],
)
def test_a_bad_tool_is_refused(definition: Json, expected: str) -> None:
    assert refused(request(user("a"), tools=[definition])).startswith(expected)


@pytest.mark.parametrize(
    "definition",
    [
        schema(properties={"a": {"type": "text"}}),
        schema(properties={"a": []}),
        schema(properties={"a": {"type": "array", "items": {"enum": "x"}}}),
        schema(required=True),
        schema(properties={"a": {"anyOf": []}}),
        schema(properties={"a": {"minimum": "1"}}),
        schema(properties={"a": {"minimum": 1, "exclusiveMinimum": True}}),
        schema(properties={"a": {"required": True}}),
        schema(properties={"a": {"type": "any"}}),
        schema(properties={"a": {"type": ["string", "string"]}}),
        schema(properties={"a": {"items": [{"type": "string"}]}}),
        schema(properties={"a": {"minLength": -1}}),
        schema(properties={"a": {"multipleOf": 0}}),
        schema(properties={"a": {"uniqueItems": "true"}}),
        schema(properties={"a": {"pattern": "^\\p{L}+$"}}),
        schema(properties={"a": None}),
        schema(properties={"a": {"$ref": "#/definitions/b"}}),
        schema(properties={"a": {"$ref": "https://example.com/b"}}),
        schema(definitions={"b": {"type": "any"}}),
        schema(required=["a", "a"]),
        schema(dependentRequired={"a": "b"}),
    ],
)
def test_a_schema_that_is_none_is_refused(definition: Json) -> None:
    expected = "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12"
    assert refused(request(user("a"), tools=[definition])).startswith(expected)


@pytest.mark.parametrize(
    "properties",
    [
        {"filter[x]": {}},
        {"$top": {}},
        {"@type": {}},
        {"a b": {}},
        {"": {}},
        {"x" * 65: {}},
        {"a": {"type": "object", "properties": {"é": {}}}},
        {"a": {"items": {"anyOf": [{"properties": {"a/b": {}}}]}}},
    ],
)
def test_the_keys_of_properties_have_few_characters(properties: Json) -> None:
    assert refused(request(user("a"), tools=[schema(properties=properties)])) == (
        "tools.0.custom.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"
    )


def test_words_that_are_no_keys_of_properties_may_have_any() -> None:
    free = {"const": {"properties": {"a b": 1}}, "x-own": {"a b": 1}}
    accepted(request(user("a"), tools=[schema(properties={"a.b-c_1": free}, patternProperties={"^ ": {}})]))


def test_a_good_schema_is_accepted() -> None:
    nested = {"type": ["array", "null"], "items": {"anyOf": [{"type": "string"}, {"const": 1}]}}
    properties = {"a": nested, "b": True, "c": {"$ref": "#/$defs/d", "minimum": 1}}
    good = schema(properties=properties, required=["a"], additionalProperties=False, **{"$defs": {"d": {}}})
    accepted(request(user("a"), tools=[good, {"type": "web_search_20260318", "name": "web_search"}]))


def test_a_built_in_tool_has_a_name_that_is_text() -> None:
    built_in = {"type": "bash_20250124", "name": []}
    assert refused(request(user("a"), tools=[built_in])) == (
        "tools.0.bash_20250124.name: Input should be a valid string"
    )


def test_tool_names_are_unique() -> None:
    assert refused(request(user("a"), tools=[TOOL, TOOL])) == "tools: Tool names must be unique."


def test_a_history_with_calls_needs_tools() -> None:
    body = request(user("a"), assistant(call("toolu_1")), user(result("toolu_1")), tools=[])
    expected = "Requests which include `tool_use` or `tool_result` blocks must define tools"
    assert refused(body) == expected
    accepted({**body, "tools": [TOOL], "tool_choice": {"type": "none"}})


def test_a_choice_needs_tools_and_names_one_of_them() -> None:
    body = request(user("a"), tools=[], tool_choice={"type": "auto"})
    assert "may only be specified while providing tools" in refused(body)
    named = request(user("a"), model=OLD, tool_choice={"type": "tool", "name": "run"})
    assert refused(named) == "tool_choice.tool.name: Tool 'run' not found in provided tools"
    accepted({**named, "tool_choice": {"type": "tool", "name": "look"}})


def test_the_newest_models_cannot_be_forced_to_call() -> None:
    body = request(user("a"), model=NEWEST, tool_choice={"type": "any"})
    assert refused(body) == 'tool_choice: type "tool" and "any" are not supported for this model.'
    accepted({**body, "model": OPTIONAL})
    accepted({**body, "model": "claude-haiku-5-5"})


def test_manual_thinking_and_a_forced_call_exclude_each_other() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = request(user("a"), model=OLD, max_tokens=2000, thinking=thinking, tool_choice={"type": "any"})
    assert refused(body) == "Thinking may not be enabled when tool_choice forces tool use."
