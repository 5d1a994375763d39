"""How much of what a command or a page says goes to the model."""

from __future__ import annotations

import codecs
from typing import Final

MAX_BYTES: Final = 30_000
TRUNCATED: Final = "\n\n[Output truncated: exceeded 30,000 character limit]"


def readable(data: bytes) -> str:
    """Bytes as text: bytes that are not UTF-8, and NUL, show as U+FFFD. A character cut off at the end goes."""
    decoded = codecs.getincrementaldecoder("utf-8")("replace").decode(data, final=False)
    return decoded.replace("\0", "\ufffd")


def cut(text: str) -> str:
    """The text, or as much of it as is allowed and a remark."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= MAX_BYTES else readable(data[:MAX_BYTES]) + TRUNCATED
