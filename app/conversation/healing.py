"""Makes a valid transcript out of any rows: the leftovers of a crash, of another program or of an older version.

`heal` is idempotent and returns rows that were valid untouched. It may add messages and drop what can't be
sent; it never rewrites text or thinking. Baton's own sessions don't need it, because a session without a
running run is always closed; but every way to the model passes through it all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from app.conversation.blocks import (
    NO_OUTPUT,
    SERVED_CALLS,
    Block,
    is_blank,
    is_deep,
    is_readable_result,
    is_served_result,
    is_signed,
    is_thinking,
    usable_name,
)
from app.conversation.json_text import loads, mended
from app.conversation.transcript import CALL_ID, Message, Transcript, from_users
from app.errors import InvalidTranscript

MISSING_RESULT: Final = (
    "The result of this tool call is not known: it was interrupted before a result was recorded. "
    "It may or may not have taken effect."
)
MISSING_BEGINNING: Final = "(The beginning of this conversation is missing.)"


def heal(rows: Sequence[Message]) -> Transcript:
    """A valid transcript that says what the rows say. Calls of the last turn may still be open in it."""
    try:
        return Transcript.of(rows)
    except InvalidTranscript:
        separate = list(_separate(rows))
        return Transcript.of(_close(_with_usable_calls(_with_served_calls(separate))))


def _answer(call_id: str, text: str) -> Message:
    block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": text, "is_error": True}
    return Message("tool", (block,), implicit=True)


def _separate(rows: Iterable[Message]) -> Iterator[Message]:
    """Every result in a row of its own; blocks that no API accepts are gone, and so are empty rows."""
    for row in rows:
        content = tuple(block for block in row.content if _usable(block, row))
        results = [block for block in content if block["type"] == "tool_result"]
        others = tuple(block for block in content if block["type"] != "tool_result")
        for block in results:
            same = row.role == "tool" and len(row.content) == 1
            yield _readable(row if same else replace(row, role="tool", content=(block,)))
        if others and row.role != "tool":
            yield row if others == row.content else replace(row, content=others)


def _usable(block: Any, row: Message) -> bool:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return False
    kind: str = block["type"]
    if kind == "tool_result":
        return isinstance(block.get("tool_use_id"), str)  # an empty id can still be matched by its place
    if is_blank(block) or kind.endswith("_delta"):
        return False
    if row.role != "assistant":
        return from_users(block)
    return is_signed(block) if is_thinking(block) else True


def _readable(row: Message) -> Message:
    """A result's content as the API takes it: parts that are no content are gone, and nothing at all becomes a word."""
    block = row.content[0]
    if is_readable_result(block):
        return row
    content, failed = block.get("content"), bool(block.get("is_error"))
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and isinstance(part.get("type"), str)]
        kept = [part for part in parts if not is_blank(part) and (part["type"] == "text" or not failed)]
        return _with(row, content=kept or NO_OUTPUT)
    return _with(row, content=NO_OUTPUT if content in (None, "") else str(content))


def _with_served_calls(rows: Sequence[Message]) -> Iterator[Message]:
    """Calls that the API answers itself stand before their results in the same turn. The others are gone,
    except in a turn that is the last: it may be paused. With them goes what was thought behind them in their
    turn, because it was signed over them."""
    kept = _served(rows)
    gap = False
    for index, row in enumerate(rows):
        gap = gap and row.role != "user"
        content = []
        for place, block in enumerate(row.content):
            if (block["type"] in SERVED_CALLS or is_served_result(block)) and (index, place) not in kept:
                gap = True
            elif not (gap and is_thinking(block)):
                content.append(block)
        if content:
            yield row if len(content) == len(row.content) else replace(row, content=tuple(content))


def _served(rows: Sequence[Message]) -> set[tuple[int, int]]:
    """Where the calls and results stand that may stay."""
    kept: set[tuple[int, int]] = set()
    waiting: dict[str, tuple[int, int]] = {}
    seen: set[str] = set()
    for index, row in enumerate(rows):
        if row.role == "user":
            waiting.clear()
        for place, block in enumerate(row.content):
            if block["type"] in SERVED_CALLS:
                call_id = str(block.get("id"))
                if CALL_ID.match(call_id) and call_id not in seen:
                    waiting[call_id] = (index, place)
                seen.add(call_id)
            elif is_served_result(block) and (call_id := str(block.get("tool_use_id"))) in waiting:
                kept |= {waiting.pop(call_id), (index, place)}
    return kept | set(waiting.values())


def _with_usable_calls(rows: Iterable[Message]) -> Iterator[Message]:
    """Ids unique and well formed, inputs objects; results follow their call's new id, in order."""
    rows = list(rows)
    taken = {str(block.get("id")) for row in rows for block in row.content if block["type"] in SERVED_CALLS}
    renamed: dict[str, list[str]] = {}
    for row in rows:
        if row.role == "assistant" and row.calls:
            renamed = {}
            yield replace(row, content=tuple(_renamed_call(block, taken, renamed) for block in row.content))
        elif row.role == "tool" and renamed.get(str(row.content[0].get("tool_use_id"))):
            names = renamed[str(row.content[0].get("tool_use_id"))]
            new = names.pop(0) if len(names) > 1 else names[0]
            yield _with(row, tool_use_id=new)
        else:
            yield row


def _renamed_call(block: Block, taken: set[str], renamed: dict[str, list[str]]) -> Block:
    if block["type"] != "tool_use":
        return block
    old = str(block.get("id") or "")
    new, number = old if CALL_ID.match(old) else "call", 2
    while new in taken or (new == "call" and not old):
        new, number = f"{old if CALL_ID.match(old) else 'call'}_{number}", number + 1
    taken.add(new)
    renamed.setdefault(old, []).append(new)
    fixed = {"id": new, "input": _as_object(block.get("input")), "name": usable_name(block.get("name"))}
    return block if fixed.items() <= block.items() else {**block, **fixed}


def _as_object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value if not is_deep(value) else {"INVALID_JSON": "nested too deeply"}
    if isinstance(value, str):
        try:
            parsed = mended(loads(value))
        except ValueError:
            parsed = None
        if isinstance(parsed, dict) and not is_deep(parsed):
            return parsed
    return {} if value in (None, "") else {"INVALID_JSON": value}


def _with(row: Message, **fields: Any) -> Message:
    block = row.content[0]
    return row if fields.items() <= block.items() else replace(row, content=({**block, **fields},))


def _close(rows: Iterable[Message]) -> Iterator[Message]:
    """Every call answered once, right after its message: by its own result, wherever that stood, or by a
    sentence that says that none is known. Results that answer nothing are dropped. Calls of the last message
    may still wait for somebody's approval, so they stay open."""
    pending = list(rows)
    if pending and pending[0].role != "user":
        yield Message("user", ({"type": "text", "text": MISSING_BEGINNING},), implicit=True)
    last = max((index for index, row in enumerate(pending) if row.role != "tool"), default=-1)
    for index, row in enumerate(pending):
        if row.role == "tool":
            continue
        yield row
        for call in row.calls if row.role == "assistant" else ():
            if known := _find_result(pending[index + 1 :], call["id"]):
                yield known
            elif index != last:
                yield _answer(call["id"], MISSING_RESULT)


def _find_result(rows: Sequence[Message], call_id: str) -> Message | None:
    """The first recorded result; an id is never used by two calls any more when this is asked."""
    return next(
        (row for row in rows if row.role == "tool" and row.content[0]["tool_use_id"] == call_id), None
    )
