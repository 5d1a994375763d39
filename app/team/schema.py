"""The JSON Schema of the agent files that are accepted: for editors, and for programs that write them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from app.team.config import TeamFile
from app.team.fields import AgentFilePart


@cache
def agent_file_schema() -> dict[str, Any]:
    """Describes the newest version. Demands of one field on another are left to the loader."""
    schema = TeamFile.model_json_schema(by_alias=True, mode="validation")
    parts = {TeamFile.__name__: schema, **schema.get("$defs", {})}
    for kind in _kinds(AgentFilePart):
        _describe(kind, parts.get(kind.__name__, {}).get("properties", {}))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Baton agent file"}


def _kinds(kind: type[AgentFilePart]) -> Iterator[type[AgentFilePart]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


def _describe(kind: type[AgentFilePart], properties: dict[str, Any]) -> None:
    """Gives each field the string below it as its description. Pydantic could do so too, but at each start."""
    for ancestor in reversed(kind.__mro__):
        if not issubclass(ancestor, AgentFilePart):
            continue
        for name, words in _docstrings(ancestor):
            field = kind.model_fields.get(name)
            shown = properties.get(field.alias or name) if field is not None else None
            if shown is not None:
                shown["description"] = words


def _docstrings(kind: type) -> Iterator[tuple[str, str]]:
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - it is a class's source
    for field, words in zip(definition.body, definition.body[1:], strict=False):
        match field, words:
            case (ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text)))):
                yield name, inspect.cleandoc(text)
