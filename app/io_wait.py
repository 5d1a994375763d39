"""Waits on a single descriptor, with poll where the system has it: it takes descriptors of any number."""

from __future__ import annotations

import selectors
import socket
from typing import IO, Any, Final

READABLE: Final = selectors.EVENT_READ
WRITABLE: Final = selectors.EVENT_WRITE

_Selector: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)


def is_ready(descriptor: int | socket.socket | IO[Any], events: int, *, within: float | None = 0.0) -> bool:
    """Whether it can be read or written within so many seconds (None: waits for ever). An end and an error count as
    both."""
    with _Selector() as selector:
        selector.register(descriptor, events)
        return bool(selector.select(within))
