"""An error in an agent file, and its text: file, line, column, field, sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

Path = tuple[str | int, ...]

INLINE, NAMED = KINDS = ("(inline)", "(named)")
"""Two ways to write a skill; pydantic puts them into its paths, where nobody has written them."""


@dataclass(frozen=True, slots=True)
class FieldFinding:
    """A sentence about a field; the place in the file is looked up later."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One line for a person: `agents/x.yaml:12:5: agents.root.toolsets[0].typ: unknown field; …`."""

    source: str
    line: int
    column: int
    field: str
    text: str

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}"
        return f"{place}: {self.field}: {self.text}" if self.field else f"{place}: {self.text}"


def spell(path: Path) -> str:
    """`("agents", "root", "toolsets", 0)` as `agents.root.toolsets[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def findings(error: ValidationError) -> Iterator[FieldFinding]:
    """Pydantic's errors in our words. Values are never repeated: they may be secrets."""
    for item in error.errors(include_url=False, include_input=False):
        context = item.get("ctx", {})
        path = tuple(part for part in item["loc"] if part not in KINDS)
        if "found" in context:
            yield from (FieldFinding((*path, *inner), words) for inner, words in context["found"])
            continue
        text = _sentence(item["type"], context, item["msg"])
        yield from (FieldFinding((*path, *inner), text) for inner in context.get("paths", [()]))


_SENTENCES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "missing": "is required",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
}


def _sentence(kind: str, context: dict[str, Any], otherwise: str) -> str:
    return _SENTENCES[kind].format(**context) if kind in _SENTENCES else otherwise


def quoted_list(words: Iterable[str]) -> str:
    """`'a', 'b' or 'c'`."""
    *rest, last = (f"'{word}'" for word in words)
    return f"{', '.join(rest)} or {last}" if rest else last
