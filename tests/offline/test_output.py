"""Structured output: which schemas the stand-in refuses, and that its answers have the form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anthropic_standin.sample import sample
from tests.offline.conversations import accepted, refused, request, user


def formed(schema: dict[str, Any]) -> dict[str, Any]:
    form = {"type": "json_schema", "schema": schema}
    return request(user("a"), output_config={"format": form})


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


def test_a_closed_object_is_accepted() -> None:
    accepted(formed(CLOSED))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "array", "items": {"type": "object"}},
        {**CLOSED, "properties": {"a": {"anyOf": [{"type": "object"}]}}},
        {**CLOSED, "$defs": {"b": {"type": "object"}}},
    ],
)
def test_an_object_that_is_open_anywhere_is_refused(schema: dict[str, Any]) -> None:
    assert "'additionalProperties' must be explicitly set to false" in refused(formed(schema))


@pytest.mark.parametrize(
    ("kind", "limit"), [("integer", "minimum"), ("string", "maxLength"), ("array", "maxItems")]
)
def test_limits_are_refused(kind: str, limit: str) -> None:
    words = f"output_config.format.schema: For '{kind}' type, properties {limit} are not supported"
    assert refused(formed({"type": kind, limit: 1})) == words


@pytest.mark.parametrize("part", [False, True, [{"type": "string"}]])
def test_a_schema_in_it_is_an_object(part: Any) -> None:
    assert "is not supported" in refused(formed({"type": "array", "items": part}))


def test_an_enum_has_plain_values() -> None:
    assert "complex types" in refused(formed({"enum": ["a", {}]}))


def test_a_sample_fits_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "kind": {"enum": ["x", "y"]},
            "one": {"const": 1},
            "some": {"type": "array", "items": {"$ref": "#/$defs/number"}, "minItems": 1},
            "none": {"type": "array", "items": {"type": "string"}},
            "either": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        },
        "$defs": {"number": {"type": "number"}},
    }
    found = sample(schema, "words")
    assert json.dumps(found) == json.dumps(
        {"name": "words", "kind": "x", "one": 1, "some": [0], "none": [], "either": False}
    )


def test_a_schema_that_contains_itself_ends() -> None:
    schema = {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}},
    }
    assert "null" in json.dumps(sample(schema, "x"))
