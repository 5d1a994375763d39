"""Servers that a user would take instead, beside ours, on the same model: cost, memory, and what a second request for
a session does while the first one is answered."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

from bench.accounting import resident_bytes
from bench.contestants import OURS, PEERS, RELAY, dialect_of
from bench.course import Course
from bench.dialects import SESSION_ID, post
from bench.environments import python_of, versions
from bench.figures.short_runs import run_all
from bench.figures.streams import Measured, warm, watch
from bench.processes import Server
from bench.table import STATUS, Row

HELD: Final = 50
BESIDE_SECONDS: Final = 0.5
"""A second answer that ends so long before the first, which takes three seconds, did not wait for it."""


def beside(course: Course) -> list[Row]:
    peers, remarks = _installed()
    contestants = (OURS, RELAY, *peers)
    rows: list[Row] = []
    with course.arena.servers(contestants) as servers:
        warm(course, servers)
        for streams, pace in course.extent.peers:
            measured = {server.contestant: watch(course, server, streams, pace) for server in servers}
            rows += _paced(f"{streams} × {pace}/s", measured)
        rows += _short(servers, course.extent.short_runs)
        rows.append(_twice(servers))
    rows.append(_held(course, contestants))
    words = [*remarks, *(versions(peer) for peer in peers)]
    return [replace(rows[0], remarks=[*rows[0].remarks, *words]), *rows[1:]]


def _installed() -> tuple[list[str], list[str]]:
    """The peers whose packages can be had here, and a word on the others."""
    found, remarks = [], []
    for peer in PEERS:
        try:
            python_of(peer)
            found.append(peer)
        except subprocess.CalledProcessError:
            remarks.append(f"{peer} could not be installed")
    return found, remarks


def _paced(name: str, measured: dict[str, Measured]) -> Iterator[Row]:
    remarks = [text for who, one in measured.items() for text in one.remarks(who)]
    cost = {who: one.microseconds for who, one in measured.items()}
    late = {who: one.seen.p50 for who, one in measured.items()}
    yield Row(f"beside peers: CPU per delta, {name}", "µs", cost, remarks)
    yield Row(f"beside peers: added latency, {name}, p50", "ms", late)


def _short(servers: Sequence[Server], runs: int) -> Iterator[Row]:
    """Each run in a session of its own, and as many in one session, whose history grows."""
    cpu: dict[str, dict[str, float]] = defaultdict(dict)
    for server in servers:
        apart = [new_session(server) for _ in range(runs)]
        together = [new_session(server)] * runs
        cpu["new sessions"][server.contestant], _ = run_all(server, apart)
        cpu[f"one session, 0 to {2 * runs} messages before it"][server.contestant], _ = run_all(
            server, together
        )
    for name, used in cpu.items():
        yield Row(f"beside peers: CPU per short run, {name}", "ms", used)


def _held(course: Course, contestants: Sequence[str]) -> Row:
    kilobytes = {}
    for contestant in contestants:
        with course.arena.server(contestant) as server:
            warm(course, [server])
            before = resident_bytes(server.pids)
            young = watch(course, server, HELD, 1, window=1.0)
            kilobytes[contestant] = (young.seen.resident - before) / HELD / 1024
    return Row(f"beside peers: memory per open stream, of {HELD}", "KiB", kilobytes)


def _twice(servers: Sequence[Server]) -> Row:
    """A second request while the first one is answered."""
    statuses, remarks = {}, []
    for server in servers:
        session, dialect = new_session(server), dialect_of(server.contestant)
        with closing(server.connect()) as first, closing(server.connect()) as second:
            answer = post(first, dialect.run(session, "plain", "[words 60][pace 20]"))
            while b"river" not in answer.readline():
                pass
            refusal = post(second, dialect.run(session, "plain", "[words 5]"))
            statuses[server.contestant] = float(refusal.status)
            begins, second_end = b"river" in refusal.read(), time.monotonic()
            answer.read()
            beside = time.monotonic() - second_end > BESIDE_SECONDS
        if begins:
            remarks.append(f"{server.contestant} answers it {'beside' if beside else 'after'} the first")
    return Row("beside peers: second request for a busy session", STATUS, statuses, remarks)


def new_session(server: Server) -> str:
    wish = dialect_of(server.contestant).session("", "")
    if wish is None:
        return uuid.uuid4().hex
    with closing(server.connect()) as connection:
        found = SESSION_ID.search(post(connection, wish).read())
    if found is None:
        raise RuntimeError(f"{server.contestant} made no session")
    return found[1].decode()
