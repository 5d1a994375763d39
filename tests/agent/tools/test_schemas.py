"""The parameters of strangers' tools, said anew for the Messages API."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from anthropic_standin.rules.tool_definitions import _check_schema
from app.agent.tools.schemas.normalizing import UnusableSchema, fitted

Json = dict[str, Any]


def mended(schema: Any) -> Json:
    found = fitted(schema).schema
    Draft202012Validator.check_schema(found)
    _check_schema(found, "input_schema")
    return found


def one(schema: Any) -> Any:
    """The mended schema of one property."""
    return mended({"type": "object", "properties": {"a": schema}})["properties"]["a"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        # draft 3
        ({"type": "any"}, {}),
        ({"type": "string", "required": True}, {"type": "string"}),
        ({"type": ["string", {"type": "integer"}]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"type": "integer", "divisibleBy": 5}, {"type": "integer", "multipleOf": 5}),
        ({"extends": {"type": "string"}}, {"allOf": [{"type": "string"}]}),
        ({"disallow": "string"}, {}),
        # draft 4
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 0}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": False}, {"type": "integer", "minimum": 0}),
        ({"exclusiveMaximum": True, "maximum": 9.5}, {"exclusiveMaximum": 9.5}),
        ({"exclusiveMaximum": True}, {}),
        ({"id": "http://x/y", "type": "string"}, {"type": "string"}),
        ({"dependencies": {"x": ["y"], "z": {"type": "object"}}},
         {"dependentRequired": {"x": ["y"]}, "dependentSchemas": {"z": {"type": "object"}}}),
        # drafts before 2020-12
        ({"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
         {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}),
        ({"type": "array", "items": [{"type": "string"}], "additionalItems": False},
         {"type": "array", "prefixItems": [{"type": "string"}], "items": False}),
        ({"type": "array", "items": []}, {"type": "array"}),
        ({"type": "array", "items": {"type": "string"}, "additionalItems": False},
         {"type": "array", "items": {"type": "string"}}),
        ({"$recursiveRef": "#"}, {"$ref": "#"}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}, {"type": "string"}),
        # OpenAPI 3.0
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        ({"type": "string", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"anyOf": [{"type": "string"}], "nullable": True, "description": "d"},
         {"description": "d", "anyOf": [{"anyOf": [{"type": "string"}]}, {"type": "null"}]}),
        ({"type": "string", "example": "x"}, {"type": "string", "example": "x"}),
        # slips
        (None, {}),
        ("string", {"type": "string"}),
        ({"type": None}, {}),
        ({"type": []}, {}),
        ({"type": ["string", "string"]}, {"type": "string"}),
        ({"type": ["string", "any"]}, {}),
        ({"type": ["string", None]}, {"type": ["string", "null"]}),
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "int"}, {"type": "integer"}),
        ({"type": "float"}, {"type": "number"}),
        ({"type": "bool"}, {"type": "boolean"}),
        ({"type": "dict"}, {"type": "object"}),
        ({"type": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string|null"}, {"type": ["string", "null"]}),
        ({"type": "string[]"}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "integer?"}, {"type": ["integer", "null"]}),
        ({"type": {"type": "string"}}, {"type": "string"}),
        ({"minimum": "1", "maximum": "x", "maxLength": "5", "minLength": -1, "multipleOf": 0},
         {"minimum": 1, "maxLength": 5}),
        ({"maxItems": 5.0, "minItems": None}, {"maxItems": 5}),
        ({"uniqueItems": "true", "readOnly": "yes"}, {"uniqueItems": True}),
        ({"enum": "a"}, {"enum": ["a"]}),
        ({"enum": []}, {}),
        ({"anyOf": []}, {}),
        ({"anyOf": {"type": "string"}}, {"anyOf": [{"type": "string"}]}),
        ({"anyOf": [None, {"type": "string"}]}, {"anyOf": [{"type": "string"}]}),
        ({"type": "object", "properties": None, "additionalProperties": "false"},
         {"type": "object", "properties": {}, "additionalProperties": False}),
        ({"type": "object", "properties": [{"name": "x", "type": "string", "required": True}]},
         {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}),
        ({"required": "x"}, {"required": ["x"]}),
        ({"required": ["x", "x", 7]}, {"required": ["x"]}),
        ({"required": False}, {}),
        ({"description": 7, "title": None}, {"description": "7"}),
        ({"examples": "x"}, {"examples": ["x"]}),
        ({"default": float("inf"), "maximum": 10**30}, {"default": "inf", "maximum": 1e30}),
        ({"description": "\ud800\0"}, {"description": "?\ufffd"}),
        ({"$ref": "https://example.com/schema"}, {}),
        ({"$ref": "#/definitions/nowhere"}, {}),
        ({"pattern": r"^\p{L}$", "description": "Letters."}, {"description": r"Letters. (pattern: ^\p{L}$)"}),
        # what is fine already
        (True, True),
        (False, False),
        ({"type": ["string", "null"], "minLength": 1}, {"type": ["string", "null"], "minLength": 1}),
        ({"const": {"any": ["value"]}}, {"const": {"any": ["value"]}}),
        ({"if": {"type": "string"}, "then": {"minLength": 1}}, {"if": {"type": "string"}, "then": {"minLength": 1}}),
    ],
)  # fmt: skip
def test_what_is_clear_is_said_anew(written: Any, meant: Any) -> None:
    assert one(written) == meant


def test_a_property_that_is_required_by_its_own_word_is_required() -> None:
    properties = {
        "a": {"type": "string", "required": True},
        "b": {"required": "true"},
        "c": {"required": False},
    }
    assert mended({"type": "object", "properties": properties})["required"] == ["a", "b"]


@pytest.mark.parametrize(
    ("root", "meant"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": ["object", "null"]}, {"type": "object", "properties": {}}),
        ({"type": "object", "properties": []}, {"type": "object", "properties": {}}),
        ({"type": "object", "anyOf": []}, {"type": "object", "properties": {}}),
        (
            {"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]},
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]},
        ),
        (
            {"oneOf": [{"properties": {"a": {}, "k": {}}, "required": ["k", "a"]},
                       {"properties": {"b": {}, "k": {}}, "required": ["k", "b"]}]},
            {"type": "object", "properties": {"a": {}, "k": {}, "b": {}}, "required": ["k"],
             "description": "Give k and a, or k and b."},
        ),
        (
            {"properties": {"a": {}, "b": {}}, "description": "Finds.",
             "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"type": "object", "properties": {"a": {}, "b": {}}, "description": "Finds. Give a, or b."},
        ),
        (
            {"$ref": "#/definitions/A", "definitions": {"A": {"type": "object", "properties": {"a": {}}}}},
            {"type": "object", "properties": {"a": {}}, "$defs": {"A": {"type": "object", "properties": {"a": {}}}}},
        ),
    ],
)  # fmt: skip
def test_the_root_is_one_object(root: Any, meant: Json) -> None:
    assert mended(root) == meant


@pytest.mark.parametrize(
    "root",
    [
        [],
        "string",
        7,
        {"type": "string"},
        {"type": ["array", "null"]},
        {"type": "wibble"},
        {"anyOf": [{"type": "string"}, {"type": "object"}]},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}},
        {"properties": {"a": {"type": "wibble"}}},
        {"properties": {"a": {"type": 7}}},
        {"properties": {"a": "The path of it"}},
        {"properties": {"a": 7}},
        {"properties": {"a": {"enum": {"x": 1}}}},
        {"properties": "a, b"},
        {"properties": {f"p{number}": {"items": {}} for number in range(20_000)}},
    ],
)
def test_what_is_not_clear_costs_the_tool(root: Any) -> None:
    with pytest.raises(UnusableSchema):
        fitted(root)


def test_a_schema_that_nests_without_end_costs_the_tool() -> None:
    root: Json = {}
    for _ in range(500):
        root = {"properties": {"a": root}}
    with pytest.raises(UnusableSchema, match="too large"):
        fitted(root)


TREES = {"type": "array", "items": [{"$ref": "#/definitions/Tree"}]}


def test_references_lead_where_they_led() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/definitions/Tree"},
            "b": {"$ref": "#/properties/c/items/0"},
            "c": {"type": "array", "items": [{"type": "int"}]},
            "d": {"$ref": "Tree"},
            "e": {"$ref": "#/definitions/a~1b%20c"},
        },
        "definitions": {
            "Tree": {"type": "object", "properties": {"$kids": TREES}},
            "a/b c": {"type": "str"},
            "Unused": {"type": "wibble"},
        },
    }
    found = mended(schema)
    validator = Draft202012Validator(found)
    good = {"a": {"kids": [{"kids": []}]}, "b": 1, "d": {}, "e": "x"}
    assert validator.is_valid(good)
    for name, wrong in {"a": {"kids": [{"kids": 7}]}, "b": "x", "d": 7, "e": 7}.items():
        assert not validator.is_valid({**good, name: wrong})


NAMES = {
    "filter[x]": "filter_x",
    "$top": "top_2",
    "top": "top",
    "@type": "type",
    "a b": "a_b",
    "a/b": "a_b_2",
    "имя": "argument",
    "": "argument_2",
    "a.b-c_1": "a.b-c_1",
}


def test_properties_get_names_that_the_api_takes_and_are_told_their_own() -> None:
    found = mended(
        {"type": "object", "properties": {name: {} for name in NAMES}, "required": ["$top", "top"]}
    )
    assert list(found["properties"]) == list(NAMES.values())
    assert found["required"] == ["top_2", "top"]
    assert found["properties"]["filter_x"] == {"description": "(its own name: filter[x])"}
    assert found["properties"]["top"] == {}


def test_long_names_that_begin_alike_stay_apart() -> None:
    names = ["x" * 65, "x" * 66, "x" * 64]
    found = fitted({"type": "object", "properties": {name: {} for name in names}})
    assert len(found.schema["properties"]) == 3
    assert sorted([found.names.get(name, name) for name in found.schema["properties"]]) == sorted(names)


def test_arguments_get_their_own_names_back_however_deep_they_lie() -> None:
    item = {"type": "object", "properties": {"$id": {}, "id": {}}}
    schema = {
        "type": "object",
        "properties": {
            "list[]": {"type": "array", "items": item},
            "pair": {"type": "array", "items": [item, {"type": "string"}]},
            "any": {"anyOf": [{"type": "string"}, item]},
            "map": {"type": "object", "additionalProperties": item},
            "free": {"type": "object"},
            "tree": {"$ref": "#/definitions/tree"},
        },
        "definitions": {"tree": {"properties": {"@kids": {"items": {"$ref": "#/definitions/tree"}}}}},
    }
    given = {
        "list": [{"id_2": 1, "id": 2}, 7],
        "pair": [{"id_2": 1}, "id_2"],
        "any": {"id_2": 1},
        "map": {"id_2": {"id_2": 1}},
        "free": {"id_2": 1},
        "tree": {"kids": [{"kids": []}]},
        "unknown": {"id_2": 1},
    }
    assert fitted(schema).restored(given) == {
        "list[]": [{"$id": 1, "id": 2}, 7],
        "pair": [{"$id": 1}, "id_2"],
        "any": {"$id": 1},
        "map": {"id_2": {"$id": 1}},
        "free": {"id_2": 1},
        "tree": {"@kids": [{"@kids": []}]},
        "unknown": {"id_2": 1},
    }
