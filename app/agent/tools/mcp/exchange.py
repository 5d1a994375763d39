"""One call to a tool server: the server's thread tells what happens, the run's thread listens."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from app.agent.model_client import Cancellation
from app.agent.toolset import CANCELLED, CANCELLED_TOO_LATE, OutcomeUnknown, ToolCancelled

Reply = Callable[[str, Mapping[str, Any] | None], None]


@dataclass(frozen=True, slots=True)
class ServerQuestion:
    """The server wants to know something of the user; `reply` takes the action and the form's content."""

    params: Mapping[str, Any]  # of `elicitation/create`, as it came
    reply: Reply


@dataclass(frozen=True, slots=True)
class CallDone:
    result: Mapping[str, Any]  # of `tools/call`, as it came


@dataclass(frozen=True, slots=True)
class CallFailed:
    """No result came. `is_unknown`: the request has left, so the server may have carried it out."""

    words: str
    is_unknown: bool = False


class CallRefused(Exception):
    """The server's answer is that it did not carry out the call; the message is the server's."""


class Exchange:
    """After any number of questions there is exactly one Done or Failed; anything later is dropped.

    `has_left` is for the server's thread: from then on the server may have the request.
    """

    def __init__(self, stop: Callable[[], object] = lambda: None, *, run: object = None) -> None:
        """`stop` ends the call on the server's thread, without waiting. Calls of one `run` have the same readers."""
        self.stop = stop
        self.run = run
        self.has_left = False
        self._news: queue.SimpleQueue[ServerQuestion | CallDone | CallFailed | None] = queue.SimpleQueue()
        self._over = False
        self._guard = threading.Lock()  # around the two below
        self._begun = False
        self._abandoned = False

    def begin(self) -> bool:
        """For the server's thread, before anything of the call is sent. False: the run has given it up."""
        with self._guard:
            self._begun = not self._abandoned
            return self._begun

    def abandon(self) -> bool:
        """For the run's thread: nobody wants the result any more. Says whether sending had begun."""
        with self._guard:
            self._abandoned = True
            begun = self._begun
        self.stop()
        return begun

    @property
    def is_over(self) -> bool:
        """Nobody wants its result any more."""
        return self._over or self._abandoned

    def leave(self) -> None:
        """For the server's thread, as the request is about to be sent. ConnectionAbortedError if the run has been
        told that it was not."""
        if self._over and not self.has_left:
            raise ConnectionAbortedError("the call has ended")
        self.has_left = True

    def tell(self, news: ServerQuestion | CallDone | CallFailed) -> None:
        if not self._over and not self._abandoned:
            self._over = not isinstance(news, ServerQuestion)
            self._news.put(news)

    def next(self, cancellation: Cancellation) -> ServerQuestion | CallDone | CallFailed:
        """Waits as long as it takes. On a cancel the call is abandoned, unless its end is known by then:
        OutcomeUnknown if it had begun, otherwise ToolCancelled."""
        with cancellation.calling(lambda: self._news.put(None)):
            news = self._news.get()
        if news is None or (isinstance(news, ServerQuestion) and cancellation.is_set()):
            if self.abandon():
                raise OutcomeUnknown(CANCELLED_TOO_LATE)
            raise ToolCancelled(CANCELLED)
        return news


EXCHANGE: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
"""The call that the present task of a server's event loop works for."""
