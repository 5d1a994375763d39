"""A process's belongings: threads, descriptors, child processes; and what a server keeps for its runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.factory import Server
from tests.conftest import held_by
from tests.walk.faults import role_of

ENDLESS: Final = frozenset({"MainThread", "model-streams", "hangups", "stream-writer"})
"""Threads that end with their process only."""


def kept_by(server: Server) -> list[str]:
    """The things that a server in which nobody runs and nobody reads should have given back."""
    runtime = server.runtime
    kept = list(held_by(server))
    if runtime.slots.taken:
        kept.append(f"{runtime.slots.taken} stream places")
    return kept + [f"the event log of {log.session_id}" for log in runtime.logs.followed()]


def threads() -> list[str]:
    """The threads that a closed server should not have left."""
    return [thread.name for thread in threading.enumerate() if role_of(thread.name) not in ENDLESS]


def processes() -> list[str]:
    """Children of any thread of this process."""
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += (task / "children").read_text().split()
        except OSError:
            continue  # the thread has ended
    return [_command(pid) for pid in found]


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip() or f"the remains of {pid}"
    except OSError:
        return f"the remains of {pid}"


def descriptors() -> list[str]:
    """The target of each open descriptor, sorted; numbers of pipes and sockets are left out."""
    return sorted(_open_files())


def _open_files() -> Iterator[str]:
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}").partition(":[")[0]
        except OSError:
            continue  # of this very look


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
