"""A session and the tasks below it, as they are at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import CTE, bindparam, func, literal_column, or_, select

from app.conversation.run import CallState, Run
from app.conversation.session import Session
from app.conversation.usage import Usage
from app.store.engine import Database
from app.store.row_mapping import run_of, session_of, value_of
from app.store.session_rows import find_session
from app.store.tables import (
    messages,
    runs,
    sessions,
    summaries,
    tool_calls,
)

TRANSFER: Final = "transfer_task"


@dataclass(frozen=True, slots=True)
class TreeRows:
    """`sessions`: the one that was asked for first, then the others, the oldest first. By session: its newest run, what
    its model calls have used, how many tool calls it has made, and when it was last written to. `transfers`: how the
    calls are that gave tasks away, by the session that made them and the call's id."""

    sessions: Sequence[Session]
    runs: Mapping[str, Run]
    usage: Mapping[str, Usage]
    calls: Mapping[str, int]
    written_at: Mapping[str, float]
    transfers: Mapping[tuple[str, str], CallState]


class TreeStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, session_id: str, *, owner: str | None = None) -> TreeRows:
        """The same number of statements for a tree of any size. SessionNotFound."""
        here = {"root": session_id}
        with self._database.reading() as connection:
            top = session_of(find_session(connection, session_id, owner=owner))
            below = [session_of(row) for row in connection.execute(_BELOW, here)]
            newest = {row.session_id: run_of(row) for row in connection.execute(_RUNS, here)}
            used: dict[str, list[Usage]] = {}
            for of_session, text in connection.execute(_USAGE, here):
                if (usage := value_of(Usage, text)) is not None:
                    used.setdefault(of_session, []).append(usage)
            return TreeRows(
                (top, *below),
                newest,
                {one: sum_of(usages) for one, usages in used.items()},
                {row[0]: row[1] for row in connection.execute(_CALLS, here)},
                {row[0]: row[1] for row in connection.execute(_WRITTEN, here)},
                {(row[0], row[1]): row[2] for row in connection.execute(_TRANSFERS, here)},
            )


def sum_of(usages: Sequence[Usage]) -> Usage:
    """All that these calls have used, together."""
    return Usage(
        sum(one.input_tokens for one in usages),
        sum(one.output_tokens for one in usages),
        sum(one.cache_read_tokens for one in usages),
        sum(one.cache_write_tokens for one in usages),
    )


def tree_below(root: str) -> CTE:
    """The ids of a session, which the statement is given by that name, and of all sessions below it."""
    top = select(sessions.c.id).where(sessions.c.id == bindparam(root)).cte("tree", recursive=True)
    return top.union_all(select(sessions.c.id).join(top, sessions.c.parent_id == top.c.id))


_TREE: Final = tree_below("root")
_THOSE: Final = select(_TREE.c.id)
_BELOW: Final = (
    select(sessions)
    .where(sessions.c.id.in_(_THOSE), sessions.c.id != bindparam("root"))
    .order_by(sessions.c.created_at, sessions.c.id)
)
_LATER: Final = runs.alias("later")
_RUNS: Final = (
    select(runs)
    .where(
        runs.c.session_id.in_(_THOSE),
        runs.c.started_at
        == select(func.max(_LATER.c.started_at))
        .where(_LATER.c.session_id == runs.c.session_id)
        .scalar_subquery(),
    )
    .order_by(runs.c.id)
)
_USAGE: Final = (
    select(messages.c.session_id, messages.c.usage_json)
    .where(messages.c.session_id.in_(_THOSE), messages.c.usage_json.is_not(None))
    .union_all(
        select(summaries.c.session_id, summaries.c.usage_json).where(
            summaries.c.session_id.in_(_THOSE), summaries.c.usage_json.is_not(None)
        )
    )
)
_WRITTEN: Final[Any] = (
    select(messages.c.session_id, func.max(messages.c.created_at))
    .where(messages.c.session_id.in_(_THOSE))
    .group_by(messages.c.session_id)
)
_CALLS: Final[Any] = (
    select(tool_calls.c.session_id, func.count())
    .where(tool_calls.c.session_id.in_(_THOSE))
    .group_by(tool_calls.c.session_id)
)
_ABOVE: Final = select(sessions.c.parent_id).where(
    sessions.c.id == bindparam("root"), sessions.c.parent_id.is_not(None)
)
_TRANSFERS: Final = select(tool_calls.c.session_id, tool_calls.c.id, tool_calls.c.state).where(
    or_(tool_calls.c.session_id.in_(_THOSE), tool_calls.c.session_id.in_(_ABOVE)),
    tool_calls.c.name == literal_column(f"'{TRANSFER}'"),
)
