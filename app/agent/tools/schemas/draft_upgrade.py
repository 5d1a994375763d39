"""Says a schema of any draft anew in the words of draft 2020-12, where it is clear what is meant."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from app.agent.tools.schemas.keywords import (
    CHOICES,
    MAX_DEPTH,
    NotClear,
    called,
    either_of,
    flag,
    is_pattern,
    keys_of,
    number,
    plain,
    pointed_at,
    required_inside,
    type_named,
    words_in,
)
from app.agent.tools.schemas.merging import both, either, nullable

MAX_PARTS: Final = 20_000  # of a schema

_KEY: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_ODD: Final = re.compile(r"[^a-zA-Z0-9_.-]+")
_MAX_KEY: Final = 64

_SCHEMAS: Final = ("contains", "else", "if", "not", "propertyNames", "then")
_SCHEMAS_OR_BOOLEANS: Final = ("additionalProperties", "unevaluatedItems", "unevaluatedProperties")
_MAPS: Final = ("patternProperties",)
_EXCLUSIVE: Final = {"maximum": "exclusiveMaximum", "minimum": "exclusiveMinimum"}
_COUNTS: Final = (
    *("maxContains", "maxItems", "maxLength", "maxProperties"),
    *("minContains", "minItems", "minLength", "minProperties"),
)
_FLAGS: Final = ("deprecated", "readOnly", "uniqueItems", "writeOnly")
_TEXTS: Final = (
    "$comment",
    "contentEncoding",
    "contentMediaType",
    "description",
    "format",
    "pattern",
    "title",
)
_DROPPED: Final = (
    *("$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$schema", "$vocabulary", "id"),
    *("additionalItems", "definitions", "disallow", "divisibleBy", "extends", "nullable", "optional"),
)

Json = Mapping[str, Any]


class SchemaUpgrader:
    """Works on one schema. Every schema that is referred to becomes one of `$defs`."""

    def __init__(self, schema: Json) -> None:
        self._whole = schema
        self._parts = 0
        self._keys = set(keys_of(schema))
        self.names: dict[str, str] = {}  # of properties that can't be called so
        self._defs: dict[str, Any] = {}
        self._defined: dict[str, str] = {}  # by the pointer
        self._waiting: list[tuple[str, Any]] = []

    def root(self) -> dict[str, Any]:
        mended = self._schema(self._whole, 0)
        while self._waiting:
            name, found = self._waiting.pop()
            self._defs[name] = self._schema(found, 0)
        if not isinstance(mended, dict):
            raise NotClear("its schema takes nothing, or anything")
        mended = self._one_object(mended)
        properties = mended.get("properties", {})
        mended = {**mended, "type": "object", "properties": properties}
        return {**mended, "$defs": self._defs} if self._defs else mended

    def _one_object(self, schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
        """The root says itself what it takes: no references, and no choices, which the API takes only further down."""
        if depth > MAX_DEPTH:
            raise NotClear("its schema has no end")
        kinds = schema.get("type", "object")
        if "object" not in ([kinds] if isinstance(kinds, str) else kinds):
            raise NotClear(f"it takes {either_of(kinds)}, not an object")
        rest = {
            name: part for name, part in schema.items() if name not in (*CHOICES, "$ref", "enum", "const")
        }
        joined = dict(rest)
        if isinstance(reference := schema.get("$ref"), str):
            found = self._defs.get(reference.removeprefix("#/$defs/"))
            if not isinstance(found, dict):
                raise NotClear("its schema refers to itself, or to nothing")
            joined = both(joined, self._one_object(found, depth + 1))
        for one in schema.get("allOf", ()):
            joined = both(joined, self._part(one, depth))
        for word in ("anyOf", "oneOf"):
            if branches := [self._part(one, depth) for one in schema.get(word, ())]:
                choice = either(branches)
                told = [one["description"] for one in (joined, choice) if "description" in one]
                joined = both(joined, choice) | ({"description": " ".join(told)} if told else {})
        return joined

    def _part(self, schema: Any, depth: int) -> dict[str, Any]:
        return self._one_object(schema, depth + 1) if isinstance(schema, dict) else {}

    # ---- every schema

    def _schema(self, schema: Any, depth: int) -> Any:
        """A mended schema: a new dictionary or a boolean."""
        self._parts += 1
        if self._parts > MAX_PARTS or depth > MAX_DEPTH:
            raise NotClear("its schema is too large")
        if isinstance(schema, bool):
            return schema
        if schema is None:
            return {}
        if isinstance(schema, str):
            return type_named(schema)
        if not isinstance(schema, Mapping):
            raise NotClear(f"a schema in it is {schema!r:.40}")
        mended: dict[str, Any] = {}
        for word, part in schema.items():
            self._keyword(str(word), part, schema, mended, depth + 1)
        self._older_drafts(schema, mended, depth + 1)
        return nullable(mended) if schema.get("nullable") is True else mended

    def _keyword(self, word: str, part: Any, schema: Json, mended: dict[str, Any], depth: int) -> None:
        match word:
            case "type":
                mended.update(self._type(part, depth))
            case "properties":
                mended.update(self._properties(part, depth))
                required = required_inside(part)
                mended["required"] = [*mended.get("required", []), *map(self._named, required)]
            case "required" if flag(part) is not None:
                mended["required"] = mended.get("required", [])
            case "required":
                wanted = [part] if isinstance(part, str) else part if isinstance(part, list | tuple) else []
                names = [self._named(one) for one in wanted if isinstance(one, str)]
                mended["required"] = [*mended.get("required", []), *names]
            case "items" if isinstance(part, list | tuple):
                if part:
                    mended["prefixItems"] = [self._schema(one, depth) for one in part]
                if (rest := schema.get("additionalItems")) is not None:
                    mended["items"] = self._schema(rest, depth)
            case "items":
                if part is not None:
                    mended["items"] = self._schema(part, depth)
            case "prefixItems":
                if isinstance(part, list | tuple) and part:
                    mended[word] = [self._schema(one, depth) for one in part]
            case "$ref" | "$recursiveRef":
                if isinstance(part, str):
                    mended.update(self._reference(part))
            case "$defs":
                pass  # those that are referred to find their way
            case "enum":
                self._enum(part, mended)
            case "const" | "default":
                mended[word] = plain(part)
            case "examples":
                if part is not None:
                    mended[word] = plain(part if isinstance(part, list) else [part])
            case "dependencies" | "dependentSchemas" | "dependentRequired":
                self._dependencies(part, mended, depth)
            case "exclusiveMaximum" | "exclusiveMinimum" if isinstance(part, bool):
                self._exclusive(word, part, schema, mended)
            case "maximum" | "minimum" if schema.get(_EXCLUSIVE[word]) is True:
                pass  # the flag says what it is
            case "maximum" | "minimum" | "exclusiveMaximum" | "exclusiveMinimum" | "multipleOf":
                if (limit := number(part)) is not None and (word != "multipleOf" or limit > 0):
                    mended.setdefault(word, limit)
            case _ if word in _COUNTS:
                limit = number(part)
                if limit is not None and limit >= 0 and limit == int(limit):
                    mended[word] = int(limit)
            case _ if word in _FLAGS:
                if (switch := flag(part)) is not None:
                    mended[word] = switch
            case "pattern" if not is_pattern(part):
                mended["description"] = f"{words_in(schema)} (pattern: {plain(str(part))})".strip()
            case "description" if not is_pattern(schema.get("pattern", "")):
                pass  # told with the pattern
            case _ if word in _TEXTS:
                if part is not None:
                    mended[word] = plain(part if isinstance(part, str) else str(part))
            case _ if word in _SCHEMAS:
                if part is not None:
                    mended[word] = self._schema(part, depth)
            case _ if word in _SCHEMAS_OR_BOOLEANS:
                if part is not None:
                    switch = flag(part)
                    mended[word] = switch if switch is not None else self._schema(part, depth)
            case _ if word in CHOICES:
                parts = part if isinstance(part, list | tuple) else [part]
                if parts := [one for one in parts if one is not None]:
                    mended[word] = [self._schema(one, depth) for one in parts]
            case _ if word in _MAPS:
                if isinstance(part, Mapping):
                    mended[word] = {
                        str(plain(str(name))): self._schema(one, depth)
                        for name, one in part.items()
                        if is_pattern(name)
                    }
            case _ if word in _DROPPED:
                pass
            case _:
                mended[str(plain(word))] = plain(part)  # an annotation that no draft knows

    def _older_drafts(self, schema: Json, mended: dict[str, Any], depth: int) -> None:
        """Keywords that have another name today."""
        if (step := number(schema.get("divisibleBy"))) is not None and step > 0:
            mended.setdefault("multipleOf", step)
        if (above := schema.get("extends")) is not None:
            parts = above if isinstance(above, list) else [above]
            mended["allOf"] = [*mended.get("allOf", []), *(self._schema(one, depth) for one in parts)]
        if "required" in mended:
            names = list(dict.fromkeys(mended.pop("required")))
            mended |= {"required": names} if names else {}

    def _type(self, part: Any, depth: int) -> dict[str, Any]:
        if part is None:
            return {}
        if isinstance(part, Mapping):
            found = self._schema(part, depth)
            return found if isinstance(found, dict) else {}
        if isinstance(part, str):
            return type_named(part)
        if not isinstance(part, list | tuple):
            raise NotClear(f"a type in it is {part!r:.40}")
        if any(isinstance(one, Mapping) for one in part):
            return {"anyOf": [self._schema(one, depth) for one in part]}
        kinds: list[str] = []
        for one in part:
            found = type_named(one) if one is not None else {"type": "null"}
            if not found:
                return {}  # one of them is anything
            kinds.append(found["type"])
        kinds = list(dict.fromkeys(kinds))
        return {"type": kinds if len(kinds) > 1 else kinds[0]} if kinds else {}

    def _properties(self, part: Any, depth: int) -> dict[str, Any]:
        if isinstance(part, list) and all(isinstance(one, Mapping) and "name" in one for one in part):
            part = {str(one["name"]): {k: v for k, v in one.items() if k != "name"} for one in part}
        if part is None or part == []:
            part = {}
        if not isinstance(part, Mapping):
            raise NotClear(f"its properties are {part!r:.40}")
        properties = {}
        for name, one in part.items():
            named = self._named(str(name))
            found = self._schema(one, depth)
            properties[named] = called(found, str(name)) if named != name else found
        return {"properties": properties}

    def _named(self, name: str) -> str:
        """The model's name for a property."""
        if _KEY.fullmatch(name):
            return name
        if name not in self.names:
            stem = _ODD.sub("_", name).strip("_")[:_MAX_KEY] or "argument"
            new, count = stem, 1
            if len(name) > _MAX_KEY:
                digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
                new = stem = f"{stem[:50]}_{digest}"
            while new in self._keys or new in self.names.values():
                count += 1
                new = f"{stem[:58]}_{count}"
            self.names[name] = new
        return self.names[name]

    def _reference(self, pointer: str) -> dict[str, Any]:
        if pointer in ("#", "#/"):
            return {"$ref": "#"}
        if pointer not in self._defined:
            found = pointed_at(self._whole, pointer)
            if found is None:
                return {}  # it is nowhere in the schema, so it says nothing
            name = _ODD.sub("_", pointer.rpartition("/")[2])[:_MAX_KEY].strip("_") or "part"
            while name in self._defined.values():
                name += "_"
            self._defined[pointer] = name
            self._waiting.append((name, found))
        return {"$ref": f"#/$defs/{self._defined[pointer]}"}

    def _enum(self, part: Any, mended: dict[str, Any]) -> None:
        if part is None or part == []:
            return
        if isinstance(part, Mapping):
            raise NotClear("an enum in it is an object")
        values = part if isinstance(part, list | tuple) else [part]
        mended["enum"] = [plain(one) for one in values]

    def _dependencies(self, part: Any, mended: dict[str, Any], depth: int) -> None:
        for name, needs in part.items() if isinstance(part, Mapping) else ():
            needs = [needs] if isinstance(needs, str) else needs
            if isinstance(needs, list | tuple):
                names = dict.fromkeys(self._named(one) for one in needs if isinstance(one, str))
                mended.setdefault("dependentRequired", {})[self._named(str(name))] = list(names)
            else:
                mended.setdefault("dependentSchemas", {})[self._named(str(name))] = self._schema(needs, depth)

    @staticmethod
    def _exclusive(word: str, part: bool, schema: Json, mended: dict[str, Any]) -> None:
        """A flag beside the limit, as draft 4 has it."""
        limit = "maximum" if word == "exclusiveMaximum" else "minimum"
        bound = number(schema.get(limit))
        if part and bound is not None:
            mended[word] = bound
