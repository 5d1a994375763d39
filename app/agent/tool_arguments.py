"""A call's arguments as the tool's schema wants them: mended where their meaning is clear, else refused in words that
the model can use."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from app.conversation.json_text import loads, mended

MAX_NAMED: Final = 5
"""Problems that one refusal tells."""

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_NAMES: Final = {
    **dict.fromkeys(("string", "str"), "a string"),
    **dict.fromkeys(("number", "int", "float"), "a number"),
    **dict.fromkeys(("boolean", "bool"), "a boolean"),
    **dict.fromkeys(("array", "list"), "a list"),
    **dict.fromkeys(("object", "dict"), "an object"),
    **dict.fromkeys(("null", "NoneType"), "null"),
    "integer": "a whole number",
}
_WORDS: Final = {"true": True, "false": False}

Schema = Mapping[str, Any]


class Unfit(Exception):
    """The arguments are not what the tool takes; the message says all that is wrong with them."""


def fitted(schema: Schema | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A string that holds JSON where a list, an object, a number or a boolean is due is unwrapped; a name in another
    spelling (`old_text` for `oldText`) is set right; null for what may be left out is left out."""
    value = _fitted(schema or {}, dict(arguments))
    return value if isinstance(value, dict) else dict(arguments)


def check(schema: Schema | None, arguments: Mapping[str, Any], *, strictly: bool = False) -> None:
    """Types, `required` (unless there is a default) and `enum`; Unfit. A name that the schema does not have is refused
    if another is missing or if it looks like one that was not given, and of no account otherwise. How large a number or
    a list may be is for the tool to say. A tool without a schema takes anything. `strictly` refuses each name that a
    closed schema does not have."""
    problems = [] if schema is None else list(_problems(schema, arguments, "", strictly))
    if problems:
        more = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        raise Unfit("; ".join(problems[:MAX_NAMED]) + more)


def _fitted(schema: Any, value: Any) -> Any:
    if not isinstance(schema, Mapping):
        return value
    kinds = _kinds(schema)
    if isinstance(value, str) and kinds and "string" not in kinds:
        value = _unwrapped(value, kinds)
    if isinstance(value, float) and "integer" in kinds and "number" not in kinds:
        return _as_integer(value)
    if isinstance(value, list):
        return [_fitted(schema.get("items"), item) for item in value]
    if isinstance(value, dict):
        return _fitted_object(schema, value)
    return value


def _fitted_object(schema: Schema, value: Mapping[str, Any]) -> dict[str, Any]:
    known = schema.get("properties")
    if not isinstance(known, Mapping):
        return dict(value)
    required = schema.get("required") or ()
    spelled = {_plain(name): name for name in known if name not in value}
    fits: dict[str, Any] = {}
    for given, inner in value.items():
        name = given if given in known else spelled.pop(_plain(given), given)
        wanted = known.get(name)
        inner = _fitted(wanted, inner)
        kinds = _kinds(wanted) if isinstance(wanted, Mapping) else ()
        if inner is None and kinds and "null" not in kinds and name not in required:
            continue
        fits[name] = inner
    return fits


def _unwrapped(text: str, kinds: Sequence[str]) -> Any:
    """The JSON in a string, if it is of one of the kinds that are due."""
    words = text.strip()
    if "boolean" in kinds and words.lower() in _WORDS:
        return _WORDS[words.lower()]
    try:
        value = mended(loads(words))
    except ValueError:
        return text
    if isinstance(value, float) and "integer" in kinds and "number" not in kinds:
        value = _as_integer(value)
    return value if _is_one_of(value, kinds) else text


def _as_integer(value: float) -> int | float:
    """The same number; as a float if it is not whole, or has more bits than what is stored may have."""
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


def _problems(schema: Any, value: Any, where: str, strictly: bool) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    kinds = _kinds(schema)
    if kinds and not _is_one_of(value, kinds):
        wanted = " or ".join(_NAMES[kind] for kind in kinds if kind != "null") or "null"
        yield f"{where or 'the arguments'} must be {wanted}, not {_NAMES[type(value).__name__]}"
        return
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in (*choices, ""):  # empty is for the tool to understand
        yield f"{where} must be one of {', '.join(map(str, choices))}, not {str(value)[:100]!r}"
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _problems(schema.get("items"), item, f"{where}[{number}]", strictly)
    if isinstance(value, Mapping):
        yield from _problems_of_object(schema, value, where, strictly)


def _problems_of_object(
    schema: Schema, value: Mapping[str, Any], where: str, strictly: bool
) -> Iterator[str]:
    known = schema.get("properties")
    known = known if isinstance(known, Mapping) else {}
    dot = f"{where}." if where else ""
    missing = [
        name
        for name in schema.get("required") or ()
        if name not in value and "default" not in (known.get(name) or {})
    ]
    yield from (f"{dot}{name} is missing" for name in missing)
    free = [name for name in known if name not in value]
    for name, inner in value.items():
        if name in known:
            yield from _problems(known[name], inner, f"{dot}{name}", strictly)
        elif schema.get("additionalProperties") is False:
            near = difflib.get_close_matches(name, free, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            if near or missing or strictly:
                yield f"there is no argument {dot}{name[:100]} ({hint})"


def _kinds(schema: Schema) -> Sequence[str]:
    """Empty if any kind will do, or if something else than `type` says which."""
    given = schema.get("type")
    named = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return named if all(isinstance(kind, str) and kind in _KINDS for kind in named) else ()


def _is_one_of(value: Any, kinds: Sequence[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, _KINDS[kind]) for kind in kinds)


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()
