"""Which tool calls run, which are asked about, and which are refused: patterns over names and arguments.

A pattern is `<tool glob>[:<argument>=<glob>]…`, matched without regard to case. It is split at colons:
segments up to the first `name=` belong to the tool, so `mcp:github:*` works; from there on a segment that
begins with `name=` is the next condition, and any other one continues the value before it, colon included, so
`fetch:url=https://x*` means what it says.

A trailing `*` after plain text matches anything. Other globs follow Go's `filepath.Match`, whose `*` and `?`
stop at `/`, where they *allow*; where they deny or ask, they cross it: `shell:cmd=*sudo*` must not miss
`/usr/bin/sudo`.

A file has many paths: `.env`, `./.env`, `.env/`, the absolute one, a link to it. A pattern over a path denies or asks
if it matches any of them. It allows if it matches the path as given and what that is without detours and links.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from app.team.fields import AgentFilePart, Texts

Decision = Literal["deny", "allow", "ask"]

_CONDITION = re.compile(r"([A-Za-z_][\w-]*)=(.*)", re.DOTALL)
_GLOB_CHARACTERS = re.compile(r"[*?\[]")


PATHS: Final = frozenset({"path", "paths", "file", "file_path", "filename", "dir", "directory", "cwd"})
"""Arguments that name files, in the tools of this server and in most others."""

LIKE_A_PATH: Final = re.compile(
    r"(?:path|file|dir|directory|folder|source|destination|target)s?$|filename", re.IGNORECASE
)
"""Names of arguments that other servers' tools may mean a file by: enough to deny or to ask."""


@dataclass(frozen=True, slots=True)
class Spellings:
    """The paths of one file: a pattern that matches `any` denies, one that matches `every` allows."""

    any: tuple[str, ...]
    every: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallTexts:
    """A call as patterns see it: the texts of each argument, of which one must match, or all."""

    tool: str
    any: Mapping[str, Sequence[str]]
    every: Mapping[str, Sequence[str]]


class Permissions(AgentFilePart):
    allow: Texts = ()
    ask: Texts = ()
    deny: Texts = ()


def lexical_spellings(path: str) -> Spellings:
    """The spellings of a path that need no look at the disk."""
    plain = posixpath.normpath(path).replace("//", "/", 1) if path else path
    return Spellings((path, plain), (path, plain))


def decide(
    permissions: Permissions,
    tool: str,
    arguments: Mapping[str, Any] | None,
    *,
    spellings: Callable[[str], Spellings] = lexical_spellings,
) -> Decision | None:
    """Deny is looked at first, then allow, then ask; None: nothing is said about this call.

    `arguments` is None when they could not be parsed: patterns with conditions never match then. `spellings` tells
    the paths of the same file.
    """
    call = _call(tool, arguments, spellings)
    if any(_catches(pattern, call) for pattern in permissions.deny):
        return "deny"
    if any(_allows(pattern, call) for pattern in permissions.allow):
        return "allow"
    if any(_catches(pattern, call) for pattern in permissions.ask):
        return "ask"
    return None


def is_denied(
    permissions: Permissions,
    tool: str,
    arguments: Mapping[str, Any] | None,
    *,
    spellings: Callable[[str], Spellings] = lexical_spellings,
) -> bool:
    """Only the first of what `decide` looks at."""
    call = _call(tool, arguments, spellings)
    return any(_catches(pattern, call) for pattern in permissions.deny)


def _call(tool: str, arguments: Mapping[str, Any] | None, spellings: Callable[[str], Spellings]) -> CallTexts:
    if arguments is None:
        return CallTexts(tool, {}, {})
    return CallTexts(tool, _texts(arguments, spellings, "any"), _texts(arguments, spellings, "every"))


def is_pattern(pattern: str) -> bool:
    """Whether it can be parsed; files and requests may not hold others."""
    tool, conditions = parse_pattern(pattern)
    return all(_glob(glob.lower(), crosses=False) for glob in (tool, *(value for _, value in conditions)))


def names_tool(glob: str, tool: str) -> bool:
    """Whether the first part of a pattern means this tool, however it is used."""
    return _glob_matches(glob, tool, True)


