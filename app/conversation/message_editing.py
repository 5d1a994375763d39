"""Changes that people make to a conversation while no run is at work: they leave it a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.conversation.blocks import NO_OUTPUT, Block, is_thinking, plain_text
from app.conversation.healing import heal
from app.conversation.transcript import Message, Transcript
from app.errors import InvalidTranscript


def added(rows: Sequence[Message], new: Message) -> list[Message]:
    """The rows with one more; InvalidTranscript if the model's API would refuse it there."""
    if new.role == "assistant":
        _require_text(new.content)
    if new.role == "tool":
        raise InvalidTranscript("No call waits for a result.")
    return _checked(rows, [*rows, new])


def edited(rows: Sequence[Message], position: int, content: Sequence[Block]) -> list[Message]:
    """The rows with other words in one of them. Its calls, and what a result answers, stay; its thinking goes, and
    no later thinking is sent back, for it was signed over the old words."""
    changed = [
        replace(row, prompt="") if row.role == "assistant" and row.position > position else row
        for row in rows
    ]
    changed[position] = _with_words(rows[position], tuple(content))
    return _checked(rows, changed)


def _with_words(row: Message, content: tuple[Block, ...]) -> Message:
    match row.role:
        case "user":
            return replace(row, content=content, partial="")
        case "tool":
            result = {**row.content[0], "content": plain_text(content) or NO_OUTPUT}
            return replace(row, content=(result,))
        case "assistant":
            _require_text(content)
            kept = [b for b in row.content if b.get("type") != "text" and not is_thinking(b)]
            return replace(row, content=(*content, *kept))


def _require_text(content: Sequence[Block]) -> None:
    if any(block.get("type") != "text" for block in content):
        raise InvalidTranscript("What is put into an agent's mouth is text.")


def _checked(before: Sequence[Message], after: list[Message]) -> list[Message]:
    """Rows that others have left broken are healed for every request, so they need not be whole; the rest has to."""
    transcript = Transcript.of(after) if _is_whole(before) else heal(after)
    if transcript.open_calls or transcript.unserved:
        raise InvalidTranscript("A tool call needs its result.")
    return after


def _is_whole(rows: Sequence[Message]) -> bool:
    try:
        Transcript.of(rows)
    except InvalidTranscript:
        return False
    return True
