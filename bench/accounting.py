"""The resources that processes use, from the kernel's own books, and a heap of measurements in a few numbers."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

_CPUCLOCK_SCHED = 2  # user + system, of all threads, also of those that have ended


def cpu_seconds(pids: Iterable[int]) -> float:
    """User + system time so far. The same books as /proc/PID/stat, but in nanoseconds instead of ticks."""
    return sum(time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) for pid in pids) / 1e9


def resident_bytes(pids: Iterable[int]) -> int:
    return sum(_status(pid, "VmRSS") for pid in pids) * 1024


def thread_count(pids: Iterable[int]) -> int:
    return sum(_status(pid, "Threads") for pid in pids)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def settle(pids: Sequence[int], *, seconds: float = 8.0) -> None:
    """Waits until these processes do next to nothing, so that one figure does not pay for the one before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = cpu_seconds(pids)
        time.sleep(0.2)
        if cpu_seconds(pids) - before < 0.01:
            return


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of all does not exceed; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(max(math.ceil(share * len(ordered)) - 1, 0), len(ordered) - 1)]


def load_average() -> float:
    return os.getloadavg()[0]


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise LookupError(key)
