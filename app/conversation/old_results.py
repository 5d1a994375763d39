"""Old results of tools, of which a model is shown no more than that there was something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.conversation.blocks import is_thinking, result_text
from app.conversation.transcript import Message

BUDGET: Final = 40_000
"""Tokens of results, the newest ones, that are always shown; with all that the model has not seen yet."""
SLACK: Final = 10_000
"""Tokens beyond the budget that may be shown before the next cut. Each cut changes what has been sent already: the
cache of it is lost, and thinking that was signed over it can't be sent any more. Cuts are therefore few and large."""
TRUNCATED: Final = "[content truncated]"

_BYTES_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Shown:
    """The rows as a model is shown them. `since` is how many there were at the last cut: from there on what is
    sent only grows, until the next one. 0 if nothing was cut."""

    rows: Sequence[Message]
    since: int = 0


def with_old_results_cut(rows: Sequence[Message], most: int = 0) -> Shown:
    """Follows from the rows alone, so that every request of a growing conversation comes to the same cuts. `most` are
    the tokens that are always shown: 0 for the default, -1 for all."""
    before, since = _last_cut(rows, most or BUDGET) if most >= 0 else (0, 0)
    if not since:
        return Shown(rows)
    shown = [_cut(row) if index < before else row for index, row in enumerate(rows)]
    shown[:since] = [_without_thinking(row) for row in shown[:since]]
    return Shown(shown, since)


def _last_cut(rows: Sequence[Message], most: int) -> tuple[int, int]:
    """Results before the first index are cut, since there were as many rows as the second says."""
    if sum(_tokens(row) for row in rows if row.role == "tool") <= most:
        return 0, 0
    before = since = kept = 0
    for index in range(len(rows) + 1):
        is_asked = index == len(rows) or rows[index].role == "assistant"
        is_new_turn = index > 0 and rows[index - 1].role != "assistant"
        if is_asked and is_new_turn and kept > most + min(SLACK, most // 4):
            found, kept = _fitting(rows[:index], most)
            if found > before:
                before, since = found, index
        if index < len(rows):
            kept += _tokens(rows[index])
    return before, since


def _fitting(rows: Sequence[Message], most: int) -> tuple[int, int]:
    """Where the newest results that fit into the budget begin, and how many tokens they are."""
    kept, is_seen = 0, False
    for index in range(len(rows) - 1, -1, -1):
        is_seen = is_seen or rows[index].role == "assistant"
        tokens = _tokens(rows[index])
        if is_seen and tokens and kept + tokens > most:
            return index + 1, kept
        kept += tokens
    return 0, kept


def _tokens(row: Message) -> int:
    if row.role != "tool":
        return 0
    text = result_text(row.content[0])
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) // _BYTES_PER_TOKEN


def _cut(row: Message) -> Message:
    """A result that is not even as long as the remark stays."""
    if row.role != "tool" or len(result_text(row.content[0])) <= len(TRUNCATED):
        return row
    return replace(row, content=({**row.content[0], "content": TRUNCATED},))


def _without_thinking(row: Message) -> Message:
    """It was signed over what was cut since."""
    return replace(row, prompt="") if any(map(is_thinking, row.content)) else row
