"""Rows that a run has read or written together with others: known already when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.conversation.frozen_prompt import FrozenPrompt
from app.conversation.session import Session
from app.store.run_reads import Opening

NEW_SECONDS: Final = 1.0
"""How long another process may have changed a row before it is looked at again."""


class KnownRows:
    """Owned by the run's thread. What may change is told once, to the first who asks; None says that the database must
    be asked. `additions` is `QueueStore.additions`, read before the rows."""

    def __init__(self) -> None:
        self._session_id = ""
        self._states: Mapping[str, Any] | None = None
        self._prompt: FrozenPrompt | None = None
        self._no_prompt_of = ""  # the name of the agent that the session has never frozen one for
        self._session: Session | None = None
        self._seen_at = 0.0  # monotonic
        self._unasked: set[str] = set()
        self._quiet: tuple[int, float] | None = None  # the number of additions, and when

    def open(self, session: Session, agent: str, opening: Opening, additions: int) -> None:
        """The session as it was claimed, and what was read next, for an agent of that name."""
        self._session_id = session.id
        self._states, self._prompt = opening.tool_states, opening.prompt
        self._no_prompt_of = "" if opening.prompt else agent
        self.see(session)
        self.heard(waiting=opening.waiting or session.choices.pause, additions=additions)

    def see(self, session: Session) -> None:
        """The session before a turn, for what that asks at its beginning."""
        self._session, self._seen_at = session, time.monotonic()
        self._unasked = {"budget", "thinking"}

    def heard(self, *, waiting: bool, additions: int) -> None:
        """Whether messages wait for the run."""
        self._quiet = None if waiting else (additions, time.monotonic())

    def forget_quiet(self) -> None:
        """The run goes on with what takes its time."""
        self._quiet = None

    def is_quiet(self, additions: int) -> bool:
        """Is it certain that no message waits? This process has stored none since, and others had no time to."""
        quiet, self._quiet = self._quiet, None
        return quiet is not None and quiet[0] == additions and time.monotonic() - quiet[1] < NEW_SECONDS

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

    def has_no_prompt(self, session_id: str, agent: str) -> bool:
        """Is it certain that there is none? Only this run could have made one since."""
        name, self._no_prompt_of = self._no_prompt_of, ""
        return (session_id, agent) == (self._session_id, name)

    def session(self, session_id: str, question: str) -> Session | None:
        """`question` is what is asked of it: `budget` or `thinking`."""
        if self._session is None or self._session.id != session_id or question not in self._unasked:
            return None
        self._unasked.remove(question)
        return self._session if time.monotonic() - self._seen_at < NEW_SECONDS else None
