"""How tools describe what they take: JSON Schemas in the shape that the contract's clients know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

Schema = dict[str, Any]


def parameters(properties: Mapping[str, Schema], *, optional: Collection[str] = ()) -> Schema:
    """A closed object; fields that are not optional are required."""
    schema: Schema = {"type": "object", "properties": dict(properties)}
    required = [name for name in properties if name not in optional]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


def text(description: str, *, default: str | None = None) -> Schema:
    """With a default it is taken for granted by a tool that lists it as required."""
    schema = {"type": "string", "description": description}
    return schema if default is None else {**schema, "default": default}


def number(description: str) -> Schema:
    return {"type": "integer", "description": description}


def switch(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def listing(items: Schema, description: str = "") -> Schema:
    """A list. It may be null, as an empty list of the contract's reference implementation is."""
    schema: Schema = {"type": ["null", "array"], "items": items}
    if description:
        schema["description"] = description
    return schema


def texts(description: str) -> Schema:
    return listing({"type": "string"}, description)
