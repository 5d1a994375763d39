"""Has the agent's work graded when the agent would end, and asks the agent to revise it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import orjson

from app.agent.history import History
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import OutcomeEvaluation, Step
from app.agent.model_caller import ModelAnswer, ModelCaller
from app.agent.model_client import ModelError
from app.conversation.blocks import plain_text, text_block
from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.grading import PURPOSE, Verdict, question, read_verdict, revision
from app.conversation.outcome import Outcome
from app.conversation.transcript import Message
from app.conversation.usage import Usage
from app.errors import RunCancelled

ATTEMPTS: Final = 2
"""At a verdict; a grader may answer in words that are none."""

_PROMPT: Final = FrozenPrompt(
    "", "grader", "", "", orjson.dumps([{"type": "text", "text": PURPOSE}]).decode(), ""
)


class OutcomeJudge:
    """Owned by the thread of a run. The grader is the model of the agent, in a conversation of its own."""

    def __init__(
        self, context: LoopContext, session_id: str, history: History, model_caller: ModelCaller
    ) -> None:
        self._context = context
        self._session_id = session_id
        self._history = history
        self._model_caller = model_caller

    def goes_on(self) -> Generator[Step, Any, bool]:
        """Has the agent something to do still? False where there is no outcome to reach. BudgetReached."""
        outcome = self._context.find_outcome(self._session_id)
        if outcome is None:
            return False
        self._context.check_budget()
        yield OutcomeEvaluation(self._session_id, outcome, "start")
        usage, cost = Usage(), 0.0
        verdict: Verdict | None = None
        try:
            for _ in range(ATTEMPTS):
                yield OutcomeEvaluation(self._session_id, outcome, "ongoing")
                answer = yield from self._ask(outcome)
                usage, cost = usage.with_more(answer.turn.usage), cost + answer.cost
                yield from self._model_caller.settle(answer.cost)
                if (verdict := read_verdict(plain_text(answer.turn.content))) is not None:
                    break
        except ModelError as error:
            yield from self._model_caller.settle()
            if error.kind == "cancelled":
                raise RunCancelled() from None
            verdict = Verdict("failed", f"The grader could not be asked: {error}")
        verdict = verdict or Verdict("failed", "The grader came to no verdict.")
        yield from self._tell(outcome, verdict, usage, cost)
        return verdict.result == "needs_revision"

    def _ask(self, outcome: Outcome) -> Generator[Step, Any, ModelAnswer]:
        asked = Message("user", tuple(question(outcome, self._history.rows)))
        return (yield from self._model_caller.ask_about([asked], prompt=_PROMPT))

    def _tell(
        self, outcome: Outcome, verdict: Verdict, usage: Usage, cost: float
    ) -> Generator[Step, Any, None]:
        """With the verdict comes what the agent is told of it: both are stored, or neither."""
        result, last, told = verdict.result, outcome.iteration + 1 >= outcome.max_iterations, []
        if result == "needs_revision":
            result = "max_iterations_reached" if last else result
            words = text_block(revision(verdict.explanation, last=last))
            told = [Message("user", (words,), implicit=True, position=self._history.next_position)]
            self._history.add(told[0])
        yield OutcomeEvaluation(self._session_id, outcome, result, verdict.explanation, usage, cost, told)
