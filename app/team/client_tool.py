"""A tool that a client of the session runs, or a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClientTool:
    """`schema` is the JSON Schema of an object; `read_only` says that it changes nothing."""

    name: str
    description: str
    schema: Mapping[str, Any]
    by_worker: bool = False
    """A worker of a self-hosted environment makes the calls, and no person."""
    read_only: bool = False
