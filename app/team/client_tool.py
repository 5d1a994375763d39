"""A tool that a client of the session runs. No agent file has one: such agents are made through an API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClientTool:
    """`schema` is the JSON Schema of an object."""

    name: str
    description: str
    schema: Mapping[str, Any]
