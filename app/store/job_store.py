"""Jobs that one process does for the whole cluster: each is done at most once in its period, whoever does it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.store.clock import now
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.tables import scheduled_jobs

FORGOTTEN_SECONDS: Final = 86_400.0
"""A job that nobody has taken for so long is not done any more: its host is gone, or its name."""

_NAME: Final = scheduled_jobs.c.name == bindparam("job")
_DUE_AT: Final = Prepared(select((scheduled_jobs.c.due_at <= now()).label("due")).where(_NAME))
_TAKE: Final = Prepared(
    update(scheduled_jobs)
    .where(_NAME, scheduled_jobs.c.due_at <= now())
    .values(due_at=now() + bindparam("period"))
)
_FIRST: Final = Prepared(insert(scheduled_jobs).values(due_at=now() + bindparam("period")), columns=["name"])


def want(connection: Connection, name: str) -> None:
    """Has a job done from now on."""
    if not connection.execute(
        update(scheduled_jobs).where(scheduled_jobs.c.name == name).values(due_at=now())
    ).rowcount:
        connection.execute(insert(scheduled_jobs).values(name=name, due_at=now()))


class JobStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, *, period: float) -> bool:
        """Is it time to do the job, and is it this caller who does it? A period begins when somebody takes the job,
        by the database's clock. A job that outlasts its period may be taken by another process meanwhile, and one
        whose process dies is due again after it, so a job must bear both. StoreUnavailable."""
        with self._database.glance() as connection:
            row = _DUE_AT.first(connection, {"job": name})
        if row is not None and not row.due:
            return False
        try:
            with self._database.writing_undurably() as connection:
                if row is not None:
                    return _TAKE.run(connection, {"job": name, "period": period}) == 1
                _FIRST.run(connection, {"name": name, "period": period})
                return True
        except IntegrityError:
            return False  # another process was a moment faster

    def is_due(self, name: str) -> bool:
        """May the job be done now? One that nobody has ever taken may be. StoreUnavailable."""
        with self._database.glance() as connection:
            row = _DUE_AT.first(connection, {"job": name})
        return row is None or bool(row.due)

    def due(self, start: str) -> list[str]:
        """The jobs whose names begin so, and that may be done now."""
        query = select(scheduled_jobs.c.name).where(
            scheduled_jobs.c.name.startswith(start, autoescape=True), scheduled_jobs.c.due_at <= now()
        )
        with self._database.glance() as connection:
            return list(connection.execute(query).scalars())

    def forget(self, name: str) -> None:
        """The job is done for good."""
        with self._database.writing() as connection:
            connection.execute(delete(scheduled_jobs).where(scheduled_jobs.c.name == name))

    def prune(self) -> int:
        """Drops jobs that are not done any more. Returns how many."""
        gone = scheduled_jobs.c.due_at < now() - FORGOTTEN_SECONDS
        with self._database.writing() as connection:
            return connection.execute(delete(scheduled_jobs).where(gone)).rowcount
