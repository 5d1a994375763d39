"""Brings a database to the newest schema; safe to call from every process at its start."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from app.store.engine import Database

NEWEST: Final = "0016"
"""The revision that `app.store.tables` describes."""


def migrate(database: Database) -> None:
    """Runs what is missing in one transaction; a second process waits for it and then finds nothing to do.

    A newer schema stays as it is. The start of a server refuses one (`app.selfcheck`), but a worker that is started
    again while other hosts are upgraded must serve on beside them."""
    if is_current(database):
        return
    config = import_module("alembic.config").Config()  # takes a fifth of the whole start, and is needed once
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.migrating() as connection:
        found = _revision(connection)
        if _needs_nothing(found):
            return  # another process was faster; it may be of a newer version
        config.attributes.update(connection=connection, upgrades_from=found)
        import_module("alembic.command").upgrade(config, "head")


def is_current(database: Database) -> bool:
    """Would `migrate` find nothing to do? StoreUnavailable."""
    return _needs_nothing(revision(database))


def is_newer(found: str | None) -> bool:
    """Was this revision made by a newer version than this one?"""
    return found is not None and found > NEWEST


def revision(database: Database) -> str | None:
    """The revision of the database's schema; None if it is empty."""
    with database.reading() as connection:
        return _revision(connection)


def _needs_nothing(found: str | None) -> bool:
    return found == NEWEST or is_newer(found)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    number: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return number
