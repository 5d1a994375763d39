"""A number that a process passes on to all its descendants, whatever they do to their environment, session and parents.

It is the soft limit of file locks (RLIMIT_LOCKS), which Linux keeps for each process and has no use for. A limit is
inherited by forks and kept by exec, and /proc shows it at every moment of both, when it shows no environment. A process
loses it only by setting that limit itself.

The limit belongs to the whole process, so a process is started with a mark, or without, by one thread at a time.
"""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

STARTING: Final = threading.Lock()
"""Held by whatever starts a process. Without it a process might get the mark of another one's command."""

_LOCKS: Final = 10  # RLIMIT_LOCKS, which the module `resource` does not name
_LINE: Final = b"Max file locks"
_DIGITS: Final = 15  # of the mark; a limit has 63 bits


@contextmanager
def marking(mark: str) -> Iterator[None]:
    """Processes that are started inside carry `mark`, a random hexadecimal number. Where that can't be done it has
    no mark. For a caller that holds STARTING."""
    before = _set(_number(mark))
    try:
        yield
    finally:
        if before is not None:
            _set(before)


def carries(pid: int, mark: str) -> bool:
    """Raises OSError if there is no such process."""
    with open(Path("/proc", str(pid), "limits"), "rb") as limits:
        for line in limits:
            if line.startswith(_LINE):
                return line[len(_LINE) :].split()[0] == b"%d" % _number(mark)
    return False


def _number(mark: str) -> int:
    return int(mark[:_DIGITS], 16)


def _set(soft: int) -> int | None:
    """The soft limit from before; None if it could not be set."""
    if sys.platform != "linux":
        return None
    try:
        before, hard = resource.getrlimit(_LOCKS)
        resource.setrlimit(_LOCKS, (soft, hard))
    except (OSError, ValueError):
        return None  # the operator has set a limit that is lower, or there is no such limit
    return before
