"""Structured output: the schemas that the API can hold a model to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.offline.refusal import Json, Refusal

_PATH = "output_config.format.schema"
_NUMBERS = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf")
_UNSUPPORTED = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "string": ("maxLength", "minLength"),
    "array": ("maxItems", "uniqueItems"),
    "object": ("maxProperties", "minProperties", "patternProperties"),
}


def check_output(body: Json) -> None:
    """Objects must be closed, and say nothing about sizes."""
    wanted = (body.get("output_config") or {}).get("format")
    for schema in _parts(wanted["schema"]) if wanted else ():
        kind = schema.get("type")
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
    for name in ("properties", "$defs"):
        for part in (schema.get(name) or {}).values():
            yield from _parts(part)
    for name in ("anyOf", "allOf", "oneOf"):
        for part in schema.get(name) or []:
            yield from _parts(part)
    yield from _parts(schema.get("items"))