@lru_cache(maxsize=4096)
def parse_pattern(pattern: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The tool's glob and the conditions, in order; never fails."""
    tool, *segments = pattern.split(":")
    conditions: list[tuple[str, str]] = []
    for segment in segments:
        if match := _CONDITION.fullmatch(segment):
            conditions.append((match[1], match[2]))
        elif conditions:
            name, value = conditions[-1]
            conditions[-1] = (name, f"{value}:{segment}")
        else:
            tool = f"{tool}:{segment}"
    return tool, tuple(conditions)


def argument_text(value: Any) -> str:
    """An argument as patterns see it, in Go's notation: `[a b]`, `map[k:v]`, `<nil>`, `3` for 3.0."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "<nil>"
        case float() if value.is_integer():
            return str(int(value))
        case list() | tuple():
            return f"[{' '.join(argument_text(item) for item in value)}]"
        case dict():
            return f"map[{' '.join(f'{key}:{argument_text(value[key])}' for key in sorted(value))}]"
        case _:
            return str(value)


def _texts(
    arguments: Mapping[str, Any], spellings: Callable[[str], Spellings], kind: Literal["any", "every"]
) -> dict[str, list[str]]:
    """Each item of `paths` is a `path` too, so that a tool for several files keeps to the rules for one."""
    texts: dict[str, list[str]] = {}
    for name, value in arguments.items():
        texts.setdefault(name, []).append(argument_text(value))
        if not (name.lower() in PATHS or (kind == "any" and LIKE_A_PATH.search(name))):
            continue
        paths = [path for path in (value if isinstance(value, list) else [value]) if isinstance(path, str)]
        for path in paths:
            said = getattr(spellings(path), kind)
            texts.setdefault("path" if name.lower() == "paths" else name, []).extend(said)
            if kind == "any":
                texts[name].extend(said)
    return texts


def _catches(pattern: str, call: CallTexts) -> bool:
    glob, conditions = parse_pattern(pattern)
    return _glob_matches(glob, call.tool, True) and all(
        any(_glob_matches(wanted, text, True) for text in call.any.get(name, ()))
        for name, wanted in conditions
    )


def _allows(pattern: str, call: CallTexts) -> bool:
    glob, conditions = parse_pattern(pattern)
    return _glob_matches(glob, call.tool, False) and all(
        bool(call.every.get(name)) and all(_glob_matches(wanted, text, False) for text in call.every[name])
        for name, wanted in conditions
    )


def _glob_matches(glob: str, text: str, restricts: bool) -> bool:
    """A glob that can't be parsed allows nothing; where it denies or asks, it matches everything, as a gate that can't
    be read must not stand open."""
    glob, text = glob.lower(), text.lower()
    prefix = glob[:-1]
    if glob.endswith("*") and not prefix.endswith("\\") and not _GLOB_CHARACTERS.search(prefix):
        return text.startswith(prefix)
    expression = _glob(glob, crosses=restricts)
    return restricts if expression is None else expression.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _glob(glob: str, *, crosses: bool) -> re.Pattern[str] | None:
    """The glob as a regular expression; None if it is not a valid glob and so matches nothing."""
    anything = "." if crosses else "[^/]"
    try:
        first, *others = _chunks(glob, anything)
    except ValueError:
        return None
    # What stands between two stars is found where it occurs first and not sought again (`?>`), as Go does; so
    # many stars cost no more than few.
    middle = "".join(f"(?>{anything}*?{chunk})" for chunk in others[:-1])
    last = f"{anything}*{others[-1]}" if others else ""
    try:
        return re.compile(f"{first}{middle}{last}", re.DOTALL)
    except re.error:
        return None


def _chunks(glob: str, anything: str) -> list[str]:
    """The regular expressions of what stands between the stars."""
    chunks = [""]
    characters = iter(glob)
    for character in characters:
        match character:
            case "*":
                chunks.append("")
            case "?":
                chunks[-1] += anything
            case "[":
                chunks[-1] += _character_class(characters)
            case "\\":
                chunks[-1] += re.escape(_next(characters))
            case _:
                chunks[-1] += re.escape(character)
    return chunks


def _character_class(characters: Iterator[str]) -> str:
    """The characters after `[`: `^` negates, `a-z` is a range, a backslash takes the next one as it is."""
    members: list[tuple[str, bool]] = []  # and whether it was escaped
    negated, character = "", _next(characters)
    if character == "^":
        negated, character = "^", _next(characters)
    while character != "]":
        members.append((_next(characters), True) if character == "\\" else (character, False))
        character = _next(characters)
    if not members:
        raise ValueError("an empty class")
    return f"[{negated}{_ranges(members)}]"


def _ranges(members: Sequence[tuple[str, bool]]) -> str:
    """A `-` that is not between two others stands for itself."""
    text, i = "", 0
    while i < len(members):
        text += re.escape(members[i][0])
        if i + 2 < len(members) and members[i + 1] == ("-", False):
            text += f"-{re.escape(members[i + 2][0])}"
            i += 2
        i += 1
    return text


def _next(characters: Iterator[str]) -> str:
    character = next(characters, None)
    if character is None:
        raise ValueError("the pattern ends too early")
    return character
