"""Requests that wait for their session, in this process and in all others."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from app.errors import SessionBusy
from app.runtime.live_run import LiveRun
from app.runtime.waiting_line import WaitingLine
from app.store.run_request import RunRequest
from app.store.run_store import RunStore
from app.store.waiting_line_store import WaitingLineStore


class SessionLine:
    """Shared by all request threads; `limit` bounds those that wait in this process."""

    def __init__(
        self,
        places: WaitingLineStore,
        runs: RunStore,
        start: Callable[[RunRequest], LiveRun],
        *,
        limit: int,
        share: float,
    ) -> None:
        """`start` as `RuntimeManager.start`."""
        self._places = places
        self._runs = runs
        self._start = start
        self._here = WaitingLine(limit=limit, share=share)
        self._process = uuid.uuid4().hex  # as the other processes see it in line
        self.call_next = self._here.call_next

    def __len__(self) -> int:
        """How many wait in this process at this moment; for looking, never for deciding."""
        return len(self._here)

    def start(
        self, request: RunRequest, *, seconds: float, gave_up: Callable[[], bool], name: str = ""
    ) -> LiveRun:
        """Starts the run, but waits in line for its session, at most so many seconds or until the caller gives up.
        A request that waits in another process has its turn as if it waited here."""
        session_id = request.session_id
        try:
            if not self._here.is_waited_for(session_id) and self._places.turn_of(session_id) is None:
                return self._start(request)
        except SessionBusy:
            pass

        def start_in_turn(leave: Callable[[], None]) -> LiveRun:
            self._places.still_there(session_id, self._process)
            if self._places.turn_of(session_id) != self._process:
                raise SessionBusy()
            live = self._start(request)
            leave()  # before the next one here looks: it would take this place for its own
            return live

        try:
            with self._places.place(session_id, self._process) as leave:
                return self._here.in_turn(
                    session_id, lambda: start_in_turn(leave), seconds=seconds, gave_up=gave_up, name=name
                )
        except SessionBusy as busy:
            run = self._runs.live_run(session_id)
            if busy.run is not None or run is None:
                raise
            raise SessionBusy(run=run) from None
