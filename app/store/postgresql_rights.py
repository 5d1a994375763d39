"""The rights that a PostgreSQL gives us, found out without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from app.store import managed_tables  # noqa: F401 - its tables stand in the same catalogue
from app.store.engine import Database
from app.store.migrate import is_current
from app.store.tables import metadata

HINT_SECONDS: Final = 2.0

_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class PostgresqlRights:
    """How it stands with the role that we are."""

    user: str
    schema: str
    read_only: bool
    may_create: bool
    is_current: bool  # every table is there, so none has to be made
    missing_rights: tuple[str, ...]  # `UPDATE on runs`
    connections: int
    hints_arrive: bool

    def obstacles(self) -> list[tuple[str, str]]:
        """The reasons why a server can't work with this database, and the remedy for each."""
        if self.read_only:
            return [("the database takes no writes; it may be a standby", "connect to the primary")]
        found = []
        if not self.schema:
            found.append(
                (f"{self.user} has no schema to make tables in", "create one, or set its search_path")
            )
        elif not self.may_create and not self.is_current:
            grant = f"GRANT CREATE ON SCHEMA {self.schema} TO {self.user}"
            found.append((f"{self.user} may not make tables in {self.schema}", grant))
        if self.missing_rights:
            grant = f"GRANT {', '.join(_RIGHTS)} ON ALL TABLES IN SCHEMA {self.schema} TO {self.user}"
            found.append((f"{self.user} lacks {', '.join(self.missing_rights[:3])}", grant))
        return found


def inspect(database: Database) -> PostgresqlRights:
    """StoreUnavailable."""
    with database.reading() as connection:
        user, schema, read_only = _one(
            connection,
            "SELECT current_user, coalesce(current_schema(), ''),"
            " pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean",
        )
        (may_create,) = _one(
            connection, "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
        )
        (connections,) = _one(connection, _CONNECTIONS)
        missing = tuple(_missing_rights(connection))
    return PostgresqlRights(
        user=user,
        schema=schema,
        read_only=read_only,
        may_create=may_create,
        is_current=is_current(database),
        missing_rights=missing,
        connections=connections,
        hints_arrive=database.hints_arrive(HINT_SECONDS),
    )


_CONNECTIONS: Final = """
    SELECT least(
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
        (SELECT CASE WHEN rolconnlimit < 0 THEN 2147483647 ELSE rolconnlimit END
           FROM pg_roles WHERE rolname = current_user),
        (SELECT CASE WHEN datconnlimit < 0 THEN 2147483647 ELSE datconnlimit END
           FROM pg_database WHERE datname = current_database()))
"""


def _missing_rights(connection: Connection) -> list[str]:
    """On tables that are there already; the tables that we make are ours."""
    missing = []
    for table in sorted(metadata.tables):
        for right in _RIGHTS:
            (allowed,) = _one(
                connection,
                "SELECT coalesce(has_table_privilege(to_regclass(%s)::oid, %s), true)",
                (table, right),
            )
            if not allowed:
                missing.append(f"{right} on {table}")
    return missing


def _one(connection: Connection, sql: str, parameters: tuple[str, ...] = ()) -> tuple[Any, ...]:
    return tuple(connection.exec_driver_sql(sql, parameters).one())
