"""Alembic's entry: runs on the connection that `app.store.migrate` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from app.store import managed_tables  # noqa: F401 - its tables stand in the same catalogue
from app.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
