"""The preview of a tool call, for the person who is asked whether it may run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FileChange = Literal["create", "change", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a call would do to a file, for a person who decides on it. `diff` holds the hunks of a unified diff, of
    which so many lines were `left_out`; `problem` says why there is none. A `digest` is that of the file, empty if
    there is no file: the call is not made if it is another one by then. None: the tool itself sees to that."""

    path: str
    change: FileChange
    diff: str = ""
    left_out: int = 0
    problem: str = ""
    digest: str | None = None
