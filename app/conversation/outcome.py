"""An outcome that an agent works towards until a grader is satisfied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TERMINAL: Final = frozenset({"satisfied", "max_iterations_reached", "failed", "interrupted"})
"""Results after which there is no further evaluation."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`result` is `pending` before a run has come to it, `running`, `evaluating`, or terminal; `iteration` counts the
    revisions. `start_id` is the event by which the evaluation under way began."""

    id: str
    session_id: str
    description: str
    rubric: str
    max_iterations: int
    iteration: int = 0
    result: str = "pending"
    explanation: str | None = None
    completed_at: float | None = None
    start_id: str = ""
