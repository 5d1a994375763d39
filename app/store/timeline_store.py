"""The parts of a run as they are stored: what its models said, its calls, its summaries, and the prompts of its turns.
Those of the tasks within it are among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, select

from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.run import Run, ToolCall
from app.conversation.summary import Summary
from app.conversation.usage import Usage
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.row_mapping import call_of, load_optional, summary_of, value_of
from app.store.tables import (
    messages,
    prompts,
    sessions,
    summaries,
    tool_calls,
)

MAX_POSITION: Final = 2**31 - 1
PAGE: Final = 200  # messages that are looked at together


@dataclass(frozen=True, slots=True)
class Turn:
    """A model's turn without what was said in it. `ended_at` is by the database's clock, as all times here."""

    session_id: str
    position: int
    agent: str
    model: str
    ended_at: float
    stop_reason: str
    partial: str
    usage: Usage | None
    cost: float
    message_id: str


@dataclass(frozen=True, slots=True)
class TimedCall:
    """A call of the ledger; `position` is that of the turn that made it."""

    session_id: str
    position: int
    call: ToolCall
    started_at: float | None
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class RunParts:
    """`summaries` have their session's id beside them."""

    turns: Sequence[Turn]
    calls: Sequence[TimedCall]
    summaries: Sequence[tuple[str, Summary]]


class TimelineStore:
    """Each public method is one look."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def parts(self, run: Run) -> RunParts:
        """All that is stored of a run, in no order between the kinds; it costs what the sessions hold since the run
        began. StoreUnavailable."""
        with self._database.reading() as connection:
            root = {"root": run.session_id, "began": run.started_at}
            session_ids = [row.id for row in _SESSIONS.all(connection, root)]
            turns = [turn for one in session_ids for turn in _turns(connection, one, run)]
            calls = [_timed(row) for row in _CALLS.all(connection, {"of_run": run.id})]
            summed = [
                (row.session_id, summary_of(row))
                for one in session_ids
                for row in _SUMMARIES.all(connection, {"session_id": one, "of_run": run.id})
            ]
        return RunParts(turns, calls, summed)

    def summary_at(self, session_id: str, position: int) -> Summary | None:
        """The summary that stood for older messages when the message at that position was made."""
        with self._database.reading() as connection:
            row = _SUMMARY_AT.first(connection, {"session_id": session_id, "there": position})
        return None if row is None else summary_of(row)

    def prompt(self, session_id: str, digest: str) -> FrozenPrompt | None:
        """A prompt of the session by its digest."""
        with self._database.reading() as connection:
            row = _PROMPT.first(connection, {"session_id": session_id, "digest": digest})
        if row is None:
            return None
        return FrozenPrompt(
            row.digest,
            row.agent,
            row.definition,
            row.model,
            row.system_json,
            row.tools_json,
            load_optional(row.definitions_json),
        )


def _turns(connection: Connection, session_id: str, run: Run) -> Iterator[Turn]:
    """From the newest message back to the run's beginning: no index knows a run's messages."""
    before = MAX_POSITION
    while rows := _MESSAGES.all(connection, {"session_id": session_id, "before": before}):
        for row in rows:
            if row.run_id == run.id and row.role == "assistant":
                yield _turn(row)
            elif row.run_id != run.id and row.created_at < run.started_at:
                return
        before = rows[-1].position


def _turn(row: Any) -> Turn:
    return Turn(
        row.session_id,
        row.position,
        row.agent,
        row.model,
        row.created_at,
        row.stop_reason,
        row.partial,
        value_of(Usage, row.usage_json),
        row.cost,
        row.message_id or "",
    )


def _timed(row: Any) -> TimedCall:
    return TimedCall(row.session_id, row.position, call_of(row), row.started_at, row.ended_at)


def _sessions() -> Select[Any]:
    """The run's own, and those of tasks that were begun since."""
    top = select(sessions.c.id).where(sessions.c.id == bindparam("root")).cte("tree", recursive=True)
    below = select(sessions.c.id).join(top, sessions.c.parent_id == top.c.id)
    tree = top.union_all(below.where(sessions.c.created_at >= bindparam("began")))
    return select(tree.c.id)


_SESSIONS: Final = Prepared(_sessions())
_MESSAGES: Final = Prepared(
    select(
        *(messages.c[name] for name in ("session_id", "position", "agent", "model", "created_at", "role")),
        *(messages.c[name] for name in ("stop_reason", "partial", "usage_json", "cost", "message_id")),
        messages.c.run_id,
    )
    .where(messages.c.session_id == bindparam("session_id"), messages.c.position < bindparam("before"))
    .order_by(messages.c.position.desc())
    .limit(PAGE)
)
_CALLS: Final = Prepared(
    select(tool_calls)
    .where(tool_calls.c.run_id == bindparam("of_run"))
    .order_by(tool_calls.c.session_id, tool_calls.c.position)
)
_SUMMARIES: Final = Prepared(
    select(summaries)
    .where(summaries.c.session_id == bindparam("session_id"), summaries.c.run_id == bindparam("of_run"))
    .order_by(summaries.c.number)
)
_SUMMARY_AT: Final = Prepared(
    select(summaries)
    .where(summaries.c.session_id == bindparam("session_id"), summaries.c.made_at <= bindparam("there"))
    .order_by(summaries.c.number.desc())
    .limit(1)
)
_PROMPT: Final = Prepared(
    select(prompts).where(
        prompts.c.session_id == bindparam("session_id"), prompts.c.digest == bindparam("digest")
    )
)
