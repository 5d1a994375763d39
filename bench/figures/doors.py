"""The cost of a delivered delta through the Managed Agents API, beside docker-agent's routes of the same server."""

from __future__ import annotations

import json
from dataclasses import asdict
from statistics import median
from typing import Final

from bench.accounting import settle
from bench.contestants import OURS
from bench.course import Course
from bench.dialects import MANAGED_HEADERS, Request, post
from bench.figures.streams import Measured, plan_for, warm, watch
from bench.load import Plan
from bench.processes import Server, load
from bench.table import Row

TIMES: Final = 3
"""Each door is watched so often, in turn: what else the machine does hits both."""


def compare(course: Course) -> list[Row]:
    rows = []
    with course.arena.server(OURS, BATON_ROOTS=str(course.arena.directory)) as server:
        warm(course, [server])
        place = f"{_made(server, 'agents', model='claude-sonnet-5-5')}/{_made(server, 'environments')}"
        _watch_managed(course, server, place, 4, 50)  # it has imports and caches of its own
        for streams, pace in course.extent.shapes:
            pairs = [
                (watch(course, server, streams, pace), _watch_managed(course, server, place, streams, pace))
                for _ in range(TIMES)
            ]
            rows += _rows(streams, pace, pairs)
    return rows


def _rows(streams: int, pace: int, pairs: list[tuple[Measured, Measured]]) -> list[Row]:
    name = f"{streams} × {pace}/s"
    remarks = [text for _, one in pairs for text in one.remarks("the Managed Agents API")]
    details = {str(number): asdict(one.seen) for number, (_, one) in enumerate(pairs)}
    cost = median(one.microseconds for _, one in pairs)
    ratio = median(one.microseconds / ours.microseconds for ours, one in pairs)
    late = median(one.seen.p50 for _, one in pairs)
    return [
        Row(f"CPU per delta, Managed Agents API, {name}", "µs", {OURS: cost}, remarks, details),
        Row(f"the same ÷ docker-agent's routes, {name}", "×", {OURS: ratio}),
        Row(f"added latency, Managed Agents API, {name}, p50", "ms", {OURS: late}),
    ]


def _watch_managed(course: Course, server: Server, place: str, streams: int, pace: int) -> Measured:
    plan = plan_for(course, server, streams, pace, course.extent.window)
    plan = Plan(**{**asdict(plan), "agent": place, "dialect": "managed"})
    with load(plan, course.arena.new_directory()) as running:
        measured = Measured(streams, pace, running.opened(), running.seen())
    _interrupt_all(server)
    settle(server.pids)
    return measured


def _interrupt_all(server: Server) -> None:
    """Runs of this door go on when their readers have left."""
    connection, body = server.connect(), json.dumps({"events": [{"type": "user.interrupt"}]}).encode()
    query = Request("/v1/sessions?limit=100&statuses=running", method="GET", headers=MANAGED_HEADERS)
    while found := json.loads(post(connection, query).read())["data"]:
        for session in found:
            path = f"/v1/sessions/{session['id']}/events"
            post(connection, Request(path, body, headers=MANAGED_HEADERS)).read()


def _made(server: Server, what: str, **fields: str) -> str:
    """The id of a new one."""
    body = json.dumps({"name": "bench", **fields}).encode()
    answer = post(server.connect(), Request(f"/v1/{what}", body, headers=MANAGED_HEADERS)).read()
    return str(json.loads(answer)["id"])
