"""Going on with work that another process began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.conversation.run import Answer, Question, QuestionKind, ToolCall


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a session's work goes on that another process began: the session's ledger, how many turns its model had
    in this run, and the run's question with its answer. The question may be that of another session in the run: a
    task's below this one, or the one that gave this task away."""

    ledger: Mapping[str, ToolCall] = field(default_factory=dict)
    question: Question | None = None
    answer: Answer | None = None
    turns: int = 0

    def asked(self, kind: QuestionKind, session_id: str, call_id: str = "") -> Question | None:
        """The run's question, if it is one of that kind, about that call of that session."""
        question = self.question
        wanted = (kind, session_id, call_id)
        if question is None or (question.kind, question.session_id, question.call_id) != wanted:
            return None
        return question

    def answer_to(self, kind: QuestionKind, session_id: str, call_id: str = "") -> Answer | None:
        return self.answer if self.asked(kind, session_id, call_id) else None
