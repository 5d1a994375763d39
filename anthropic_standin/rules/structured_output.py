"""Structured output: the schemas that the API can hold a model to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anthropic_standin.refusal import Json, Refusal

_PATH = "output_config.format.schema"
_NUMBERS = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf")
_UNSUPPORTED = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "string": ("maxLength", "minLength"),
    "array": ("maxItems", "prefixItems", "uniqueItems"),
    "object": ("maxProperties", "minProperties", "patternProperties"),
}


def check_output(body: Json) -> None:
    """Objects must be closed, and say nothing about sizes."""
    wanted = (body.get("output_config") or {}).get("format")
    for schema in _parts(wanted["schema"]) if wanted else ():
        kind = schema.get("type")
        if any(not isinstance(part, dict) for part in _direct(schema)):
            raise Refusal(f"{_PATH}: a schema that is a boolean or a list is not supported")
        if any(isinstance(value, dict | list) for value in schema.get("enum", ())):
            raise Refusal(f"{_PATH}: Enum values of complex types are not supported")
        found = sorted(name for name in _UNSUPPORTED.get(str(kind), ()) if name in schema)
        if found:
            raise Refusal(f"{_PATH}: For '{kind}' type, properties {', '.join(found)} are not supported")
        if kind == "object" and schema.get("additionalProperties") is not False:
            raise Refusal(
                f"{_PATH}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )


def _parts(schema: Any) -> Iterator[Json]:
    """The schema and all that it is made of."""
    if not isinstance(schema, dict):
        return
    yield schema
    for part in _direct(schema):
        yield from _parts(part)


def _direct(schema: Json) -> Iterator[Any]:
    for name in ("properties", "$defs"):
        yield from (schema.get(name) or {}).values()
    for name in ("anyOf", "allOf", "oneOf"):
        yield from schema.get(name) or []
    if "items" in schema:
        yield schema["items"]
