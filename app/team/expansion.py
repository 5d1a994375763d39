"""Variables in agent files: `${env.X}` in texts, filled in on loading; `$X` in toolsets' `env`, later."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.errors import MissingEnvironment

_TERM = r"""(?:env\.[A-Za-z_]\w*|'[^'{}]*'|"[^"{}]*")"""
_EXPRESSION = re.compile(rf"\$\{{\s*(env\.[A-Za-z_]\w*(?:\s*\|\|\s*{_TERM})*)\s*\}}")
_ALTERNATIVE = re.compile(_TERM)
_VARIABLE = re.compile(r"\$(?:\{(?:env\.)?([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_REFERENCE = re.compile(r"\$(?:\{(?:(?:env|headers)\.)?[A-Za-z_][\w-]*\}|[A-Za-z_]\w*)")


class Expander:
    """Expands texts, and remembers which variables they needed: they are part of what the team is."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.used: dict[str, str] = {}

    def expand(self, text: str) -> str:
        """`${env.A || env.B || 'x'}` becomes the first that is not empty; any other `${…}` stays."""
        return _EXPRESSION.sub(lambda match: self._first(match[1]), text)

    def expand_all(self, values: Mapping[str, str]) -> dict[str, str]:
        return {key: self.expand(value) for key, value in values.items()}

    def _first(self, expression: str) -> str:
        value = ""
        for term in _ALTERNATIVE.findall(expression):
            value = self._look_up(term.removeprefix("env.")) if term.startswith("env.") else term[1:-1]
            if value:
                break
        return value

    def _look_up(self, name: str) -> str:
        return self.used.setdefault(name, self._environment.get(name, ""))


def expand_variables(value: str, environment: Mapping[str, str]) -> str:
    """A toolset's `$NAME` and `${NAME}`; raises MissingEnvironment, which makes the toolset a warning."""

    def look_up(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in environment:
            raise MissingEnvironment(f'environment variable "{name}" not set', names=[name])
        return environment[name]

    return _VARIABLE.sub(look_up, value)


def is_reference(value: str) -> bool:
    """Whether the value is nothing but a reference, so that showing it gives no secret away."""
    return _REFERENCE.fullmatch(value) is not None
