"""Answers that agents with a `cache` have given, and give again to the same question without asking a model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from app.conversation.blocks import plain_text
from app.conversation.transcript import Message
from app.team.agent import AgentDefinition

MAX_ENTRIES: Final = 1_000
MAX_CHARACTERS: Final = 50_000
"""The most that a question and its answer may have together; longer ones are not kept."""

Key = tuple[str, ...]


class AnswerCache:
    """In the memory of this process, for all of its threads. The answer that was asked for longest ago goes first."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, str] = OrderedDict()
        self._guard = threading.Lock()

    def find(self, key: Key) -> str:
        """Empty if there is none."""
        with self._guard:
            if key in self._answers:
                self._answers.move_to_end(key)
            return self._answers.get(key, "")

    def keep(self, key: Key, answer: str) -> None:
        if not answer or len(answer) + len(key[-1]) > MAX_CHARACTERS:
            return
        with self._guard:
            self._answers[key] = answer
            self._answers.move_to_end(key)
            while len(self._answers) > MAX_ENTRIES:
                self._answers.popitem(last=False)


def question_of(agent: AgentDefinition, place: Key, rows: Sequence[Message]) -> Key | None:
    """The key of what the user has asked last, if the agent keeps answers and it is text alone. `place` says whose
    answers, of which agent."""
    cache = agent.cache
    newest = rows[-1] if rows else None
    if cache is None or not cache.enabled or newest is None or newest.role != "user" or newest.implicit:
        return None
    if any(block.get("type") != "text" for block in newest.content):
        return None
    text = plain_text(newest.content)
    text = text.strip() if cache.trim_spaces else text
    return (*place, text if cache.case_sensitive else text.casefold()) if text.strip() else None
