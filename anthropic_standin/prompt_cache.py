"""The API's prompt cache: what of a request it has read before.

A prompt is rendered as tools, system and messages. Each `cache_control` marks a place up to which the prompt is kept
for five minutes; a later request reads the longest kept prefix that ends at one of its own marks, or at most 20 blocks
before one. A change of what comes before the messages but is no part of them (`tool_choice`, thinking, effort) leaves
only tools and system.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from anthropic_standin.refusal import Json

LOOK_BACK: Final = 20
"""Blocks before a mark in which an earlier entry is found."""

FEWEST_TOKENS: Final = 1_024
"""A shorter prefix is not kept."""

SECONDS: Final = 300.0

_MOST_ENTRIES: Final = 20_000


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Input tokens of one request: `fresh`, `written` and `read` are all of them together. `known` would have been
    read if every prefix that was ever sent had been marked and kept."""

    fresh: int
    written: int
    read: int
    known: int = 0


class PromptCache:
    """For any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, float] = OrderedDict()  # when each was last read, by its prefix
        self._sent: OrderedDict[bytes, float] = OrderedDict()  # every prefix

    def use(self, body: Json, tokens: int) -> CacheUse:
        """Reads what is kept of this request's prompt, and keeps what it marks."""
        digests, ends, marks = _rendered(body)
        counts = [tokens * end // ends[-1] for end in ends]
        kept = [mark for mark in marks if counts[mark] >= FEWEST_TOKENS]
        with self._lock:
            sent = [index for index, digest in enumerate(digests) if digest in self._sent]
            read = max((self._longest_kept(mark, digests) for mark in marks), default=-1)
            for mark in {*kept, read} - {-1}:
                _note(self._entries, digests[mark], self._clock())
            for digest in digests:
                _note(self._sent, digest, self._clock())
        from_cache = counts[read] if read >= 0 else 0
        to_cache = max((counts[mark] for mark in kept), default=0)
        known = counts[sent[-1]] if sent and counts[sent[-1]] >= FEWEST_TOKENS else 0
        fresh = tokens - max(from_cache, to_cache)
        return CacheUse(fresh, max(0, to_cache - from_cache), from_cache, known)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._sent.clear()

    def _longest_kept(self, mark: int, digests: list[bytes]) -> int:
        """The last block of the longest kept prefix that this mark finds; -1 if it finds none."""
        for index in range(mark, max(-1, mark - LOOK_BACK - 1), -1):
            if self._clock() - self._entries.get(digests[index], -SECONDS) < SECONDS:
                return index
        return -1


def _note(memory: OrderedDict[bytes, float], digest: bytes, at: float) -> None:
    memory[digest] = at
    memory.move_to_end(digest)
    while len(memory) > _MOST_ENTRIES:
        memory.popitem(last=False)


def _rendered(body: Json) -> tuple[list[bytes], list[int], list[int]]:
    """For each block of the prompt the digest of everything up to it, and its bytes; and the blocks that are marked."""
    digests, ends, marks = [], [], []
    digest, end = str(body["model"]).encode(), 0
    for index, (place, block) in enumerate(_blocks(body)):
        plain = {name: value for name, value in block.items() if name != "cache_control"}
        words = orjson.dumps([place, plain])
        digest, end = blake2b(digest + words, digest_size=16).digest(), end + len(words)
        digests.append(digest)
        ends.append(end)
        if block.get("cache_control"):
            marks.append(index)
    if body.get("cache_control"):
        marks.append(len(ends) - 1)
    return digests, ends, marks


def _blocks(body: Json) -> Iterator[tuple[Any, Json]]:
    for tool in body.get("tools") or ():
        yield "tool", tool
    yield from (("system", block) for block in _as_blocks(body.get("system") or []))
    settings = [body.get(name) for name in ("tool_choice", "thinking", "output_config")]
    for message in body["messages"]:
        for block in _as_blocks(message["content"]):
            yield [message["role"], settings], block


def _as_blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
