"""Compaction: a summary takes the place of the older part of a conversation, in what the model is shown.

The rows themselves stay as they are. A call and its results are one piece that is never cut, and the newest
message of the user is always shown in its own words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from app.conversation.blocks import Block, text_block
from app.conversation.pictures import as_shown
from app.conversation.summary import Summary
from app.conversation.system_words import system_blocks
from app.conversation.transcript import Message

_ROW_TOKENS: Final = 5
_BYTES_PER_TOKEN: Final = 4
_ATTACHMENT_TOKENS: Final = 1600  # an image's or a document's, whatever its size in bytes
_CLIPPED_BYTES: Final = 8_000  # of each tool result in a conversation that is too long even to be summarized
_CLIPPED: Final = "[content truncated]"
_UNDER_WAY: Final = (
    "\n\nThe user's newest message follows in full. The summary says what was done about it already; "
    "go on from there."
)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a conversation is cut: `older` is to be summarized; the positions are those of a `Summary`."""

    older: tuple[Message, ...]
    through: int
    newest_from: int
    newest_to: int
    kept_tokens: int  # an estimate of what is shown on besides the summary


def condensed(rows: Sequence[Message], summary: Summary | None) -> list[Message]:
    """The rows as the model is shown them: all of them, or the summary and what it leaves; in each case without the
    pictures that were left out."""
    rows = as_shown(rows)
    if summary is None:
        return rows
    said = [row for row in rows if row.role == "user"]
    newest = [row for row in said if summary.newest_from <= row.position < summary.newest_to]
    rest = [row for row in rows if row.position >= summary.through]
    if not summary.text:
        return [*newest, *rest]
    words = f"Session Summary: {summary.text}{_UNDER_WAY if newest else ''}"
    gone = [row for row in rows if row.position < summary.through and row not in newest]
    content = (text_block(words), *system_blocks(gone))  # which count for the whole conversation
    told = Message("user", content, created_at=summary.created_at, implicit=True)
    return [told, *newest, *rest]


def with_fewer_pictures(before: Summary | None, *, next_position: int) -> Summary:
    """The summary so far, anew; without one, one that stands for nothing. It begins a new prompt, for pictures of the
    rows before it were left out."""
    if before is None:
        return Summary(1, "", 0, 0, 0, next_position)
    return replace(before, number=before.number + 1, made_at=next_position, usage=None, cost=0.0)


def told(
    rows: Sequence[Message], text: str, *, number: int, next_position: int, first_kept: int | None = None
) -> Summary:
    """A summary that somebody has brought along, of all that was said before the position `first_kept`; what nobody has
    answered yet stays in its own words, and a result stays with its call."""
    pieces = list(pieces_of(rows))
    kept = _unanswered(pieces)
    if first_kept is not None:
        kept = max(kept, sum(piece[-1].position >= first_kept for piece in pieces))
    rest = rows_of(pieces[len(pieces) - kept :])
    return Summary(number, text, rest[0].position if rest else next_position, 0, 0, next_position)


def find_cut(
    rows: Sequence[Message], *, keep_tokens: int, next_position: int, keeps_unseen: bool = True
) -> Cut | None:
    """Keeps the newest pieces that fit into about `keep_tokens`, and in any case what nobody has answered yet and,
    unless `keeps_unseen` is False, results that the model has not seen yet. None if there would be nothing to
    summarize. The conversation's calls must all have their results."""
    pieces = list(pieces_of(rows))
    kept = _unseen(pieces) if keeps_unseen else _unanswered(pieces)
    tokens = sum(map(estimate, rows_of(pieces[len(pieces) - kept :])))
    while kept < len(pieces) and tokens + _weight(pieces[-kept - 1]) <= keep_tokens:
        kept += 1
        tokens += _weight(pieces[-kept])
    older = rows_of(pieces[: len(pieces) - kept])
    if not any(row.role == "assistant" for row in older):
        return None
    rest = rows[len(older) :]
    through = next((row.position for row in rest if row.position >= 0), next_position)
    start, end = _newest(older) if not any(_is_said(row) for row in rest) else (0, 0)
    tokens += sum(estimate(row) for row in older if row.role == "user" and start <= row.position < end)
    return Cut(older, through, start, end, tokens)


