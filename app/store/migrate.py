"""Brings a database to the newest schema; safe to call from every process at its start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from app.store.engine import Database


def migrate(database: Database) -> None:
    """Runs what is missing in one transaction; whoever comes second waits and then finds nothing to do."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.migrating() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
