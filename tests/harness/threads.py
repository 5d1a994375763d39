"""Threads in tests: a system that has none left, and a look for what was left behind."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from tests.harness.process import eventually

OF_ASYNCIO = "asyncio-waitpid-"
"""Python 3.11 starts one for each process, and leaves its pipes to the garbage collector if it can't; later versions
need none."""

APP = str(Path(__file__).parents[2] / "app") + os.sep


class ThreadStarts:
    """Counts the threads that the application starts; the one at the place `refused` (from 0) can't start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.refused: int | None = None
        self._start = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda thread: self._begin(thread))

    def refuse(self, place: int | None) -> None:
        """Begins to count anew."""
        self.names, self.refused = [], place

    def _begin(self, thread: threading.Thread) -> None:
        if _is_ours(sys._getframe(2)) and not thread.name.startswith(OF_ASYNCIO):
            self.names.append(thread.name)
            if len(self.names) - 1 == self.refused:
                raise RuntimeError("can't start new thread")
        self._start(thread)


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(APP):
            return True
        frame = frame.f_back
    return False


@contextmanager
def nothing_left(*, descriptors: bool = True) -> Iterator[None]:
    """Fails if a thread, or a descriptor, is left behind. Waits for threads that are about to end; one that has not
    even begun can't be joined."""
    threads, opened = set(threading.enumerate()), open_files()
    yield
    eventually(lambda: set(threading.enumerate()) <= threads, "every new thread has ended", seconds=10)
    if descriptors:
        eventually(lambda: open_files() <= opened, f"closed: {open_files() - opened}", seconds=5)


def open_files() -> set[tuple[str, str]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:
            continue  # the listing's own
    return found