def fill(rows: Sequence[Message], *, since: int) -> int:
    """About how many tokens the rows take, as the model counted them in its last turn. Turns before the position
    `since` were counted with more before them than is shown now."""
    after: list[Message] = []
    for row in reversed(rows):
        if row.usage is not None and not row.partial and row.position >= since:
            return row.usage.context_tokens + sum(map(estimate, after))
        after.append(row)
    return sum(map(estimate, after))


def estimate(row: Message) -> int:
    """About how many tokens one row takes."""
    return _ROW_TOKENS + sum(map(_tokens, row.content))


def shortened(rows: Sequence[Message], tokens: int) -> list[Message]:
    """The rows if they fit into so many tokens; else the newest pieces that do, long results clipped. The newest
    piece is always there."""
    if sum(map(estimate, rows)) <= tokens:
        return list(rows)
    pieces = [tuple(map(_clip, piece)) for piece in pieces_of(rows)]
    kept: list[tuple[Message, ...]] = []
    for piece in reversed(pieces):
        tokens -= _weight(piece)
        if kept and tokens < 0:
            break
        kept.insert(0, piece)
    return list(rows_of(kept))


def rows_of(pieces: Sequence[Sequence[Message]]) -> tuple[Message, ...]:
    return tuple(row for piece in pieces for row in piece)


def pieces_of(rows: Sequence[Message]) -> Iterator[tuple[Message, ...]]:
    """Groups of rows that must stay together: an assistant's message with the results of its calls, or one user
    message."""
    piece: list[Message] = []
    for row in rows:
        if piece and row.role != "tool":
            yield tuple(piece)
            piece = []
        piece.append(row)
    if piece:
        yield tuple(piece)


def _unanswered(pieces: Sequence[tuple[Message, ...]]) -> int:
    """How many pieces at the end are words of the user that the assistant has said nothing to."""
    count = 0
    while count < len(pieces) and _is_said(pieces[-count - 1][0]):
        count += 1
    return count


def _unseen(pieces: Sequence[tuple[Message, ...]]) -> int:
    """How many pieces at the end the model has said nothing to: words of the user, and results with their calls."""
    count = _unanswered(pieces)
    return count + (count < len(pieces) and pieces[-count - 1][-1].role == "tool")


def _newest(rows: Sequence[Message]) -> tuple[int, int]:
    """The positions of the newest row of user messages: from, and up to."""
    said: list[Message] = []
    for row in reversed(rows):
        if _is_said(row):
            said.append(row)
        elif said:
            break
    return (said[-1].position, said[0].position + 1) if said else (0, 0)


def _is_said(row: Message) -> bool:
    """Was it said to the agent, and not put in by a summary or by healing?"""
    return row.role == "user" and row.position >= 0


def _weight(piece: Sequence[Message]) -> int:
    return sum(map(estimate, piece))


def _tokens(block: Mapping[str, Any]) -> int:
    if block.get("type") in ("image", "document"):
        return _ATTACHMENT_TOKENS
    content = block.get("content")
    if isinstance(content, list):
        return sum(_tokens(part) for part in content if isinstance(part, dict))
    return len(orjson.dumps(block)) // _BYTES_PER_TOKEN


def _clip(row: Message) -> Message:
    """A tool row with no more of its output than its beginning; pictures go too."""
    if row.role != "tool" or estimate(row) * _BYTES_PER_TOKEN <= _CLIPPED_BYTES:
        return row
    block: Block = row.content[0]
    content = block.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": str(content)}]
    text = "\n".join(str(part["text"]) for part in parts if part.get("type") == "text")
    shown = f"{text[: _CLIPPED_BYTES // 2]}\n{_CLIPPED}"
    return replace(row, content=({**block, "content": shown},))
