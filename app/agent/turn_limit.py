"""The number of turns that a run may have before it asks for more."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from app.agent.loop_hooks import LoopHooks
from app.agent.loop_steps import Ask, Step
from app.agent.resumption import Resumption
from app.conversation import events
from app.conversation.run import Question

MORE_TURNS: Final = 10
"""So many more for each leave."""


class TurnLimit:
    """Counts the turns of one session in a run, `turns` so far. `most` is 0 for as many as it takes."""

    def __init__(self, session_id: str, most: int, resumption: Resumption) -> None:
        """An earlier process may have got leave for more, some at a time."""
        self._session_id = session_id
        self._answer = resumption.answer_to("max_iterations", session_id)
        if asked := resumption.asked("max_iterations", session_id):
            self._limit = self.turns = int(asked.details["limit"])
            return
        beyond = max(0, resumption.turns - most) if most else 0
        self._limit = most + -(-beyond // MORE_TURNS) * MORE_TURNS
        self.turns = resumption.turns

    @property
    def words(self) -> str:
        """Said when there is no leave."""
        return f"Execution stopped after reaching the configured max_iterations limit ({self._limit})."

    def allows_turn(self, hooks: LoopHooks) -> Generator[Step, Any, bool]:
        """May there be one more turn? It counts. At the limit a person is asked."""
        if self._limit and self.turns >= self._limit:
            answer, self._answer = self._answer, None
            if answer is None:
                yield from hooks.limit_reached(self._limit)
                question = Question(
                    "max_iterations", session_id=self._session_id, details={"limit": self._limit}
                )
                event = events.MaxIterationsReached(max_iterations=self._limit, session_id=self._session_id)
                answer = yield Ask(question, event)
            if answer is None or answer.decision != "approve":
                return False
            yield from hooks.resumed(self._limit, MORE_TURNS)
            self._limit = self.turns + MORE_TURNS
        self.turns += 1
        return True
