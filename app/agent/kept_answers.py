"""Says again what an agent with a `cache` has answered before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from app.agent.answer_cache import Key, question_of
from app.agent.loop_context import LoopContext
from app.agent.loop_steps import Step
from app.conversation.session import Session
from app.conversation.transcript import Message
from app.team.agent import Agent

T = TypeVar("T")
Say = Callable[[str], Generator[Step, Any, T]]


class KeptAnswers:
    """For one session in one run. Owned by the run's thread."""

    def __init__(self, context: LoopContext, session: Session) -> None:
        self._context = context
        self._session = session
        self._asked: Key | None = None

    def say(self, agent: Agent, rows: Sequence[Message], say: Say[T]) -> Generator[Step, Any, T | None]:
        """None if the model has to be asked. `say` lets the agent say words."""
        asked = question_of(agent, (self._context.team.digest, agent.name, self._session.owner), rows)
        if asked is None:
            return None
        self._asked = asked
        if not (answer := self._context.answers.find(asked)):
            return None
        return (yield from say(answer))

    def keep(self, stop_reason: str, words: str) -> None:
        """The agent's last words were the answer to what the user has asked last."""
        if self._asked and stop_reason == "end_turn":
            self._context.answers.keep(self._asked, words)
        self._asked = None
