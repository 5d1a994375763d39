"""Makes a tool one that the Messages API takes, wherever it comes from: one that it refuses fails every request."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import orjson

from app.agent.tools.schemas.normalizing import NormalizedSchema, UnusableSchema, fitted
from app.agent.toolset import Tool
from app.conversation.blocks import sound

MAX_NAME: Final = 128

_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")
_MAX_KEPT: Final = 100_000  # bytes of a schema


def fit(tool: Tool) -> Tool:
    """The tool itself if it is fit already. Raises UnusableSchema, also for one without a name."""
    if not tool.name.strip():
        raise UnusableSchema("it has no name")
    tool = _with_sound_words(tool, offered_name(tool.name))
    if tool.parameters is None:
        return tool
    found, is_same = _fitted(tool.parameters)
    if is_same:
        return tool
    return replace(tool, parameters=found.schema, restore=found.restored if found.names else None)


def offered_name(name: str) -> str:
    """As near to the tool's own as the API takes."""
    near = _ODD.sub("_", name)
    if len(near) <= MAX_NAME:
        return near
    return f"{near[: MAX_NAME - 9]}_{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _with_sound_words(tool: Tool, name: str) -> Tool:
    """Half a surrogate pair can't be sent, and NUL can't be stored."""
    told = f"{tool.title}{tool.description}"
    if name == tool.name and "\0" not in told and (told.isascii() or _is_sound(told)):
        return tool
    return replace(tool, name=name, title=sound(tool.title), description=sound(tool.description))


def _is_sound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fitted(schema: Any) -> tuple[NormalizedSchema, bool]:
    """Tools are listed anew at each turn of each run, so what is found out of a schema is kept for those like it."""
    try:
        text = orjson.dumps(schema)
    except orjson.JSONEncodeError:
        text = b""
    if not text or len(text) > _MAX_KEPT:
        return fitted(schema), False
    found, is_same = _known(text)
    if isinstance(found, str):
        raise UnusableSchema(found)
    return found, is_same


@lru_cache(maxsize=512)
def _known(text: bytes) -> tuple[NormalizedSchema | str, bool]:
    """For a schema as JSON: its fitted form, or the reason why it can't be used, and whether it was fit as it is."""
    schema = orjson.loads(text)
    try:
        found = fitted(schema)
    except UnusableSchema as problem:
        return str(problem), False
    return found, not found.names and found.schema == schema
