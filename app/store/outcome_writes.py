"""Rows of outcomes, which follow the events that tell of them in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import text

from app.conversation.outcome import TERMINAL
from app.store.prepared_statements import Prepared, Values

Json = dict[str, Any]

DEFINED: Final = "user.define_outcome"
START: Final = "span.outcome_evaluation_start"
END: Final = "span.outcome_evaluation_end"

_ADD: Final = Prepared(
    text(
        "INSERT INTO outcomes "
        "(id, session_id, created_at, description, rubric, max_iterations, iteration, result, start_id) VALUES "
        "(:id, :session_id, :created_at, :description, :rubric, :max_iterations, 0, 'pending', '')"
    )
)
_BEGIN: Final = Prepared(
    text("UPDATE outcomes SET result = 'running' WHERE id = :of_outcome AND result = 'pending'")
)
_START: Final = Prepared(
    text(
        "UPDATE outcomes SET result = 'evaluating', start_id = :start_id, iteration = :iteration WHERE id = :of_outcome"
    )
)
_END: Final = Prepared(
    text(
        "UPDATE outcomes SET result = :result, iteration = :iteration, explanation = :explanation, "
        "completed_at = :completed_at, start_id = '' WHERE id = :of_outcome"
    )
)


def following(rows: Sequence[Values]) -> list[tuple[Prepared, Values]]:
    """The statements that follow from the rows of events."""
    return [found for row in rows if (found := _following(row)) is not None]


def _following(row: Values) -> tuple[Prepared, Values] | None:
    kind = row["type"]
    if kind not in (DEFINED, START, END):
        return None
    body = orjson.loads(row["body_json"])
    outcome: Json = {"of_outcome": body["outcome_id"]}
    if kind == DEFINED and row["number"] is None:
        return _ADD, _defined(row, body)
    if kind == DEFINED:
        return _BEGIN, outcome
    if kind == START:
        return _START, {**outcome, "start_id": row["id"], "iteration": body["iteration"]}
    is_over = body["result"] in TERMINAL
    ended = {
        "result": body["result"] if is_over else "running",
        "iteration": body["iteration"] + (not is_over),
        "explanation": body["explanation"],
        "completed_at": row["processed_at"] if is_over else None,
    }
    return _END, {**outcome, **ended}


def _defined(row: Values, body: Json) -> Json:
    return {
        "id": body["outcome_id"],
        "session_id": row["session_id"],
        "created_at": row["created_at"],
        "description": body["description"],
        "rubric": body["rubric"]["content"],
        "max_iterations": body["max_iterations"],
    }
