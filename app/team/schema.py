"""The JSON Schema of the agent files that are accepted: for editors, and for programs that write them."""

from __future__ import annotations

from functools import cache
from typing import Any

from app.team.config import TeamFile


@cache
def agent_file_schema() -> dict[str, Any]:
    """Describes the newest version. What one field demands of another only the loader knows."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TeamFile.model_json_schema(by_alias=True, mode="validation"),
        "title": "Baton agent file",
    }
