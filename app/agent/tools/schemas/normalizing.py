"""The parameters of strangers' tools, as the Messages API wants them: JSON Schemas of draft 2020-12, an object at
the root, and property names of few characters; and the way back, from a call's arguments to those that the tool
knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.agent.tools.schemas.draft_upgrade import MAX_PARTS, SchemaUpgrader
from app.agent.tools.schemas.keywords import CHOICES, MAX_DEPTH, NotClear

Json = Mapping[str, Any]


class UnusableSchema(Exception):
    """The tool's parameters can't be told to the model; the message says why."""


@dataclass(frozen=True, slots=True)
class NormalizedSchema:
    """A schema that the API takes. `names` has those of the properties that were renamed, by their new ones."""

    schema: dict[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)

    def restored(self, arguments: Json) -> dict[str, Any]:
        """Arguments as the tool itself calls them."""
        if not self.names:
            return dict(arguments)
        restored: dict[str, Any] = self._restored(arguments, [self.schema], 0)
        return restored

    def _restored(self, value: Any, schemas: Sequence[Any], depth: int) -> Any:
        if depth > MAX_DEPTH or not isinstance(value, dict | list):
            return value
        places = self._places(schemas)
        if isinstance(value, list):
            return [self._restored(one, _items(places, index), depth + 1) for index, one in enumerate(value)]
        return {
            self._name(name, places): self._restored(one, _properties(places, name), depth + 1)
            for name, one in value.items()
        }

    def _name(self, name: str, places: Sequence[Json]) -> str:
        known = any(name in place.get("properties", {}) for place in places)
        return self.names.get(name, name) if known else name

    def _places(self, schemas: Sequence[Any]) -> list[Json]:
        """All the schemas that a value may have to fit."""
        places: dict[int, Json] = {}
        waiting = list(schemas)
        while waiting and len(places) < MAX_PARTS:
            schema = waiting.pop()
            if not isinstance(schema, Mapping) or id(schema) in places:
                continue
            places[id(schema)] = schema
            waiting += [one for word in CHOICES for one in schema.get(word, ())]
            waiting += [schema[word] for word in ("if", "then", "else") if word in schema]
            waiting += schema.get("dependentSchemas", {}).values()
            reference = schema.get("$ref")
            if reference == "#":
                waiting.append(self.schema)
            elif isinstance(reference, str):
                waiting.append(self.schema.get("$defs", {}).get(reference.removeprefix("#/$defs/")))
        return list(places.values())


def fitted(schema: Any) -> NormalizedSchema:
    """Raises UnusableSchema where it is not clear what is meant, or can't be said to the API at all."""
    if schema is None:
        return NormalizedSchema({"type": "object", "properties": {}})
    if not isinstance(schema, Mapping):
        raise UnusableSchema(f"its schema is {schema!r:.40}, not an object")
    mender = SchemaUpgrader(schema)
    try:
        mended = mender.root()
    except NotClear as problem:
        raise UnusableSchema(str(problem)) from problem
    return NormalizedSchema(mended, {new: old for old, new in mender.names.items()})


def _items(places: Sequence[Json], index: int) -> list[Any]:
    found = []
    for place in places:
        first = place.get("prefixItems", [])
        found.append(first[index] if index < len(first) else place.get("items"))
    return found


def _properties(places: Sequence[Json], name: str) -> list[Any]:
    found = []
    for place in places:
        if name in place.get("properties", {}):
            found.append(place["properties"][name])
        else:
            found += [place.get("additionalProperties"), *place.get("patternProperties", {}).values()]
    return found
