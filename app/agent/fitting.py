"""Makes a tool one that the Messages API takes, wherever it comes from: one that it refuses fails every request."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any, Final

from app.agent.tools.schemas.fitting import Fitted, UnusableSchema, fitted
from app.agent.toolset import Tool

MAX_NAME: Final = 128

_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")


class Fitter:
    """For one run's thread. What it has found out of a schema is kept, for tools are listed anew at each turn."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Fitted | UnusableSchema]] = {}  # by the schema's identity

    def fit(self, tool: Tool) -> Tool:
        """The tool itself if it is fit already. Raises UnusableSchema, also for one without a name."""
        name = _name(tool.name)
        if tool.parameters is None:
            return tool if name == tool.name else replace(tool, name=name)
        found = self._fitted(tool.parameters)
        if not found.names and found.schema == tool.parameters and name == tool.name:
            return tool
        restore = found.restored if found.names else None
        return replace(tool, name=name, parameters=found.schema, restore=restore)

    def _fitted(self, schema: Any) -> Fitted:
        known = self._known.get(id(schema))
        if known is None or known[0] is not schema:
            found: Fitted | UnusableSchema
            try:
                found = fitted(schema)
            except UnusableSchema as problem:
                found = problem
            known = self._known[id(schema)] = (schema, found)
        if isinstance(known[1], UnusableSchema):
            raise UnusableSchema(str(known[1]))
        return known[1]


def _name(name: str) -> str:
    """As near to the tool's own as the API takes."""
    if not name.strip():
        raise UnusableSchema("it has no name")
    fit = _ODD.sub("_", name)
    if len(fit) <= MAX_NAME:
        return fit
    return f"{fit[: MAX_NAME - 9]}_{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"
