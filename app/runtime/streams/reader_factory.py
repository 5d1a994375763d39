"""Makes readers: of a run, of a run in another process, of a whole session."""

from __future__ import annotations

from functools import partial
from typing import Final

from app.conversation.event_facts import EventFact
from app.conversation.events import SessionExited
from app.conversation.run import Run
from app.conversation.run_outcome import RunOutcome
from app.errors import Draining, RunNotFound, StoreUnavailable
from app.event_encoder import EventEncoder
from app.runtime.live_run import LiveRun
from app.runtime.live_runs import LiveRuns
from app.runtime.streams.event_log import EndMark, EventLogs
from app.runtime.streams.event_reader import EventReader, RunEnd
from app.runtime.streams.frame_encoder import AS_WRITTEN, FrameEncoder
from app.runtime.streams.own_streams import OwnStream, OwnStreams, Program
from app.sse_format import split, unnumbered
from app.store.store import Store
from app.threads import Services

_PIECES: Final = frozenset(
    {"agent_choice", "agent_choice_reasoning", "partial_tool_call", "tool_call_output"}
)
_BESIDES: Final = frozenset({"session_title", "agent_info", "model_fallback", "warning"})
"""Events that may come between two pieces of one message."""


class ReaderFactory:
    """Each reader gets its events as the `encoder` of its door writes them."""

    def __init__(self, store: Store, runs: LiveRuns, logs: EventLogs, services: Services) -> None:
        self._store = store
        self._runs = runs
        self._logs = logs
        self._services = services
        self.own_streams = OwnStreams()

    def of_run(
        self, live: LiveRun, encoder: FrameEncoder = AS_WRITTEN, own: OwnStream | None = None
    ) -> EventReader:
        """A reader of one run's events, from the first to the last; `own` is told how far it has come."""
        self._logs.hold(live.log)
        reader = EventReader(
            live.log,
            self._logs,
            self._store.events,
            after=live.first_event - 1,
            end=live.end,
            find_end=partial(self._end_of, live.run.session_id, live.run.id),
            encoder=encoder,
        )
        if own is not None:
            reader.own = own
            own.begin(live.first_event, live.end)
        return reader

    def of_past_run(self, run: Run, encoder: FrameEncoder = AS_WRITTEN) -> EventReader:
        """A reader of a run's events that this process does not work on: from the store, and as they come."""
        self._services.ensure_running()
        end = EndMark(run.id, elsewhere=run.last_event is None)
        end.number = run.last_event
        event_log = self._logs.open(run.session_id, self._store.events.bounds(run.session_id)[1] + 1)
        return EventReader(
            event_log,
            self._logs,
            self._store.events,
            after=run.first_event - 1,
            end=end,
            find_end=partial(self._end_of, run.session_id, run.id),
            encoder=encoder,
        )

    def _end_of(self, session_id: str, run_id: str) -> RunEnd | None:
        try:
            run = self._store.runs.get(run_id)
        except RunNotFound:  # deleted with its session
            gone = EventEncoder().encode(SessionExited(session_id=session_id))
            return RunEnd(0, [*map(unnumbered, gone)], told=False)
        if run.live:
            return None
        told = RunOutcome(run.status, run.code, run.error).last_events(run)
        words = [*map(unnumbered, EventEncoder().encode_all(told))]
        if run.last_event is not None:
            return RunEnd(run.last_event, words)
        last = self._store.events.last_of(run.session_id, run.id) or run.first_event - 1
        return RunEnd(last, words, told=False)

    def of_session(
        self,
        session_id: str,
        after: int | None,
        encoder: FrameEncoder = AS_WRITTEN,
        *,
        whole: bool = False,
        program: Program | None = None,
    ) -> EventReader:
        """A reader of a session's events after a number; None: from the beginning of the run that is live, or whatever
        comes next; or, if it is to be the `whole`, from the first event that is kept. A number that was never given,
        as after a restored backup, is answered with a `gap`. A `program` is not told again what the streams of its own
        runs tell it. SessionNotFound, Draining."""
        if self._runs.draining:
            raise Draining()
        self._services.ensure_running()
        first_stored, last_stored = self._store.events.bounds(session_id)
        event_log = self._logs.open(session_id, last_stored + 1)
        try:
            if after is None and whole and first_stored:
                after = first_stored - 1
            if after is None:
                run = self._store.runs.live_run(session_id)  # whichever process works on it
                after = (run.first_event if run is not None else event_log.next_number) - 1
            unknown = after >= self._store.sessions.next_event(session_id)
            return EventReader(
                event_log,
                self._logs,
                self._store.events,
                after=event_log.last_number if unknown else after,
                encoder=encoder,
                begins_with_gap=unknown,
                follower=self.own_streams.follow(session_id, program, after)
                if program and not unknown
                else None,
            )
        except BaseException:
            self._logs.release(event_log)
            raise

    def whole_until(self, session_id: str) -> int:
        """The number of the session's last event that tells of nothing unfinished. A message is in the store only
        when it is whole, so a reader that has read the session goes on before the first piece of the message that an
        agent is still saying. Raises StoreUnavailable."""
        last_stored = self._store.events.bounds(session_id)[1]  # before the run: the next one's don't count
        newest = self._store.runs.recent(session_id=session_id, limit=1)
        if not newest:
            return 0
        (run,) = newest  # whichever process works on it
        if not run.live:
            return last_stored if run.last_event is None else run.last_event
        event_log = self._logs.open(session_id, last_stored + 1)
        after = run.first_event - 1
        reader = EventReader(event_log, self._logs, self._store.events, after=after, patience=0.0)
        try:
            number = _whole_until(reader, after)
            if reader.gave_up:
                raise StoreUnavailable()
            return number
        finally:
            reader.close()


def _whole_until(reader: EventReader, number: int) -> int:
    under_way = False
    while facts := reader.next(0.0):
        for fact in map(EventFact.read, split(facts)):
            if fact.number is None:
                continue
            under_way = fact.type in _PIECES or (under_way and fact.type in _BESIDES)
            if not under_way:
                number = fact.number
    return number
