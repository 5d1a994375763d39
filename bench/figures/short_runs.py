"""The cost of a run that says five words, by the length of the conversation before it."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import closing
from statistics import median

from bench.accounting import cpu_seconds, settle
from bench.contestants import dialect_of
from bench.course import Course
from bench.dialects import post
from bench.history import seed
from bench.processes import Server
from bench.table import Row


def overhead(course: Course) -> list[Row]:
    cpu: dict[int, dict[str, float]] = defaultdict(dict)
    wall: dict[int, dict[str, float]] = defaultdict(dict)
    again: dict[int, dict[str, float]] = defaultdict(dict)
    with course.arena.servers() as servers:
        for server in servers:
            run_all(server, seed(server, 0, 5))
        for length in course.extent.histories:
            for server in servers:
                sessions = seed(server, length, course.extent.short_runs)
                used, took = run_all(server, sessions)
                again[length][server.contestant], _ = run_all(server, sessions[-1:] * len(sessions))
                cpu[length][server.contestant], wall[length][server.contestant] = used, took
    return [
        row
        for length in course.extent.histories
        for row in (
            Row(f"CPU per short run, {length} messages before it", "ms", cpu[length]),
            Row(f"CPU per next run of a session, from {length} + 2 messages on", "ms", again[length]),
            Row(f"time of a short run, {length} messages before it, p50", "ms", wall[length]),
        )
    ]


def run_all(server: Server, sessions: list[str]) -> tuple[float, float]:
    """CPU of the server per run, and the median time of a run; both in milliseconds."""
    settle(server.pids)
    dialect = dialect_of(server.contestant)
    times = []
    with closing(server.connect()) as connection:
        before = cpu_seconds(server.pids)
        for session in sessions:
            begin = time.monotonic()
            response = post(connection, dialect.run(session, "plain", "[words 5]"))
            if response.status != 200 or b"river" not in response.read():
                raise RuntimeError(f"{server.contestant} answered {response.status}")
            times.append((time.monotonic() - begin) * 1000)
        return (cpu_seconds(server.pids) - before) / len(sessions) * 1000, median(times)
