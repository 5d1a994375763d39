"""How soon a server is there, what it weighs while nobody asks for anything, and how soon it is gone."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Final

from bench.accounting import resident_bytes, settle
from bench.contestants import CONTESTANTS, OURS, RELAY
from bench.course import Course
from bench.figures.streams import plan_for
from bench.processes import load
from bench.table import Row

DRAIN_SECONDS: Final = 2
DRAINED_STREAMS: Final = 20


def start_and_stop(course: Course) -> list[Row]:
    start: dict[str, list[float]] = defaultdict(list)
    weight: dict[str, list[float]] = defaultdict(list)
    stop: dict[str, list[float]] = defaultdict(list)
    home = course.arena.new_directory()
    with course.arena.server(OURS, home=home) as server:
        first = server.start_seconds
    for _ in range(course.extent.boots):
        for contestant in CONTESTANTS:
            with course.arena.server(contestant, home=home) as server:
                start[contestant].append(server.start_seconds)
                settle(server.pids, seconds=5)
                weight[contestant].append(resident_bytes(server.pids) / 1024**2)
                if contestant in (OURS, RELAY):  # the floor has no manners
                    stop[contestant].append(server.stop())
    drained = f"stop while {DRAINED_STREAMS} streams run, beyond the {DRAIN_SECONDS} s they are given"
    return [
        Row("start to first ping, the first time, with tables to be made", "s", {OURS: first}),
        Row("start to first ping", "s", {who: median(all_) for who, all_ in start.items()}),
        Row("memory of an idle worker", "MiB", {who: median(all_) for who, all_ in weight.items()}),
        Row("stop while idle", "s", {who: median(all_) for who, all_ in stop.items()}),
        Row(drained, "s", {OURS: _drain(course) - DRAIN_SECONDS}),
    ]


def _drain(course: Course) -> float:
    with course.arena.server(OURS, BATON_DRAIN_SECONDS=str(DRAIN_SECONDS)) as server:
        plan = plan_for(course, server, DRAINED_STREAMS, 10, 0.5)
        with load(plan, course.arena.new_directory()) as running:
            running.opened()
            running.seen()
            return server.stop()
