"""YAML text becomes plain data that remembers where each key and item stands, so that errors can say so.

Scalars follow YAML 1.2: `yes`, `on` and `2024-01-01` are text. Duplicate keys, foreign tags and endless
aliases are errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from app.team.problems import FieldFinding, Path
from app.team.written import WrittenFloat, WrittenInt

MAX_DEPTH = 50
MAX_NODES = 100_000  # an alias counts each time it is used: aliases of aliases can't grow without end


@dataclass(frozen=True, slots=True, order=True)
class SourcePosition:
    """Line and column in the file, both counted from one."""

    line: int = 1
    column: int = 1


class Table(dict[str, Any]):
    """A mapping whose keys know their places."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, SourcePosition] = {}

    def put(self, key: str, value: Any, place: SourcePosition) -> None:
        self[key] = value
        self.places[key] = place


class Items(list[Any]):
    """A sequence whose items know their places."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[SourcePosition] = []

    def add(self, value: Any, place: SourcePosition) -> None:
        self.append(value)
        self.places.append(place)


class DocumentError(Exception):
    """The text is not one well-formed YAML document."""

    def __init__(self, finding: FieldFinding, place: SourcePosition) -> None:
        super().__init__(finding.text)
        self.finding = finding
        self.place = place


def parse(text: str) -> Table:
    """The document's top level, which must be a mapping; raises DocumentError."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = SourcePosition(mark.line + 1, mark.column + 1) if mark else SourcePosition()
        raise DocumentError(FieldFinding((), error.problem or "is not valid YAML"), place) from error
    except yaml.YAMLError as error:
        raise DocumentError(
            FieldFinding((), f"is not valid YAML: {_first_line(error)}"), SourcePosition()
        ) from error
    except RecursionError as error:
        raise DocumentError(
            FieldFinding((), f"is nested more than {MAX_DEPTH} deep"), SourcePosition()
        ) from error
    if not isinstance(root, yaml.MappingNode):
        raise DocumentError(FieldFinding((), "must be a mapping with `agents`"), SourcePosition())
    table = _Builder().value(root, ())
    assert isinstance(table, Table)  # noqa: S101 - narrows the type; a mapping node builds a table
    return table


def place_of(data: Any, path: Path) -> SourcePosition:
    """Where the path leads; where the data ends before the path does, the last key that is there."""
    place = SourcePosition()
    for part in path:
        if isinstance(data, Items) and isinstance(part, str):
            data = next((item for item in data if isinstance(item, Table) and part in item), None)
        match data, part:
            case Table(), str() if part in data:
                place, data = data.places[part], data[part]
            case Items(), int() if part < len(data):
                place, data = data.places[part], data[part]
            case _:
                break
    return place


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars as YAML 1.2's core schema does."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way of starting without rules


_NULL, _BOOL, _INT, _FLOAT, _MERGE, _TEXT, _MAP, _SEQ = (
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "merge", "str", "map", "seq")
)

for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (_FLOAT, r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    (_MERGE, r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)

CORE_SCHEMA: Final = _Loader.yaml_implicit_resolvers


class _Builder:
    """Turns nodes into values; counts them, because an alias is built again wherever it is used."""

    def __init__(self) -> None:
        self._built = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._built += 1
        if len(path) > MAX_DEPTH or self._built > MAX_NODES:
            raise DocumentError(FieldFinding(path, "is too large or nested too deeply"), _place(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return self._table(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ:
            items = Items()
            for index, child in enumerate(node.value):
                items.add(self.value(child, (*path, index)), _place(child))
            return items
        if isinstance(node, yaml.ScalarNode) and node.tag in (_NULL, _BOOL, _INT, _FLOAT, _TEXT, _MERGE):
            return _scalar(node, path)
        raise DocumentError(FieldFinding(path, f"has a tag that is not supported: {node.tag}"), _place(node))

    def _table(self, node: yaml.MappingNode, path: Path) -> Table:
        table = Table()
        for key, child in node.value:
            if key.tag == _MERGE:
                continue
            name = self._key(key, path)
            if name in table:
                raise DocumentError(FieldFinding((*path, name), "is there twice"), _place(key))
            table.put(name, self.value(child, (*path, name)), _place(key))
        for source, place in self._merged(node, path):
            for name, value in source.items():
                if name not in table:
                    table.put(name, value, place)
        return table

    def _key(self, key: yaml.Node, path: Path) -> str:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _NULL:
            raise DocumentError(FieldFinding(path, "has a key that is not text"), _place(key))
        return _storable(key, path)

    def _merged(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[Table, SourcePosition]]:
        """The values that `<<` brings in: one mapping or several, of which the first wins."""
        for key, child in node.value:
            if key.tag != _MERGE:
                continue
            merged = self.value(child, (*path, "<<"))
            for source in merged if isinstance(merged, Items) else [merged]:
                if not isinstance(source, Table):
                    raise DocumentError(FieldFinding((*path, "<<"), "must name a mapping"), _place(child))
                yield source, _place(key)


def _scalar(node: yaml.ScalarNode, path: Path) -> Any:
    text = _storable(node, path)
    if node.tag in (_TEXT, _MERGE):
        return text
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = whole(text) if node.tag == _INT else finite(text)
    except ValueError as error:
        kind = node.tag.rpartition(":")[2]
        raise DocumentError(FieldFinding(path, f"is not a valid {kind}"), _place(node)) from error
    number.text = text
    return number


def whole(text: str) -> WrittenInt:
    """ValueError for one that 64 bits don't hold."""
    number = WrittenInt(text, 0) if text[:2] in ("0o", "0x") else WrittenInt(text)
    if abs(number) >= 2**63:
        raise ValueError("too large for clients and databases")
    return number


def finite(text: str) -> WrittenFloat:
    """ValueError for a number that JSON doesn't have."""
    number = WrittenFloat(text)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _storable(node: yaml.ScalarNode, path: Path) -> str:
    """The scalar's text; a NUL or half a surrogate pair could be neither stored nor sent."""
    text = str(node.value)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise DocumentError(FieldFinding(path, "has a character that can't be stored"), _place(node))
    return text


def _place(node: yaml.Node) -> SourcePosition:
    return SourcePosition(node.start_mark.line + 1, node.start_mark.column + 1)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
