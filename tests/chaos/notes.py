"""The notes of the chaos on what it has done and seen so far; written by all actors, read when all is quiet."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class SessionNotes:
    """The notes on one session. A word stands in one message and in no other, so it can be found again."""

    id: str
    acknowledged: set[str] = field(default_factory=set)  # words that the server said it has
    refused: set[str] = field(default_factory=set)  # words of requests that were refused as busy
    said: set[str] = field(default_factory=set)  # all of them
    messages_seen: int = 0  # that the events told of
    tools: set[str] = field(default_factory=set)  # marks that tools were to make


class Notes:
    """`problems` is what must never happen; an empty one is what all this is for."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._words = 0
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.logs: list[str] = []  # of the servers, if there are problems

    def count(self, what: str) -> None:
        with self._guard:
            self.counts[what] += 1

    def problem(self, words: str) -> None:
        with self._guard:
            self.problems.append(words)

    def new_word(self) -> str:
        with self._guard:
            self._words += 1
            return f"word{self._words:05d}x"
