"""Makes room in a model's window: what is older in the conversation gives way to a summary of it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, Final

from app.agent import catalogue
from app.agent.asking import SUMMARY_TOKENS, Asked, Asker
from app.agent.context import LoopContext
from app.agent.history import History
from app.agent.model import ModelError
from app.agent.steps import Condensed, Step
from app.conversation import events
from app.conversation.blocks import clean, plain_text, text_block
from app.conversation.compaction import Cut, Summary, find_cut, shortened
from app.conversation.healing import heal
from app.conversation.transcript import Message
from app.errors import CompactionFailed, RunCancelled
from app.team.agent import Agent

Compacting = Generator[Step, Any, bool]

FULL: Final = 0.9
"""Of the window: where it counts as nearly full."""
KEPT: Final = 0.1
"""Of the window: how much of the newest is kept in its own words; a compaction must win as much, too."""
UNKNOWN_WINDOW: Final = 100_000
"""Tokens, for a model that nothing is known of and that has said that its window is full."""
ATTEMPTS: Final = 4
"""At a summary, each with half of the conversation that the one before was given."""

ASSIGNMENT: Final = (
    "Summarize this conversation for somebody who goes on with it and will see nothing of it but your summary. Say "
    "what the user wants, in their words where these matter; what was decided, and why; what was done and found out, "
    "with the exact names, paths, commands, numbers and errors that are still needed; what is still open, and what "
    "comes next. Answer with the summary alone."
)


class Compactor:
    """Works on one session for one agent. Owned by the run's thread."""

    def __init__(
        self, context: LoopContext, session_id: str, agent: Agent, history: History, asker: Asker
    ) -> None:
        self._context = context
        self._session_id = session_id
        self._agent = agent
        self._history = history
        self._asker = asker
        self._tried_at = -1  # how much of the conversation there was at the last attempt

    def make_room(self) -> Compacting:
        """Compacts the conversation if the window is nearly full and that would help; says whether it did so."""
        window = self._window
        fill = self._history.fill
        if not window or fill <= int(window * FULL) or self._history.transcript.unserved:
            return False
        if self._tried_at == self._history.next_position:
            return False
        cut = self._cut(int(window * KEPT))
        if cut is None or fill - cut.kept_tokens < window * KEPT:
            return False
        self._tried_at = self._history.next_position
        return (yield from self._compact(cut, window - min(SUMMARY_TOKENS, window // 20)))

    def recover(self) -> Compacting:
        """Compacts a conversation that did not fit into the window; says whether it is shorter now."""
        window = self._window or UNKNOWN_WINDOW
        cut = self._cut(int(window * KEPT)) or self._cut(0)
        if cut is None:
            return False
        yield self._warning("The conversation does not fit into the model's context window; it is compacted.")
        return (yield from self._compact(cut, min(window, self._history.fill) // 2))

    @property
    def _window(self) -> int:
        """Of the model that will speak, as far as that is known; 0 if nothing is known of it."""
        return min(catalogue.facts(spec.model).window for spec in self._asker.chain.first)

    def _cut(self, keep_tokens: int) -> Cut | None:
        return find_cut(
            self._history.rows, keep_tokens=keep_tokens, next_position=self._history.next_position
        )

    def _compact(self, cut: Cut, tokens: int) -> Compacting:
        """`tokens` is how much of the conversation the model is shown at first."""
        self._context.check_budget()
        yield self._progress("started")
        try:
            asked = yield from self._summary_of(cut.older, tokens)
            text = clean(plain_text(asked.turn.content).strip())
            if not text or asked.turn.stop_reason == "refusal":
                yield from self._asker.settle(asked.cost)
                raise ModelError("the model wrote no summary", kind="final")
        except ModelError as error:
            yield from self._asker.settle()
            if error.kind == "cancelled":
                raise RunCancelled() from error
            words = f"failed to compact the conversation: {error}"
            yield events.Error(error=words, code=CompactionFailed.code)
            yield self._progress("completed")
            yield self._token_usage()
            return False
        yield from self._asker.settle()
        summary = self._summary(cut, asked, text)
        self._history.condense(summary)
        yield Condensed(self._session_id, summary)
        yield events.SessionSummaryEvent(
            agent_name=self._agent.name, session_id=self._session_id, summary=text
        )
        yield self._progress("completed")
        yield self._token_usage()
        return True

    def _summary_of(self, rows: Sequence[Message], tokens: int) -> Generator[Step, Any, Asked]:
        """Shows the model less and less of the conversation, from its end, until it fits. Thinking was signed over
        the whole of it, so it is left out of less."""
        for attempt in range(ATTEMPTS):
            shown = shortened(rows, tokens >> attempt)
            if shown != list(rows) or attempt:
                shown = [replace(row, prompt="") for row in shown]
            try:
                return (yield from self._asker.ask_about(heal([*shown, _assignment()]).rows))
            except ModelError as error:
                if error.kind not in ("overflow", "thinking_mismatch") or attempt == ATTEMPTS - 1:
                    raise
        raise ModelError("the conversation is too long to be summarized", kind="final")

    def _summary(self, cut: Cut, asked: Asked, text: str) -> Summary:
        before = self._history.summary
        return Summary(
            number=before.number + 1 if before else 1,
            text=text,
            through=cut.through,
            newest_from=cut.newest_from,
            newest_to=cut.newest_to,
            made_at=self._history.next_position,
            agent=self._agent.name,
            model=asked.turn.model or asked.spec.id,
            usage=asked.turn.usage,
            cost=asked.cost,
        )

    def _progress(self, status: str) -> Step:
        return events.SessionCompaction(
            agent_name=self._agent.name, session_id=self._session_id, status=status
        )

    def _warning(self, words: str) -> Step:
        return events.Warning(agent_name=self._agent.name, message=words)

    def _token_usage(self) -> Step:
        session = self._context.look(self._session_id)
        body = {
            "input_tokens": session.input_tokens,
            "output_tokens": session.output_tokens,
            "context_length": session.input_tokens + session.output_tokens,
            "context_limit": self._window,
            "cost": self._history.cost,
        }
        return events.TokenUsage(agent_name=self._agent.name, session_id=self._session_id, usage=body)


def _assignment() -> Message:
    return Message("user", (text_block(ASSIGNMENT),), implicit=True)
