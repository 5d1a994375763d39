"""The stand-in's memory of the requests it has seen."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from anthropic_standin.prompt_cache import CacheUse, PromptCache
from anthropic_standin.refusal import Json, Refusal
from anthropic_standin.scripted_answer import Attempts

_REMEMBERED = 1000
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Stats:
    requests: int  # POST /v1/messages with a body that is JSON
    violations: int  # requests that the judge refused for a mistake of the caller
    open_streams: int
    last_violations: tuple[str, ...]


class RequestLog:
    """The requests that the service has seen, for any thread to read; `changed` tells of every change."""

    def __init__(self, *, record: bool) -> None:
        self.changed = threading.Condition()
        self.attempts = Attempts()
        self._record = record
        self._count = self._violation_count = self._open = 0
        self._bodies: deque[Json] = deque(maxlen=_REMEMBERED)
        self._cache = PromptCache()
        self._cache_uses: deque[CacheUse] = deque(maxlen=_REMEMBERED)
        self._violations: deque[str] = deque(maxlen=_REMEMBERED)

    def note_request(self, body: Any) -> None:
        with self.changed:
            self._count += 1
            if self._record:
                self._bodies.append(body)
            self.changed.notify_all()

    def note_prompt(self, body: Json, tokens: int) -> CacheUse:
        """What the prompt cache does with a request that the judge has accepted."""
        use = self._cache.use(body, tokens)
        with self.changed:
            self._cache_uses.append(use)
        return use

    def note_violation(self, refusal: Refusal) -> None:
        with self.changed:
            self._violation_count += 1
            self._violations.append(f"{refusal.status} {refusal.message}")
            self.changed.notify_all()

    def note_stream(self, change: int) -> None:
        with self.changed:
            self._open += change
            self.changed.notify_all()

    def reset(self) -> None:
        """Forget everything but the streams that are open."""
        with self.changed:
            self._count = self._violation_count = 0
            self._bodies.clear()
            self._cache_uses.clear()
            self._cache.clear()
            self._violations.clear()
            self.attempts.clear()
            self.changed.notify_all()

    def stats(self) -> Stats:
        with self.changed:
            shown = tuple(self._violations)[-_SHOWN:]
            return Stats(self._count, self._violation_count, self._open, shown)

    def bodies(self) -> list[Json]:
        with self.changed:
            return list(self._bodies)

    def cache_uses(self) -> list[CacheUse]:
        with self.changed:
            return list(self._cache_uses)

    def violations(self) -> list[str]:
        with self.changed:
            return list(self._violations)
