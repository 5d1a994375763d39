"""The event logs that somebody writes or reads at the moment. A log nobody uses is only in the store."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from app.conversation.events import SessionExited
from app.runtime.streams.event_encoder import EventEncoder
from app.runtime.streams.event_log import EventLog


class EventLogs:
    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._logs: dict[str, EventLog] = {}
        self._users: dict[EventLog, int] = {}

    def open(self, session_id: str, next_number: int) -> EventLog:
        """The session's log, for a run or a reader; give it back with `release`."""
        with self._guard:
            log = self._logs.get(session_id)
            if log is None or log.closed:
                log = self._logs[session_id] = EventLog(session_id, next_number)
            self._users[log] = self._users.get(log, 0) + 1
            return log

    def hold(self, log: EventLog) -> None:
        """Keeps a run's own log for one more reader, which may come when the run has let go of it; `release` it."""
        with self._guard:
            self._users[log] = self._users.get(log, 0) + 1
            if not log.closed:
                self._logs.setdefault(log.session_id, log)

    def release(self, log: EventLog) -> None:
        """The last of its users to do so lets go of the log, even if its session has another one by now."""
        with self._guard:
            self._users[log] -= 1
            if self._users[log]:
                return
            del self._users[log]
            if self._logs.get(log.session_id) is log:
                del self._logs[log.session_id]

    def find(self, session_id: str) -> EventLog | None:
        with self._guard:
            return self._logs.get(session_id)

    def followed(self) -> list[EventLog]:
        with self._guard:
            return list(self._logs.values())

    def close(self, session_id: str, last_words: Sequence[bytes] = ()) -> None:
        """Ends the readers of a session that is gone, after these last events."""
        with self._guard:
            log = self._logs.pop(session_id, None)
        if log is not None:
            log.close(last_words)

    def close_deleted(self, session_id: str) -> None:
        """Ends the readers of a session that was deleted."""
        self.close(session_id, EventEncoder().encode(SessionExited(session_id=session_id)))

    def close_all(self) -> None:
        """Ends every reader: this process is going away."""
        with self._guard:
            session_ids = list(self._logs)
        for session_id in session_ids:
            self.close(session_id)
