"""Words of the operator's program in the middle of a conversation: blocks of a user's row, which the model's API gets
as a message of the role `system` right behind what the user has said.

The mark is a field of a text block, so that a message is stored, sent and passed on by older processes as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from app.conversation.blocks import Block
from app.conversation.transcript import Message

_MARK: Final = "system"


def system_block(text: str) -> Block:
    return {"type": "text", "text": text, _MARK: True}


def is_system(block: Block) -> bool:
    return block.get(_MARK) is True and block.get("type") == "text"


def unmarked(block: Block) -> Block:
    return {name: value for name, value in block.items() if name != _MARK}


def system_blocks(rows: Iterable[Message]) -> list[Block]:
    return [block for row in rows if row.role == "user" for block in row.content if is_system(block)]


def is_context(row: Message) -> bool:
    """Are these words alone, to which no answer is due?"""
    return row.role == "user" and all(map(is_system, row.content))
