"""Drives a run's loop on the run's own thread, logged and traced as part of its request."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from app.agent.resumption import Resumption
from app.errors import RunCancelled
from app.runtime.kept_conversations import KeptConversations
from app.runtime.live_run import LiveRun
from app.runtime.loop_recorder import Recorder
from app.runtime.run_claims import Claimed
from app.runtime.run_plan import Plan
from app.store.answer_store import Answered
from app.store.store import Store
from app.telemetry.telemetry import Telemetry
from app.telemetry.tracing import Span

log = logging.getLogger(__name__)


class LoopDriver:
    """Shared by the threads of all runs."""

    def __init__(self, store: Store, telemetry: Telemetry, kept: KeptConversations) -> None:
        self._store = store
        self._kept = kept
        self._telemetry = telemetry

    def drive(self, live: LiveRun, plan: Plan, claimed: Claimed) -> None:
        """Follows the loop to its end. RunParked, RunCancelled, BatonLost, and whatever the loop raises."""
        answered = claimed.answered
        if answered is None:
            self._telemetry.metrics.run_started()
            log.info("run started by agent %s", plan.agent)
        else:
            log.info("run %s goes on here", live.run.id)
            if answered.run.stopped_by:
                live.heed_stop(answered.run.stopped_by)
            if answered.question.kind == "pause" and answered.answer.decision == "expired":
                live.cancellation.cancel(answered.answer.by)
                raise RunCancelled()
        additions, (_, agent) = self._store.queue.additions, live.run.key_and_name
        kept = self._kept.take(claimed.session.id)  # and given back only by a run that comes to its end
        opening = live.patience(self._store.reads.opening, claimed.session.id, agent, kept.rows)
        kept.rows, live.history = opening.decoded, kept.history
        live.known.open(claimed.session, agent, opening, additions)
        resumption = None if answered is None else live.patience(self._resumption, answered)
        recorder = Recorder(self._store, live, self._telemetry)
        if plan.translator is not None:
            live.translator = live.patience(plan.translator)
            recorder.tell(live.patience(live.translator.began))
        recorder.follow(plan.loop(live, claimed.session, opening.messages, resumption))
        self._kept.keep(claimed.session.id, kept)

    def _resumption(self, answered: Answered) -> Resumption:
        """The state from which the loop goes on, as the rows have it now that no other process can write to them."""
        run, records = answered.run, self._store.journal
        ledger = records.ledger(run.session_id, run_id=run.id)
        turns = records.turns(run.session_id, run.id)
        return Resumption(ledger, answered.question, answered.answer, turns)

    @contextmanager
    def observed(self, live: LiveRun, agent: str) -> Iterator[Span]:
        """While inside, what this thread logs and traces is the run's."""
        tracing, run = self._telemetry.tracing, live.run
        with (
            live.context.entered(tracing, session=run.session_id, run=run.id),
            tracing.run(session_id=run.session_id, run_id=run.id, agent=agent) as span,
        ):
            yield span
