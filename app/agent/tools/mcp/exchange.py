"""One call to a tool server: the server's thread tells what happens, the run's thread listens."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.agent.model import Cancellation
from app.agent.toolset import CANCELLED, ToolCancelled

Reply = Callable[[str, Mapping[str, Any] | None], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """The server wants to know something of the user; `reply` takes the action and the form's content."""

    params: Mapping[str, Any]  # of `elicitation/create`, as it came
    reply: Reply


@dataclass(frozen=True, slots=True)
class Done:
    result: Mapping[str, Any]  # of `tools/call`, as it came


@dataclass(frozen=True, slots=True)
class Failed:
    words: str


class Exchange:
    """After any number of questions there is exactly one Done or Failed. `abandon` is for the run's thread:
    nobody wants the result any more."""

    def __init__(self) -> None:
        self._news: queue.SimpleQueue[Asked | Done | Failed | None] = queue.SimpleQueue()
        self.abandon: Callable[[], object] = lambda: None

    def tell(self, news: Asked | Done | Failed) -> None:
        self._news.put(news)

    def next(self, cancellation: Cancellation) -> Asked | Done | Failed:
        """Waits as long as it takes. On a cancel the call is abandoned, and ToolCancelled raised."""
        with cancellation.calling(lambda: self._news.put(None)):
            news = self._news.get()
        if news is None or cancellation.is_set():
            self.abandon()
            raise ToolCancelled(CANCELLED)
        return news
