"""A tool call whose arguments a person has changed before it ran. The model's own call stays in the transcript as it
was said, since the API would refuse another one behind signed thinking; the result tells the model what really ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from app.conversation.blocks import Block

MAX_TOLD: Final = 4_000
"""Characters of arguments that are told whole: a model need not read a file twice to learn that its path is another."""
MAX_VALUE: Final = 500
"""Characters of one changed argument, where they are not told whole."""

_OWN, _BEGAN = "own_input", "began"

Arguments = Mapping[str, Any]


def with_changes(block: Block, arguments: Arguments) -> Block:
    """The call with a person's arguments; it knows the model's own."""
    return {**block, "input": arguments, _OWN: block.get(_OWN, block["input"])}


def as_begun(block: Block) -> Block:
    """The same call once its handler begins."""
    return {**block, _BEGAN: True} if _OWN in block else block


def told_of(block: Block) -> str:
    """The first line of the call's result for the model; empty if nobody has changed the call."""
    return told(block["input"], block[_OWN], began=_BEGAN in block) if _OWN in block else ""


def told(arguments: Arguments, own: Arguments, *, began: bool) -> str:
    """That line, of a call that ran, or would have run, with these arguments in place of its own."""
    text = _text(arguments)
    if len(text) > MAX_TOLD:
        changes = changed_parts(arguments, own, longest=MAX_VALUE)
        text = f"{_text(changes)[:MAX_TOLD]} (arguments that are not named here are as you gave them)"
    if began:
        return f"A person changed the arguments of this call before it ran. It ran with: {text}"
    return f"A person changed the arguments of this call to: {text}"


def changed_parts(arguments: Arguments, own: Arguments, *, longest: int) -> dict[str, Any]:
    """The arguments that differ, each with so many characters at most; null for one that is gone."""
    names = dict.fromkeys((*arguments, *own))
    return {
        name: _cut(arguments.get(name), longest)
        for name in names
        if (name in arguments) != (name in own) or arguments.get(name) != own.get(name)
    }


def _cut(value: Any, longest: int) -> Any:
    text = value if isinstance(value, str) else _text(value)
    return value if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
