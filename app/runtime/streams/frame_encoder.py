"""Facts as the clients of a door read them."""

from __future__ import annotations

from typing import Final, Protocol


class FrameEncoder(Protocol):
    """One for each generation of a door's clients, made once: a log keeps what it has encoded for all of its readers.
    Called by any thread, while the log is locked."""

    def encode(self, fact: bytes) -> bytes:
        """The bytes on the wire for a fact (`EventFact.read`); b"" if these clients are not told of it. If it raises,
        the reader's stream ends, and the run goes on."""
        ...


class _AsWritten:
    def encode(self, fact: bytes) -> bytes:
        return fact


AS_WRITTEN: Final[FrameEncoder] = _AsWritten()
"""The facts themselves. A log keeps no second copy of them."""
