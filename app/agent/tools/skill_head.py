"""The head of a skill: what its SKILL.md says of it."""

from __future__ import annotations

from typing import Any, Final

from app.team.foreign_yaml import ForeignYamlError, foreign_yaml

MAIN: Final = "SKILL.md"
MAX_FILE: Final = 200_000  # bytes


def front_matter(text: str) -> dict[str, Any]:
    """The YAML at the head of a SKILL.md; empty if there is none that can be read."""
    begin, _, rest = text.partition("---\n")
    head, end, _ = rest.partition("\n---")
    if begin.strip("\ufeff \n") or not end:
        return {}
    try:
        value = foreign_yaml(head)
    except ForeignYamlError:
        return {}
    return value if isinstance(value, dict) else {}
