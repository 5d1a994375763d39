"""The schema of a structured output, as the Messages API can hold a model to it; limits are told in words later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Path = tuple[str | int, ...]

_TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")
_CHOICES: Final = ("anyOf", "oneOf", "allOf")
_OF_OBJECTS: Final = ("properties", "required", "additionalProperties")
_OF_LISTS: Final = ("items", "prefixItems", "minItems", "maxItems", "uniqueItems")
_WORDS: Final = ("title", "description")
_SCALARS: Final = ("string", "number", "boolean", "null")
_DEFINITIONS: Final = ("$defs", "definitions")
_SAYS_NOTHING: Final = ("$id", "$schema", "$comment", "id", "nullable", *_DEFINITIONS)
_MAX_DEPTH: Final = 50

Json = Mapping[str, Any]


class NotPossible(Exception):
    """The API can't hold a model to the schema; `path` leads to the place, and the message says why."""

    def __init__(self, words: str, path: Path) -> None:
        super().__init__(words)
        self.path = path


def for_the_api(schema: Json) -> dict[str, Any]:
    """One type at each place, and no schemas that are booleans. Raises NotPossible."""
    if not isinstance(schema, Mapping):
        raise NotPossible("the schema must be an object", ())
    definitions = {
        f"#/{word}/{name}": (word, name, one)
        for word in _DEFINITIONS
        if isinstance(group := schema.get(word), Mapping)
        for name, one in group.items()
    }
    reader = _SchemaReader(definitions)
    found: dict[str, Any] = reader.read(schema, ())
    defined = {
        str(name): reader.read(one, (word, str(name)))
        for pointer, (word, name, one) in definitions.items()
        if pointer in reader.used
    }
    return {**found, "$defs": defined} if defined else found


