"""The newest messages of a conversation, for an agent that is to be shown no more of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.conversation.compaction import pieces_of, rows_of
from app.conversation.transcript import Message


def recent(rows: Sequence[Message], limit: int) -> Sequence[Message]:
    """At most `limit` messages, 0 for all: every one of the user's, and the newest others. A call goes with its
    results, and the newest message always stays. Thinking that was signed over the whole is not shown with less of
    it."""
    if limit <= 0 or len(rows) <= limit:
        return rows
    pieces = list(pieces_of(rows))
    count = len(rows)
    kept = []
    for index, piece in enumerate(pieces):
        if piece[0].role == "user" or count <= limit or index == len(pieces) - 1:
            kept.append(piece)
        else:
            count -= len(piece)
    return [replace(row, prompt="") for row in rows_of(kept)]
