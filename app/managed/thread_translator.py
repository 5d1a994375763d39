"""Translates what a run does in one of its session's threads into events of the Managed Agents API."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from app.agent.loop_steps import Step
from app.conversation.run import Question
from app.managed.session_translator import SessionTranslator
from app.managed.usage import Spent
from app.runtime.event_translator import Rows

Json = dict[str, Any]


class ThreadTranslator(SessionTranslator):
    """Serves one thread, for the translator of its session. Its rows are numbered among the thread's events."""

    is_at_work = False  # as far as clients were told
    is_stopped = False  # a client wants it to stop
    is_over = False

    @property
    def session_id(self) -> str:
        return self._session_id

    @property
    def name(self) -> str:
        return str(self._thread["agent_name"])

    @property
    def id(self) -> str:
        return str(self._thread["session_thread_id"])

    def spending(self, spent: Spent, step: Step) -> tuple[Rows, Spent]:
        """The rows of a step; and what the whole session has spent, with this step."""
        self._spent = spent
        return list(self.of(step)), self._spent

    def status(self, kind: str, more: Json) -> Json:
        return self._row(f"session.thread_status_{kind}", {**self._thread, **more})

    def told(self, kind: str, body: Json, *, event: str = "", call_id: str | None = None) -> Json:
        return self._row(kind, body, event=event, call_id=call_id)

    def asks(self, question: Question) -> bool:
        return self._is_told(question)

    def note(self, question: Question) -> None:
        self._note(question)

    def open(self, question: Question) -> Mapping[str, str]:
        """The events of its calls that keep the run from going on with its question, by the call."""
        return {} if self.is_stopped else self._unanswered(question)

    def own(self, event_ids: Collection[str]) -> list[str]:
        """The events of these that tell of calls of its own."""
        mine = {call.event for call in self._asked.values()}
        return [one for one in event_ids if one in mine]

    def waits_for(self, call_id: str | None) -> bool:
        """Is it a call that a client has to decide on, or to make?"""
        return call_id in self._asked

    def left_off(self) -> Sequence[Json]:
        """The end of a request of which no message is kept."""
        return [*self._unanswered_request()]
