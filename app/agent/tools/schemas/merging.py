"""Several schemas as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.agent.tools.schemas.keywords import CHOICES


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI's word for a value that may be null."""
    kinds = schema.get("type")
    if kinds is None:
        if not schema.keys() & {"$ref", *CHOICES, "enum", "const"}:
            return schema
        told: dict[str, Any] = {
            name: schema[name] for name in ("title", "description", "default") if name in schema
        }
        rest = {name: part for name, part in schema.items() if name not in told}
        return {**told, "anyOf": [rest, {"type": "null"}]}
    listed = [kinds] if isinstance(kinds, str) else kinds
    with_null: dict[str, Any] = {**schema, "type": list(dict.fromkeys([*listed, "null"]))}
    if "enum" in schema and None not in schema["enum"]:
        with_null["enum"] = [*schema["enum"], None]
    return with_null


def both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """One object schema for what has to fit both."""
    joined = {**other, **one}
    mine, theirs = one.get("properties", {}), other.get("properties", {})
    joined["properties"] = {**theirs, **mine}
    for name in mine.keys() & theirs.keys():
        if mine[name] != theirs[name]:
            joined["properties"][name] = {"allOf": [mine[name], theirs[name]]}
    if required := list(dict.fromkeys([*one.get("required", ()), *other.get("required", ())])):
        joined["required"] = required
    if theirs and one.get("additionalProperties") != other.get("additionalProperties"):
        joined.pop("additionalProperties", None)
    return joined


def either(branches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One object schema for what has to fit one of several: the choice is left to the model, in words."""
    kinds: dict[str, list[Any]] = {}
    for branch in branches:
        for name, one in branch.get("properties", {}).items():
            known = kinds.setdefault(name, [])
            if one not in known:
                known.append(one)
    joined: dict[str, Any] = {
        "properties": {
            name: {"anyOf": found} if len(found) > 1 else found[0] for name, found in kinds.items()
        }
    }
    wanted = [branch.get("required", []) for branch in branches]
    if common := [name for name in wanted[0] if all(name in one for one in wanted)]:
        joined["required"] = common
    if all(branch.get("additionalProperties") is False for branch in branches):
        joined["additionalProperties"] = False
    choices = list(dict.fromkeys(" and ".join(one) for one in wanted if one))
    if len(choices) > 1:
        joined["description"] = f"Give {', or '.join(choices)}."
    return joined
