"""How soon a second request is told that its session is busy, while other streams run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Final

from bench.accounting import quantile
from bench.contestants import OURS
from bench.course import Course
from bench.figures.streams import plan_for
from bench.processes import Server, load
from bench.table import Row

PACE: Final = 10
PAUSE: Final = 0.02


def refused(course: Course) -> list[Row]:
    rows = []
    for streams in course.extent.busy_among:
        with course.arena.server(OURS) as server:
            plan = plan_for(course, server, streams, PACE, 1.0)
            with load(plan, course.arena.new_directory()) as running:
                opened = running.opened()
                running.seen()
                times = list(_probe(server, opened.session, course.extent.window))
            remarks = [f"{opened.streams} opened"] if opened.streams < streams else []
        name = f"409 while {streams} streams run at {PACE}/s"
        rows.append(Row(f"{name}, p50", "ms", {OURS: quantile(times, 0.5)}, remarks))
        rows.append(Row(f"{name}, p99", "ms", {OURS: quantile(times, 0.99)}))
    return rows


def _probe(server: Server, session: str, seconds: float) -> Iterator[float]:
    """Milliseconds of one refusal after the other, on one connection."""
    body = json.dumps([{"role": "user", "content": "are you there?"}])
    connection = server.connect()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        begin = time.monotonic()
        path = f"/api/sessions/{session}/agent/plain"
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        if response.status != 409:
            raise RuntimeError(f"a busy session answered {response.status}")
        yield (time.monotonic() - begin) * 1000
        time.sleep(PAUSE)
    connection.close()
