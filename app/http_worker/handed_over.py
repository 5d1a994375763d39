"""An answer that goes on when its thread has let go of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Rest(Protocol):
    """What is left of an answer in chunks. The connection is nobody else's until `go_on` returns."""

    def begin(self, ready: Callable[[], None]) -> None:
        """Called on the main loop, so it must not block. `ready` is called once, from any thread, when `go_on` has
        something to do."""
        ...

    def go_on(self) -> bool:
        """On a thread, which may be kept waiting. True: all chunks have been sent, the last one too. False: the client
        has gone. Raises HandedOver when it needs no thread again: then `begin` comes next."""
        ...


class HandedOver(BaseException):
    """Raised by the iterable of an answer in chunks, in the middle of it, when somebody else is to send the `rest`. No
    error: gunicorn, which answers an Exception, must not see one. For answers on an `AnsweringSocket`; their iterable
    is closed then."""

    def __init__(self, rest: Rest) -> None:
        super().__init__()
        self.rest = rest
