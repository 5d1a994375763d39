"""The runs of this process, and whether it takes another one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from app.conversation.run import Run
from app.conversation.session import Session
from app.errors import Draining, ServerFull, TooManyRuns
from app.runtime.live_run import LiveRun
from app.runtime.streams.stream_slots import Slots, share_of


class LiveRuns:
    """Shared by all threads. Looking takes no lock that anybody waits for."""

    def __init__(self, slots: Slots, *, share: float = 1.0) -> None:
        """As many runs as there are `places` for streams; one owner has at most a `share` of them."""
        self._slots = slots
        self._each = share_of(slots.limit, share)
        self._guard = threading.Lock()  # of the three below; never held over anything that can block
        self._runs: dict[str, LiveRun] = {}  # by session
        self._starting: list[str] = []  # sessions of runs that were admitted and may not be live yet
        self._draining = False

    @property
    def full(self) -> bool:
        """Is every slot for a stream taken?"""
        return self._slots.full

    # ---- admission

    @contextmanager
    def admitted(self, session_id: str) -> Iterator[None]:
        """Room for one run of this session while it is begun inside: a drain waits for it. Draining, ServerFull."""
        with self._guard:
            if self._draining:
                raise Draining()
            taken = len(self._runs.keys() | set(self._starting))
            if session_id not in self._runs and (taken >= self._slots.limit or self.full):
                raise ServerFull()
            self._starting.append(session_id)
        try:
            yield
        finally:
            with self._guard:
                self._starting.remove(session_id)

    def add(self, live: LiveRun, session: Session, *, adopted: bool = False) -> None:
        """Draining, if the drain has begun since the run was admitted; TooManyRuns, if the session's owner has its
        share. An `adopted` run has been taken already, and is added in any case."""
        live.account, live.titled = session.owner, bool(session.title) or session.choices.without_title
        with self._guard:
            if not adopted:
                self._refuse(session)
            self._runs[session.id] = live

    def _refuse(self, session: Session) -> None:
        if self._draining:
            raise Draining()
        theirs = [one for at, one in self._runs.items() if one.account == session.owner and at != session.id]
        if session.owner and len(theirs) >= self._each:
            raise TooManyRuns(
                f"{session.owner} has {len(theirs)} of {self._slots.limit} runs at work here, which is its share; "
                "wait until one ends"
            )

    def remove(self, live: LiveRun) -> None:
        """Does nothing if the session has another run by now."""
        with self._guard:
            if self._runs.get(live.run.session_id) is live:
                del self._runs[live.run.session_id]

    def refuse_more(self) -> None:
        """The process drains: `admitted` and `add` raise Draining from now on."""
        with self._guard:
            self._draining = True

    # ---- looking

    @property
    def draining(self) -> bool:
        return self._draining

    @property
    def starting(self) -> bool:
        """Is a run being begun?"""
        return bool(self._starting)

    def find(self, session_id: str) -> LiveRun | None:
        """The session's run in this process."""
        with self._guard:
            return self._runs.get(session_id)

    def all(self) -> list[LiveRun]:
        with self._guard:
            return list(self._runs.values())


def describe(live: LiveRun) -> Run:
    """The run as it is at this moment, without asking the database."""
    return replace(live.run, status=live.status, waiting_for=live.waiting_for, is_stopping=live.is_stopping)
