"""Stored messages that this process has decoded before.

A message is taken for known only if its row is, in every column, the row that was decoded. So it does not matter which
process has written, edited or deleted rows meanwhile, or of what version it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import Any, Final

from app.conversation.transcript import Message
from app.store.row_mapping import MESSAGE_COLUMNS, message_of

_CONTENT: Final = MESSAGE_COLUMNS.index("content_json")
_ROW_BYTES: Final = 2_600  # of a row with short columns, its message and what a request holds of it
_PART_BYTES: Final = 72  # of a value in a list or an object
_BLOCK_BYTES: Final = 260  # of an object


@dataclass(frozen=True, slots=True)
class DecodedRows:
    """A session's rows as the driver had them, and their messages. Nobody may change what is in a message.

    `weight`: about how many bytes of memory the rows, the messages and their text in a request take; rather too many.
    """

    raw: Sequence[Sequence[Any]] = ()
    messages: Sequence[Message] = ()
    weight: int = 0

    def renewed(self, raw: Sequence[Sequence[Any]]) -> DecodedRows:
        """Those of the rows as they are now. A row that has not changed keeps its message, the same object."""
        known = len(self.raw)
        if raw[:known] == self.raw:
            new = raw[known:]
            messages = [*self.messages, *map(message_of, new)]
            return DecodedRows(raw, messages, self.weight + sum(map(_weight, new)))
        messages = [
            message if row == former else message_of(row)
            for row, former, message in zip(raw, self.raw, self.messages, strict=False)
        ]
        messages += map(message_of, raw[len(messages) :])
        return DecodedRows(raw, messages, sum(map(_weight, raw)))


def _weight(row: Sequence[Any]) -> int:
    text: str = row[_CONTENT]
    parts = text.count(",") + text.count("[")
    return _ROW_BYTES + 3 * getsizeof(text) + _PART_BYTES * parts + _BLOCK_BYTES * text.count("{")
