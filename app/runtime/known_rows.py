"""Rows that a run has read together with others: known already when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.session import Session
from app.store.run_reads import Opening


class KnownRows:
    """Owned by the run's thread. What may change is told once, to the first who asks; None says that the database must
    be asked."""

    def __init__(self) -> None:
        self._session_id = ""
        self._states: Mapping[str, Any] | None = None
        self._prompt: FrozenPrompt | None = None
        self._session: Session | None = None
        self._unasked: set[str] = set()

    def open(self, session_id: str, opening: Opening) -> None:
        self._session_id = session_id
        self._states, self._prompt = opening.tool_states, opening.prompt

    def see(self, session: Session) -> None:
        """The session at a safe point, for what the next turn asks at its beginning."""
        self._session, self._unasked = session, {"budget", "thinking"}

    def states(self, session_id: str) -> Mapping[str, Any] | None:
        """Of its toolsets."""
        if session_id != self._session_id:
            return None
        states, self._states = self._states, None
        return states

    def prompt(self, session_id: str, agent: str, definitions: Sequence[str]) -> FrozenPrompt | None:
        """As `RunReads.prompt`; a newer definition's prompt is newer, too."""
        prompt, self._prompt = self._prompt, None
        if prompt is None or (session_id, agent) != (self._session_id, prompt.agent):
            return None
        return prompt if prompt.definition in definitions else None

    def session(self, session_id: str, question: str) -> Session | None:
        """`question` is what is asked of it: `budget` or `thinking`."""
        if self._session is None or self._session.id != session_id or question not in self._unasked:
            return None
        self._unasked.remove(question)
        return self._session
