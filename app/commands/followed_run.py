"""A run that is followed while a person may type: its events, and the lines that come meanwhile."""

from __future__ import annotations

import enum
import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from baton_client import BatonClient, RunStream, StreamEvent

READ: Final = 65_536


@dataclass(frozen=True, slots=True)
class RunHandle:
    """A run as it is answered and stopped, by a client that no other thread uses."""

    baton: BatonClient
    session_id: str
    id: str

    def approve(self, call_id: str | None = None, *, remember: Literal["", "tool", "session"] = "") -> None:
        self.baton.approve(self.session_id, call_id, remember=remember)

    def reject(self, call_id: str | None = None, *, reason: str = "") -> None:
        self.baton.reject(self.session_id, call_id, reason=reason)

    def elicit(
        self,
        content: Mapping[str, Any] | None = None,
        *,
        action: Literal["accept", "decline", "cancel"] = "accept",
    ) -> None:
        self.baton.elicit(self.session_id, content, action=action)

    def cancel(self) -> object:
        """Does not wait for its end, which the events tell."""
        return self.baton.cancel(self.session_id, run_id=self.id, wait_seconds=0.0)


class Interrupt(enum.Enum):
    """Ctrl-C, while a run is followed."""

    PRESSED = enum.auto()


class FollowedRun:
    """Iterates over events, lines that are typed on the terminal meanwhile, and each Ctrl-C. What ends the stream too
    early is raised there. A thread reads the events; everything else happens in the caller's, which is the main one.

    A context manager: within it Ctrl-C interrupts nothing, except a question that is `asked`."""

    def __init__(self, run: RunStream) -> None:
        self._run = run
        self._news: deque[StreamEvent | Interrupt | Exception | None] = deque()
        self._bell, self._ring = os.pipe()
        self._watched = [self._bell, *([sys.stdin.fileno()] if sys.stdin.isatty() else [])]
        self._asks = False
        self._ended = False
        self._thread = threading.Thread(target=self._read, name="events", daemon=True)

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Left before its end, the run goes on. Its reader is left as well, to the end of this process: a connection in
        which another thread waits for a byte can't be closed."""
        signal.signal(signal.SIGINT, self._before)
        if self._ended:
            self._thread.join()
            os.close(self._bell)
            os.close(self._ring)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Ctrl-C is a KeyboardInterrupt here, as it ends the wait for an answer."""
        self._asks = True
        try:
            yield
        finally:
            self._asks = False

    def __iter__(self) -> Iterator[StreamEvent | Interrupt | str]:
        while True:
            while self._news:
                news = self._news.popleft()
                self._ended = news is None or isinstance(news, Exception)
                if news is None:
                    return
                if isinstance(news, Exception):
                    raise news
                yield news
            ready, _, _ = select.select(self._watched, [], [])
            if self._bell in ready:
                os.read(self._bell, READ)  # what it rang for is in the queue by now
            else:
                yield from self._typed()

    def _read(self) -> None:
        try:
            for event in self._run:
                self._tell(event)
            self._tell(None)
        except Exception as error:  # the caller's thread raises it
            self._tell(error)

    def _interrupt(self, _number: int, _frame: object) -> None:
        if self._asks:
            raise KeyboardInterrupt
        self._tell(Interrupt.PRESSED)

    def _tell(self, news: StreamEvent | Interrupt | Exception | None) -> None:
        self._news.append(news)
        os.write(self._ring, b".")

    def _typed(self) -> Iterator[str]:
        """The terminal hands over whole lines; Ctrl-D is an empty piece, and no line."""
        piece = os.read(sys.stdin.fileno(), READ).decode(errors="replace")
        if not piece:
            self._watched = [self._bell]
        yield from (line.strip() for line in piece.splitlines() if line.strip())