class _SchemaReader:
    def __init__(self, definitions: Mapping[str, tuple[str, str, Any]]) -> None:
        self._definitions = definitions
        self._open: list[str] = []  # the definitions that are being looked at
        self.used: set[str] = set()

    def read(self, schema: Any, path: Path) -> dict[str, Any]:
        if len(path) > _MAX_DEPTH:
            raise NotPossible("the schema is nested too deeply", path)
        if schema is True:
            schema = {}
        if schema is False:
            raise NotPossible("nothing fits `false`, and the API can't say so", path)
        if not isinstance(schema, Mapping):
            raise NotPossible("a schema must be an object", path)
        said = {str(word): part for word, part in schema.items() if word not in _SAYS_NOTHING}
        if schema.get("nullable") is True:
            words = _taken(said, _WORDS)
            return {**words, "anyOf": [self.read(said, path), {"type": "null"}]}
        if "$ref" in said:
            return self._reference(said["$ref"], path)
        if "enum" in said or "const" in said:
            return self._literals(said, path)
        kinds = self._kinds(said, path)
        choices = [word for word in _CHOICES if word in said]
        if choices and not (kinds == ["object"] and "properties" in said):
            return self._choice(said, choices, path)
        if len(kinds) == 1:
            return self._of(kinds[0], said, path)
        words = _taken(said, _WORDS)
        return {**words, "anyOf": [self._of(kind, _of_kind(said, kind), path) for kind in kinds]}

    def _kinds(self, said: Json, path: Path) -> list[str]:
        written = said.get("type")
        if written is None:
            if any(word in said for word in _OF_OBJECTS):
                return ["object"]
            return ["array"] if any(word in said for word in _OF_LISTS) else list(_SCALARS)
        kinds = [written] if isinstance(written, str) else written
        if not isinstance(kinds, list | tuple) or not kinds:
            raise NotPossible("a type must be one of " + ", ".join(_TYPES), (*path, "type"))
        for kind in kinds:
            if kind not in _TYPES:
                raise NotPossible(f"there is no type {kind!r}", (*path, "type"))
        return list(dict.fromkeys(kinds))

    def _of(self, kind: str, said: Mapping[str, Any], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {**said, "type": kind}
        if kind == "object":
            return self._object(found, path)
        return self._list(found, path) if kind == "array" else found

    def _object(self, found: dict[str, Any], path: Path) -> dict[str, Any]:
        for word in _CHOICES:
            if word in found:  # the API would take it in place of the properties; so it is told in words
                found[f"must also fit {word}"] = found.pop(word)
        properties = found.get("properties") or {}
        required = found.get("required")
        required = required if isinstance(required, list | tuple) else []
        if not isinstance(properties, Mapping):
            raise NotPossible("the properties must be an object", (*path, "properties"))
        found["properties"] = {
            str(name): self.read(one, (*path, "properties", str(name)))
            for name, one in properties.items()
            if one is not False or name in required  # the object is closed anyway
        }
        for name in required:
            if not isinstance(name, str):
                raise NotPossible("what is required must be names of properties", (*path, "required"))
            found["properties"].setdefault(name, self.read({}, path))
        if "required" in found:
            found["required"] = list(dict.fromkeys(required))
        return found

    def _list(self, found: dict[str, Any], path: Path) -> dict[str, Any]:
        """A list of different things becomes one of any of them."""
        items, first = found.get("items", True), found.pop("prefixItems", None)
        place = "prefixItems"
        if isinstance(items, list | tuple):
            items, first, place = found.pop("additionalItems", False), items, "items"
        if isinstance(first, list | tuple) and first:
            kinds = [self.read(one, (*path, place, index)) for index, one in enumerate(first)]
            if items not in (True, False, None):
                kinds.append(self.read(items, (*path, "items")))
            distinct = [one for index, one in enumerate(kinds) if one not in kinds[:index]]
            found["items"] = distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
        else:
            found["items"] = self.read(items, (*path, "items"))
        return found

    def _choice(self, said: Mapping[str, Any], choices: Sequence[str], path: Path) -> dict[str, Any]:
        word = choices[0]
        parts = said[word]
        if not isinstance(parts, list | tuple) or not parts:
            raise NotPossible(f"{word} must be a list of schemas", (*path, word))
        read = [self.read(one, (*path, word, index)) for index, one in enumerate(parts)]
        return {**_taken(said, _WORDS), "allOf" if word == "allOf" else "anyOf": read}

    def _literals(self, said: Mapping[str, Any], path: Path) -> dict[str, Any]:
        word = "enum" if "enum" in said else "const"
        values = said[word] if word == "enum" else [said[word]]
        if not isinstance(values, list | tuple) or not values:
            raise NotPossible("an enum must be a list of values", (*path, word))
        if not all(value is None or isinstance(value, str | int | float | bool) for value in values):
            raise NotPossible("the API takes texts, numbers, booleans and null here only", (*path, word))
        return {**_taken(said, _WORDS), word: list(values) if word == "enum" else values[0]}

    def _reference(self, pointer: Any, path: Path) -> dict[str, Any]:
        if pointer not in self._definitions:
            raise NotPossible(f"there is nothing at {pointer!r}", (*path, "$ref"))
        if pointer in self._open:
            raise NotPossible("the API takes no schema that contains itself", (*path, "$ref"))
        word, name, schema = self._definitions[pointer]
        if pointer not in self.used:
            self._open.append(pointer)
            self.read(schema, (word, str(name)))
            self._open.pop()
            self.used.add(pointer)
        return {"$ref": f"#/$defs/{name}"}


def _taken(said: Json, words: tuple[str, ...]) -> dict[str, Any]:
    return {word: said[word] for word in words if word in said}


def _of_kind(said: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The part of a schema of several types that is about one of them."""
    foreign = {*_WORDS, *(_OF_OBJECTS if kind != "object" else ()), *(_OF_LISTS if kind != "array" else ())}
    if kind in ("null", "boolean"):
        return {}
    return {word: part for word, part in said.items() if word not in foreign}
