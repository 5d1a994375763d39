"""A connection whose other end is gone, or stopped inside a transaction, keeps no lock for as long as a lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Final

import pytest
from sqlalchemy import insert, text, update

from app.errors import StoreUnavailable
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.store import Store
from app.store.tables import runs, scheduled_jobs
from tests.harness.pgbouncer import PgBouncer, find_pgbouncer
from tests.harness.postgres import PostgresServer
from tests.store.actors import begin, new_session

pytestmark = pytest.mark.postgres

LEASE = 3.0
"""The shortest that the settings allow."""

LONGER = 30.0
"""For what would not bear it if this process had to wait for a processor in the middle of a transaction."""


@pytest.fixture(scope="module")
def shared_url(postgres: PostgresServer) -> str:
    return postgres.new_database()


Way = Callable[[str], AbstractContextManager[str]]


@contextmanager
def _behind_a_pooler(url: str) -> Iterator[str]:
    if find_pgbouncer() is None:
        pytest.skip("PgBouncer is not installed")
    with PgBouncer(url, mode="session") as pooler:
        yield pooler.url


@contextmanager
def _directly(url: str) -> Iterator[str]:
    yield url


@pytest.mark.parametrize(("way", "lease"), [(_directly, LEASE), (_behind_a_pooler, LONGER)])
def test_every_limit_of_a_connection_is_shorter_than_a_lease(
    way: Way, lease: float, store: Store, shared_url: str
) -> None:
    limits = text(
        "SELECT name, setting FROM pg_settings WHERE name LIKE 'tcp%' OR name LIKE 'idle_in%timeout'"
    )
    with (
        way(shared_url) as url,
        closing(Database(url, lease_seconds=lease)) as database,
        database.writing() as connection,
    ):
        of_the_server = {row.name: float(row.setting) for row in connection.execute(limits)}
        driver: Any = connection.connection.driver_connection
        of_the_client = driver.info.get_parameters()
    found = {
        "an idle transaction": of_the_server["idle_in_transaction_session_timeout"] / 1000,
        "a client that is gone": of_the_server["tcp_user_timeout"] / 1000,
        "the first look at the client": of_the_server["tcp_keepalives_idle"],
        "the next one": of_the_server["tcp_keepalives_interval"],
        "a server that is gone": float(of_the_client["tcp_user_timeout"]) / 1000,
        "the first look at the server": float(of_the_client["keepalives_idle"]),
        "the next one at that": float(of_the_client["keepalives_interval"]),
    }
    assert {name: seconds for name, seconds in found.items() if not 0 < seconds < lease} == {}


def test_an_operator_s_own_limits_stay(shared_url: str) -> None:
    with (
        closing(Database(f"{shared_url}?keepalives_idle=7", lease_seconds=LEASE)) as database,
        database.writing() as connection,
    ):
        driver: Any = connection.connection.driver_connection
        assert driver.info.get_parameters()["keepalives_idle"] == "7"


ADD_JOB: Final = Prepared(insert(scheduled_jobs).values(due_at=0.0), columns=["name"])


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_transaction_that_stops_in_the_middle_lets_go_of_its_locks(
    store: Store, shared_url: str, rows: int
) -> None:
    """After a statement for one row, for each of several, and for none."""
    run = begin(store, new_session(store).id).run
    row = update(runs).where(runs.c.id == run.id)

    def stop_in_the_middle(database: Database) -> None:
        with database.writing() as connection:
            connection.execute(row.values(writes=99))
            if rows:
                ADD_JOB.insert_all(connection, [{"name": f"{run.id} {number}"} for number in range(rows)])
            store.runs.finish(run.baton, "finished")  # waits for the row
            connection.execute(row.values(status="running"))

    with closing(Database(shared_url, lease_seconds=1.0)) as stopped, pytest.raises(StoreUnavailable):
        stop_in_the_middle(stopped)
    assert store.runs.get(run.id).status == "finished"
