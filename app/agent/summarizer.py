"""Writes the summary of what is older in a conversation."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, Final

from app.agent.loop_context import LoopContext
from app.agent.loop_steps import Step
from app.agent.model_caller import ModelAnswer, ModelCaller
from app.agent.model_client import ModelError
from app.conversation.blocks import clean, plain_text, text_block
from app.conversation.compaction import estimate, shortened
from app.conversation.healing import heal
from app.conversation.pictures import without_pictures
from app.conversation.transcript import Message
from app.team.agent import Agent
from app.team.model_definition import ModelSpec

ATTEMPTS: Final = 4
"""At a summary, each with half of the conversation that the one before was given."""
WHOLE: Final = frozenset({"end_turn", "stop_sequence"})
"""How a summary ends that may stand for a conversation; any other was cut, or refused."""

ASSIGNMENT: Final = (
    "Summarize this conversation for somebody who goes on with it and will see nothing of it but your summary. Say "
    "what the user wants, in their words where these matter; what was decided, and why; what was done and found out, "
    "with the exact names, paths, commands, numbers and errors that are still needed; what is still open, and what "
    "comes next. Answer with the summary alone."
)

BRIEFLY: Final = "Be brief: a page at most."
"""After an attempt that came to nothing, perhaps because the summary was too long."""


class Summarizer:
    """Asks for one agent of one session. Owned by the run's thread."""

    def __init__(self, context: LoopContext, agent: Agent, model_caller: ModelCaller) -> None:
        self._context = context
        self._agent = agent
        self._model_caller = model_caller

    @property
    def writers(self) -> Sequence[ModelSpec]:
        """The models that write summaries, before the agent's own are asked for one."""
        own = [spec.compaction_model for spec in self._model_caller.chain.first]
        reference = self._agent.compaction_model or next(filter(None, own), "")
        return self._context.team.models(reference)[:1] if reference else ()

    def summary_of(
        self, rows: Sequence[Message], tokens: int, words: str
    ) -> Generator[Step, Any, tuple[ModelAnswer, str]]:
        """Shows the model less and less of the conversation, from its end, until it fits and the summary is whole.
        Thinking was signed over the whole of it, so it is left out of less. `words` are for the model. ModelError."""
        problem = ModelError("the conversation is too long to be summarized", kind="final")
        more = [Message("user", (text_block(words),), implicit=True)] if words else []
        for attempt in range(ATTEMPTS):
            shown = shortened(rows, tokens >> attempt)
            if attempt or shown != list(rows):
                shown = [replace(row, prompt="") for row in shown]
            try:
                asked = yield from self._model_caller.ask_about(
                    heal([*shown, _assignment(attempt), *more]).rows, self.writers
                )
            except ModelError as error:
                if error.kind not in ("overflow", "thinking_mismatch", "picture_refused"):
                    raise
                if error.kind == "picture_refused":
                    rows = [without_pictures(row) for row in rows]
                problem = error
                continue
            text = clean(plain_text(asked.turn.content).strip())
            if text and asked.turn.stop_reason in WHOLE:
                return asked, text
            yield from self._model_caller.settle(asked.cost)
            problem = ModelError(_unusable(asked.turn.stop_reason), kind="final")
            tokens = min(tokens, sum(map(estimate, shown)) << attempt)
        raise problem


def _unusable(stop_reason: str) -> str:
    if stop_reason in WHOLE:
        return "the model wrote no summary"
    return f"the model did not finish its summary ({stop_reason})"


def _assignment(attempt: int) -> Message:
    words = ASSIGNMENT if not attempt else f"{ASSIGNMENT} {BRIEFLY}"
    return Message("user", (text_block(words),), implicit=True)
