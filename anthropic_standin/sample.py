"""Something that fits a JSON schema, made of what there is to say."""

from __future__ import annotations

from typing import Any

from anthropic_standin.refusal import Json

_DEEPEST = 20


def sample(schema: Json, words: str) -> Any:
    """The words stand wherever a text may be."""
    return _sample(schema, words, schema.get("$defs") or {}, 0)


def _sample(schema: Json, words: str, defs: Json, depth: int) -> Any:
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if depth > _DEEPEST:
        return None
    for choice in ("anyOf", "allOf"):
        if schema.get(choice):
            return _sample(schema[choice][0], words, defs, depth + 1)
    if "$ref" in schema:
        return _sample(defs.get(schema["$ref"].rpartition("/")[2], {}), words, defs, depth + 1)
    match schema.get("type"):
        case "object":
            parts = schema.get("properties") or {}
            return {name: _sample(part, words, defs, depth + 1) for name, part in parts.items()}
        case "array":
            return [_sample(schema["items"], words, defs, depth + 1)] if schema.get("minItems") else []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case "string":
            return words
    return None
