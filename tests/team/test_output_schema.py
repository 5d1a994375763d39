"""Schemas of structured output as the API can hold a model to them."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from anthropic_standin.rules.structured_output import check_output
from app.team.output_schema import NotPossible, Path, for_the_api

Json = dict[str, Any]
SCALARS = {"anyOf": [{"type": "string"}, {"type": "number"}, {}, {}]}
STRING = {"type": "string"}


def held(schema: Any) -> Json:
    found = for_the_api(schema)
    check_output({"output_config": {"format": {"schema": anthropic.transform_schema(found)}}})
    return found


def anything() -> Json:
    return {"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "null")]}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"type": ["string", "null"]}, {"anyOf": [STRING, {"type": "null"}]}),
        ({"type": ["string"]}, STRING),
        ({"type": ["string", "null"], "description": "d", "minLength": 1},
         {"description": "d", "anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}]}),
        ({"type": ["object", "null"], "properties": {"x": STRING}},
         {"anyOf": [{"type": "object", "properties": {"x": STRING}}, {"type": "null"}]}),
        ({"type": ["string", "null"], "enum": ["x", None]}, {"enum": ["x", None]}),
        ({"type": "string", "const": "x", "title": "t"}, {"title": "t", "const": "x"}),
        ({"type": "string", "nullable": True}, {"anyOf": [STRING, {"type": "null"}]}),
        (True, anything()),
        ({}, anything()),
        ({"type": "array"}, {"type": "array", "items": anything()}),
        ({"items": STRING}, {"type": "array", "items": STRING}),
        ({"type": "array", "items": [STRING, STRING]}, {"type": "array", "items": STRING}),
        ({"type": "array", "prefixItems": [STRING, {"type": "integer"}], "items": False},
         {"type": "array", "items": {"anyOf": [STRING, {"type": "integer"}]}}),
        ({"oneOf": [STRING, {"type": ["integer", "null"]}]},
         {"anyOf": [STRING, {"anyOf": [{"type": "integer"}, {"type": "null"}]}]}),
        ({"properties": {"x": STRING}}, {"properties": {"x": STRING}, "type": "object"}),
        ({"type": "object", "properties": {"x": False}, "required": ["y", "y"]},
         {"type": "object", "properties": {"y": anything()}, "required": ["y"]}),
    ],
)  # fmt: skip
def test_what_can_be_said_to_the_api_is(written: Any, meant: Json) -> None:
    found = held({"type": "object", "properties": {"a": written}})["properties"]["a"]
    assert found == {**meant, **({"type": meant["type"]} if "type" in meant else {})}


def test_choices_beside_properties_are_told_in_words() -> None:
    schema = {"type": "object", "properties": {"x": STRING}, "anyOf": [{"required": ["x"]}]}
    found = anthropic.transform_schema(held(schema))
    assert (found["type"], list(found["properties"])) == ("object", ["x"])
    assert "must also fit anyOf" in found["description"]


def test_definitions_go_where_the_api_looks_for_them() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/definitions/b"}, "c": {"$ref": "#/$defs/d"}},
        "definitions": {"b": {"type": ["string", "null"]}, "unused": {"type": "odd"}},
        "$defs": {"d": {"type": "array", "items": {"$ref": "#/definitions/b"}}},
    }
    assert held(schema)["$defs"] == {
        "b": {"anyOf": [STRING, {"type": "null"}]},
        "d": {"type": "array", "items": {"$ref": "#/$defs/b"}},
    }


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "array", "items": False}, ("items",)),
        ({"properties": {"a": {"type": "array", "items": False}}}, ("properties", "a", "items")),
        ({"properties": {"a": False}, "required": ["a"]}, ("properties", "a")),
        ({"properties": {"a": {"type": "any"}}}, ("properties", "a", "type")),
        ({"properties": {"a": {"type": []}}}, ("properties", "a", "type")),
        ({"properties": {"a": "string"}}, ("properties", "a")),
        ({"properties": [], "required": []}, ()),
        ({"properties": "a"}, ("properties",)),
        ({"required": [7]}, ("required",)),
        ({"anyOf": []}, ("anyOf",)),
        ({"anyOf": [{"type": "string"}, {"enum": [{}]}]}, ("anyOf", 1, "enum")),
        ({"enum": []}, ("enum",)),
        ({"const": []}, ("const",)),
        ({"$ref": "#/$defs/none"}, ("$ref",)),
        ({"$ref": "https://example.com"}, ("$ref",)),
        ({"$ref": "#"}, ("$ref",)),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
            ("$defs", "a", "items", "$ref"),
        ),
    ],
)
def test_what_can_not_be_said_has_a_place(schema: Json, path: Path) -> None:
    if not path:
        held(schema)
        return
    with pytest.raises(NotPossible) as raised:
        for_the_api(schema)
    assert raised.value.path == path


def test_a_schema_without_end_is_refused() -> None:
    schema: Json = {}
    for _ in range(500):
        schema = {"items": schema}
    with pytest.raises(NotPossible, match="too deeply"):
        for_the_api(schema)
