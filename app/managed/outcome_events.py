"""Outcomes of a session of the Managed Agents API: what a run tells of the one that it works towards, and what the
session shows of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.agent.loop_steps import OutcomeEvaluation
from app.conversation.managed_events import given_up_body, judged_body
from app.conversation.outcome import TERMINAL, Outcome
from app.conversation.run_outcome import RunOutcome
from app.managed.times import moment
from app.managed_ids import new_id
from app.store.outcome_writes import END, START

Json = dict[str, Any]
Said = tuple[str, Json, str]
"""The type, the body and the id of an event."""


class OutcomeEvents:
    """Serves one run. Owned by its thread."""

    def __init__(self, aim: Outcome | None) -> None:
        """`aim` is the outcome that earlier runs have worked towards."""
        self.aim = aim

    def begin(self, outcome: Outcome) -> None:
        """A run has come to it."""
        self.aim = replace(outcome, result="running")

    def of(self, step: OutcomeEvaluation) -> Said:
        outcome = self.aim or step.outcome
        event, about = new_id("sevt"), {"outcome_id": outcome.id, "iteration": outcome.iteration}
        if step.state == "start":
            self.aim = replace(outcome, result="evaluating", start_id=event)
            return START, about, event
        if step.state == "ongoing":
            return "span.outcome_evaluation_ongoing", about, event
        body = judged_body(outcome, step.state, step.explanation, step.usage)
        again = replace(outcome, result="running", iteration=outcome.iteration + 1, start_id="")
        self.aim = None if step.state in TERMINAL else again
        return END, body, event

    def ended(self, end: RunOutcome) -> Sequence[Said]:
        """The run is over, and its agent does not come back to it."""
        if self.aim is None:
            return ()
        body, self.aim = given_up_body(self.aim, end), None
        return [(END, body, new_id("sevt"))]


def outcome_json(outcome: Outcome) -> Json:
    return {
        "type": "outcome_evaluation",
        "outcome_id": outcome.id,
        "description": outcome.description,
        "iteration": outcome.iteration,
        "result": outcome.result,
        "explanation": outcome.explanation,
        "completed_at": moment(outcome.completed_at),
    }
