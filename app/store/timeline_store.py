"""The parts of a run as they are stored: what its models said, its calls, its summaries, and the prompts of its turns.
Those of the tasks within it are among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import CTE, bindparam, select

from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.run import Run, ToolCall
from app.conversation.summary import Summary
from app.conversation.usage import Usage
from app.store.engine import Database
from app.store.prepared_statements import Prepared
from app.store.row_mapping import call_of, load_optional, summary_of, value_of
from app.store.tables import messages, prompts, sessions, summaries, tool_calls


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
        """All that is stored of a run, in no order between the kinds. StoreUnavailable."""
        of_run = {"root": run.session_id, "of_run": run.id}
        with self._database.reading() as connection:
            turns = [_turn(row) for row in _TURNS.all(connection, of_run)]
            calls = [_timed(row) for row in _CALLS.all(connection, {"of_run": run.id})]
            summed = [(row.session_id, summary_of(row)) for row in _SUMMARIES.all(connection, of_run)]
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


def _tree() -> CTE:
    top = select(sessions.c.id).where(sessions.c.id == bindparam("root")).cte("tree", recursive=True)
    return top.union_all(select(sessions.c.id).join(top, sessions.c.parent_id == top.c.id))


_THOSE: Final = select(_tree().c.id)
_TURNS: Final = Prepared(
    select(
        *(messages.c[name] for name in ("session_id", "position", "agent", "model", "created_at")),
        *(messages.c[name] for name in ("stop_reason", "partial", "usage_json", "cost", "message_id")),
    )
    .where(
        messages.c.session_id.in_(_THOSE),
        messages.c.run_id == bindparam("of_run"),
        messages.c.role == "assistant",
    )
    .order_by(messages.c.created_at, messages.c.position)
)
_CALLS: Final = Prepared(
    select(tool_calls)
    .where(tool_calls.c.run_id == bindparam("of_run"))
    .order_by(tool_calls.c.session_id, tool_calls.c.position)
)
_SUMMARIES: Final = Prepared(
    select(summaries)
    .where(summaries.c.session_id.in_(_THOSE), summaries.c.run_id == bindparam("of_run"))
    .order_by(summaries.c.created_at)
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
