"""A tripwire: counts how a process touches the outside world, and lets one chosen touch go wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["connect", "statement", "commit", "committed", "thread", "open", "event"]
Fault = Literal["once", "away", "kill", "stop"]

FAULTS: Final[tuple[Fault, ...]] = ("once", "away", "kill", "stop")
AWAY_SECONDS: Final = 3.0

DATABASE: Final[tuple[Kind, ...]] = ("connect", "statement", "commit", "committed")
"""Kinds of touch that stay away together. `committed` comes after a commit: failing there loses the answer."""


@dataclass(frozen=True, slots=True)
class Point:
    """The n-th touch of a kind by the threads of one role, counted from the beginning of a scenario. Files that
    differ by numbers only, opened one after the other, count as the first of them: there may be as many as the
    machine has processes."""

    kind: Kind
    role: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.role}/{self.number}"

    @classmethod
    def read(cls, text: str) -> Point:
        kind, role, number = text.split("/")
        known: dict[str, Kind] = {one: one for one in (*DATABASE, "thread", "open", "event")}
        return cls(known[kind], role, int(number))


class Tripped(Exception):
    """The touch failed. Each kind's own error takes its place where it is touched."""


class Tripwire:
    """One per process; any thread may touch it. Only what happens between `arm` and `disarm` counts."""

    def __init__(self, point: Point | None = None, fault: Fault = "once") -> None:
        self._point = point
        self._fault = fault
        self._guard = threading.Lock()
        self._counts: Counter[tuple[Kind, str]] = Counter()
        self._opened: dict[str, str] = {}  # the path that each role opened last, without its numbers
        self._armed = False
        self._away_until = 0.0  # monotonic
        self._aside = threading.local()
        self.touches: dict[str, str] = {}  # the touch at each point
        self.tripped = ""  # the touch that went wrong

    def arm(self) -> None:
        self._armed = True

    def disarm(self) -> None:
        self._armed = False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While inside, what this thread touches does not count: it is the test's own."""
        self._aside.here = True
        try:
            yield
        finally:
            self._aside.here = False

    def touch(self, kind: Kind, what: str) -> None:
        """Raises Tripped if this touch is to fail."""
        if not self._armed or getattr(self._aside, "here", False):
            return
        with self._guard:
            role = role_of(threading.current_thread().name)
            shape = re.sub(r"\d+", "#", what)
            again = kind == "open" and self._opened.get(role) == shape
            if kind == "open":
                self._opened[role] = shape
            self._counts[kind, role] += not again
            point = Point(kind, role, self._counts[kind, role])
            if self._point is None:
                self.touches.setdefault(str(point), what[:80])
            trips = point == self._point and not again
            if trips:
                self.tripped = what[:80]
                if self._fault == "away":
                    self._away_until = time.monotonic() + AWAY_SECONDS
        if trips:
            self._go_wrong()
        elif self._is_away(kind):
            raise Tripped

    def _go_wrong(self) -> None:
        if self._fault == "kill":
            os.killpg(0, signal.SIGKILL)  # with everything that the process has started in its group
        elif self._fault == "stop":
            tell({"type": "stopped", "pid": os.getpid()})
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            raise Tripped

    def _is_away(self, kind: Kind) -> bool:
        if self._point is None or time.monotonic() >= self._away_until:
            return False
        return kind == self._point.kind or (kind in DATABASE and self._point.kind in DATABASE)


def role_of(thread: str) -> str:
    """Threads that do the same are counted together: their names differ by numbers and ids only."""
    return re.sub(r"-?\b[0-9a-f]{8}\b|[-_ (]*\d+\)?", "", thread).replace("/", "-") or "thread"


def no_descriptors() -> OSError:
    return OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def tell(event: dict[str, Any]) -> None:
    """A line for the walker. In one write, so that a process which is killed leaves whole lines."""
    os.write(1, json.dumps(event).encode() + b"\n")
