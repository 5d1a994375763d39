"""Copies of things that are kept elsewhere, in a session's directory, where its tools may change them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol


class WorkingCopies(Protocol):
    """The copies of one run. Any of its threads may call it."""

    @property
    def read_only(self) -> tuple[Path, ...]:
        """Directories in which tools may change nothing."""
        ...

    def open(self) -> None:
        """Brings the directory up to date, before the first call. May raise."""
        ...

    def settle(self) -> str:
        """Takes over what calls have changed. The answer is for the model, empty if there is nothing to say; what went
        wrong otherwise is done again the next time."""
        ...


class _NoCopies:
    read_only: tuple[Path, ...] = ()

    def open(self) -> None:
        pass

    def settle(self) -> str:
        return ""


NO_COPIES: Final[WorkingCopies] = _NoCopies()
