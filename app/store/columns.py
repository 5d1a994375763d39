"""Kinds of columns, indexes and tables that the tables are made of, and the catalogue that all tables stand in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Double,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
    text,
)

from app.conversation.blocks import sound

catalogue = MetaData()

BYTES: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is ordered by its bytes, whatever language the database speaks."""


class DisplayText(TypeDecorator[str]):
    """Text from outside that is only to be shown. Characters that no database takes are replaced: a message with
    half a character in it must not keep a run from ending."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else sound(value)


def session_id(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "session_id",
        Text,
        ForeignKey("sessions.id", ondelete="CASCADE"),
        nullable=False,
        primary_key=primary_key,
    )


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of only the rows that meet the condition."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def one_of(column: Column[Any], words: Iterable[str]) -> ColumnElement[bool]:
    """The words stand in the statement itself: they never change, and a partial index is used only where its
    condition can be read."""
    return column.in_([literal_column(f"'{word}'", Text) for word in words])


def definitions(name: str, *columns: Column[Any] | Index) -> Table:
    """A table of what a client has defined, with columns and indexes of its own. `shared`: everybody may use it, not
    only its owner."""
    return Table(
        name,
        catalogue,
        Column("id", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("shared", Boolean, nullable=False),
        Column("created_at", Double, nullable=False),
        Column("updated_at", Double, nullable=False),
        Column("archived_at", Double),
        *columns,
        UniqueConstraint("created_at", "id", name=f"{name}_by_age"),  # for its index
    )
