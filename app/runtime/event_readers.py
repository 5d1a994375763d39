"""Makes readers: of a run, of one that another process works on, of a whole session."""

from __future__ import annotations

from app.conversation.run import Run
from app.errors import Draining, RunNotFound
from app.runtime.event_log import EndMark
from app.runtime.event_logs import EventLogs
from app.runtime.event_reader import EventReader
from app.runtime.live_run import LiveRun
from app.runtime.manager import RuntimeManager
from app.store.store import Store


class EventReaders:
    def __init__(self, store: Store, manager: RuntimeManager) -> None:
        self._store = store
        self._manager = manager
        self._logs: EventLogs = manager.logs

    def of_run(self, live: LiveRun) -> EventReader:
        """A reader of one run's events, from the first to the last."""
        self._logs.hold(live.log)
        return EventReader(live.log, self._logs, self._store.events, after=live.first_event - 1, end=live.end)

    def of_past_run(self, run: Run) -> EventReader:
        """A reader of a run's events that this process does not work on: from the store, and as they come."""
        self._manager.ensure_housekeeping()
        end = EndMark()
        end.number = run.last_event
        event_log = self._logs.open(run.session_id, self._store.events.bounds(run.session_id)[1] + 1)
        return EventReader(
            event_log,
            self._logs,
            self._store.events,
            after=run.first_event - 1,
            end=end,
            find_end=lambda: self._end_of(run.id),
        )

    def _end_of(self, run_id: str) -> int | None:
        """The number of a run's last event; None while it goes on."""
        try:
            run = self._store.runs.get(run_id)
        except RunNotFound:
            return 0  # deleted with its session: nothing follows
        if run.live or run.last_event is not None:
            return run.last_event
        return self._store.events.bounds(run.session_id)[1]  # it could not say its last words

    def of_session(self, session_id: str, after: int | None) -> EventReader:
        """A reader of a session's events after a number; None: from the beginning of the run that is live,
        or whatever comes next. A number that was never given, as after a restored backup, is answered with a
        `gap`. SessionNotFound, Draining."""
        if self._manager.draining:
            raise Draining()
        self._manager.ensure_housekeeping()
        event_log = self._logs.open(session_id, self._store.events.bounds(session_id)[1] + 1)
        if after is None:
            run = self._store.runs.live_run(session_id)  # whichever process works on it
            after = (run.first_event if run is not None else event_log.next_number) - 1
        unknown = after >= self._store.sessions.next_event(session_id)
        return EventReader(
            event_log,
            self._logs,
            self._store.events,
            after=event_log.last_number if unknown else after,
            begins_with_gap=unknown,
        )
