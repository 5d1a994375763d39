"""Tool definitions and the choice among them (D1-D5, T11, F1, F2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from anthropic_standin.models import Model
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.rules.grammar import MARK
from anthropic_standin.rules.shape import (
    boolean,
    dictionary,
    list_of,
    matching,
    maybe,
    record,
    text,
    wrong,
)

_CUSTOM = record(
    {"name": matching("^[a-zA-Z0-9_-]{1,128}$", longest=128), "input_schema": dictionary},
    {
        "type": maybe(text),
        "description": text,
        "cache_control": maybe(MARK),
        "strict": boolean,
        "eager_input_streaming": maybe(boolean),
        "defer_loading": boolean,
        "allowed_callers": list_of(text),
        "input_examples": list_of(dictionary),
    },
)
_BUILT_IN = re.compile(
    r"(bash|text_editor|memory|computer|browser_toolset|computer_toolset|web_search|web_fetch"
    r"|code_execution|tool_search_tool_bm25|tool_search_tool_regex)_\d{8}|mcp_toolset"
)
_KEY = re.compile("[a-zA-Z0-9_.-]{1,64}")
_DATA = ("const", "default", "enum", "examples")
_TYPES = {"array", "boolean", "integer", "null", "number", "object", "string"}


def check_tools(body: Json, model: Model) -> None:
    tools: list[Json] = body.get("tools") or []
    for index, tool in enumerate(tools):
        _check_tool(tool, f"tools.{index}")
    names = [tool["name"] for tool in tools if "name" in tool]
    if len(names) != len(set(names)):
        raise Refusal("tools: Tool names must be unique.")
    if not tools and _mentions_tools(body["messages"]):
        raise Refusal("Requests which include `tool_use` or `tool_result` blocks must define tools")
    if choice := body.get("tool_choice"):
        _check_choice(choice, names, body.get("thinking"), model)


def _check_choice(choice: Json, names: list[str], thinking: Json | None, model: Model) -> None:
    if not names:
        raise Refusal("tool_choice: tool_choice may only be specified while providing tools.")
    if choice["type"] not in ("any", "tool"):
        return
    if not model.forced_choice:
        raise Refusal('tool_choice: type "tool" and "any" are not supported for this model.')
    if model.manual(thinking):
        raise Refusal("Thinking may not be enabled when tool_choice forces tool use.")
    if choice["type"] == "tool" and choice["name"] not in names:
        raise Refusal(f"tool_choice.tool.name: Tool '{choice['name']}' not found in provided tools")


def _mentions_tools(messages: list[Json]) -> bool:
    blocks = (
        block for message in messages if isinstance(message["content"], list) for block in message["content"]
    )
    return any(block["type"] in ("tool_use", "tool_result") for block in blocks)


def _check_tool(tool: Json, path: str) -> None:
    kind = tool.get("type") or "custom"
    if kind != "custom":
        if not isinstance(kind, str) or not _BUILT_IN.fullmatch(kind):
            raise wrong(
                path, f"Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )
        if "name" in tool:
            text(tool["name"], f"{path}.{kind}.name")
        return
    _CUSTOM(tool, f"{path}.custom")
    _check_schema(tool["input_schema"], f"{path}.custom.input_schema")


def _check_schema(schema: Json, path: str) -> None:
    if "type" not in schema:
        raise wrong(f"{path}.type", "Field required")
    if any(name in schema for name in ("oneOf", "allOf", "anyOf")):
        raise wrong(path, "input_schema does not support oneOf, allOf, or anyOf at the top level")
    if schema["type"] != "object":
        raise wrong(f"{path}.type", "Input should be 'object'")
    if not all(_KEY.fullmatch(key) for key in _property_keys(schema)):
        raise wrong(f"{path}.properties", f"Property keys should match pattern '^{_KEY.pattern}$'")
    if not _is_schema(schema) or not _are_resolved(schema):
        raise wrong(
            path,
            "JSON schema is invalid. It must match JSON Schema draft 2020-12 "
            "(https://json-schema.org/draft/2020-12). Learn more about tool use at "
            "https://docs.claude.com/en/docs/tool-use.",
        )


def _is_schema(schema: Any) -> bool:
    """The part of the draft's own schema that tools get wrong: keywords with a value of the wrong type."""
    if isinstance(schema, bool):
        return True
    return isinstance(schema, dict) and all(
        _KEYWORDS.get(name, _is_anything)(part) for name, part in schema.items()
    )


def _property_keys(schema: Any) -> Iterator[str]:
    """The property keys of every part, however deep."""
    if isinstance(schema, dict):
        for name, part in schema.items():
            if name == "properties" and isinstance(part, dict):
                yield from map(str, part)
                for inner in part.values():
                    yield from _property_keys(inner)
            elif name not in _DATA:
                yield from _property_keys(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _property_keys(part)


def _are_resolved(schema: Json) -> bool:
    """Does every reference lead to a place in the schema?"""
    return all(_leads_somewhere(schema, pointer) for pointer in _references(schema))


def _references(schema: Any) -> Iterator[str]:
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        yield schema["$ref"]
    for part in parts:
        yield from _references(part)


def _leads_somewhere(schema: Json, pointer: str) -> bool:
    place: Any = schema
    for part in pointer.split("/")[1:]:
        step = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
            place = place[int(step)]
        elif isinstance(place, dict) and step in place:
            place = place[step]
        else:
            return False
    return pointer.startswith("#")


def _is_anything(_part: Any) -> bool:
    return True


def _is_type(part: Any) -> bool:
    names = part if isinstance(part, list) else [part]
    known = all(isinstance(name, str) and name in _TYPES for name in names)
    return bool(names) and known and len(set(names)) == len(names)


def _are_schemas(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(_is_schema(entry) for entry in part)


def _is_schema_map(part: Any) -> bool:
    return isinstance(part, dict) and all(_is_schema(entry) for entry in part.values())


def _are_texts(part: Any) -> bool:
    known = isinstance(part, list) and all(isinstance(entry, str) for entry in part)
    return known and len(set(part)) == len(part)


def _are_needs(part: Any) -> bool:
    return isinstance(part, dict) and all(_are_texts(entry) for entry in part.values())


def _is_count(part: Any) -> bool:
    return _is_number(part) and part >= 0 and part == int(part)


def _is_pattern(part: Any) -> bool:
    try:
        return isinstance(part, str) and re.compile(part) is not None
    except (re.error, RecursionError, OverflowError):
        return False


def _is_number(part: Any) -> bool:
    return isinstance(part, int | float) and not isinstance(part, bool)


_KEYWORDS: dict[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "required": _are_texts,
    "enum": lambda part: isinstance(part, list),
    **dict.fromkeys(
        ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"), _is_schema_map
    ),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _are_schemas),
    **dict.fromkeys(("items", "additionalProperties", "not", "if", "then", "else", "contains"), _is_schema),
    **dict.fromkeys(("propertyNames", "unevaluatedItems", "unevaluatedProperties"), _is_schema),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _is_count),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), _is_count),
    **dict.fromkeys(
        ("uniqueItems", "deprecated", "readOnly", "writeOnly"), lambda part: isinstance(part, bool)
    ),
    "pattern": _is_pattern,
    "multipleOf": lambda part: _is_number(part) and part > 0,
    "dependentRequired": _are_needs,
    "examples": lambda part: isinstance(part, list),
    **dict.fromkeys(
        ("description", "title", "format", "$ref", "$comment", "$id", "$schema"),
        lambda part: isinstance(part, str),
    ),
}
