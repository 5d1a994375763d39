"""Which variables of the server's environment the commands of its tools get."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

PASSED_ON: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"),
    *("TERM", "TZ", "LANG", "LANGUAGE", "LC_*"),
)
"""A star at the end stands for any rest."""

VARIABLE: Final = "BATON_TOOLS_ENVIRONMENT"
"""The setting that names more of them."""

_NEVER: Final = ("BATON_", "ANTHROPIC_")


def for_commands(environment: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A command's environment. `environment` is the server's, of which little is passed on; `extra` is what the
    agent's file names, and wins. The server's settings and keys are in neither."""
    names = (*PASSED_ON, *parse(environment.get(VARIABLE, "")))
    passed = {name: value for name, value in environment.items() if _is_named(name, names)}
    return {name: value for name, value in {**passed, **(extra or {})}.items() if not name.startswith(_NEVER)}


def parse(text: str) -> tuple[str, ...]:
    """The names in a setting, separated by commas. Raises ValueError."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*\*?", name):
            raise ValueError(
                f"{name!r} is not a variable's name, nor the beginning of one with a star behind it"
            )
        if name.startswith(_NEVER):
            raise ValueError(f"{name} is the server's own, and no command gets it")
    return names


def _is_named(variable: str, names: Iterable[str]) -> bool:
    return any(variable.startswith(name[:-1]) if name.endswith("*") else variable == name for name in names)
