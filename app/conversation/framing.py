"""How a message that reaches an agent in the middle of its work is to be read: words for the model before it, which
readers are not shown.

The words are a text block of their own, always the same, so that a message is stored, sent and passed on by older
processes as any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from app.conversation.blocks import Block, text_block

_WORDS: Final[Mapping[str, str]] = {
    "plain": "",
    "instruction": (
        "<system-reminder>The user has sent the next message while you were working. Finish what you are doing first; "
        "then turn to this message.</system-reminder>"
    ),
    "replacement": (
        "<system-reminder>The user has sent the next message while you were working. Give up what you are doing; do "
        "what this message says instead.</system-reminder>"
    ),
}
FRAMINGS: Final = tuple(_WORDS)
_REMINDERS: Final = frozenset(filter(None, _WORDS.values()))


def framed(content: Sequence[Block], framing: str) -> tuple[Block, ...]:
    words = _WORDS[framing]
    return (text_block(words), *content) if words else tuple(content)


def unframed(content: Sequence[Block]) -> Sequence[Block]:
    """The message as its user has said it."""
    return content[1:] if content and content[0].get("text") in _REMINDERS else content


def framed_as(content: Sequence[Block], other: Sequence[Block]) -> tuple[Block, ...]:
    """With the words that stand before another message."""
    return (*other[: len(other) - len(unframed(other))], *content)
