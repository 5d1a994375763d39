"""What clients of the Managed Agents API have decided on, as answers to what a session's run waits for."""

from __future__ import annotations

import logging
from typing import Final

from app.errors import AppError, NotRunning
from app.managed.event_threads import stopped_by
from app.managed.pending_calls import answer_of, interrupted_answer, open_calls, unanswered
from app.runtime.run_control import RunControl
from app.store.store import Store

log = logging.getLogger(__name__)

KINDS: Final = ("approval", "elicitation")
STRANDED_SECONDS: Final = 3.0


class RunAnswers:
    """Any thread may call it. Decisions are events, stored before the run is answered: if the process dies between
    the two, or the run asks after it was decided, the run is answered later."""

    def __init__(self, store: Store, control: RunControl) -> None:
        self._store = store
        self._control = control

    def give(self, session_id: str, *, by: str) -> None:
        """Answers what the run waits for, once everything is decided that the session is idle for."""
        run = self._store.runs.live_run(session_id)
        asked = None if run is None else run.waiting_for
        if asked is None or asked.kind not in KINDS:
            return  # it looks for decisions when it comes to ask
        calls, stops = open_calls(self._store, session_id), self._store.told.waiting(session_id)
        decided = self._store.decisions.of(session_id, [*calls, asked.call_id])
        if unanswered(calls, decided, asked, stops):
            return
        answer, call = answer_of(decided.get(asked.call_id), asked, by=by), calls.get(asked.call_id)
        if answer is None and call is not None and call.thread in stopped_by(stops):
            answer = interrupted_answer(asked)  # only its thread goes on no more
        if answer is None:
            return
        try:
            self._control.answer(
                session_id,
                answer,
                kinds=KINDS,
                call_id=asked.call_id,
            )
        except NotRunning:
            raise
        except AppError as error:  # somebody was a moment faster: the event is stored all the same
            log.info("session %s was not answered: %s", session_id, error.message)

    def give_stranded(self) -> None:
        """Answers runs whose decisions were stored by processes that did not come to answer them."""
        if not self._store.jobs.take("answer stranded", period=STRANDED_SECONDS):
            return
        for session_id in self._store.decisions.stranded(STRANDED_SECONDS):
            self.give(session_id, by="server")
