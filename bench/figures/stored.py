"""The cost of a claim, a refusal, a renewal and housekeeping in a database that is full, against an empty one.

Both are asked in turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from app.conversation.blocks import text_block
from app.conversation.run import Baton, Liveness, Owner, Run
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.errors import SessionBusy
from app.runtime.process_identity import this_process
from app.store.engine import Database, Kind
from app.store.migrate import migrate
from app.store.run_request import RunRequest
from app.store.store import Store
from bench.accounting import quantile
from bench.contestants import OURS
from bench.course import Course
from bench.table import Row
from tests.harness.filled import fill
from tests.harness.postgres import PostgresServer, find_binaries

HELD: Final = 50
"""Runs whose leases are renewed together."""


def compare(course: Course) -> list[Row]:
    directory = course.arena.new_directory()
    urls = [f"sqlite:///{directory / name}" for name in ("empty.db", "filled.db")]
    rows = _rows("SQLite", urls[0], urls[1], course)
    if find_binaries() is None:
        return rows
    with PostgresServer() as server:
        return rows + _rows("PostgreSQL", server.new_database(), server.new_database(), course)


def _rows(name: str, empty_url: str, filled_url: str, course: Course) -> list[Row]:
    sessions, segments = course.extent.stored
    size = f"{name}, {sessions:,} sessions of {segments:,} segments"
    with _place(empty_url) as empty, _place(filled_url) as filled:
        fill(filled.store.database, sessions=sessions, segments=segments)
        rows = []
        for what, act in _ACTS.items():
            times: dict[str, list[float]] = {"empty": [], "filled": []}
            for _ in range(course.extent.claims):
                times["empty"].append(act(empty))
                times["filled"].append(act(filled))
            medians = {state: quantile(values, 0.5) * 1000 for state, values in times.items()}
            ratio = medians["filled"] / medians["empty"]
            remark = f"{medians['empty']:.2f} ms in an empty one"
            rows.append(Row(f"{what} ÷ in an empty database, {size}", "×", {OURS: ratio}, [remark]))
        longest = max(_housekeeping(filled)) * 1000
        return [*rows, Row(f"longest transaction of housekeeping, {size}", "ms", {OURS: longest})]


@dataclass(slots=True)
class _Place:
    """A database, a session to claim, one that is busy, and runs with leases to renew."""

    store: Store
    seconds: list[float]  # of each transaction
    free: str = ""
    busy: str = ""
    held: list[Baton] = field(default_factory=list)


@contextmanager
def _place(url: str) -> Iterator[_Place]:
    seconds: list[float] = []

    def observe(_kind: Kind, took: float, _failed: bool) -> None:
        seconds.append(took)

    with ExitStack() as stack:
        database = Database(url, observe=observe)
        stack.callback(database.close)
        migrate(database)
        place = _Place(Store(database, lease_seconds=3600), seconds)
        place.free = _new_session(place.store)
        for _ in range(HELD):
            place.busy = _new_session(place.store)
            place.held.append(_begin(place.store, place.busy).baton)
        yield place


def _new_session(store: Store) -> str:
    session = Session(id=str(uuid.uuid4()), created_at=time.time())
    store.sessions.create(session)
    return session.id


def _begin(store: Store, session_id: str) -> Run:
    return store.claims.begin(
        uuid.uuid4().hex,
        RunRequest(
            session_id=session_id,
            key="plain",
            messages=[Message("user", (text_block("hello"),), created_at=time.time())],
        ),
        agent="plain/root",
        owner=this_process(),
    ).run


def _alive(_: Owner) -> Liveness:
    return "alive"


def _claim(place: _Place) -> float:
    began = time.perf_counter()
    run = _begin(place.store, place.free)
    took = time.perf_counter() - began
    place.store.runs.finish(run.baton, "finished")
    return took


def _refuse(place: _Place) -> float:
    began = time.perf_counter()
    with suppress(SessionBusy):
        _begin(place.store, place.busy)
    return time.perf_counter() - began


def _renew(place: _Place) -> float:
    began = time.perf_counter()
    place.store.leases.renew(place.held)
    return time.perf_counter() - began


_ACTS: Final[dict[str, Callable[[_Place], float]]] = {
    "a claim": _claim,
    "a refusal": _refuse,
    f"renewing {HELD} leases": _renew,
}


def _housekeeping(place: _Place) -> list[float]:
    """Seconds of each transaction."""
    place.seconds.clear()
    place.store.prune()
    place.store.sweep.interrupt_dead(by_lease=True)
    place.store.runs.unanswered(0.0)
    place.store.runs.count_live()
    place.store.queue.stranded()
    place.store.queue.depths()
    return place.seconds
