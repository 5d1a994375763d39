"""Pictures of a conversation that a model is not shown any more, and documents likewise; pure.

A picture that has to go leaves a mark on its row, and all rows stay as they are stored. A request without it is
another text, so what was thought behind it is not sent any more: each time that pictures go, a new prompt begins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from app.conversation.blocks import Block, text_block
from app.conversation.transcript import Message

LEFT_OUT: Final = "pictures"
"""The `partial` of a row whose pictures are not shown."""
REMARK: Final = "[a picture that is not shown any more]"
_REMARKS: Final = {"image": REMARK, "document": "[a document that is not shown any more]"}


def pictures_of(row: Message) -> Iterator[Block]:
    """A row's pictures and documents, those in a tool's result among them."""
    for block in row.content:
        inner = block.get("content")
        for part in inner if block.get("type") == "tool_result" and isinstance(inner, list) else [block]:
            if isinstance(part, dict) and part.get("type") in _REMARKS:
                yield part


def has_pictures(row: Message) -> bool:
    """Most messages are one text, and need no closer look."""
    is_text = len(row.content) == 1 and row.content[0].get("type") == "text"
    return not is_text and any(pictures_of(row))


def without_pictures(row: Message) -> Message:
    """The row with a remark in the place of each picture."""
    return replace(row, content=tuple(map(_without, row.content))) if any(pictures_of(row)) else row


def as_shown(rows: Iterable[Message]) -> list[Message]:
    """The rows, without the pictures that were left out of them."""
    return [without_pictures(row) if row.partial == LEFT_OUT else row for row in rows]


def marked(rows: Sequence[Message], positions: Collection[int]) -> list[Message]:
    """The rows, of which those at the positions are shown without their pictures from now on."""
    return [replace(row, partial=LEFT_OUT) if row.position in positions else row for row in rows]


def _without(block: Block) -> Block:
    if (remark := _REMARKS.get(str(block.get("type")))) is not None:
        return text_block(remark)
    inner = block.get("content")
    if block.get("type") == "tool_result" and isinstance(inner, list):
        return {**block, "content": [_without(part) if isinstance(part, dict) else part for part in inner]}
    return block
