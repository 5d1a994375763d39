"""How many short runs a second two workers finish for eight clients, each with a session of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from bench.contestants import OURS, dialect_of
from bench.course import Course
from bench.dialects import SESSION_ID, post
from bench.processes import Server
from bench.table import Row
from tests.harness.postgres import PostgresServer, find_binaries

WORKERS = 2
CLIENTS = 8
WARM_UP = 10  # runs of each client


def per_second(course: Course) -> list[Row]:
    with _databases() as databases:
        rows = []
        for name, url in databases.items():
            home = course.arena.new_directory()
            url = url or f"sqlite:///{home / 'baton.db'}"
            with course.arena.server(
                OURS, home=home, BATON_WORKERS=str(WORKERS), BATON_DATABASE_URL=url
            ) as server:
                rate = _rate(server, course.extent.short_runs)
            figure = f"short runs per second, {WORKERS} workers, {CLIENTS} clients, {name}"
            rows.append(Row(figure, "1/s", {OURS: rate}))
        return rows


@contextmanager
def _databases() -> Iterator[dict[str, str]]:
    """Their addresses; an empty one is the usual SQLite."""
    if find_binaries() is None:
        yield {"SQLite": ""}
        return
    with PostgresServer() as postgres:
        yield {"SQLite": "", "PostgreSQL": postgres.new_database()}


def _rate(server: Server, runs: int) -> float:
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda _: _talk(server, WARM_UP), range(CLIENTS)))
        begin = time.monotonic()
        list(clients.map(lambda _: _talk(server, runs), range(CLIENTS)))
        return CLIENTS * runs / (time.monotonic() - begin)


def _talk(server: Server, runs: int) -> None:
    """One client: a new session, and so many runs of it, on one connection."""
    dialect = dialect_of(server.contestant)
    with closing(server.connect()) as connection:
        new = dialect.session("", "")
        assert new is not None
        made = SESSION_ID.search(post(connection, new).read())
        assert made is not None
        for _ in range(runs):
            response = post(connection, dialect.run(made[1].decode(), "plain", "[words 5]"))
            if response.status != 200 or b"river" not in response.read():
                raise RuntimeError(f"{server.contestant} answered {response.status}")
