"""Conditions on many rows at once: the values come as one parameter, a JSON list, so that the statement is the
same for one row and for thousands. With a parameter for each, SQLAlchemy and the database read it anew each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Text, bindparam, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def among(column: Column[str], parameter: str) -> ColumnElement[bool]:
    """Is it one of the texts that are `listed` in that parameter?"""
    return column.bool_op("IN")(_texts(bindparam(parameter, type_=Text)))


def pair_among(text: Column[str], number: Column[int], parameter: str) -> ColumnElement[bool]:
    """Are the two one of the pairs that are `listed` in that parameter?"""
    return tuple_(text, number).bool_op("IN")(_pairs(bindparam(parameter, type_=Text)))


def listed(values: Sequence[str] | Sequence[tuple[str, int]]) -> str:
    """The value for such a parameter."""
    return orjson.dumps(values).decode()


class _texts(FunctionElement[str]):
    type = Text()
    inherit_cache = True


@compiles(_texts, "sqlite")
def _texts_sqlite(element: _texts, compiler: SQLCompiler, **more: Any) -> str:
    return f"(SELECT value FROM json_each({compiler.process(element.clauses, **more)}))"  # noqa: S608 - made of the compiler's words


@compiles(_texts, "postgresql")
def _texts_postgresql(element: _texts, compiler: SQLCompiler, **more: Any) -> str:
    return f"(SELECT json_array_elements_text(CAST({compiler.process(element.clauses, **more)} AS json)))"


class _pairs(FunctionElement[str]):
    type = Text()
    inherit_cache = True


@compiles(_pairs, "sqlite")
def _pairs_sqlite(element: _pairs, compiler: SQLCompiler, **more: Any) -> str:
    pairs = compiler.process(element.clauses, **more)
    return f"(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each({pairs}))"  # noqa: S608 - made of the compiler's words


@compiles(_pairs, "postgresql")
def _pairs_postgresql(element: _pairs, compiler: SQLCompiler, **more: Any) -> str:
    pairs = compiler.process(element.clauses, **more)
    return (
        f"(SELECT pair ->> 0, (pair ->> 1)::integer FROM json_array_elements(CAST({pairs} AS json)) AS pair)"  # noqa: S608 - made of the compiler's words
    )
