"""What hooks tell the model: rows of the transcript that no person has said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from app.conversation.blocks import plain_text, text_block
from app.conversation.transcript import Message

_BEGINNING: Final = "<hook_context "


def hook_context(point: str, texts: Iterable[str], *, position: int) -> Message:
    told = "\n".join(texts)
    text = f'{_BEGINNING}event="{point}">\n{told}\n</hook_context>'
    return Message("user", (text_block(text),), implicit=True, position=position)


def is_hook_context(row: Message) -> bool:
    return row.role == "user" and row.implicit and plain_text(row.content).startswith(_BEGINNING)


def is_news(row: Message, rows: Sequence[Message]) -> bool:
    """Does it say anything else than the newest of the rows that the same point has told?"""
    beginning = plain_text(row.content).partition("\n")[0]
    for before in reversed(rows):
        if is_hook_context(before) and plain_text(before.content).startswith(beginning):
            return before.content != row.content
    return True
