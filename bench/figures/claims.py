"""How many times a second a session can be claimed and given back: the store alone, with its durability."""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier

from app.conversation.blocks import text_block
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.runtime.process_identity import this_process
from app.store.engine import Database
from app.store.migrate import migrate
from app.store.run_request import RunRequest
from app.store.store import Store
from bench.contestants import OURS
from bench.course import Course
from bench.table import Row
from tests.harness.postgres import PostgresServer, find_binaries

THREADS = (1, 8)
PROCESSES = 2

_together: list[Barrier] = []
"""In a process of several: where they wait for each other before they begin."""


def per_second(course: Course) -> list[Row]:
    rows = _rows("SQLite", f"sqlite:///{course.arena.new_directory() / 'claims.db'}", course.extent.claims)
    if find_binaries() is None:
        return rows
    with PostgresServer() as server:
        return rows + _rows("PostgreSQL", server.new_database(), course.extent.claims)


def _rows(name: str, url: str, claims: int) -> list[Row]:
    with _store(url) as store:
        rates = {
            f"{threads} thread{'s' * (threads > 1)}": _rate(store, claims, threads) for threads in THREADS
        }
    for threads in THREADS:
        rates[f"{PROCESSES} processes of {threads}"] = _rate_of_processes(url, claims, threads)
    return [Row(f"claims per second, {name}, {who}", "1/s", {OURS: rate}) for who, rate in rates.items()]


def _rate_of_processes(url: str, claims: int, threads: int) -> float:
    """All together, each with so many claims."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        PROCESSES, context, initializer=_wait_at, initargs=(context.Barrier(PROCESSES),)
    ) as pool:
        spans = list(pool.map(_span, [url] * PROCESSES, [claims] * PROCESSES, [threads] * PROCESSES))
    return PROCESSES * claims / (max(end for _, end in spans) - min(begin for begin, _ in spans))


def _wait_at(barrier: Barrier) -> None:
    _together.append(barrier)


def _span(url: str, claims: int, threads: int) -> tuple[float, float]:
    """When this process began to claim and when it ended, by the clock that all processes share."""
    with _store(url) as store:
        _rate(store, claims // 5, threads)  # connections, prepared statements
        _together[0].wait()
        begin = time.monotonic()
        _rate(store, claims, threads)
        return begin, time.monotonic()


@contextmanager
def _store(url: str) -> Iterator[Store]:
    database = Database(url)
    try:
        migrate(database)
        yield Store(database, lease_seconds=30)
    finally:
        database.close()


def _rate(store: Store, claims: int, threads: int) -> float:
    def work() -> None:
        session = Session(id=str(uuid.uuid4()), created_at=time.time())
        store.sessions.create(session)
        for _ in range(claims // threads):
            _claim(store, session.id)

    begin = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work) for _ in range(threads)]:
            future.result()
    return claims // threads * threads / (time.monotonic() - begin)


def _claim(store: Store, session_id: str) -> None:
    begun = store.claims.begin(
        uuid.uuid4().hex,
        RunRequest(
            session_id=session_id,
            key="plain",
            messages=[Message("user", (text_block("hello"),), created_at=time.time())],
        ),
        agent="plain/root",
        owner=this_process(),
    )
    store.runs.finish(begun.run.baton, "finished")
