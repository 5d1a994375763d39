"""The database's clock, in the words of SQLite and of PostgreSQL."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, Double, Integer, and_, bindparam, case, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class now(FunctionElement[float]):
    """The database's own clock, in seconds since the epoch. Leases are judged by it and by no other."""

    type = Double()
    inherit_cache = True


NOW_ON_SQLITE: Final = "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return NOW_ON_SQLITE


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::double precision"


class today(FunctionElement[int]):
    """The day by the same clock: days since the epoch, in UTC."""

    type = Integer()
    inherit_cache = True


@compiles(today, "sqlite")
def _today_sqlite(*_: Any, **__: Any) -> str:
    return "CAST(julianday('now') - 2440587.5 AS INTEGER)"


@compiles(today, "postgresql")
def _today_postgresql(*_: Any, **__: Any) -> str:
    return "floor(extract(epoch FROM clock_timestamp()) / 86400)::integer"


def ago(seconds: float) -> ColumnElement[float]:
    """The time so many seconds before now, for conditions: one value for all rows of the statement, so that
    PostgreSQL can look it up in an index."""
    return select(now() - seconds).scalar_subquery()


GIVEN_TIME: Final[BindParameter[float]] = bindparam("given_time", type_=Double)
MOMENT: Final = case((and_(GIVEN_TIME > 0, now() >= GIVEN_TIME), GIVEN_TIME), else_=now())
"""When a row was made, by the database's clock: a time that is given stays, unless it lies ahead of that clock."""
